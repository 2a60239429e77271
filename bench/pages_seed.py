"""A large hospital in the records and the store: 10,000 devices, 1,000 patients, years of audit."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.models import (
    Alarm,
    Association,
    AuditRow,
    Bed,
    Device,
    Encounter,
    Gateway,
    Patient,
    Team,
    TransitionRow,
    User,
    Ward,
)
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.core.clock import SECOND
from hearthward.core.ids import digest63
from hearthward.core.model import Reading, ReadingBatch

__all__ = ["DEVICES", "PATIENTS", "fill_records", "fill_store", "open_alarms"]

WARDS: Final = 40
PATIENTS: Final = 1_000
FORMER: Final = 4_000
"""Patients who have left."""
GATEWAYS: Final = 400
DEVICES: Final = 10_000
PAST: Final = 20_000
"""Associations that are over."""
USERS: Final = 400
ALARMS: Final = 20_000
OPEN: Final = 150
AUDIT: Final = 200_000
DAY: Final = 86_400 * SECOND
OF: Final = {"tenant": "main"}
AT_ONCE: Final = 2_000
READINGS: Final = 60
ACTIONS: Final = ("view_ward", "view_patient", "view_alarms", "accept_alarm", "manage_directory", "set_limit")


async def fill_records(records: Records, now: int) -> None:
    """Everything that people have entered and that has happened until ``now`` (UTC ns)."""

    def write(session: Session) -> None:
        for model, rows in (
            (Ward, _wards()),
            (Bed, _beds()),
            (Patient, _patients(now)),
            (Encounter, _stays(now)),
            (Gateway, _gateways(now)),
            (Device, _devices()),
            (Association, _associations(now)),
            (User, _users()),
            (Team, _teams()),
            (Alarm, _alarms(now)),
            (TransitionRow, _transitions(now)),
            (AuditRow, _audit(now)),
        ):
            _insert(session, model, rows)

    await records.run(write)


async def open_alarms(records: Records, now: int) -> None:
    """Alarms that are open now, put in beside the rules: what these do not know they end at their start."""

    def write(session: Session) -> None:
        _insert(session, Alarm, islice(_all_alarms(now), OPEN))

    await records.run(write)


def _insert(session: Session, model: Any, rows: Iterable[dict[str, Any]]) -> None:
    left = iter(rows)
    while piece := list(islice(left, AT_ONCE)):
        session.execute(insert(model), piece)


async def fill_store(folder: Path, now: int) -> None:
    """A minute of readings of every patient's first device, each second one value."""
    store = SqliteStore(folder / "series.db")
    try:
        for first in range(0, PATIENTS, 100):
            rows = list(_readings(range(first, first + 100), now))
            batch = ReadingBatch.of(rows)
            seqs = range(first * READINGS + 1, first * READINGS + 1 + len(batch))
            await store.append("main", batch, Origins("gw-0", "bench", seqs))
    finally:
        await store.close()


def _readings(patients: Iterable[int], now: int) -> Iterator[Reading]:
    for n in patients:
        device = f"dev-{n:05}"
        for second in range(READINGS):
            at = now - (READINGS - second) * SECOND + n
            mark = digest63(device.encode(), at.to_bytes(8, "little"))
            yield Reading(device, "spo2", 96.0, None, None, at, at, digest=mark, group=mark)


def _wards() -> Iterator[dict[str, Any]]:
    for n in range(WARDS):
        yield {**OF, "id": f"w{n:02}", "name": f"Ward {n:02}", "created": 0}


def _beds() -> Iterator[dict[str, Any]]:
    for n in range(PATIENTS + 200):
        ward = n % WARDS
        yield {
            **OF,
            "id": f"b{n:04}",
            "ward": f"w{ward:02}",
            "label": f"{ward:02}-{n // WARDS}",
            "created": 0,
        }


def _patients(now: int) -> Iterator[dict[str, Any]]:
    for n in range(PATIENTS + FORMER):
        yield {
            **OF,
            "id": f"p{n:04}",
            "name": f"Patient {(n * 7919) % 9973:04} {'Lindqvist' if n % 3 else 'Okafor'}",
            "mrn": f"{100000 + n}",
            "language": "en",
            "created": 0,
            "ended": None if n < PATIENTS else now - DAY,
        }


def _stays(now: int) -> Iterator[dict[str, Any]]:
    for n in range(PATIENTS):
        home = n % 20 == 0
        yield {
            **OF,
            "id": f"e{n:04}",
            "patient": f"p{n:04}",
            "kind": "home" if home else "ward",
            "ward": f"w{n % WARDS:02}",
            "bed": None if home else f"b{n:04}",
            "start": now - 5 * DAY,
            "end": None,
        }
    for n in range(FORMER):
        bed = n % PATIENTS
        yield {
            **OF,
            "id": f"f{n:04}",
            "patient": f"p{PATIENTS + n:04}",
            "kind": "ward",
            "ward": f"w{bed % WARDS:02}",
            "bed": f"b{bed:04}",
            "start": now - (40 + 10 * (n // PATIENTS)) * DAY,
            "end": now - (31 + 10 * (n // PATIENTS)) * DAY,
        }


def _gateways(now: int) -> Iterator[dict[str, Any]]:
    for n in range(GATEWAYS):
        place = {"ward": f"w{n % WARDS:02}", "label": f"Room {n}", "timezone": "UTC"}
        yield {**OF, "id": f"gw-{n}", **place, "created": 0, "last_seen": now - DAY}


def _devices() -> Iterator[dict[str, Any]]:
    for n in range(DEVICES):
        yield {
            **OF,
            "id": f"dev-{n:05}",
            "gateway": f"gw-{n % GATEWAYS}",
            "transport": "ble",
            "address": f"C0:00:00:{n >> 16:02X}:{n >> 8 & 255:02X}:{n & 255:02X}",
            "profile": None,  # so that nothing is expected of it, and no silence is an alarm
            "label": f"Oximeter {n}",
            "created": 0,
        }


def _associations(now: int) -> Iterator[dict[str, Any]]:
    for n in range(3 * PATIENTS):
        span = {"start": now - 4 * DAY, "end": None, "created": now - 4 * DAY}
        yield {**OF, "id": f"a{n:05}", "device": f"dev-{n:05}", "patient": f"p{n % PATIENTS:04}", **span}
    for n in range(PAST):
        start = now - (40 + n // DEVICES * 10) * DAY
        span = {"start": start, "end": start + 8 * DAY, "created": start}
        patient = f"p{PATIENTS + n % FORMER:04}"
        yield {**OF, "id": f"o{n:05}", "device": f"dev-{n % DEVICES:05}", "patient": patient, **span}


def _users() -> Iterator[dict[str, Any]]:
    for n in range(USERS):
        role = ("nurse", "nurse", "nurse", "doctor", "engineer")[n % 5]
        wards = [f"w{n % WARDS:02}"] if role == "nurse" else None
        who = {"login": f"user{n:03}", "name": f"Person {n}", "roles": [role], "wards": wards}
        yield {**OF, "id": f"u{n:03}", **who, "created": 0}
    for role, patient in (("admin", None), ("patient", "p0001")):
        who = {"login": role, "name": role.title(), "roles": [role], "wards": None, "patient": patient}
        yield {**OF, "id": f"u-{role}", **who, "created": 0}


def _teams() -> Iterator[dict[str, Any]]:
    for n in range(WARDS):
        yield {**OF, "id": f"t{n:02}", "name": f"Team {n}", "ward": f"w{n:02}", "created": 0}


def _alarm_at(n: int, now: int) -> int:
    """Open ones within the hour, the others over sixty days."""
    return now - (n + 1) * 20 * SECOND if n < OPEN else now - DAY // 24 - n * (60 * DAY // ALARMS)


def _alarms(now: int) -> Iterator[dict[str, Any]]:
    return islice(_all_alarms(now), OPEN, None)


def _all_alarms(now: int) -> Iterator[dict[str, Any]]:
    rng = random.Random(7)  # noqa: S311 - no secret
    for n in range(ALARMS):
        at = _alarm_at(n, now)
        over = n >= OPEN
        yield {
            **OF,
            "id": f"alm-{n:05}",
            "patient": f"p{rng.randrange(PATIENTS):04}"
            if n % 10
            else f"device:dev-{rng.randrange(DEVICES):05}",
            "rule": "spo2-low",
            "rule_hash": "0123456789abcdef",
            "priority": ("high", "medium", "low")[n % 3],
            "condition": "inactive" if over else "active",
            "onset": at,
            "started": at,
            "ended": at + 300 * SECOND if over else None,
            "accepted_by": f"u{rng.randrange(USERS):03}" if over else None,
            "text_en": "SpO2 84 < 90",
            "text_zh": "血氧 84 < 90",
            "limit_text": "< 90",
            "values_json": {"spo2": 84.0},
            "late": False,
            "worklist": False,
            "kind": "physiological" if n % 10 else "technical",
            "last_transition": "end" if over else "start",
            "last_seq": n + 1,
        }


def _transitions(now: int) -> Iterator[dict[str, Any]]:
    for alarm in _alarms(now):
        acts = [("start", alarm["started"], None)]
        if alarm["ended"] is not None:
            acts += [
                ("accept", alarm["started"] + 60 * SECOND, alarm["accepted_by"]),
                ("end", alarm["ended"], None),
            ]
        for ordinal, (kind, at, actor) in enumerate(acts):
            same = ("priority", "rule_hash", "onset", "values_json", "limit_text", "text_en", "text_zh")
            yield {
                **OF,
                "alarm": alarm["id"],
                "seq": alarm["last_seq"],
                "ordinal": ordinal,
                "kind": kind,
                "condition": "active",
                "at": at,
                "recorded": at,
                "inputs": [],
                "actor": actor,
                "note": "",
                "late": False,
                **{name: alarm[name] for name in same},
            }


def _audit(now: int) -> Iterator[dict[str, Any]]:
    rng = random.Random(11)  # noqa: S311 - no secret
    for n in range(AUDIT):
        kind = ("ward", "patient", "alarm")[n % 3]
        key = {
            "ward": "",
            "patient": f"p{rng.randrange(PATIENTS):04}",
            "alarm": f"alm-{rng.randrange(ALARMS):05}",
        }
        yield {
            **OF,
            "at": now - (AUDIT - n) * (90 * DAY // AUDIT),
            "actor": f"u{rng.randrange(USERS):03}",
            "action": ACTIONS[n % len(ACTIONS)],
            "resource_kind": kind,
            "resource_id": key[kind],
            "outcome": "done",
            "detail": {},
        }
