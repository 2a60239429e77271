"""A real patient's recording, played through the rules, gives the alarms computed straight from the file."""

from __future__ import annotations

import csv
import gzip
import math
import os
from pathlib import Path

import pytest

from rules import Engine, Readings, RuleSet, State, Tick
from rules.conditions import All, Any_, Change, Count, Missing, Smoothing
from rules.rule import SECOND
from tests.unit.rules.made import make, play, threshold
from tests.unit.rules.oracle import Measured, Span, alarms, rows_of

DATA = Path(os.environ.get("HEARTHWARD_DATA") or Path(__file__).parents[4] / "shared" / "data")
RECORDING = DATA / "icu-numerics" / "s00001.csv.gz"
DEVICES = {"spo2": "oximeter", "heart_rate": "belt", "nibp_systolic": "cuff", "nibp_diastolic": "cuff"}
PLAIN = (
    make("spo2-low", threshold("spo2", "below", 90, 1), delay_s=10.0),
    make("heart-rate-low", threshold("heart_rate", "below", 40, 2), delay_s=10.0),
    make("heart-rate-high", threshold("heart_rate", "above", 130, 5), delay_s=10.0),
    make(
        "bp-high",
        threshold("nibp_systolic", "at_or_above", 180, 5),
        threshold("nibp_diastolic", "at_or_above", 110, 5),
        max_age_s=14_400,
    ),
)
DERIVED = (
    make("mean", threshold("spo2", "below", 93, 1, smoothing=Smoothing("mean", 300, 3)), max_age_s=600),
    make("median", threshold("heart_rate", "below", 60, 3, smoothing=Smoothing("median", 300)), delay_s=30.0),
    make("fall", Change("spo2", "fall", 6, 600, 2), max_age_s=600, clear_after_s=120.0),
    make("often", Count(threshold("spo2", "below", 92), 3, 900), max_age_s=600),
    make("silent", Missing("nibp_systolic", 1800), max_age_s=14_400),
    make(
        "both",
        All((threshold("heart_rate", "below", 60, 2), Any_((threshold("spo2", "below", 94, 1),)))),
        max_age_s=300,
    ),
)

pytestmark = pytest.mark.skipif(
    not RECORDING.is_file(),
    reason="no ../shared/data/icu-numerics (or set HEARTHWARD_DATA)",
)


def expressed(value: float) -> float:
    """As the formats carry it: whole numbers, halves away from zero."""
    return math.copysign(math.floor(abs(value) + 0.5), value)


def recording(*, least_spo2: float = 1.0) -> list[Measured]:
    """An oximeter's zeros count as 1: what the quality gate makes of 0 is a test of its own."""
    found: dict[tuple[int, str, str], dict[str, float]] = {}
    with gzip.open(RECORDING, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            device = DEVICES.get(row["metric"])
            if device:
                time = round(float(row["time"]) * SECOND)
                value = expressed(float(row["value"]))
                least = least_spo2 if device == "oximeter" else 0.0
                found.setdefault((time, row["patient"], device), {})[row["metric"]] = max(least, value)
    return [
        Measured(patient, device, time, values) for (time, patient, device), values in sorted(found.items())
    ]


def test_zeros_of_the_oximeter_are_no_saturation_but_one_beside_a_failing_heart():
    measured = recording(least_spo2=0.0)
    end = measured[-1].time + 60 * SECOND
    _, out = play(PLAIN[:1], [Readings(1, end, rows_of(measured), "gw", end)])
    starts = [(t.at, t.values) for t in out if t.kind == "start"]
    assert starts == [(83_349 * SECOND, {"spo2": 0.0})], "the heart rate was 11 then"


def test_the_alarms_are_those_of_the_file():
    measured = recording()
    until = measured[-1].time + 60 * SECOND
    expected = alarms(PLAIN, measured, until)
    engine, out = Engine(State.empty("node", RuleSet(PLAIN))), []
    for seq, m in enumerate(measured):
        out += engine.step(Tick(2 * seq, m.time))
        out += engine.step(Readings(2 * seq + 1, m.time, rows_of([m]), "gw", m.time))
    out += engine.step(Tick(2 * len(measured), until))
    ends = {t.alarm: t.at for t in out if t.kind == "end"}
    starts = [t for t in out if t.kind == "start"]
    assert sorted(Span(t.patient, t.rule, t.onset, t.at, ends.get(t.alarm)) for t in starts) == expected
    counts = {rule.id: sum(t.rule == rule.id for t in starts) for rule in PLAIN}
    assert counts == {"spo2-low": 12, "heart-rate-low": 6, "heart-rate-high": 0, "bp-high": 0}
    assert not any(t.late for t in starts)


def test_all_at_once_decides_the_same_as_one_by_one_in_the_reference_and_the_engine():
    rules = PLAIN + DERIVED
    measured = recording()
    end = measured[-1].time
    _, whole = play(rules, [Readings(1, end, rows_of(measured), "gw", end)])
    engine, single = Engine(State.empty("node", RuleSet(rules))), []
    for m in measured:
        single += engine.step(Readings(1, end, rows_of([m]), "gw", end))
    assert single == whole
    assert {t.rule for t in whole} >= {"spo2-low", "mean", "fall", "often"}


def test_what_is_derived_is_that_of_the_file():
    """The slow way is quadratic: one part of the recording."""
    measured = recording()[:600]
    until = measured[-1].time + 60 * SECOND
    _, out = play(DERIVED, [Readings(1, until, rows_of(measured), "gw", until), Tick(2, until)])
    ends = {t.alarm: t.at for t in out if t.kind == "end"}
    found = [Span(t.patient, t.rule, t.onset, t.at, ends.get(t.alarm)) for t in out if t.kind == "start"]
    assert sorted(found) == alarms(DERIVED, measured, until)
    assert len({s.rule for s in found}) >= 3
