from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from river import compose, datasets

from cloud_ingest.calibrating import Case, learn
from cloud_ingest.river_faces.calibration import OnlineCalibration
from cloud_ingest.river_faces.deterioration import CourseFeatures, DeteriorationClassifier
from rules.models.deterioration import FEATURES, shipped
from tests.unit.cloud_ingest.river_faces.conftest import RiversChecks
from tests.unit.rules.models.courses import HOUR, course_of, stay

Case_ = tuple[dict[str, Any], bool]
END = 48 * HOUR


def moments(number: int, *, died: bool) -> list[dict[str, Any]]:
    """The values of a stay, moment by moment."""
    found: dict[float, dict[str, Any]] = {}
    for time, metric, value in stay(number, died=died).readings:
        found.setdefault(time, {"patient": number, "time": time})[metric] = value
    return list(found.values())


def cases(count: int) -> Iterator[Case_]:
    """What is seen of stays at their end, and how they ended."""
    course = CourseFeatures()
    for number in range(count):
        died = number % 3 == 0
        for x in moments(number, died=died):
            course.learn_one(x)
        yield course.transform_one({"patient": number, "time": END}), died


class Stays:
    """Stands in for a data set of river's, cut to ``count``."""

    def __init__(self, rows: list[Case_], count: int = 60) -> None:
        self.rows, self.count = rows, count

    def take(self, count: int) -> Stays:
        return Stays(self.rows, min(count, self.count))

    def __iter__(self) -> Iterator[Case_]:
        return iter(self.rows[: self.count])


@pytest.fixture(scope="module")
def ended() -> list[Case_]:
    return list(cases(40))


@pytest.mark.parametrize("make", [CourseFeatures, DeteriorationClassifier])
def test_they_pass_all_of_rivers_own_checks(make: type, rivers_checks: RiversChecks):
    rivers_checks(make)


def test_they_pass_them_on_vital_signs_too(
    rivers_checks: RiversChecks, monkeypatch: pytest.MonkeyPatch, ended: list[Case_]
):
    coming = [(x, died) for died in (False, True) for x in moments(1, died=died)[:30]]
    monkeypatch.setattr(datasets, "TrumpApproval", lambda: Stays(coming))
    rivers_checks(CourseFeatures)
    monkeypatch.setattr(datasets, "Phishing", lambda: Stays(ended))
    rivers_checks(DeteriorationClassifier)


@pytest.mark.parametrize("without", ["", "consciousness"])
def test_an_untaught_risk_is_that_of_the_rules(without: str):
    course, risk = CourseFeatures(), DeteriorationClassifier()
    for number, died in ((1, False), (2, True)):
        for x in moments(number, died=died):
            course.learn_one({name: value for name, value in x.items() if name != without})
        told = shipped().risk(course_of(stay(number, died=died), without=without), END)
        assert told is not None
        seen = course.transform_one({"patient": number, "time": END})
        assert risk.score_one(seen) == told.value
        assert risk.predict_one(seen) is (told.value > 0.5)


def test_what_it_learns_is_what_a_recalibration_learns(ended: list[Case_]):
    risk = DeteriorationClassifier()
    known = [Case(n, risk.log_odds_one(x), died) for n, (x, died) in enumerate(ended)]
    for x, died in ended:
        risk.learn_one(x, died)
    found = learn(known, OnlineCalibration(), 1).calibration
    assert (round(risk.slope, 3), round(risk.intercept, 3)) == (found.slope, found.intercept) != (1.0, 0.0)


def test_of_whom_nothing_is_known_nothing_is_learned():
    course, risk = CourseFeatures(), DeteriorationClassifier()
    course.learn_one({"heart_rate": 80.0, "spo2": None, "respiratory_rate": "16", "time": 0.0})
    seen = course.transform_one({"heart_rate": 80.0, "time": 7 * HOUR})
    assert seen == {}
    risk.learn_one(seen, True)
    risk.learn_one({"age": 70.0}, True)
    assert (risk.slope, risk.intercept) == (1.0, 0.0)
    nothing = shipped().plain.log_odds([float("nan")] * len(FEATURES))
    assert risk.log_odds_one(seen) == risk.log_odds_one({"age": 70.0}) == nothing


def test_numbers_of_numpy_are_numbers_and_patients_are_kept_apart():
    course, vitals = CourseFeatures(), {"heart_rate": 80, "spo2": 97, "respiratory_rate": 16}
    for hour in range(7):
        course.learn_one({"patient": "a", "time": hour * HOUR, **vitals})
        numpys = {name: np.float64(value) for name, value in vitals.items()}
        course.learn_one({"patient": "b", "time": np.float64(hour * HOUR), **numpys})
    one, other = (course.transform_one({"patient": name, "time": 6 * HOUR}) for name in "ab")
    assert one == other != {}
    assert course.transform_one({"patient": "c", "time": 6 * HOUR, **vitals}) == {}


def test_of_too_many_patients_those_go_of_whom_nothing_came_for_longest():
    course = CourseFeatures(most=2)
    vitals = {"heart_rate": 80, "spo2": 97, "respiratory_rate": 16}
    for patient, hour in (("a", 0), ("b", 1), ("a", 2), ("c", 3)):
        course.learn_one({"patient": patient, "time": hour * HOUR, **vitals})
    later = {"time": 10 * HOUR}
    assert [bool(course.transform_one({"patient": p, **later})) for p in "abc"] == [True, False, True]


def test_they_make_a_pipeline():
    model = compose.Pipeline(CourseFeatures(), DeteriorationClassifier())
    fine, worse = moments(1, died=False), moments(2, died=True)
    for x in (*fine, *worse):
        model["CourseFeatures"].learn_one(x)
    assert model.predict_proba_one(worse[-1])[True] > 3 * model.predict_proba_one(fine[-1])[True]
