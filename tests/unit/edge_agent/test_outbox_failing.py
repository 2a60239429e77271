"""An outbox whose disk, memory or writer fails, and one that is closed."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from edge_agent import outbox as module
from edge_agent.outbox import Outbox
from edge_agent.segments.fake import MemoryDisk
from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from tests.unit.edge_agent.boxes import Batcher, Opener, books_balance, stored


async def test_two_owners_are_refused(open_outbox: Opener):
    await open_outbox()
    with pytest.raises(ConfigError, match=rf"outbox is already in use by process {os.getpid()}"):
        await open_outbox()


async def test_a_folder_that_cannot_be_made_is_named(open_outbox: Opener, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=str(tmp_path / "file")):
        await open_outbox(tmp_path / "file" / "outbox")
    with pytest.raises(ConfigError, match="too small"):
        await open_outbox(max_bytes=1000)
    with pytest.raises(StoreUnavailable, match="MiB are free"):
        await open_outbox(max_bytes=1 << 60)
    assert not (tmp_path / "outbox" / "books-0").exists()
    (tmp_path / "other").write_text("not a folder")
    with pytest.raises(StoreUnavailable, match=str(tmp_path / "other")):
        await open_outbox(tmp_path / "other")


async def test_a_failing_disk_refuses_appends_and_recovers(
    tmp_path: Path, batch: Batcher, telemetry: Telemetry
):
    box, disk = await failing_box(tmp_path, telemetry)
    await box.append(batch(1, 5))
    blocks = await stored(box)
    disk.fail_in(0)
    box.tally("dev-0", 10**18, "read")
    with pytest.raises(StoreUnavailable, match=r"outbox.*Input/output error"):
        await box.append(batch(2, 1))
    with pytest.raises(StoreUnavailable):
        await box.confirm(blocks)
    assert telemetry.value("outbox_failed_commits_total") == 2
    assert (box.accepted, box.backlog()) == (5, 5)
    disk.fail_in(None)
    assert await box.append(batch(3, 1)) == (6, 6)
    assert await box.confirm(blocks) == 5
    assert [r.n for r in box.accounts()[1] if r.kind == "read"] == [1]
    await box.close()


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


async def failing_box(path: Path, telemetry: Telemetry) -> tuple[Outbox, MemoryDisk]:
    disk = MemoryDisk()
    box = await Outbox.open(
        path / "outbox",
        clock=EventClock(10**18),
        ids=SeededIds(),
        telemetry=telemetry,
        max_bytes=2 << 20,
        disk=disk,
    )
    return box, disk


@pytest.mark.parametrize("n", range(0, 12, 2))
async def test_a_commit_that_fails_half_way_leaves_no_accepted_number_unsent(
    tmp_path: Path, batch: Batcher, telemetry: Telemetry, n: int
):
    box, disk = await failing_box(tmp_path, telemetry)
    await box.append(batch(7, 1))
    disk.fail_in(n)
    results = await asyncio.gather(
        *(box.append(batch(1000 * i, 500, fat=True)) for i in range(8)),
        box.append_decisions([b"start"]),
        return_exceptions=True,
    )
    disk.fail_in(None)
    last = await box.append(batch(9000, 5))
    told = [r for r in results if isinstance(r, tuple)]
    assert all(isinstance(r, StoreUnavailable) for r in results[len(told) :])
    assert len(told) < 8
    assert last == (500 * len(told) + 2, 500 * len(told) + 6), "only what was told of is accepted"
    for after in (0, 1, last[0] - 1):
        blocks = await box.pending(after, 10**9, 10**12)
        assert RangeSet((b.first, b.last) for b in blocks).covers(after + 1, box.accepted)
    assert telemetry.value("outbox_accepted_total") == box.accepted
    assert books_balance(box)
    await box.close()


async def test_the_writers_end_is_told_to_all_who_wait_and_to_who_watches(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "GROUP_S", 0.05)
    box = await open_outbox()
    watching = asyncio.ensure_future(box.failure())
    entered, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def broken(_: object) -> None:
        loop.call_soon_threadsafe(entered.set)
        leave.wait()
        raise MemoryError

    monkeypatch.setattr(box._store, "commit", broken)
    first = asyncio.ensure_future(box.append(batch(1, 2)))
    await entered.wait()
    assert (box.at_disk, box.lives()) == (True, True)
    second = asyncio.ensure_future(box.append(batch(3, 2)))
    third = asyncio.ensure_future(box.confirm([]))
    await asyncio.sleep(0)
    leave.set()
    results = await asyncio.gather(first, second, third, return_exceptions=True)
    assert [type(r) for r in results] == [StoreUnavailable] * 3
    with pytest.raises(MemoryError):
        await watching
    assert not box.lives()
    with pytest.raises(StoreUnavailable, match="has failed"):
        await box.append(batch(5, 2))
    assert telemetry.value("outbox_writer_failed_total") == 1
    await box.close()
    again = await open_outbox()
    assert again.accepted == 0


async def test_what_waits_without_a_transaction_under_way_is_hung(
    open_outbox: Opener, batch: Batcher, monkeypatch: pytest.MonkeyPatch
):
    box = await open_outbox()
    assert box.lives()
    waiting = asyncio.ensure_future(box.append(batch(1, 2)))
    await asyncio.sleep(0)
    assert box.lives()
    with monkeypatch.context() as short:
        short.setattr(module, "HUNG_S", 0.0)
        assert not box.lives()
        await waiting
        assert box.lives()
    watching = asyncio.ensure_future(box.failure())
    await box.close()
    await watching


async def test_without_memory_for_a_group_it_is_refused_and_the_next_is_not(
    open_outbox: Opener, batch: Batcher, monkeypatch: pytest.MonkeyPatch
):
    box = await open_outbox()
    with monkeypatch.context() as small:
        small.setattr(module, "encode_all", Mock(side_effect=MemoryError))
        with pytest.raises(StoreUnavailable, match="memory"):
            await box.append(batch(1, 2))
    assert await box.append(batch(1, 2)) == (1, 2)
    assert box.lives()
