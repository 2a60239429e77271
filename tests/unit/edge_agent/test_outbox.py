from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edge_agent import outbox as module
from edge_agent.encoding import BLOCK_READINGS
from edge_agent.segments.accounts import HOUR_NS
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.messages import Account
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Gap, StoredBlock, decode_decisions
from tests.unit.edge_agent.boxes import Batcher, Opener, books_balance, digests, stored


async def test_numbers_count_readings_and_survive_reopening(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    assert await box.append(batch(100, 3)) == (1, 3)
    assert await box.append(batch(200, 2)) == (4, 5)
    boot = box.boot
    await box.close()
    again = await open_outbox(seed=1)
    assert (again.boot, again.accepted, again.backlog()) == (boot, 5, 5)
    assert await digests(again) == [100, 101, 102, 200, 201]
    assert await again.append(batch(300, 1)) == (6, 6)


async def test_numbers_never_go_back_when_everything_was_deleted(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    await box.append(batch(1, 10))
    assert await box.confirm(await stored(box)) == 10
    assert (box.backlog(), await digests(box)) == (0, [])
    await box.close()
    again = await open_outbox()
    assert await again.append(batch(50, 1)) == (11, 11)


async def test_appends_of_one_moment_share_a_block(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "GROUP_S", 0.05)
    box = await open_outbox()
    spans = await asyncio.gather(*(box.append(batch(1000 * i, i + 1)) for i in range(5)))
    assert spans == [(1, 1), (2, 3), (4, 6), (7, 10), (11, 15)]
    assert [(b.first, b.count) for b in await box.pending(0, 100)] == [(1, 15)]
    assert telemetry.value("outbox_commits_total") == 1


async def test_a_long_batch_becomes_several_blocks(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    n = 2 * BLOCK_READINGS + 7
    assert await box.append(batch(0, n)) == (1, n)
    assert [b.count for b in await box.pending(0, 10**6)] == [BLOCK_READINGS, BLOCK_READINGS, 7]
    assert await digests(box) == list(range(n))


async def test_pending_respects_limits_and_bounds_from_memory_and_from_disk(
    open_outbox: Opener, batch: Batcher
):
    box = await open_outbox()
    for i in range(6):
        await box.append(batch(100 * i, 10))
    for _ in range(2):
        assert [b.first for b in await box.pending(0, 25)] == [1, 11]
        assert [b.first for b in await box.pending(10, 5)] == [11]
        assert [b.first for b in await box.pending(10, 100, until=40)] == [11, 21, 31]
        assert [b.first for b in await box.pending(0, 100, 1)] == [1]
        assert await box.pending(60, 100) == []
        box._recent.clear()


async def test_only_blocks_of_just_that_content_are_deleted(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    for i in range(4):
        await box.append(batch(100 * i, 10))
    one, two, three, _ = await stored(box)
    forged = [
        replace(one, digest=two.digest),
        replace(one, count=9),
        replace(one, first=2),
        StoredBlock(1, 40, one.digest),
        StoredBlock(400, 10, one.digest),
    ]
    assert await box.confirm(forged) == 0
    assert telemetry.value("outbox_receipt_mismatch_total") == 3
    assert await box.confirm([two, three, two]) == 20
    assert [b.first for b in await box.pending(0, 100)] == [1, 31]
    assert box.backlog() == 20
    assert books_balance(box)
    assert await box.confirm([two]) == 0
    assert telemetry.value("outbox_receipt_mismatch_total") == 3


async def test_decisions_are_numbered_like_readings_and_pin_what_they_rest_on(
    open_outbox: Opener, batch: Batcher
):
    box = await open_outbox()
    for i in range(4):
        await box.append(batch(100 * i, 10))
    assert await box.append_decisions([b"start", b"update"], [(12, 13), (25, 25), (900, 910)]) == (41, 42)
    assert list(box.urgent()) == [(11, 30), (41, 42)]  # whole blocks
    last = (await box.pending(40, 10))[0]
    assert last.decisions
    assert decode_decisions(last.payload) == (b"start", b"update")
    await box.confirm(await stored(box, 11, 41))
    assert list(box.urgent()) == [(21, 30)]
    await box.close()
    again = await open_outbox()
    assert list(again.urgent()) == [(21, 30)]
    with pytest.raises(StoreRejected, match=r"1\.\.4096"):
        await again.append_decisions([])
    with pytest.raises(StoreRejected, match="exceed"):
        await again.append_decisions([bytes(200_000)])


async def test_the_ring_drops_routine_but_nothing_pinned_and_refuses_when_all_is(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    await box.append(batch(1, 50))
    _, first = await box.append_decisions([b"start"], [(1, 1)])
    for i in range(60):
        await box.append(batch(1000 * i, 200, fat=True))
    (gap,) = box.gaps
    assert (gap.first, gap.reason) == (first + 1, "full")
    assert [b.first for b in await box.pending(0, 60)] == [1, 51, gap.last + 1][:2]
    refused = 0
    for i in range(60):
        try:
            numbers = await box.append(batch(1_000_000 + 1000 * i, 200, fat=True))
            await box.append_decisions([b"start"], [numbers])
        except StoreUnavailable as error:
            refused += 1
            assert "rests on" in str(error)  # noqa: PT017 - most of them pass
    assert refused > 1
    assert telemetry.value("outbox_refused_total") >= refused
    assert books_balance(box)
    pinned = await box.pending(0, 10**9, 10**12)
    assert all(box.urgent().covers(b.first, b.last) for b in pinned[:-2])
    # What a receipt frees can be used again.
    await box.confirm([b.stored() for b in pinned[: len(pinned) // 2]])
    await box.append(batch(5, 100, fat=True))
    assert books_balance(box)


async def test_accounts_are_kept_by_device_and_hour_and_only_changed_rows_are_told(
    open_outbox: Opener, batch: Batcher
):
    box = await open_outbox()
    hour = 10**18 // HOUR_NS
    box.tally("dev-0", 10**18, "read", 3)
    box.tally("dev-0", 10**18, "rejected:truncated")
    assert box.accounts() == (0, [])  # not on the disk yet
    await box.append(batch(0, 3))
    mark, rows = box.accounts()
    assert rows == [
        Account("dev-0", hour, "accepted", 3),
        Account("dev-0", hour, "read", 3),
        Account("dev-0", hour, "rejected:truncated", 1),
    ]
    await box.append(batch(1, 2))
    await box.append_decisions([b"start"])  # is no reading
    again, rows = box.accounts(mark)
    assert rows == [Account("dev-1", hour, "accepted", 2)]
    assert box.accounts(again) == (again, [])
    box.tally("dev-2", 10**18, "read")
    await box.close()  # what was tallied goes with the last transaction
    reopened = await open_outbox()
    assert [(r.device, r.kind, r.n) for r in reopened.accounts()[1]] == [
        ("dev-0", "accepted", 3),
        ("dev-0", "read", 3),
        ("dev-0", "rejected:truncated", 1),
        ("dev-1", "accepted", 2),
        ("dev-2", "read", 1),
    ]


async def test_tallies_are_written_by_themselves_after_a_while(
    open_outbox: Opener, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "TALLY_S", 0.0)
    box = await open_outbox()
    box.tally("dev-0", 0, "read")
    while box.accounts()[0] == 0:  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.001)
    assert box.accounts()[1] == [Account("dev-0", 0, "read", 1)]


async def test_what_no_block_can_carry_is_refused_and_its_neighbours_are_not(
    open_outbox: Opener, batch: Batcher
):
    box = await open_outbox()
    good, bad = batch(1, 2), batch(5, 1)
    bad.received[0] = 2**70
    results = await asyncio.gather(
        box.append(good), box.append(bad), box.append(batch(9, 1)), return_exceptions=True
    )
    assert results[0] == (1, 2)
    assert isinstance(results[1], StoreRejected)
    assert results[2] == (3, 3)
    with pytest.raises(StoreRejected, match="empty"):
        await box.append(ReadingBatch())
    huge = ReadingBatch.of([Reading("d", "device_model", None, "x" * 200_000, None, 1, 1)])
    with pytest.raises(StoreRejected, match="exceeds"):
        await box.append(huge)
    assert await digests(box) == [1, 2, 9]


async def test_a_full_outbox_drops_the_oldest_and_says_so(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    size = sum(p.stat().st_size for p in box.path.iterdir())
    assert size == 2 << 20
    for i in range(60):
        await box.append(batch(1000 * i, 200, fat=True))
        assert books_balance(box)
    (gap,) = box.gaps
    assert gap.reason == "full"
    assert gap.first == 1
    assert telemetry.value("outbox_dropped_total", reason="full") == gap.last
    dropped = {r.device: r.n for r in box.accounts()[1] if r.kind == "dropped:full"}
    assert sum(dropped.values()) == gap.last
    assert set(dropped) == {"dev-0", "dev-1", "dev-2"}
    kept = await digests(box)
    assert kept[-1] == 59_199
    assert len(kept) == box.backlog() == box.accepted - gap.last
    assert 0.4 < box.fill() <= 1
    assert sum(p.stat().st_size for p in box.path.iterdir()) == size
    # Reported gaps are forgotten; what was dropped after the report stays.
    await box.confirm([], [Gap(1, 100, "full")])
    assert box.gaps == (Gap(101, gap.last, "full"),)
    await box.close()
    again = await open_outbox()
    assert again.gaps == (Gap(101, gap.last, "full"),)
    assert books_balance(again)


async def test_listeners_hear_of_new_blocks_but_not_of_deletions(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    heard: list[int] = []
    box.on_commit(lambda: heard.append(box.accepted))
    await box.append(batch(1, 2))
    await box.confirm(await stored(box))
    await box.append(batch(5, 1))
    assert heard == [2, 3]


async def test_the_setting_may_grow_and_shrink_between_runs(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    for i in range(10):
        await box.append(batch(1000 * i, 200, fat=True))
    await box.close()
    again = await open_outbox(max_bytes=6 << 20)
    assert sum(p.stat().st_size for p in again.path.iterdir()) == 6 << 20
    for i in range(40):
        await again.append(batch(100_000 + 1000 * i, 200, fat=True))
    assert again.gaps == ()
    await again.close()
    third = await open_outbox(max_bytes=2 << 20)
    await third.append(batch(1, 1))
    assert sum(p.stat().st_size for p in third.path.iterdir()) == 2 << 20
    (gap,) = third.gaps
    assert (gap.first, gap.reason) == (1, "full")
    assert books_balance(third)
    assert (await digests(third))[-2:] == [139_199, 1]
