"""An edge that was offline comes back: how fast its backlog is receipted, and how live readings fare.

The edge (outbox and uplink) is in this process; cloud (whole, with all rules) and broker are processes of
their own. ``DRAIN_READINGS`` says how long the backlog is, ``DRAIN_BLOCK`` how many readings an outbox block
has: six are one patient's signals of one second, as they come from one monitor. To look closer:
``DRAIN_PYTHON`` has options of the cloud's interpreter, ``DRAIN_COUNTERS`` makes it say its counters at the
end.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil

from bench.figures import Outcome
from bench.processes import ROOT, work_folder
from bench.ward import bench_settings
from edge_agent import CloudTrust, Outbox, Uplink, encoding
from hearthward.app.cloud import cloud_running, open_records
from hearthward.app.seed import enter_plan
from hearthward.app.start import broker_running
from hearthward.app.tracker import percentiles
from hearthward.app.ward import PlannedDevice, PlannedPatient, WardPlan
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.errors import UplinkError
from hearthward.core.ids import RandomIds, digest63
from hearthward.core.messages import ConfigDocument, Status, StoredBlock
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Gap

__all__ = ["measure"]

PATIENTS: Final = 8
SIGNALS: Final = {
    "heart_rate": 72.0,
    "spo2": 97.0,
    "pulse_rate": 72.0,
    "perfusion_index": 4.0,
    "respiratory_rate": 15.0,
    "body_temperature": 36.8,
}
TARGET_READINGS: Final = 72 * 3600 * PATIENTS * len(SIGNALS)
"""Three days offline."""
TARGET_S: Final = 600.0
LIVE_P99_MS: Final = 250.0
OFFLINE_NS: Final = 80 * 3600 * SECOND
OUTBOX_BYTES: Final = 2 << 30
GROUP: Final = 4_000
PATIENCE_S: Final = 600.0


def measure() -> Outcome:
    """Fill the outbox, connect, and wait until nothing but the live readings is left."""
    return asyncio.run(_measure())


async def _measure() -> Outcome:
    size = int(os.environ.get("DRAIN_READINGS", "500000"))
    per_block = int(os.environ.get("DRAIN_BLOCK", str(len(SIGNALS))))
    outcome = Outcome(
        "drain", f"{size:,} readings in blocks of {per_block}, from outbox to receipt; live ones beside"
    )
    with work_folder() as folder, _cloud(folder) as (url, key, pid):
        box = await Outbox.open(
            folder / "outbox",
            clock=SystemClock(),
            ids=RandomIds(),
            telemetry=Telemetry(),
            max_bytes=OUTBOX_BYTES,
        )
        try:
            await _fill(box, size, per_block)
            await _drain(box, url, key, pid, outcome)
        finally:
            await box.close()
    return outcome


def _payload(patient: int, at: int, n: int) -> ReadingBatch:
    """One monitor's signals of one second."""
    device = f"mon-{patient}"
    digest = digest63(device.encode(), at.to_bytes(8, "little"))
    return ReadingBatch.of(
        Reading(
            device=device,
            metric=metric,
            value=normal + (n * 7 + i) % 5 / 10,
            code=None,
            device_time=None,
            received=at,
            corrected=at,
            digest=digest,
            ordinal=i,
            group=digest,
            profile="0123456789abcdef",
        )
        for i, (metric, normal) in enumerate(SIGNALS.items())
    )


async def _fill(box: Outbox, size: int, per_block: int) -> None:
    usual = encoding.BLOCK_READINGS
    encoding.BLOCK_READINGS = per_block  # type: ignore[misc]  # as if each had come in a moment of its own
    try:
        seconds = size // (PATIENTS * len(SIGNALS))
        begin = time.time_ns() - seconds * SECOND
        together = ReadingBatch()
        for n in range(seconds):
            for patient in range(PATIENTS):
                together.extend(_payload(patient, begin + n * SECOND + patient, n))
            if len(together) >= GROUP:
                await box.append(together)
                together = ReadingBatch()
        if len(together):
            await box.append(together)
    finally:
        encoding.BLOCK_READINGS = usual  # type: ignore[misc]


class _Live:
    """Appends live readings, and notes when each was receipted."""

    def __init__(self, box: Outbox) -> None:
        self.took: list[float] = []
        self.box = box
        self.after = box.accepted
        self._sent: dict[int, float] = {}
        self._confirm = box.confirm
        box.confirm = self._receipted  # type: ignore[method-assign]

    async def _receipted(self, blocks: Iterable[StoredBlock], gaps: Iterable[Gap] = ()) -> int:
        named, now = list(blocks), time.perf_counter()
        for block in named:
            if block.first > self.after and block.first in self._sent:
                self.took.append((now - self._sent.pop(block.first)) * 1e3)
        return await self._confirm(named, gaps)

    async def run(self) -> None:
        n = 0
        while True:
            first, _ = await self.box.append(_payload(n % PATIENTS, time.time_ns(), n))
            self._sent[first] = time.perf_counter()
            n += 1
            await asyncio.sleep(1 / PATIENTS)


@asynccontextmanager
async def _uplink(box: Outbox, url: str, key: bytes, telemetry: Telemetry) -> AsyncIterator[None]:
    async def on_config(_: ConfigDocument) -> None:
        return

    link = Uplink(
        box,
        url,
        tenant="main",
        gateway="gw-1",
        clock=SystemClock(),
        telemetry=telemetry,
        on_config=on_config,
        status=lambda: Status(online=True),
        trust=CloudTrust(box.path / "cloud-key", clock=SystemClock(), key=key),
    )
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _drain(box: Outbox, url: str, key: bytes, pid: int, outcome: Outcome) -> None:
    telemetry, size = Telemetry(), box.backlog()
    live, me, cloud = _Live(box), psutil.Process(), psutil.Process(pid)
    before = [sum(p.cpu_times()[:2]) for p in (me, cloud)]
    started = time.perf_counter()
    async with _uplink(box, url, key, telemetry):
        beside = asyncio.create_task(live.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while box.settled().missing(1, size):  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0.02)
            seconds = time.perf_counter() - started
            cpu = [sum(p.cpu_times()[:2]) - b for p, b in zip((me, cloud), before, strict=True)]
            during = list(live.took)
        finally:
            beside.cancel()
            with suppress(asyncio.CancelledError):
                await beside
    rate = size / seconds
    outcome.add("readings receipted", rate, "/s", target=TARGET_READINGS / TARGET_S, at_least=True)
    outcome.add("so 72 h of 48 readings/s take", TARGET_READINGS / rate, "s", target=TARGET_S)
    by_name = percentiles(during)
    p50, p99 = by_name["p50"], by_name["p99"]
    outcome.add("live reading, append to receipt, p50", p50, "ms")
    outcome.add(
        "live reading, append to receipt, p99", p99, "ms", target=LIVE_P99_MS, note=f"{len(during)} of them"
    )
    outcome.add("CPU of the edge", cpu[0] / size * 1e6, "us/reading")
    outcome.add("CPU of the cloud", cpu[1] / size * 1e6, "us/reading")
    outcome.add("frames sent again", telemetry.value("uplink_frames_resent_total"), "")


# -- the other process


@contextmanager
def _cloud(folder: Path) -> Iterator[tuple[str, bytes, int]]:
    """A cloud with its broker: the broker's address, the cloud's public key, its process id."""
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, *os.environ.get("DRAIN_PYTHON", "").split(), "-m", "bench.drain", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            msg = "the cloud did not start"
            raise UplinkError(msg)
        said = json.loads(line)
        yield said["url"], bytes.fromhex(said["key"]), process.pid
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def _plan() -> WardPlan:
    patients = tuple(
        PlannedPatient(
            f"p{n}", f"Patient {n}", f"bed {n}", (PlannedDevice(f"mon-{n}", "masimo", 1.0, f"/dev/x{n}"),)
        )
        for n in range(PATIENTS)
    )
    return WardPlan("Ward", "gw-1", patients)


async def _serve(folder: Path) -> None:
    settings, telemetry = bench_settings(folder), Telemetry()
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings))
        await enter_plan(records, _plan(), time.time_ns() - OFFLINE_NS)
        url = await stack.enter_async_context(broker_running(settings, telemetry))
        cloud = await stack.enter_async_context(
            cloud_running(settings, records, broker_url=url, clock=SystemClock(), telemetry=telemetry)
        )
        said: dict[str, Any] = {"url": url, "key": cloud.service.key.public.hex()}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        if os.environ.get("DRAIN_COUNTERS"):
            for name, _, labels, value in telemetry.samples():
                sys.stderr.write(f"{name} {dict(labels)} {value}\n")


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
