"""What the detectors of one signal have in common as river's: a state for each feature, the highest score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any, Final, Generic, TypeVar

from river.base import AnomalyDetector

from cloud_ingest.river_faces.values import is_number

__all__ = ["LATEST", "SECOND", "PerFeature"]

SECOND: Final = 1_000_000_000
LATEST: Final = 1e10
"""Seconds; later times (after the year 2286) are taken as this one."""

S = TypeVar("S")


class PerFeature(AnomalyDetector, Generic[S]):  # type: ignore[misc, unused-ignore] # untyped where river is missing
    """A state for each feature, of the first ``most`` that come; the score is the highest of theirs.

    ``time`` names the feature with the time in seconds; without it each reading is one ``pace``, or one
    second, after the last. Of features in ``frozen`` (an alarm is open) nothing abnormal becomes usual. What
    is no number is passed over.
    """

    def __init__(self, time: str, pace: float | None, most: int) -> None:
        self.time = time
        self.pace = pace
        self.most = most
        self.frozen: set[Hashable] = set()
        self._now = 0.0
        self._newest = 0
        self._states: dict[Hashable, S] = {}

    def score_one(self, x: Mapping[Hashable, Any]) -> float:
        """The score of these features, which are not learned: 0..1."""
        now, scores = self._at(x), [0.0]
        for name, value in self._readings(x):
            scores.append(self._score(name, now, value))
        return max(scores)

    def learn_one(self, x: Mapping[Hashable, Any]) -> None:
        """Learn these features."""
        self._now = self._at(x)
        for name, value in self._readings(x):
            if name not in self._states and len(self._states) < self.most:
                self._states[name] = self._begin(name)
            if name in self._states:
                self._learn(name, self._now, value)
        self._newest = self._moment(self._now)

    @abstractmethod
    def _begin(self, name: Hashable) -> S:
        """The state of a feature of which nothing is known."""

    @abstractmethod
    def _score(self, name: Hashable, now: float, value: float) -> float:
        """The score of a feature's value, which is not learned."""

    @abstractmethod
    def _learn(self, name: Hashable, now: float, value: float) -> None:
        """Learn the value of a feature that has a state."""

    def _readings(self, x: Mapping[Hashable, Any]) -> list[tuple[Hashable, float]]:
        return [(name, float(value)) for name, value in x.items() if name != self.time and is_number(value)]

    def _at(self, x: Mapping[Hashable, Any]) -> float:
        given = x.get(self.time)
        return float(given) if given is not None and is_number(given) else self._now + (self.pace or 1.0)

    def _moment(self, now: float) -> int:
        """A time in ns since 1970, up to ``LATEST``; one before the newest that was learned is that one."""
        return max(self._newest, round(min(max(now, 0.0), LATEST) * SECOND))
