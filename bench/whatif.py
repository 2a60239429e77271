"""What if: a limit moved and tried on six hours of 30 beds at 1 Hz, in the process beside the cloud."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from bench.figures import Outcome
from bench.processes import work_folder
from cloud_ingest.records import Records
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.trying import TryAsked
from hearthward.app.whatif import ChildTrier
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import RandomIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.settings import Settings
from hearthward.trust.access import Scope
from rules.amend import amended
from rules.loader import LIBRARY, load_rule

__all__ = ["measure"]

T0: Final = 1_767_225_600 * SECOND
BEDS: Final = 30
LENGTH: Final = 6 * 3600
TARGET_S: Final = 60.0
SCOPE: Final = Scope.system("main")
_MORE: Final = """
INSERT INTO readings
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
SELECT series, key_time + i * 1000000000, mark, ordinal, corrected + i * 1000000000,
  received, device_time,
  CASE WHEN (i + seq * 100) % 3600 < 40 THEN 83 + (i / 3600 + series) % 6 ELSE 96 + i % 3 END,
  code, digest, grp, source, author, quality, profile, origin, seq + i * 1000, error
FROM readings, n WHERE seq < 1000
"""
"""A fall of 40 s to 83..88 once an hour for each."""


def measure() -> Outcome:
    """Fill records and store, then try."""
    rows = BEDS * LENGTH
    outcome = Outcome("whatif", f"{rows:,} readings of {BEDS} beds, SpO2 at 1 Hz: the limit 90 moved to 86")
    with work_folder() as folder:
        (folder / "cloud").mkdir()
        patients = _people(folder / "cloud" / "records.db")
        asyncio.run(_fill(folder / "cloud" / "series.db"))
        asyncio.run(_tried(Settings(data=folder), patients, outcome))
    return outcome


def _people(path: Path) -> tuple[str, ...]:
    records = Records.open(path, clock=EventClock(T0 - SECOND), ids=RandomIds(), tenant="main")

    def furnish(session: Session) -> list[str]:
        make = records.directory(session)
        ward = make.wards.create(SCOPE, name="Ward")
        make.gateways.create(SCOPE, ident="gw", ward=ward.id)
        found = []
        for n in range(BEDS):
            bed = make.beds.create(SCOPE, ward=ward.id, label=f"{n + 1:02d}")
            patient = make.patients.create(SCOPE, name=f"Patient {n}")
            make.encounters.create(SCOPE, patient=patient.id, kind="ward", bed=bed.id)
            make.devices.create(
                SCOPE, ident=f"oxi-{n}", gateway="gw", transport="ble", address=f"C4:12:5D:00:AE:{n:02X}"
            )
            make.associations.create(SCOPE, device=f"oxi-{n}", patient=patient.id)
            found.append(patient.id)
        return found

    try:
        return tuple(records.run_now(furnish))
    finally:
        records.close_now()


async def _fill(path: Path) -> None:
    store = SqliteStore(path)
    first = [
        Reading(f"oxi-{n}", "spo2", 97.0, None, None, T0, T0, digest=n, profile="p") for n in range(BEDS)
    ]
    await store.append("main", ReadingBatch.of(first), Origins("gw", "boot", list(range(BEDS))))
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(_MORE, (LENGTH - 1,))


async def _tried(settings: Settings, patients: tuple[str, ...], outcome: Outcome) -> None:
    text = (LIBRARY / "spo2-low.yaml").read_text("utf-8")
    rules = (
        load_rule(text, "spo2-low").rule,
        load_rule(amended(text, {"parameters/limit/value": 86.0}), "draft").rule,
    )
    asked = TryAsked(*rules, patients, T0, T0 + LENGTH * SECOND)
    trier, begun = ChildTrier(settings), time.perf_counter()
    found = await trier(asked, lambda *_: None)
    took = time.perf_counter() - begun
    told = f"{found.before.alarms} alarms before, {found.after.alarms} after, {found.lost_count} lost"
    outcome.add("tried", took, "s", target=TARGET_S, note=told)
    outcome.add("readings a second, each decided twice", found.readings / took, "1/s")
    outcome.add("memory of the process", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, "MB")
    under_way = asyncio.Event()
    task = asyncio.create_task(trier(asked, lambda *_: under_way.set()))
    await under_way.wait()
    begun = time.perf_counter()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    outcome.add("given up, until the process is gone", (time.perf_counter() - begun) * 1e3, "ms")
