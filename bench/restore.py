"""The restore drill: a cloud's data that is written to and backed up all the time, kill -9, and the way back.

A process of its own stores readings and backs up by the settings' defaults; it is killed in the middle. Then
the backup is restored into an empty folder, as ``hearthward restore`` does it.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from bench.figures import Outcome
from bench.processes import work_folder
from cloud_ingest.records import Records
from cloud_ingest.stores.archiving import ArchivingStore
from cloud_ingest.stores.base import Delivery, Origins
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.app.backup.restoring import restore
from hearthward.app.backup.taking import Continuous
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.ids import RandomIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.settings import BackupSettings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope

__all__ = ["measure"]

BEFORE: Final = 2_000_000
"""Readings stored before the first backup."""
DEVICES: Final = 50
AT_ONCE: Final = 1_000
RATE: Final = 2_000
"""Readings a second while it is backed up."""
RUNS_S: Final = 75.0
ALLOWED_S: Final = 900.0
LOST_S: Final = 60.0


def measure() -> Outcome:
    """Run the drill once."""
    outcome = Outcome(
        "restore", f"{BEFORE:,} readings, then {RATE:,} a second for {RUNS_S:g} s, kill -9, restore"
    )
    with work_folder() as folder:
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=_serve, args=(str(folder),), name="backed-up")
        child.start()
        while not (folder / "filled").exists():
            time.sleep(0.1)
        time.sleep(RUNS_S)
        child.kill()
        child.join()
        last = json.loads((folder / "last").read_text())
        clock = SystemClock()
        done = asyncio.run(restore(folder / "backup", folder / "new", tenant="main", clock=clock))
        newest = asyncio.run(_newest(folder / "new" / "cloud" / "series.db"))
    outcome.add("readings restored", done.readings, "", note=f"{done.replayed:,} of them from the log")
    outcome.add("restored in", done.seconds, "s", target=ALLOWED_S)
    outcome.add("lost before the kill", (last["at"] - newest) / SECOND, "s", target=LOST_S)
    outcome.add("readings lost", last["stored"] - done.readings, "")
    outcome.add("readings a second of restoring", done.readings / done.seconds, "1/s")
    return outcome


async def _newest(path: Path) -> int:
    """The receive time of the newest reading."""
    store = SqliteStore(path)
    try:
        return max((await store.latest("main", [f"d{n}" for n in range(DEVICES)])).received)
    finally:
        await store.close()


def _serve(folder: str) -> None:
    asyncio.run(_write(Path(folder)))


async def _write(folder: Path) -> None:
    cloud = folder / "data" / "cloud"
    cloud.mkdir(parents=True)
    clock, defaults = SystemClock(), BackupSettings()
    records = Records.open(cloud / "records.db", clock=clock, ids=RandomIds())
    store = SqliteStore(cloud / "series.db")
    stored = 0
    now = clock.now_ns() - BEFORE * SECOND // 100
    while stored < BEFORE:
        deliveries = [_delivery(stored + n * AT_ONCE, now) for n in range(10)]
        await store.append_many("main", deliveries)
        stored, now = stored + 10 * AT_ONCE, now + 100 * SECOND
    (folder / "filled").touch()
    backup = Continuous(
        cloud,
        folder / "backup",
        every_s=defaults.every_s,
        base_every_s=defaults.base_every_h * 3600,
        clock=clock,
        telemetry=Telemetry(),
    )
    kept = ArchivingStore(store, backup.stored)
    async with asyncio.TaskGroup() as group:
        group.create_task(backup.run())
        while True:
            await kept.append_many("main", [_delivery(stored, at := clock.now_ns())])
            stored += AT_ONCE
            (folder / "last.new").write_text(json.dumps({"at": at, "stored": stored}))
            (folder / "last.new").replace(folder / "last")
            if stored % (20 * AT_ONCE) == 0:
                await records.run(partial(_enter, records, f"w{stored}"))
            await asyncio.sleep(AT_ONCE / RATE)


def _enter(records: Records, name: str, session: Session) -> None:
    records.directory(session).wards.create(Scope.system("main"), name=name)


def _delivery(first: int, at: int) -> Delivery:
    """``AT_ONCE`` readings of all devices, received at ``at``."""
    rows = [
        Reading(
            device=f"d{n % DEVICES}",
            metric="spo2",
            value=90.0 + n % 10,
            code=None,
            device_time=None,
            received=at + n,
            corrected=at + n,
            digest=first + n,
        )
        for n in range(AT_ONCE)
    ]
    seqs = list(range(first + 1, first + AT_ONCE + 1))
    return Delivery(ReadingBatch.of(rows), Origins("gw", "boot", seqs))
