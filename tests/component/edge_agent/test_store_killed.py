"""kill -9 of a gateway that fetches a meter's store and empties it: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from devices.twins.profile_twin import ProfileTwin
from devices.twins.world import TwinWorld
from edge_agent import Outbox
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import decode_block

ROOT = Path(__file__).parents[3]
COUNT = 300


async def start(folder: Path, port: int, twin: ProfileTwin) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.component.edge_agent.meter_gateway",
        str(folder),
        f"tcp-client:127.0.0.1:{port}",
        twin.address,
        stdout=PIPE,
        stderr=DEVNULL,
        cwd=ROOT,
    )


async def after_commits(process: Process, count: int) -> None:
    """Return when so many appends have returned."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while count:
            line = await process.stdout.readline()
            assert line, "the gateway ended by itself"
            count -= line.startswith(b"committed")


async def until_deleted(process: Process, twin: ProfileTwin) -> None:
    """Return when the meter's store is empty; what is printed meanwhile is read, lest the pipe fill up."""
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.read())
    async with asyncio.timeout(60):
        while twin.store.records:  # noqa: ASYNC110 - the store has no event
            await asyncio.sleep(0.02)
    process.kill()
    await reading


async def test_killed_at_any_commit_a_meter_s_store_is_stored_once(
    tmp_path: Path, open_outbox: Callable[..., Awaitable[Outbox]]
):
    async with TwinWorld(seed=3) as world:
        twin = world.add("sig-glucose", "meter")
        assert isinstance(twin, ProfileTwin)
        now = twin.clock.now()
        assert now is not None
        made = {
            twin.keep({"blood_glucose": 60.0 + n}, device_time=now - timedelta(hours=COUNT - n))[
                "blood_glucose"
            ]
            for n in range(COUNT)
        }
        await world.start()
        port = await world.serve_hci("127.0.0.1", 0)
        for commits in (1, 4):
            process = await start(tmp_path, port, twin)
            await after_commits(process, commits)
            process.kill()
            await process.communicate()
            await twin.wait_free()
        (tmp_path / "cursors.json").unlink(missing_ok=True)
        process = await start(tmp_path, port, twin)
        await until_deleted(process, twin)
        await process.wait()
    outbox = await open_outbox(tmp_path / "outbox", max_bytes=64 << 20)
    stored = ReadingBatch()
    for block in await outbox.pending(0, 1_000_000, 1 << 30):
        stored.extend(decode_block(block.payload))
    rows = zip(stored.metric, stored.value, stored.key_times(), stored.record, stored.ordinal, strict=True)
    identities = {row for row in rows if row[0] == "blood_glucose"}
    assert {value for _, value, *_ in identities} == made
    assert len(identities) == COUNT
