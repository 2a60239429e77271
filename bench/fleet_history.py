"""A history for the devices of a ward that has just begun: sixty days, judged as the product judges them.

For pictures: what nobody can wait for. The days are made up, what is found of them is not.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from cloud_ingest.device_health.findings import Finding
from cloud_ingest.device_health.gathering import Fact, devices_in_use
from cloud_ingest.device_health.judging import Known, Upkeep, judged
from cloud_ingest.device_health.kept_days import row_of_day
from cloud_ingest.device_health.rounds import temperatures
from cloud_ingest.device_health.sums import DaySums, SignalDay, SignalName, day_of
from cloud_ingest.records import Records
from cloud_ingest.records.fleet_days import keep_findings, set_standings
from cloud_ingest.records.fleet_hours import hours_ever
from cloud_ingest.records.models import DeviceCalibration, DeviceDay, DeviceService
from firmware_profiles import Catalog, load_catalog
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.ids import RandomIds
from hearthward.core.model import BY_HAND

__all__ = ["fill_history"]

DAYS: Final = 60
DAY: Final = 86_400 * SECOND
TENANT: Final = "main"
WEAK, WARM, FAR, LOSING, DUE, OLD, NOISY, WORN = 8, 31, 17, 24, 3, 38, 12, 21
"""The devices with which something is the matter, by their places in the list."""


def fill_history(records: Path) -> None:
    """Write it beside the product, which runs and does not look at days before its first round."""
    opened = Records.open(records, clock=SystemClock(), ids=RandomIds())
    catalog = load_catalog()
    try:
        opened.run_now(lambda session: _write(opened, session, catalog))
    finally:
        opened.close_now()


def _write(records: Records, session: Session, catalog: Catalog) -> None:
    now = records.clock.now_ns()
    facts = [f for f in devices_in_use(session, TENANT, catalog) if not f.id.startswith(BY_HAND)]
    days = {fact.id: _days(fact, n, day_of(now)) for n, fact in enumerate(facts)}
    for some in days.values():
        session.add_all(DeviceDay(**row_of_day(TENANT, one)) for one in some)
    session.flush()
    places = temperatures(facts, days)
    hours = hours_ever(session, TENANT, list(days))
    standings: dict[str, dict[str, Any]] = {}
    findings: dict[str, list[Finding]] = {}
    for n, fact in enumerate(facts):
        known = Known(
            device=fact.id,
            worn=fact.worn,
            last_seen=now,
            interval_s=fact.interval_s,
            firmware="1.1.0" if n == OLD else "1.2.0",
            calibrated=Upkeep(now - 380 * DAY, 365) if n == DUE else None,
            serviced=Upkeep(None, every_hours=1600, used=hours.get(fact.id, 0)) if n == WORN else None,
            firmwares=("1.2.0",) * 5,
            place=places[fact.gateway],
        )
        if n == DUE:
            told = {"calibrated": now - 380 * DAY, "every_days": 365, "by": "usr", "at": now - 380 * DAY}
            session.add(DeviceCalibration(tenant=TENANT, device=fact.id, **told))
        if n == WORN:
            session.add(DeviceService(tenant=TENANT, device=fact.id, every_hours=1600))
        found, battery = judged(known, days[fact.id], now)
        findings[fact.id] = found
        standings[fact.id] = {
            "last_seen": now - n * SECOND // 10,
            "firmware": known.firmware,
            "rssi": days[fact.id][-1].signals["rssi"].mean,
            "clock_skew_s": round(0.2 * math.sin(n), 1),
            "battery": None if battery is None else battery.level,
            "days_left": None if battery is None else battery.left,
            "days_left_low": None if battery is None else battery.low,
            "days_left_high": None if battery is None else battery.high,
            "hours_of_use": hours.get(fact.id, 0),
        }
    set_standings(session, TENANT, standings)
    keep_findings(records.fleet(session), TENANT, findings)


def _days(fact: Fact, n: int, today: int) -> list[DaySums]:
    """Sixty days of a device: in use for most of each, its battery changed now and then."""
    rng, found = random.Random(n), []  # noqa: S311 - no secret
    for day in range(today - DAYS, today + 1):
        ago, wave = today - day, math.sin(day / (n % 5 + 3)) + rng.gauss(0, 0.4)
        level = 14.0 + 0.9 * ago if n == WEAK else 95.0 - (day * 0.4 + 11 * n) % 45
        signals: dict[SignalName, SignalDay] = {
            "battery": _one(level + rng.gauss(0, 0.7)),
            "rssi": _one(-63.0 - n % 7 + 2 * wave - (max(0, 30 - ago) * 0.9 if n == FAR else 0)),
            "temperature": _one(31.0 + 0.4 * wave + (max(0, 30 - ago) * 0.2 if n == WARM else 0)),
        }
        used = 24 - (day + n) % 4
        stored = 3600 * used // 2
        jumps = int(stored * (0.08 if n == NOISY else 0.004) * rng.random())
        found.append(
            DaySums(
                fact.id,
                day,
                hours=(1 << used) - 1,
                span=24 - (day + n) % 4 + (n + day) % 2,
                stored=stored,
                rejected=stored // 9 if n == FAR else (day + n) % 3,
                late=stored // 15 if n == LOSING else n,
                dropouts=rng.randrange(6, 13) if n == LOSING and ago < 7 else int(rng.random() < 0.2),
                doubts={"suspect": jumps, "implausible": jumps, "jump": jumps},
                signals=signals,
            )
        )
    return found


def _one(value: float) -> SignalDay:
    return SignalDay(24, value, value - 1, value + 1, value)
