from __future__ import annotations

import random

from river import anomaly

from cloud_ingest.river_faces.baseline import BaselineDetector
from rules.detectors.baseline import DAY, SECOND, Asked, Baseline, Prior
from tests.unit.cloud_ingest.river_faces.conftest import RiversChecks

PRESSURE = Prior(130.0, 12.0, 4.0, 43_200.0)


def test_it_passes_all_of_rivers_own_checks(rivers_checks: RiversChecks):
    rivers_checks(BaselineDetector)


def test_its_scores_and_terms_are_those_of_the_baseline():
    asked: tuple[Asked, ...] = ("spreads", "trend")
    for which in asked:
        detector = BaselineDetector(asked=which, limit=5.0, priors={"nibp_systolic": PRESSURE})
        alone = Baseline(which, 14 * DAY, 3 * DAY, PRESSURE)
        chance, scores = random.Random(4), []
        for n in range(120):
            x = {
                "time": 43_200.0 * n + chance.uniform(0, 7200),
                "nibp_systolic": chance.gauss(120 + n / 4, 5),
            }
            frozen = n in {50, 51, 90}
            (detector.frozen.add if frozen else detector.frozen.discard)("nibp_systolic")
            explained = detector.explain_one(x)
            scores.append(detector.score_one(x))
            detector.learn_one(x)
            alone.push(round(x["time"] * SECOND), x["nibp_systolic"], frozen=frozen)
            assert explained == {"nibp_systolic": alone.terms}
            off = abs(alone.output or 0.0)
            assert scores[-1] == off / (off + 5.0)
        assert max(scores) > 0.2


def test_the_population_knows_a_vital_sign_and_first_values_what_it_does_not():
    detector, chance = BaselineDetector(learn_days=0.0), random.Random(5)
    assert detector.score_one({"heart_rate": 200.0, "weight": 500.0}) > 0.5
    assert detector.score_one({"weight": 500.0}) == 0.0
    for _ in range(40):
        detector.learn_one({"weight": chance.gauss(82.0, 0.5), "steps": 4000.0, "nothing": 0.0})
    assert detector.score_one({"weight": 82.5}) < 0.3
    assert detector.score_one({"weight": 88.0}) > 0.6
    assert detector.score_one({"steps": 9000.0}) > 0.6
    assert detector.score_one({"nothing": 40.0}) > 0.6
    assert set(detector.explain_one({"weight": 82.5, "unknown": 1.0})) == {"weight"}


def test_it_fits_into_rivers_filters():
    chance = random.Random(2)
    model = anomaly.ThresholdFilter(BaselineDetector(), threshold=0.5)
    told = []
    for n in range(200):
        x = {"time": n * 43_200.0, "pulse_rate": 110.0 if n == 150 else chance.gauss(62, 3)}
        told.append(model.classify(model.score_one(x)))
        model.learn_one(x)
    assert told[150]
    assert sum(told) <= 2


def test_times_that_go_back_or_are_absurd_stop_nothing():
    detector = BaselineDetector(tau_days=0.01)
    for time in (1.7e9, 0.0, -5.0, 1e300, 3.0):
        detector.learn_one({"time": time, "spo2": 97.0})
        assert detector.score_one({"time": time, "spo2": 97.0}) < 0.5
