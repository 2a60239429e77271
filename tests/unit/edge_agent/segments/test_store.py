"""Transactions, reading in order beside them, and limits; damage and the model are in other files."""

from __future__ import annotations

import threading

import pytest

from edge_agent.segments.accounts import HOUR_NS
from edge_agent.segments.store import SMALLEST, Store, Work
from hearthward.core.wire import Gap
from tests.unit.edge_agent.segments.conftest import Bench

EVER = 1 << 62


def firsts(store: Store) -> list[int]:
    return [b.first for b in store.read(0, 10**9, 10**12, EVER)[0]]


def test_a_batch_larger_than_a_segment_takes_several(bench: Bench):
    store = bench.open()
    done = store.commit(Work(blocks=[b for _ in range(8) for b in bench.readings(400, fat=True)]))
    assert sum(b.count for b in done.blocks) == 3200
    assert len(store.shelf.segments) > 1
    assert firsts(store) == [b.first for b in done.blocks]


def test_counts_that_are_on_the_disk_are_taken_out_of_the_work(bench: Bench):
    store = bench.open()
    work = Work(counts=[("dev-0", 3, "read", 1)])
    bench.disk.fail_in(0)
    with pytest.raises(OSError, match="Input"):
        store.commit(work)
    assert work.counts == [("dev-0", 3, "read", 1)]
    bench.disk.fail_in(None)
    store.commit(work)
    assert work.counts == []
    assert list(store.state.counts) == [("dev-0", 3, "read", 1)]


def test_when_only_the_books_fail_it_is_accepted_and_survives(bench: Bench):
    store = bench.open()
    bench.disk.fail_in(2)
    done = store.commit(Work(blocks=bench.readings(5)))
    assert (done.first, store.faults) == (1, 2)
    bench.disk.fail_in(None)
    assert bench.append(store, 1) == 6
    store.close()
    again = bench.open()
    assert (again.state.following, again.state.boot) == (7, "boot-1")
    hour = 10**18 // HOUR_NS
    assert sum(n for _, h, kind, n in again.state.counts if (h, kind) == (hour, "accepted")) == 6


def test_a_confirmed_block_may_be_named_twice_and_a_reported_gap_in_parts(bench: Bench):
    store = bench.open()
    bench.append(store, 10)
    (block,) = store.read(0, 100, 10**6, EVER)[0]
    done = store.commit(Work(confirmed=[block.stored(), block.stored()]))
    assert len(done.deleted) == 1
    for _ in range(60):
        bench.append(store, 300, fat=True)
    (gap,) = store.state.gaps
    store.commit(Work(reported=[Gap(gap.first, gap.first + 9, "full"), Gap(gap.last, gap.last + 50, "full")]))
    assert store.state.gaps == [Gap(gap.first + 10, gap.last - 1, "full")]


def test_books_in_too_many_pieces_put_separate_receipts_off_and_refuse_decisions(bench: Bench):
    store = bench.open()
    numbers = SMALLEST // 16 + 3
    store.state.done.add(1, 1)
    for n in range(numbers):
        store.state.done.add(10 + 2 * n, 10 + 2 * n)
    store.state.following = 100_000
    first = bench.append(store, 1)
    bench.append(store, 1)
    bench.append(store, 1)
    blocks = store.read(0, 100, 10**6, EVER)[0]
    done = store.commit(Work(confirmed=[blocks[1].stored()], blocks=[bench.decision()]))
    assert (done.deferred, done.deleted) == (1, [])
    assert "too many" in done.refused
    store.state.done.add(first - 1, first - 1)
    assert store.commit(Work(confirmed=[blocks[0].stored()])).deleted == [blocks[0].stored()]


def test_reading_goes_on_beside_writing(bench: Bench):
    store = bench.open()
    stop, seen = threading.Event(), []

    def read() -> None:
        after = 0
        while not stop.is_set() or after < store.state.following - 1:
            blocks, suspects = store.read(after, 500, 1 << 18, EVER)
            assert not suspects
            for block in blocks:
                assert block.first == after + 1
                after = block.last
            seen.extend(blocks)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for _ in range(150):
            bench.append(store, 20)
    finally:
        stop.set()
        thread.join(20)
    assert sum(b.count for b in seen) == 3000


def test_an_outbox_goes_on_with_the_room_it_has_when_it_cannot_grow(bench: Bench):
    store = bench.open()
    bench.append(store, 5)
    store.close()
    bench.disk.capacity = sum(bench.disk.sizes().values()) + 3 * SMALLEST
    again = bench.open(max_bytes=64 << 20)
    assert again.state.following == 6
    assert len(bench.disk.sizes()) == 11
    empty = Bench()
    empty.disk.capacity = 1 << 19
    with pytest.raises(OSError, match=r"reserves 64 MiB, but only 0 MiB are free"):
        empty.open(max_bytes=64 << 20)


@pytest.mark.parametrize("n", range(12))
def test_a_disk_that_fails_between_segments_refuses_the_rest_and_says_what_it_has(bench: Bench, n: int):
    store = bench.open()
    at = bench.append(store, 10) + 10
    blocks = bench.readings(5000, fat=True)
    bench.disk.fail_in(n)
    work = Work(blocks=blocks, counts=[("dev-0", 7, "read", 5000)])
    try:
        done = store.commit(work)
    except OSError:
        assert store.state.following == at, "nothing was accepted"
        assert work.counts
        payloads = []
    else:
        assert n
        assert "disk of the outbox fails" in done.refused
        assert store.state.following == done.blocks[-1].last + 1
        assert not work.counts
        payloads = [b.payload for b in done.blocks]
        assert 0 < len(payloads) < len(blocks)
    bench.disk.fail_in(None)
    bench.append(store, 3)
    found, _ = store.read(at - 1, 10**9, 10**9, 10**9)
    assert [b.payload for b in found[:-1]] == payloads == [b.payload for b in blocks[: len(payloads)]]
    again = bench.open()
    assert [b.payload for b in again.read(at - 1, 10**9, 10**9, 10**9)[0]] == [b.payload for b in found]
