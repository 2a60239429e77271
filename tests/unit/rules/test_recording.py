"""A real patient's recording, played through ``step``, gives the alarms computed straight from the file."""

from __future__ import annotations

import csv
import gzip
import math
import os
from pathlib import Path

import pytest

from rules import Readings, State, Tick, load_rules, step
from rules.model import SECOND
from tests.unit.rules.oracle import Measured, Span, alarms, rows_of

DATA = Path(os.environ.get("HEARTHWARD_DATA") or Path(__file__).parents[4] / "shared" / "data")
RECORDING = DATA / "icu-numerics" / "s00001.csv.gz"
DEVICES = {"spo2": "oximeter", "heart_rate": "belt", "nibp_systolic": "cuff", "nibp_diastolic": "cuff"}

pytestmark = pytest.mark.skipif(
    not RECORDING.is_file(),
    reason="no ../shared/data/icu-numerics (or set HEARTHWARD_DATA)",
)


def expressed(value: float) -> float:
    """As the formats carry it: whole numbers, halves away from zero."""
    return math.copysign(math.floor(abs(value) + 0.5), value)


def recording() -> list[Measured]:
    found: dict[tuple[int, str, str], dict[str, float]] = {}
    with gzip.open(RECORDING, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            device = DEVICES.get(row["metric"])
            if device:
                time = round(float(row["time"]) * SECOND)
                found.setdefault((time, row["patient"], device), {})[row["metric"]] = expressed(
                    float(row["value"])
                )
    return [
        Measured(patient, device, time, values) for (time, patient, device), values in sorted(found.items())
    ]


def test_the_alarms_are_those_of_the_file():
    rules = load_rules()
    measured = recording()
    until = measured[-1].time + 60 * SECOND
    expected = alarms(rules, measured, until)
    state = State.empty("node", rules)
    out = []
    for seq, m in enumerate(measured):
        state, before = step(state, Tick(2 * seq, m.time))
        state, after = step(state, Readings(2 * seq + 1, m.time, rows_of([m])))
        out += [*before, *after]
    out += step(state, Tick(2 * len(measured), until))[1]
    ends = {t.alarm: t.at for t in out if t.kind == "end"}
    starts = [t for t in out if t.kind == "start"]
    assert [Span(t.patient, t.rule, t.onset, t.at, ends.get(t.alarm)) for t in starts] == expected
    counts = {rule.id: sum(t.rule == rule.id for t in starts) for rule in rules}
    assert counts == {"spo2-low": 12, "heart-rate-low": 6, "heart-rate-high": 0, "home-bp-high": 0}
    assert not any(t.late for t in starts)


def test_all_at_once_decides_the_same_as_one_by_one():
    rules = load_rules()
    measured = recording()
    _, whole = step(State.empty("node", rules), Readings(1, 0, rows_of(measured)))
    state = State.empty("node", rules)
    single = []
    for m in measured:
        state, out = step(state, Readings(1, 0, rows_of([m])))
        single += out
    assert list(whole) == single
