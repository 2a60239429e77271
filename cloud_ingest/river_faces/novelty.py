"""What is unusual for a patient as a detector of river's: named vital signs, each with what is known of it.

Gateways and the cloud have ``rules.detectors.novelty``, which needs no river.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from cloud_ingest.river_faces.per_feature import SECOND, PerFeature
from rules.detectors.novelty import Direction, Evidence, Novelty
from rules.detectors.priors import POPULATION, Population

__all__ = ["NoveltyDetector"]


class NoveltyDetector(PerFeature[Novelty]):
    """One patient's vital signs, each beside what it has been; the score is the highest of them.

    A feature named by its metric (``"heart_rate"``) begins with what the population knows of it, any other
    one with nothing. ``populations`` are by name, those of ``rules.detectors.priors`` when None. ``pace``
    (seconds): the mean of what comes in it is judged. ``time``, ``most`` and ``frozen`` as ``PerFeature``; a
    time before the newest is taken as that one.

    >>> detector = NoveltyDetector(direction="above")
    >>> for n in range(300):
    ...     detector.learn_one({"heart_rate": 80.0 + n % 3, "spo2": 97.0})
    >>> detector.score_one({"heart_rate": 81.0, "spo2": 97.0})
    0.0
    >>> detector.score_one({"heart_rate": 120.0, "spo2": 97.0}) > 0.9
    True
    >>> detector.explain_one({"heart_rate": 120.0})["heart_rate"].parts[0].value
    120.0
    """

    def __init__(
        self,
        *,
        direction: Direction = "either",
        pace: float = 60.0,
        populations: Mapping[str, Population] | None = None,
        time: str = "time",
        most: int = 64,
    ) -> None:
        super().__init__(time, pace, most)
        self.direction: Direction = direction
        self.populations = populations

    def explain_one(self, x: Mapping[Hashable, Any]) -> dict[Hashable, Evidence]:
        """The terms of those features of which something is new; nothing is learned."""
        now = self._at(x)
        judged = {name: self._judged(name, now, value) for name, value in self._readings(x)}
        return {name: found.terms for name, found in judged.items() if found.terms is not None}

    def _begin(self, name: Hashable) -> Novelty:
        known = POPULATION if self.populations is None else self.populations
        return Novelty(self.direction, round((self.pace or 1.0) * SECOND), known.get(str(name)))

    def _score(self, name: Hashable, now: float, value: float) -> float:
        return self._judged(name, now, value).output or 0.0

    def _learn(self, name: Hashable, now: float, value: float) -> None:
        self._push(self._states[name], name, now, value)

    def _judged(self, name: Hashable, now: float, value: float) -> Novelty:
        tried, known = self._begin(name), self._states.get(name)
        if known is not None:
            tried.unpack(known.pack())
        self._push(tried, name, now, value)
        return tried

    def _push(self, novelty: Novelty, name: Hashable, now: float, value: float) -> None:
        novelty.push(self._moment(now), value, frozen=name in self.frozen)
