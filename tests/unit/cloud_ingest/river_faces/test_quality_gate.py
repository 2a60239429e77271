from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from river import datasets, metrics
from river.checks import anomaly

from cloud_ingest.river_faces.quality_gate import QualityGateDetector
from hearthward.core.model import Quality
from rules import Rows
from rules.detectors.quality import Gate, refine
from rules.rule import SECOND
from tests.unit.cloud_ingest.river_faces.conftest import RiversChecks

USUAL = {"heart_rate": 75.0, "pulse_rate": 75.0, "spo2": 97.0, "ibp_systolic": 120.0, "ibp_mean": 90.0}
Moment = tuple[dict[Any, float], bool]


class Ward:
    """Vital signs by the second, in the place of river's credit cards; now and then one cannot be."""

    def __init__(self, count: int = 200) -> None:
        self.count = count

    def take(self, count: int) -> Ward:
        return Ward(min(count, self.count))

    def __iter__(self) -> Iterator[Moment]:
        chance = random.Random(3)
        for n in range(self.count):
            now: dict[Any, float] = {metric: usual + chance.randint(-1, 1) for metric, usual in USUAL.items()}
            wrong = chance.random() < 0.1
            if wrong:
                name = chance.choice(list(USUAL))
                now[name] = chance.choice([-50.0, 900.0, now[name] * 0.5])
            yield {"time": 1e9 + n, **now}, wrong


def test_it_passes_all_of_rivers_own_checks(rivers_checks: RiversChecks):
    rivers_checks(QualityGateDetector)


def test_it_passes_them_on_vital_signs_too(rivers_checks: RiversChecks, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets, "CreditCard", Ward)
    rivers_checks(QualityGateDetector)
    anomaly.check_roc_auc(QualityGateDetector(), Ward())


def test_what_cannot_be_is_ranked_above_what_is_well():
    gate, found = QualityGateDetector(), metrics.ROCAUC()
    for x, wrong in Ward():
        found.update(wrong, gate.score_one(x))
        gate.learn_one(x)
    assert found.get() > 0.9


def test_it_says_what_the_gate_says_of_each_signal():
    face, gate = QualityGateDetector(), Gate()
    for x, _ in Ward():
        at = round(x["time"] * SECOND)
        rows = Rows.of(("p", "", metric, value, at, at, 0) for metric, value in x.items() if metric != "time")
        said = refine(gate, rows, 0, 2**62).quality
        assert list(face.reasons_one(x).values()) == said
        assert face.score_one(x) == (1.0 if any(q & Quality.BAD for q in said) else 0.5 if any(said) else 0.0)
        face.learn_one(x)


def test_without_a_time_each_moment_is_a_second_after_the_last():
    gate, timed = QualityGateDetector(), QualityGateDetector()
    for n in range(100):
        x = {"heart_rate": 75.0, "pulse_rate": 150.0 if n > 50 else 75.0}
        assert gate.reasons_one(x) == timed.reasons_one({"time": n + 1, **x})
        gate.learn_one(x)
        timed.learn_one({"time": n + 1, **x})
    assert gate.score_one({"heart_rate": 140.0}) == timed.score_one({"time": 101, "heart_rate": 140.0}) == 0.5


def test_two_devices_are_told_apart_and_silent_ones_are_forgotten():
    gate = QualityGateDetector()
    for n in range(40):
        gate.learn_one({"time": n, ("a", "heart_rate"): 70, ("b", "pulse_rate"): np.float32(120)})
    reasons = gate.reasons_one({"time": 40, ("a", "heart_rate"): 70, ("b", "heart_rate"): 120, "spo2": 400})
    assert reasons == {
        ("a", "heart_rate"): Quality.SUSPECT | Quality.DISAGREES,
        ("b", "heart_rate"): Quality(0),
        "spo2": Quality.BAD | Quality.IMPOSSIBLE,
    }
    gate.learn_one({"time": 9000, ("c", "heart_rate"): 70})
    assert gate.score_one({"time": 9001, ("a", "heart_rate"): 140}) == 0.0
    assert gate.score_one({"time": 9001, ("c", "heart_rate"): 140}) == 0.5


@pytest.mark.parametrize("value", [float("nan"), "97", None, 97j], ids=["nan", "text", "none", "complex"])
def test_what_is_no_number_is_passed_over(value: Any):
    gate = QualityGateDetector()
    gate.learn_one({"time": value, "spo2": value, ("a", "b", "c"): 1.0, "temper": 400.0})
    assert gate.reasons_one({"time": value, "spo2": value, ("a", "b", "c"): 1.0, "temper": 400.0}) == {}


def test_times_beyond_all_clocks_are_the_last_one():
    gate = QualityGateDetector()
    gate.learn_one({"time": 1e300, "spo2": 97.0})
    gate.learn_one({"time": -1e300, "spo2": 96.0})
    assert gate.score_one({"time": 1e10, "spo2": 400.0}) == 1.0
