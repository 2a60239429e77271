"""How fast the edge's outbox takes readings (each fsynced) and gives them back until it is empty."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

from bench.figures import Outcome
from bench.processes import work_folder
from edge_agent import Outbox
from hearthward.app.tracker import percentiles
from hearthward.core.clock import SystemClock
from hearthward.core.ids import RandomIds, digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import decode_block

__all__ = ["measure"]

SINGLES: Final = 300
STREAMS: Final = 50
PER_STREAM: Final = 60
LARGE: Final = 1000
LARGE_BATCHES: Final = 100
FRAME_READINGS: Final = 4096


def measure() -> Outcome:
    """One after the other: lone readings, many devices at once, large batches; then drain."""
    return asyncio.run(_measure())


def _batch(device: str, n: int, size: int) -> ReadingBatch:
    now = 1_772_000_000_000_000_000 + n * 1_000_000_000
    return ReadingBatch.of(
        Reading(
            device=device,
            metric="heart_rate",
            value=60.0 + (n + i) % 40,
            code=None,
            device_time=None,
            received=now + i,
            corrected=now + i,
            digest=digest63(device.encode(), n.to_bytes(4, "little"), i.to_bytes(4, "little")),
            profile="0123456789abcdef",
        )
        for i in range(size)
    )


async def _measure() -> Outcome:
    outcome = Outcome(
        "outbox", "readings accepted (committed and fsynced) and drained (read, decoded, deleted)"
    )
    with work_folder() as folder:
        outbox = await Outbox.open(
            folder / "outbox.db", clock=SystemClock(), ids=RandomIds(), telemetry=Telemetry()
        )
        try:
            synced = _fsync_ms(folder)
            outcome.add("fsync of this disk, p50", synced, "ms", note="4 KiB written and synced, 100 times")
            await _fill(outbox, outcome)
            await _drain(outbox, outcome)
        finally:
            await outbox.close()
    return outcome


def _fsync_ms(folder: object) -> float | None:
    samples = []
    fd = os.open(f"{folder}/probe", os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(100):
            start = time.perf_counter()
            os.write(fd, bytes(4096))
            os.fsync(fd)
            samples.append((time.perf_counter() - start) * 1e3)
    finally:
        os.close(fd)
    return percentiles(samples)["p50"]


async def _fill(outbox: Outbox, outcome: Outcome) -> None:
    lone = []
    for n in range(SINGLES):
        batch = _batch("lone", n, 1)
        await asyncio.sleep(0.012)
        start = time.perf_counter()
        await outbox.append(batch)
        lone.append((time.perf_counter() - start) * 1e3)
    figures = percentiles(lone)
    outcome.add("one reading, p50", figures["p50"], "ms")
    outcome.add("one reading, p99", figures["p99"], "ms")

    streams = [[_batch(f"d{s}", n, 1) for n in range(PER_STREAM)] for s in range(STREAMS)]

    async def one(batches: list[ReadingBatch]) -> None:
        for batch in batches:
            await outbox.append(batch)

    start = time.perf_counter()
    await asyncio.gather(*(one(batches) for batches in streams))
    rate = STREAMS * PER_STREAM / (time.perf_counter() - start)
    note = "a group commit every 10 ms at most: 5,000/s is the ceiling"
    outcome.add(f"{STREAMS} devices at once, each waiting", rate, "readings/s", note=note)

    batches = [_batch("large", n * LARGE, LARGE) for n in range(LARGE_BATCHES)]
    start = time.perf_counter()
    for batch in batches:
        await outbox.append(batch)
    outcome.add(f"batches of {LARGE}", LARGE * LARGE_BATCHES / (time.perf_counter() - start), "readings/s")


async def _drain(outbox: Outbox, outcome: Outcome) -> None:
    waiting, seen, after = outbox.backlog(), 0, 0
    start = time.perf_counter()
    while blocks := await outbox.pending(after, FRAME_READINGS):
        for block in blocks:
            seen += len(decode_block(block.payload))
        after = blocks[-1].last
        await outbox.confirm([(b.first, b.last) for b in blocks])
    rate = seen / (time.perf_counter() - start)
    if seen != waiting or outbox.backlog():
        msg = f"{waiting} readings waited, {seen} came out, {outbox.backlog()} are left"
        raise RuntimeError(msg)
    outcome.add("drain", rate, "readings/s", note=f"{seen} readings; the same number as went in")
