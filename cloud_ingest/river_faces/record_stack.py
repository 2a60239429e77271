"""The record stack as a detector of river's, to be put into its pipelines and checked by its own checks.

river takes 1.8 s to import, which only what uses this module pays. The edge has
``rules.detectors.RecordStack``, which needs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from numbers import Real
from typing import Any

from river.base import AnomalyDetector

from rules.detectors import RecordStack

__all__ = ["RecordStackDetector"]


class RecordStackDetector(AnomalyDetector):  # type: ignore[misc, unused-ignore] # untyped where river is missing
    """A record stack for each feature; the score is the highest of them, 0.5 where it is worth telling.

    ``time`` names the feature with the time in seconds (without it each reading is one ``pace``, or one
    second, after the last); ``pace`` is the usual time between readings, learned when None; of the features,
    as many as ``most`` that come first are watched. What is no number is passed over.

    >>> detector = RecordStackDetector(pace=1.0)
    >>> for n in range(200):
    ...     detector.learn_one({"pulse": 70.0 + n % 5})
    >>> detector.score_one({"pulse": 72.0})
    0.0
    >>> detector.score_one({"pulse": 140.0}) > 0.9
    True
    """

    def __init__(self, *, time: str = "time", pace: float | None = None, most: int = 64) -> None:
        self.time = time
        self.pace = pace
        self.most = most
        self._now = 0.0
        self._stacks: dict[Hashable, RecordStack] = {}

    def score_one(self, x: Mapping[Hashable, Any]) -> float:
        """The score of these features, which are not learned: 0..1."""
        now, scores = self._at(x), [0.0]
        for name, value in x.items():
            stack = self._stacks.get(name)
            if stack is not None and _is_number(value):
                scores.append(stack.score_one({"time": now, "value": float(value)}))
        return max(scores)

    def learn_one(self, x: Mapping[Hashable, Any]) -> None:
        """Learn these features."""
        self._now = self._at(x)
        for name, value in x.items():
            if name == self.time or not _is_number(value):
                continue
            if name not in self._stacks and len(self._stacks) < self.most:
                self._stacks[name] = RecordStack(pace=self.pace)
            if name in self._stacks:
                self._stacks[name].update(self._now, float(value))

    def _at(self, x: Mapping[Hashable, Any]) -> float:
        given = x.get(self.time)
        return float(given) if given is not None and _is_number(given) else self._now + (self.pace or 1.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)  # numpy's numbers, too
