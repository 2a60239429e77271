from __future__ import annotations

import random
from typing import Any

from river import anomaly

from cloud_ingest.river_faces.novelty import NoveltyDetector
from rules.detectors.novelty import Novelty
from rules.detectors.priors import POPULATION, Population
from tests.unit.cloud_ingest.river_faces.conftest import RiversChecks

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def test_it_passes_all_of_rivers_own_checks(rivers_checks: RiversChecks):
    rivers_checks(NoveltyDetector)


def test_its_scores_and_terms_are_those_of_the_feature():
    detector, alone = NoveltyDetector(direction="above"), Novelty("above", MINUTE, POPULATION["heart_rate"])
    chance, told = random.Random(3), 0
    for n in range(900):
        value = chance.gauss(120.0 if 700 <= n < 720 else 80.0, 3.0)
        x = {"time": 60.0 * n + chance.choice((0.0, 20.25)), "heart_rate": value}
        frozen = 700 < n < 720
        (detector.frozen.add if frozen else detector.frozen.discard)("heart_rate")
        alone.push(round(x["time"] * SECOND), value, frozen=frozen)
        explained = detector.explain_one(x)
        assert detector.score_one(x) == (alone.output or 0.0)
        assert explained.get("heart_rate") == alone.terms
        detector.learn_one(x)
        told += bool(explained)
    assert told >= 20


def test_the_population_knows_a_vital_sign_by_its_name():
    known, other = NoveltyDetector(), NoveltyDetector(populations={"x": Population(20.0, 3.0, 1.0)})
    for n in range(20):
        x = {"heart_rate": 82.0 + n % 2, "x": 82.0 + n % 2}
        known.learn_one(x)
        other.learn_one(x)
    assert known.score_one({"heart_rate": 140.0}) > 0.5
    assert known.score_one({"x": 140.0}) == 0.0  # too young to be heard without a population
    assert other.score_one({"heart_rate": 140.0}) == 0.0
    assert other.score_one({"x": 140.0}) > 0.5


def test_it_fits_into_rivers_filters():
    chance = random.Random(2)
    model = anomaly.ThresholdFilter(NoveltyDetector(), threshold=0.8)
    told = []
    for n in range(400):
        pulse = 150.0 if n == 300 else chance.gauss(70, 2)
        x: dict[str, Any] = {"time": n * 60.0, "pulse_rate": pulse, "ward": "A"}
        told.append(model.classify(model.score_one(x)))
        model.learn_one(x)
    assert told[300]
    assert sum(told) <= 3


def test_times_that_go_back_or_are_absurd_stop_nothing():
    detector = NoveltyDetector(pace=1.0)
    for time in (1.7e9, 0.0, -5.0, 1e300, 3.0):
        detector.learn_one({"time": time, "spo2": 97.0})
        assert detector.score_one({"time": time, "spo2": 97.0}) == 0.0
