"""What each time-series store costs to write and to read; VictoriaMetrics where it is installed.

The same readings each time: 50 devices of 6 metrics at 1 Hz, as frames of 300 to 5,000 readings bring them.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.figures import Outcome
from bench.processes import work_folder
from cloud_ingest.stores.base import FOREVER, Delivery, Origins, TimeSeriesStore
from cloud_ingest.stores.engine import Server
from cloud_ingest.stores.points import usual_group
from cloud_ingest.stores.server import ServerStore
from cloud_ingest.stores.shipper import Shipping
from cloud_ingest.stores.spool import SpooledStore
from cloud_ingest.stores.spool_file import SpoolFile
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.stores.victoriametrics import VictoriaMetrics
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry

__all__ = ["measure"]

DEVICES: Final = 50
METRICS: Final = ("spo2", "pulse_rate", "heart_rate", "resp_rate", "temperature", "ibp_mean")
READINGS: Final = 90_000
BATCH: Final = 5_000
SAFETY_S: Final = 20.0
START_S: Final = 20.0


def measure() -> Outcome:
    """Write all, read all, with each store."""
    return asyncio.run(_measure())


async def _measure() -> Outcome:
    outcome = Outcome(
        "stores", f"{READINGS:,} readings in batches of {BATCH:,}: one row a reading in each store"
    )
    deliveries = list(_deliveries())
    with work_folder() as folder:
        sqlite = SqliteStore(folder / "series.db")
        embedded = await _written(sqlite, deliveries)
        outcome.add("SQLite, write", embedded, "us/reading", note="synced")
        outcome.add("SQLite, read", await _read(sqlite), "us/reading")
        await sqlite.close()
        outcome.add("SQLite, on disk", _size(folder / "series.db"), "B/reading")
        program = shutil.which("victoria-metrics")
        if program is None:
            outcome.add("VictoriaMetrics", None, "us/reading", note="is not installed here")
            return outcome
        with _victoria(program, folder / "victoria") as url:
            server = ServerStore(VictoriaMetrics(Server(url)), SystemClock())
            cost = await _written(server, deliveries)
            note = f"{cost / embedded:.1f} times SQLite; acknowledged before its disk has it"
            outcome.add("VictoriaMetrics, write", cost, "us/reading", note=note)
            await asyncio.to_thread(server.engine.settle)
            outcome.add("VictoriaMetrics, read", await _read(server), "us/reading")
            await server.close()
            outcome.add(
                "VictoriaMetrics, on disk", _tree(folder / "victoria"), "B/reading", note="as synced so far"
            )
        with _victoria(program, folder / "behind") as url:
            await _spooled(outcome, folder / "spool.db", url, deliveries)
    return outcome


async def _spooled(outcome: Outcome, path: Path, url: str, deliveries: list[Delivery]) -> None:
    inner = ServerStore(VictoriaMetrics(Server(url)), SystemClock())
    file = SpoolFile(path)
    store = SpooledStore(
        file, inner, clock=SystemClock(), telemetry=Telemetry(), shipping=Shipping(safety_s=SAFETY_S)
    )
    outcome.add("spool before it, accept", await _written(store, deliveries), "us/reading", note="synced")
    start, cpu = time.perf_counter(), time.process_time()
    while await store.shipper.step():
        pass
    each = 1e6 / READINGS
    outcome.add(
        "spool before it, ship", (time.perf_counter() - start) * each, "us/reading", note="in the background"
    )
    await asyncio.sleep(SAFETY_S + 0.5)
    asked, cpu_shipped = time.perf_counter(), time.process_time() - cpu
    await store.shipper.step()
    outcome.add("spool before it, make sure", (time.perf_counter() - asked) * each, "us/reading")
    cpu = cpu_shipped + (time.process_time() - cpu - cpu_shipped)
    outcome.add("CPU of shipping in all", cpu * each, "us/reading", note="of our process")
    waiting = (await file.fill()).waiting
    await store.close()
    if waiting:
        msg = f"{waiting} readings are still not known to be safe"
        raise RuntimeError(msg)


def _deliveries() -> Iterator[Delivery]:
    seeded = random.Random(5)  # noqa: S311 - the same readings each time
    begin = int(time.time()) * SECOND - 3600 * SECOND
    rows = []
    for n in range(READINGS):
        at = begin + n // (DEVICES * len(METRICS)) * SECOND + n % 7
        device, digest = f"dev_{n % DEVICES}", seeded.getrandbits(63)
        rows.append(
            Reading(
                device=device,
                metric=METRICS[n // DEVICES % len(METRICS)],
                value=float(seeded.randrange(40, 180)),
                code=None,
                device_time=None,
                received=at,
                corrected=at,
                digest=digest,
                group=usual_group(device, at, digest),
                profile="0123456789abcdef",
            )
        )
    for n in range(0, READINGS, BATCH):
        part = rows[n : n + BATCH]
        yield Delivery(ReadingBatch.of(part), Origins("gw-1", "boot-1", list(range(n, n + len(part)))))


async def _written(store: TimeSeriesStore, deliveries: list[Delivery]) -> float:
    start = time.perf_counter()
    for delivery in deliveries:
        await store.append_many("main", [delivery])
    return (time.perf_counter() - start) / READINGS * 1e6


async def _read(store: TimeSeriesStore) -> float:
    start = time.perf_counter()
    found = await store.read("main", [f"dev_{n}" for n in range(DEVICES)], None, 0, FOREVER)
    cost = (time.perf_counter() - start) / READINGS * 1e6
    if len(found) != READINGS:
        msg = f"{READINGS} readings were written, {len(found)} came back"
        raise RuntimeError(msg)
    return cost


def _size(path: Path) -> float:
    return path.stat().st_size / READINGS


def _tree(folder: Path) -> float:
    return sum(p.stat().st_size for p in (folder / "data").rglob("*") if p.is_file()) / READINGS


@contextmanager
def _victoria(program: str, folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [program, f"-storageDataPath={folder}", f"-httpListenAddr={address}", "-retentionPeriod=10y"]
    command += ["-dedup.minScrapeInterval=1ms", "-loggerLevel=ERROR", "-memory.allowedBytes=128MB"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        _wait_for(f"http://{address}")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str) -> None:
    engine = VictoriaMetrics(Server(url))
    end = time.monotonic() + START_S
    try:
        while True:
            try:
                engine.examine()
            except StoreUnavailable:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return
    finally:
        engine.close()
