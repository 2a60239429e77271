"""The burden of 100,000 alarms from their transitions, as ``/burden`` asks for it; records on disk.

Each alarm has seven transitions with all that the real ones carry. 3,000 patients lie in 300 beds of ten
wards, one after the other, in 360 days.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert
from sqlalchemy.orm import Session

from bench.figures import Outcome
from bench.processes import work_folder
from cloud_ingest.burden import DAY, Asked, Burden, By
from cloud_ingest.burden_record import read_burden
from cloud_ingest.records import Records
from cloud_ingest.records.models import Alarm, Bed, Encounter, Patient, TransitionRow, User, Ward
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import RandomIds
from hearthward.trust.access import Scope

__all__ = ["measure"]

ALARMS: Final = 100_000
WARDS: Final = 10
BEDS: Final = 300
STAYS: Final = 10
"""Patients one after the other in a bed."""
STAY: Final = 36 * DAY
T0: Final = 1_767_225_600 * SECOND
AT_ONCE: Final = 2_000
OF: Final = {"tenant": "main"}
USERS: Final = 40
DOCTORS: Final = 5
ASKED: Final[tuple[tuple[str, int, By, float], ...]] = (
    ("a week by ward", 7, "ward", 0.5),
    ("a week by day", 7, "day", 0.5),
    ("360 days by ward", 360, "ward", 5.0),
    ("360 days by patient", 360, "patient", 5.0),
)
"""What is asked for, of how many days, and the most that it should take (s)."""


def measure() -> Outcome:
    """Fill the records once, then ask."""
    outcome = Outcome("burden", f"the burden of {ALARMS:,} alarms with seven transitions each, from disk")
    with work_folder() as folder:
        records = Records.open(
            folder / "records.db", clock=EventClock(T0 + STAYS * STAY), ids=RandomIds(), tenant="main"
        )
        try:
            records.run_now(_furnish)
            records.run_now(_alarms)
            outcome.add("size of the records", _size(folder), "MB")
            for name, days, by, most in ASKED:
                start = T0 if days > STAY // DAY else T0 + 100 * DAY
                began = time.perf_counter()
                found = records.read_now(_reader(Asked(start, start + days * DAY, by)))
                took = time.perf_counter() - began
                outcome.add(name, took, "s", target=most, note=f"{found.total.alarms:,} alarms")
        finally:
            records.close_now()
    return outcome


def _reader(asked: Asked) -> Any:
    def read(session: Session) -> Burden:
        return read_burden(session, Scope.system("main"), asked, lambda _: True)

    return read


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _furnish(session: Session) -> None:
    session.execute(
        insert(Ward), [{**OF, "id": f"w{n}", "name": f"Ward {n}", "created": 0} for n in range(WARDS)]
    )
    beds = [
        {**OF, "id": f"b{n}", "ward": f"w{n % WARDS}", "label": str(n), "created": 0} for n in range(BEDS)
    ]
    session.execute(insert(Bed), beds)
    people = [
        {**OF, "id": _patient(n), "name": f"Patient {n}", "language": "en", "created": 0}
        for n in range(BEDS * STAYS)
    ]
    session.execute(insert(Patient), people)
    stays = [
        {
            **OF,
            "id": f"e{n}",
            "patient": _patient(n),
            "kind": "ward",
            "ward": f"w{n % WARDS}",
            "bed": f"b{n % BEDS}",
            "start": T0 + n // BEDS * STAY,
            "end": T0 + (n // BEDS + 1) * STAY,
        }
        for n in range(BEDS * STAYS)
    ]
    session.execute(insert(Encounter), stays)
    users = [
        {**OF, "id": f"u{n}", "login": f"u{n}", "name": f"User {n}", "created": 0}
        | {"roles": ["doctor" if n < DOCTORS else "nurse"]}
        for n in range(USERS)
    ]
    session.execute(insert(User), users)


def _patient(number: int) -> str:
    return f"pat_{number:020x}"


def _alarms(session: Session) -> None:
    draw = random.Random(1)  # noqa: S311 - the same alarms every time
    alarms: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for n in range(ALARMS):
        place = draw.randrange(STAYS)
        started = T0 + place * STAY + draw.randrange(STAY)
        patient = _patient(place * BEDS + draw.randrange(BEDS))
        alarm = _alarm(n, f"alm_{draw.getrandbits(80):020x}", patient, f"rule-{draw.randrange(40)}", started)
        alarms.append(alarm)
        lines += _lines(draw, alarm)
        if len(alarms) == AT_ONCE:
            session.execute(insert(Alarm), alarms)
            session.execute(insert(TransitionRow), lines)
            alarms, lines = [], []


def _alarm(number: int, ident: str, patient: str, rule: str, started: int) -> dict[str, Any]:
    return {
        **OF,
        "id": ident,
        "patient": patient,
        "rule": rule,
        "rule_hash": "0123456789abcdef",
        "priority": "high",
        "condition": "inactive",
        "onset": started,
        "started": started,
        "ended": started + 300 * SECOND,
        "text_en": "SpO2 84 < 90",
        "text_zh": "血氧 84 < 90",
        "limit_text": "< 90",
        "values_json": {"spo2": 84},
        "late": False,
        "worklist": False,
        "last_transition": "end",
        "last_seq": number,
    }


def _lines(draw: random.Random, alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    def user(first: int, last: int) -> str:
        return f"u{draw.randrange(first, last)}"

    axes = {
        "signal": "on",
        "until": None,
        "owner": None,
        "owned_at": None,
        "rejected": [],
        "root": None,
        "policy": "ward",
        "step": 1,
        "next_at": alarm["started"],
        "next_to": ["u1"],
        "episodes": 0,
        "since": alarm["onset"],
    }
    paused = {**axes, "signal": "audio_paused"}
    why = {"of": 3, "why": "timetable", "due": alarm["started"]}
    acts: list[tuple[str, int, dict[str, Any], str | None]] = [
        ("start", 0, {"told": [["in_app", "wall"], ["in_app", user(DOCTORS, USERS)]]}, None),
        ("tell", 60, {**why, "step": 1, "told": [["sms", user(DOCTORS, USERS)]]}, None),
        ("tell", 120, {**why, "step": 2, "told": [["voice", user(0, USERS)]]}, None),
        ("signal", 130, {"axes": paused}, "u7"),
        ("accept", 140, {}, "u7"),
        ("note", 150, {}, "u7"),
        ("end", 300, {"told": [["sms", "u6"]]}, None),
    ]
    for ordinal, (kind, after, detail, actor) in enumerate(acts):
        yield {
            **OF,
            "alarm": alarm["id"],
            "seq": alarm["last_seq"] * len(acts) + ordinal,
            "ordinal": 0,
            "kind": kind,
            "condition": "active",
            "at": alarm["started"] + after * SECOND,
            "recorded": alarm["started"] + after * SECOND,
            "inputs": [{"metric": "spo2", "value": 84, "time": alarm["onset"], "received": alarm["onset"]}],
            "actor": actor,
            "note": "",
            "late": False,
            "detail": {"axes": axes, **detail},
            **{k: alarm[k] for k in ("priority", "rule_hash", "onset", "values_json", "limit_text")},
            **{k: alarm[k] for k in ("text_en", "text_zh")},
        }
