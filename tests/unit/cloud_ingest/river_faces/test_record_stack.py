from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from river import anomaly, checks, datasets

from cloud_ingest.river_faces.record_stack import RecordStackDetector


class CreditCard:
    """Stands in for the data set that river would fetch: as many features, as few anomalies, made here."""

    def __init__(self, count: int = 200) -> None:
        self.count = count

    def take(self, count: int) -> CreditCard:
        return CreditCard(min(count, self.count))

    def __iter__(self) -> Iterator[tuple[dict[str, float], bool]]:
        chance = random.Random(7)
        for n in range(self.count):
            fraud = chance.random() < 0.03
            features = {f"V{k + 1}": chance.gauss(0, 4 if fraud else 1) for k in range(28)}
            yield {"Time": float(n), **features, "Amount": chance.expovariate(0.01)}, fraud


@pytest.fixture(autouse=True)
def _made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "CreditCard", CreditCard)


def test_numbers_of_numpy_are_numbers():
    ours, numpys = RecordStackDetector(pace=1.0), RecordStackDetector(pace=1.0)
    for n in range(100):
        ours.learn_one({"x": 70 + n % 5})
        numpys.learn_one({"x": np.int64(70 + n % 5)})
    assert numpys.score_one({"x": np.float32(140)}) == ours.score_one({"x": 140.0}) > 0.9


def test_it_passes_all_of_rivers_own_checks():
    done = []
    for check in checks.yield_checks(RecordStackDetector()):
        check(RecordStackDetector())
        done.append(check.__name__)
    assert {"check_learn_one", "check_pickling", "check_roc_auc", "check_bounded_memory_growth"} <= set(done)


def test_it_fits_into_rivers_filters():
    chance = random.Random(2)
    model = anomaly.ThresholdFilter(RecordStackDetector(pace=60.0), threshold=0.5)
    told = []
    for n in range(400):
        x: dict[str, Any] = {
            "time": n * 60.0,
            "pulse": 150.0 if n == 300 else chance.gauss(70, 2),
            "ward": "A",
        }
        told.append(model.classify(model.score_one(x)))
        model.learn_one(x)
    assert told[300]
    assert sum(told) <= 3


def test_without_a_time_readings_follow_each_other():
    detector = RecordStackDetector(pace=60.0, most=1)
    for n in range(200):
        detector.learn_one({"a": 70.0 + n % 5, "b": 1.0, "c": None})
    assert detector.score_one({"a": 140.0}) > 0.9
    assert detector.score_one({"b": 140.0}) == 0.0
    assert detector.score_one({"a": float("nan"), "d": 3}) == 0.0
