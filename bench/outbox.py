"""How fast the edge's outbox takes readings (each fsynced) and gives them back, and what three days need."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Final

from bench.figures import Outcome
from bench.processes import work_folder
from edge_agent import Outbox
from edge_agent.segments.accounts import accepted_in
from edge_agent.segments.files import FolderDisk
from edge_agent.segments.store import NewBlock, Store, Work
from hearthward.app.tracker import percentiles
from hearthward.core.clock import SystemClock
from hearthward.core.ids import RandomIds, digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import decode_block, encode_block

__all__ = ["measure"]

SINGLES: Final = 300
STREAMS: Final = 50
PER_STREAM: Final = 60
LARGE: Final = 1000
LARGE_BATCHES: Final = 100
FRAME_READINGS: Final = 500
HOURS: Final = 72
PATIENTS: Final = 8
METRICS: Final = ("spo2", "pulse_rate", "respiratory_rate", "temperature", "systolic", "diastolic")
OUTAGE: Final = HOURS * 3600 * PATIENTS * len(METRICS)
OUTAGE_BYTES: Final = 2 << 30
DRAIN_MIN: Final = 10
SAMPLES: Final = 4000
"""Blocks encoded once and stored again and again: what the disk sees is the same as of different ones."""
DRAINED_S: Final = 20
LIVE_S: Final = 0.125
"""Between two appends during the drain: eight devices at 1 Hz."""


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
            folder / "outbox", clock=SystemClock(), ids=RandomIds(), telemetry=Telemetry()
        )
        try:
            synced = _fsync_ms(folder)
            outcome.add("fsync of this disk, p50", synced, "ms", note="4 KiB written and synced, 100 times")
            await _fill(outbox, outcome)
            await _drain(outbox, outcome)
        finally:
            await outbox.close()
    with work_folder() as folder:
        await asyncio.to_thread(_three_days, folder, outcome)
        await _drain_three_days(folder, outcome)
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
        await outbox.confirm([b.stored() for b in blocks])
    rate = seen / (time.perf_counter() - start)
    if seen != waiting or outbox.backlog():
        msg = f"{waiting} readings waited, {seen} came out, {outbox.backlog()} are left"
        raise RuntimeError(msg)
    note = f"{seen} readings, each decoded; the same number as went in"
    outcome.add("drain of large blocks", rate, "readings/s", note=note)


def _payload(n: int, devices: int) -> NewBlock:
    """Six signals of one device, or of several that shared a group commit."""
    rng = random.Random(n)  # noqa: S311 - the same load every time
    batch = ReadingBatch()
    for d in range(devices):
        received = 1_772_000_000_000_000_000 + n * 125_000_000 + rng.randrange(10**8)
        payload = rng.getrandbits(63)
        for i, metric in enumerate(METRICS):
            batch.append(
                Reading(
                    device=f"monitor-{(n + d) % PATIENTS}",
                    metric=metric,
                    value=rng.randrange(360, 380) / 10 if metric == "temperature" else rng.randrange(60, 140),
                    code=None,
                    device_time=None,
                    received=received,
                    corrected=received,
                    digest=payload,
                    ordinal=i,
                    group=payload >> 1,
                    profile="0123456789abcdef",
                )
            )
    counts = tuple(accepted_in(batch.device, batch.received))
    return NewBlock(len(batch), encode_block(batch), counts=counts)


def _three_days(folder: Path, outcome: Outcome) -> None:
    """Fill an outbox as an outage of 72 hours does, without waiting for 72 hours."""
    for name, devices, whole in (("shared", PATIENTS, False), ("outbox", 1, True)):
        blocks = [_payload(n, devices) for n in range(SAMPLES)]
        target = OUTAGE if whole else OUTAGE // 24
        store = Store(FolderDisk(_made(folder / name)), OUTAGE_BYTES, lambda: "boot-bench", lambda: 0)
        start, n = time.perf_counter(), 0
        while store.state.following <= target:
            store.commit(Work(blocks=[blocks[(n + i) % SAMPLES] for i in range(100)]))
            n += 100
        seconds = time.perf_counter() - start
        readings = store.state.following - 1
        size = sum(s.end for s in store.shelf.segments.values())
        store.close()
        each = f"{len(METRICS) * devices} readings a block"
        outcome.add(f"on the disk, {each}", size / readings, "bytes/reading")
        if whole:
            mib = size * OUTAGE / readings / 2**20
            note = f"{PATIENTS} patients, {len(METRICS)} signals, 1 Hz, {each}: filled in {seconds:.0f} s"
            outcome.add(f"{HOURS} h offline", mib, "MiB", target=OUTAGE_BYTES >> 20, note=note)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def _drain_three_days(folder: Path, outcome: Outcome) -> None:
    """Open the full outbox; drain it in frames while devices go on."""
    start = time.perf_counter()
    outbox = await Outbox.open(
        folder / "outbox",
        clock=SystemClock(),
        ids=RandomIds(),
        telemetry=Telemetry(),
        max_bytes=OUTAGE_BYTES,
    )
    outcome.add("opening it, all of it checked", time.perf_counter() - start, "s")
    lone: list[float] = []

    async def live() -> None:
        for n in range(10**6):
            batch = _batch("live", n, len(METRICS))
            start = time.perf_counter()
            await outbox.append(batch)
            lone.append((time.perf_counter() - start) * 1e3)
            await asyncio.sleep(LIVE_S)

    devices = asyncio.create_task(live())
    seen = after = 0
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < DRAINED_S:
        blocks = await outbox.pending(after, FRAME_READINGS)
        after = blocks[-1].last
        seen += await outbox.confirm([b.stored() for b in blocks])
    devices.cancel()
    await asyncio.wait([devices])
    await outbox.close()
    least = OUTAGE / (DRAIN_MIN * 60)
    note = (
        f"frames of {FRAME_READINGS}, each confirmed: {HOURS} h in {OUTAGE / (seen / seconds) / 60:.1f} min"
    )
    outcome.add("drain of the outage", seen / seconds, "readings/s", target=least, at_least=True, note=note)
    figures = percentiles(lone)
    outcome.add("append meanwhile, p50", figures["p50"], "ms")
    outcome.add("append meanwhile, p99", figures["p99"], "ms")
