"""kill -9 of a real process: whatever it said it had accepted is there, and arrives."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge_agent import Outbox
from hearthward.core.wire import decode_block
from tests.component.edge_agent.brokers import KEY, Broker, Consumer

ROOT = Path(__file__).parents[3]


async def start(path: Path, port: int, digest: int) -> tuple[Process, str]:
    module = "tests.component.edge_agent.edge_process"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        str(path),
        str(port),
        str(digest),
        KEY.public.hex(),
        stdout=PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    word, boot = (await process.stdout.readline()).decode().split()
    assert word == "ready"
    return process, boot


async def read_some_and_kill(process: Process, n: int) -> list[int]:
    """The digests of all appends that returned before the kill."""
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(n)]
    process.kill()
    rest = await process.stdout.read()
    await process.wait()
    printed = b"".join(lines) + rest
    # A last line without its end was cut off by the kill.
    return [int(line) + k for line in printed.split(b"\n")[:-1] for k in range(3)]


@pytest.mark.parametrize("n", [1, 40, 150])
async def test_every_append_that_returned_survives_a_kill(
    n: int, tmp_path: Path, open_outbox: Callable[..., Awaitable[Outbox]]
):
    path = tmp_path / "outbox.db"
    accepted: list[int] = []
    boots = set()
    for turn in range(3):
        process, boot = await start(path, 0, 10_000_000 * (turn + 1))
        boots.add(boot)
        accepted += await read_some_and_kill(process, n)
    box = await open_outbox()
    blocks = await box.pending(0, 10**9, 10**12)
    kept = [d for b in blocks for d in decode_block(b.payload).digest]
    assert len(accepted) >= 9 * n
    assert set(accepted) <= set(kept)
    assert len(kept) == len(set(kept)) == box.backlog() == box.accepted
    assert boots == {box.boot}
    assert box.gaps == ()


async def test_a_killed_edge_leaves_its_last_will_and_goes_on_where_it_was(broker: Broker, tmp_path: Path):
    path = tmp_path / "outbox.db"
    accepted: list[int] = []
    async with Consumer(broker.port, unreliable=True) as consumer:
        for turn in range(3):
            process, boot = await start(path, broker.port, 10_000_000 * (turn + 1))
            seen = len(consumer.frames)
            await consumer.until(lambda seen=seen: len(consumer.frames) > seen + 5)
            accepted += await read_some_and_kill(process, 30)
            await consumer.until(lambda: not consumer.statuses[-1].online)
        consumer.unreliable = False
        process, _ = await start(path, broker.port, 90_000_000)
        await consumer.until(lambda: set(accepted) <= set(consumer.stored.values()))
        process.kill()
        await read_some_and_kill(process, 0)
    assert {b for b, _ in consumer.stored} == {boot}
    assert len(consumer.stored) == len(set(consumer.stored.values()))
