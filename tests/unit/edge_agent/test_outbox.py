from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge_agent import outbox as module
from edge_agent import segment
from edge_agent.encoding import BLOCK_READINGS
from edge_agent.outbox import Outbox
from hearthward.core.errors import ConfigError, StoreRejected, StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Gap, decode_block

Opener = Callable[..., Awaitable[Outbox]]
Batcher = Callable[..., ReadingBatch]


async def digests(box: Outbox) -> list[int]:
    blocks = await box.pending(0, 10**9, 10**12)
    return [d for b in blocks for d in decode_block(b.payload).digest]


def books_balance(box: Outbox) -> bool:
    held = box._segment
    rows = held._db.execute("SELECT first, first+count-1 FROM block").fetchall()
    parts = [*rows, *held.done, *((g.first, g.last) for g in held.gaps)]
    whole = RangeSet(parts)
    size = sum(last - first + 1 for first, last in parts)
    return len(whole) == size == box.accepted and whole.missing(1, box.accepted) == []


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
    assert await box.confirm([(1, 10)]) == 10
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


async def test_only_wholly_covered_blocks_are_deleted(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    for i in range(4):
        await box.append(batch(100 * i, 10))
    assert await box.confirm([(5, 30), (31, 39)]) == 20
    assert [b.first for b in await box.pending(0, 100)] == [1, 31]
    assert box.backlog() == 20
    assert books_balance(box)
    assert await box.confirm([(1, 10**12)]) == 20


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
    size = box.path.stat().st_size
    for i in range(40):
        await box.append(batch(1000 * i, 200, fat=True))
        assert books_balance(box)
    (gap,) = box.gaps
    assert gap.reason == "full"
    assert gap.first == 1
    assert telemetry.value("outbox_dropped_total", reason="full") == gap.last
    kept = await digests(box)
    assert kept[-1] == 39_199
    assert len(kept) == box.backlog() == box.accepted - gap.last
    assert box.path.stat().st_size == size
    # Reported gaps are forgotten; what was dropped after the report stays.
    await box.confirm([], [Gap(1, 100, "full")])
    assert box.gaps == (Gap(101, gap.last, "full"),)
    await box.close()
    again = await open_outbox()
    assert again.gaps == (Gap(101, gap.last, "full"),)
    assert books_balance(again)


async def test_a_damaged_row_met_while_reading_becomes_a_gap(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    for i in range(3):
        await box.append(batch(100 * i, 10))
    box._recent.clear()
    box._segment._db.execute("UPDATE block SET payload=zeroblob(length(payload)) WHERE first=11")
    assert [b.first for b in await box.pending(0, 100)] == [1, 21]
    assert box.gaps == (Gap(11, 20, "corrupt"),)
    assert telemetry.value("outbox_dropped_total", reason="corrupt") == 10
    assert books_balance(box)


async def test_a_row_that_vanished_becomes_a_gap_at_the_next_opening(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    for i in range(3):
        await box.append(batch(100 * i, 10))
    await box.close()
    with sqlite3.connect(box.path) as db:
        db.execute("DELETE FROM block WHERE first>=21")
    db.close()
    again = await open_outbox()
    assert again.gaps == (Gap(21, 30, "corrupt"),)
    assert await again.append(batch(900, 1)) == (31, 31)


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 8000]
)
async def test_a_file_that_is_no_outbox_is_kept_aside(
    open_outbox: Opener, batch: Batcher, tmp_path: Path, content: bytes, telemetry: Telemetry
):
    (tmp_path / "outbox.db").write_bytes(content)
    box = await open_outbox()
    assert await box.append(batch(1, 1)) == (1, 1)
    (aside,) = tmp_path.glob("outbox.db.garbled-*[0-9Z]")  # noqa: ASYNC240 - a test may wait for its disk
    assert aside.read_bytes() == content
    assert telemetry.value("outbox_garbled_total") == 1


async def test_good_rows_of_a_garbled_file_are_carried_over_under_a_new_boot(
    open_outbox: Opener, batch: Batcher
):
    box = await open_outbox()
    for i in range(5):
        await box.append(batch(100 * i, 10))
    boot, expected = box.boot, await digests(box)
    await box.close()
    with sqlite3.connect(box.path) as db:
        db.execute("UPDATE meta SET next=next+1")
    db.close()
    again = await open_outbox(seed=7)
    assert again.boot != boot
    assert await digests(again) == expected
    assert again.accepted == 50


async def test_two_owners_are_refused(open_outbox: Opener, tmp_path: Path):
    await open_outbox()
    with pytest.raises(ConfigError, match=rf"outbox\.db is already in use by process {os.getpid()}"):
        await open_outbox()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        segment.Segment(tmp_path / "outbox.db", 1 << 20)


async def test_a_folder_that_cannot_be_made_is_named(open_outbox: Opener, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=str(tmp_path / "file")):
        await open_outbox(tmp_path / "file" / "outbox.db")
    with pytest.raises(ConfigError, match="too small"):
        await open_outbox(max_bytes=1000)
    with pytest.raises(StoreUnavailable, match="MiB are free"):
        await open_outbox(max_bytes=1 << 60)
    (tmp_path / "outbox.db").unlink(missing_ok=True)
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(StoreUnavailable, match=str(tmp_path / "outbox.db")):
        await open_outbox()


async def test_a_failing_disk_refuses_appends_and_recovers(
    open_outbox: Opener, batch: Batcher, monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry
):
    box = await open_outbox()
    real = box._segment.commit

    def failing(*_: object) -> object:
        msg = "disk I/O error"
        raise sqlite3.OperationalError(msg)

    monkeypatch.setattr(box._segment, "commit", failing)
    with pytest.raises(StoreUnavailable, match=r"outbox\.db.*disk I/O error"):
        await box.append(batch(1, 1))
    with pytest.raises(StoreUnavailable):
        await box.confirm([(1, 1)])
    assert telemetry.value("outbox_failed_commits_total") == 2
    monkeypatch.setattr(box._segment, "commit", real)
    assert await box.append(batch(2, 1)) == (1, 1)


async def test_closing_commits_what_waits_and_then_refuses(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    waiting = [asyncio.ensure_future(box.append(batch(i, 1))) for i in range(3)]
    await asyncio.sleep(0)
    await box.close()
    assert [await w for w in waiting] == [(1, 1), (2, 2), (3, 3)]
    with pytest.raises(StoreUnavailable, match="closed"):
        await box.append(batch(9, 1))
    again = await open_outbox()
    assert again.accepted == 3


async def test_a_cancelled_append_leaves_the_outbox_whole(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    doomed = asyncio.ensure_future(box.append(batch(1, 5)))
    await asyncio.sleep(0)
    doomed.cancel()
    assert (await box.append(batch(10, 1)))[1] == box.accepted
    assert books_balance(box)


async def test_listeners_hear_of_new_blocks_but_not_of_deletions(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    heard: list[int] = []
    box.on_commit(lambda: heard.append(box.accepted))
    await box.append(batch(1, 2))
    await box.confirm([(1, 2)])
    await box.append(batch(5, 1))
    assert heard == [2, 3]


async def test_a_larger_setting_enlarges_the_file(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    await box.append(batch(1, 5))
    await box.close()
    again = await open_outbox(max_bytes=3 << 20)
    await again.append(batch(10, 1))
    await again.close()
    assert again.path.stat().st_size >= 3 << 20
    third = await open_outbox(max_bytes=3 << 20)
    assert await digests(third) == [1, 2, 3, 4, 5, 10]


async def test_a_kill_while_the_file_is_enlarged_loses_nothing(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    await box.append(batch(1, 5))
    await box.close()
    with sqlite3.connect(box.path) as db:
        db.execute("CREATE TABLE filler(room BLOB)")
        db.execute("INSERT INTO filler VALUES(zeroblob(2000000))")
    db.close()
    again = await open_outbox(max_bytes=2 << 20)
    assert again.boot == box.boot
    assert await digests(again) == [1, 2, 3, 4, 5]
