"""The learned risk as estimators of river's: what is seen of a course, and the classifier that judges it.

Gateways and the cloud have ``rules.models.deterioration``, which needs no river.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, Final

from river.base import Classifier, Transformer

from cloud_ingest.river_faces.calibration import OnlineCalibration
from cloud_ingest.river_faces.values import is_number
from rules.models.deterioration import CHANNEL_OF, FEATURES, FEATURES_ALERT, Course, shipped
from rules.models.trees import Trees, probability

__all__ = ["CourseFeatures", "DeteriorationClassifier"]

PACE_S: Final = 60.0
_KNOWN: Final = frozenset(FEATURES_ALERT)
_METRICS: Final = sorted(CHANNEL_OF)
"""In the order in which the rules take values of one time."""


class CourseFeatures(Transformer):  # type: ignore[misc, unused-ignore] # untyped where river is missing
    """Vital signs as they come, into what the model sees of the patient's course so far.

    Features are named by their metric, consciousness is its place in ACVPU; ``patient`` and ``time`` name the
    features with whose and when (seconds; without it a minute after the last). What is not known is left
    out; all is while too little is known to tell a risk. Of ``most`` patients is remembered what came.

    >>> course = CourseFeatures()
    >>> vitals = {"heart_rate": 80.0, "spo2": 97.0, "respiratory_rate": 16.0}
    >>> for hour in range(7):
    ...     course.learn_one({"patient": "p", "time": hour * 3600.0, **vitals})
    >>> course.transform_one({"patient": "p", "time": 6.5 * 3600.0, "spo2": 92.0})["spo2.last"]
    92.0
    """

    def __init__(self, *, patient: str = "patient", time: str = "time", most: int = 1000) -> None:
        self.patient = patient
        self.time = time
        self.most = most
        self._now = 0.0
        self._courses: dict[Hashable, Course] = {}

    def learn_one(self, x: Mapping[Hashable, Any]) -> None:
        """Remember these values; the patient of whom nothing came for longest makes room."""
        self._now, patient = self._at(x), x.get(self.patient)
        course = self._courses.pop(patient, None) or Course()
        _push(course, self._now, x)
        self._courses[patient] = course
        if len(self._courses) > self.most:
            del self._courses[next(iter(self._courses))]

    def transform_one(self, x: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """What is seen of the patient with these values, which are not remembered."""
        now, known = self._at(x), self._courses.get(x.get(self.patient))
        course = Course() if known is None else known.copy()
        _push(course, now, x)
        if not course.enough(now):
            return {}
        names = FEATURES_ALERT if course.conscious else FEATURES
        values = course.features(now, conscious=course.conscious)
        return {name: value for name, value in zip(names, values, strict=True) if not math.isnan(value)}

    def _at(self, x: Mapping[Hashable, Any]) -> float:
        given = x.get(self.time)
        return float(given) if is_number(given) else self._now + PACE_S


class DeteriorationClassifier(Classifier):  # type: ignore[misc, unused-ignore] # untyped where river is missing
    """The shipped model; what it learns is what its risks are worth here: ``OnlineCalibration``.

    It takes what ``CourseFeatures`` gives; what is not there is not known. Whose consciousness is not known
    is judged by the model without. Untaught, its risks are those of ``rules.models.deterioration``.

    >>> risk = DeteriorationClassifier()
    >>> x = {"stay_h": 20.0, "respiratory_rate.last": 31.0, "spo2.last": 88.0, "pulse.last": 125.0}
    >>> before = risk.score_one(x)
    >>> for _ in range(20):
    ...     risk.learn_one(x, False)
    >>> risk.score_one(x) < before
    True
    """

    def __init__(self) -> None:
        self._calibration = OnlineCalibration()

    @property
    def slope(self) -> float:
        """What the shipped log-odds are multiplied by."""
        return self._calibration.slope

    @property
    def intercept(self) -> float:
        """What is added."""
        return self._calibration.intercept

    def learn_one(self, x: Mapping[Hashable, Any], y: Any) -> None:
        """Learn how a stay ended (true: badly), of which a risk could be told; else nothing is learned."""
        if any(name in _KNOWN for name in x):
            self._calibration.learn(self.log_odds_one(x), bad=bool(y))

    def predict_proba_one(self, x: Mapping[Hashable, Any], **_: Any) -> dict[bool | str | int, float]:
        """How likely the stay ends badly."""
        risk = probability(self.intercept + self.slope * self.log_odds_one(x))
        return {False: 1.0 - risk, True: risk}

    def score_one(self, x: Mapping[Hashable, Any]) -> float:
        """The calibrated risk, to six digits."""
        return round(self.predict_proba_one(x)[True], 6)

    def log_odds_one(self, x: Mapping[Hashable, Any]) -> float:
        """The log-odds as shipped."""
        model = shipped()
        trees = model.alert if is_number(x.get("consciousness.last")) else model.plain
        return trees.log_odds(_row(trees, x))


def _row(trees: Trees, x: Mapping[Hashable, Any]) -> list[float]:
    found = (x.get(name) for name in trees.features)
    return [float(value) if is_number(value) else math.nan for value in found]


def _push(course: Course, now: float, x: Mapping[Hashable, Any]) -> None:
    for metric in _METRICS:
        if is_number(value := x.get(metric)):
            course.push(now, metric, float(value))
