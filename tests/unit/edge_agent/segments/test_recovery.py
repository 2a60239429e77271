"""What an opening makes of files damaged one by one and together."""

from __future__ import annotations

import pytest

from edge_agent.segments.store import Store, Work
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Gap
from tests.unit.edge_agent.segments.conftest import Bench


def payloads(store: Store) -> dict[int, bytes]:
    blocks, suspects = store.read(0, 10**9, 10**12, 1 << 62)
    assert not suspects
    return {b.first: b.payload for b in blocks}


@pytest.fixture
def filled(bench: Bench) -> tuple[Bench, Store]:
    """Three segments, something receipted in the first."""
    store = bench.open()
    for _ in range(18):
        bench.append(store, 300, fat=True)
    blocks = store.read(0, 1000, 10**9, 600)[0]
    store.commit(Work(confirmed=[blocks[0].stored()], counts=[("dev-0", 1, "read", 5)]))
    assert len(store.shelf.segments) >= 3
    store.close()
    return bench, store


def test_nothing_at_all_is_a_new_outbox(bench: Bench):
    store = bench.open()
    assert (store.state.boot, store.state.following, store.replaced) == ("boot-1", 1, "")


def test_each_file_in_turn_may_go(filled: tuple[Bench, Store]):
    bench, store = filled
    held = {s.name: s.live.copy() for s in store.shelf.segments.values()}
    for name in sorted(bench.disk.files):
        whole = {n: bytes(c.data) for n, c in bench.disk.files.items()}
        bench.disk.remove(name)
        again = bench.open()
        state = again.state
        assert (state.boot, state.following, state.done) == ("boot-1", 5401, store.state.done)
        assert sorted(c for c in state.counts if c[2] != "dropped:corrupt") == sorted(store.state.counts)
        gone = held.get(name, RangeSet())
        assert RangeSet((g.first, g.last) for g in state.gaps) == gone
        assert set(payloads(again)) == {n for n in payloads_of(held) if n not in gone}
        again.close()
        for n, data in whole.items():
            bench.disk.create([n], len(data))
            bench.disk.files[n].data[:] = data


def payloads_of(held: dict[str, RangeSet]) -> set[int]:
    return {n for live in held.values() for a, b in live for n in range(a, b + 1) if n % 300 == 1}


def test_both_books_lost_but_all_segments_whole_keeps_the_boot(filled: tuple[Bench, Store]):
    bench, store = filled
    for name in ("books-0", "books-1"):
        bench.disk.remove(name)
    again = bench.open()
    assert (again.state.boot, again.state.following, again.state.gaps) == ("boot-1", 5401, [])
    assert again.state.done == store.state.done
    assert again.replaced == ""


def test_books_and_last_segment_lost_is_a_new_boot_with_the_rest(filled: tuple[Bench, Store]):
    bench, store = filled
    tail = store.shelf.segments[max(store.shelf.segments)]
    before = payloads(store)
    for name in ("books-0", "books-1", tail.name):
        bench.disk.remove(name)
    again = bench.open()
    assert (again.state.boot, bool(again.replaced)) == ("boot-2", True)
    kept = [p for n, p in before.items() if n not in tail.live]
    found = list(payloads(again).values())
    assert found[1:] == kept  # that the first had been receipted is lost, too: it is sent again
    assert again.state.following == 300 * len(found) + 1
    again.close()
    third = bench.open()
    assert (third.state.boot, list(payloads(third).values())) == ("boot-2", found)


def test_a_crash_while_a_former_boot_is_taken_over_takes_nothing_twice(filled: tuple[Bench, Store]):
    bench, store = filled
    tail = store.shelf.segments[max(store.shelf.segments)]
    for name in ("books-0", "books-1", tail.name):
        bench.disk.remove(name)
    kept = None
    for n in range(4, 60, 5):
        bench.disk.fail_in(n)
        try:
            again = bench.open()
        except OSError:
            continue
        finally:
            bench.disk.fail_in(None)
        kept = payloads(again)
        again.close()
    assert kept is not None
    final = bench.open()
    digests = list(payloads(final).values())
    assert len(digests) == len(set(digests)) > 0
    assert list(payloads(final).values()) == list(kept.values())


def test_what_was_written_after_a_failure_is_not_confused_with_what_failed(bench: Bench):
    store = bench.open()
    bench.append(store, 5)
    bench.disk.fail_in(1)  # the write comes through, its sync does not
    with pytest.raises(OSError, match="Input"):
        bench.append(store, 400)
    bench.disk.fail_in(None)
    assert bench.append(store, 7) == 6
    expected = payloads(store)
    store.close()
    again = bench.open()
    assert payloads(again) == expected
    assert again.state.following == 13


def test_damage_in_the_run_is_found_when_it_is_read(bench: Bench):
    store = bench.open()
    for _ in range(3):
        bench.append(store, 10)
    row = store.shelf.row_at(11)
    current = store.shelf.current
    assert row is not None
    assert current is not None
    bench.disk.files[current.name].data[row.end - 1] ^= 1
    blocks, suspects = store.read(0, 100, 10**6, 1 << 62)
    assert ([b.first for b in blocks], suspects) == ([1], {current.serial})
    store.commit(Work(suspects=suspects))
    assert store.take_gaps() == [Gap(11, 20, "corrupt")]
    assert list(payloads(store)) == [1, 21]
    assert bench.append(store, 1) == 31
