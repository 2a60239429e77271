"""The record stack as a detector of river's, to be put into its pipelines and checked by its own checks.

river takes 1.8 s to import, which only what uses this module pays. The edge has
``rules.detectors.RecordStack``, which needs nothing.
"""

from __future__ import annotations

from collections.abc import Hashable

from cloud_ingest.river_faces.per_feature import PerFeature
from rules.detectors import RecordStack

__all__ = ["RecordStackDetector"]


class RecordStackDetector(PerFeature[RecordStack]):
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
        super().__init__(time, pace, most)

    def _begin(self, name: Hashable) -> RecordStack:  # noqa: ARG002 - any signal's
        return RecordStack(pace=self.pace)

    def _score(self, name: Hashable, now: float, value: float) -> float:
        stack = self._states.get(name)
        return 0.0 if stack is None else stack.score_one({"time": now, "value": value})

    def _learn(self, name: Hashable, now: float, value: float) -> None:
        stack = self._states[name]
        stack.frozen = name in self.frozen
        stack.update(now, value)
