from __future__ import annotations

import random
from typing import Any

import numpy as np
from river import anomaly

from cloud_ingest.river_faces.record_stack import RecordStackDetector
from tests.unit.cloud_ingest.river_faces.conftest import RiversChecks


def test_numbers_of_numpy_are_numbers():
    ours, numpys = RecordStackDetector(pace=1.0), RecordStackDetector(pace=1.0)
    for n in range(100):
        ours.learn_one({"x": 70 + n % 5})
        numpys.learn_one({"x": np.int64(70 + n % 5)})
    assert numpys.score_one({"x": np.float32(140)}) == ours.score_one({"x": 140.0}) > 0.9


def test_it_passes_all_of_rivers_own_checks(rivers_checks: RiversChecks):
    rivers_checks(RecordStackDetector)


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


def test_what_is_frozen_learns_nothing_abnormal():
    learns, rests = RecordStackDetector(pace=60.0), RecordStackDetector(pace=60.0)
    for detector in (learns, rests):
        for n in range(600):
            high = 200 <= n < 300
            (detector.frozen.add if high and detector is rests else detector.frozen.discard)("a")
            detector.learn_one({"a": 140.0 if high else 70.0 + n % 5})
    assert learns.score_one({"a": 140.0}) < 0.5 < rests.score_one({"a": 140.0})
