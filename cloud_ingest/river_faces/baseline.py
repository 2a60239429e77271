"""A patient's own baseline as a detector of river's: named vital signs, measured when they are measured.

Gateways and the cloud have ``rules.detectors.baseline``, which needs no river.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import copy
from statistics import median
from typing import Any, Final

from cloud_ingest.river_faces.per_feature import PerFeature
from rules.detectors.baseline import DAY, Asked, Baseline, Prior, Terms
from rules.detectors.priors import POPULATION

__all__ = ["BaselineDetector", "Own"]

FIRST: Final = 8
"""What no population knows is known by so many first values: their median, and how far they lie from it."""
NORMAL: Final = 1.4826
"""A normal spread beside the median distance from the median."""
STEADY: Final = 0.05
"""The spread, as a part of the level, where the first values are all the same."""


class Own:
    """A feature's baseline; or its first values (ns, value, frozen), where no population knows it."""

    def __init__(self, baseline: Baseline | None) -> None:
        self.baseline = baseline
        self.first: list[tuple[int, float, bool]] = []


class BaselineDetector(PerFeature[Own]):
    """One patient's vital signs, each beside its own level, time of day and trend.

    The score is the highest of them: 0.5 where one lies ``limit`` spreads from what is expected, or, where
    ``asked`` is ``"trend"``, those before it have changed by ``limit`` of its units a week; 0 in the first
    ``learn_days``. ``priors`` are by name. When None, a feature named by its metric (``"heart_rate"``) begins
    with the population's level and what patients differ by, worth one measurement; any other one with its
    first eight values. ``tau_days``: for how long a measurement is remembered. ``pace``, ``time``, ``most``
    and ``frozen`` as ``PerFeature``; a time before the newest is taken as that one.

    >>> detector = BaselineDetector()
    >>> for n in range(60):
    ...     detector.learn_one({"time": 43_200.0 * n, "heart_rate": 62.0 + n % 3})
    >>> detector.score_one({"time": 43_200.0 * 60, "heart_rate": 63.0}) < 0.2
    True
    >>> detector.score_one({"time": 43_200.0 * 60, "heart_rate": 95.0}) > 0.6
    True
    """

    def __init__(
        self,
        *,
        asked: Asked = "spreads",
        limit: float = 4.0,
        tau_days: float = 14.0,
        learn_days: float = 3.0,
        priors: Mapping[str, Prior] | None = None,
        pace: float = 43_200.0,
        time: str = "time",
        most: int = 64,
    ) -> None:
        super().__init__(time, pace, most)
        self.asked: Asked = asked
        self.limit = limit
        self.tau_days = tau_days
        self.learn_days = learn_days
        self.priors = priors

    def explain_one(self, x: Mapping[Hashable, Any]) -> dict[Hashable, Terms]:
        """What each feature's judgement rests on; nothing is learned."""
        now = self._at(x)
        judged = {name: self._judged(name, now, value) for name, value in self._readings(x)}
        return {name: own.terms for name, own in judged.items() if own is not None and own.terms is not None}

    def _begin(self, name: Hashable) -> Own:
        prior = self._prior(str(name))
        return Own(None if prior is None else self._made(prior))

    def _prior(self, name: str) -> Prior | None:
        if self.priors is not None:
            return self.priors.get(name)
        known = POPULATION.get(name)
        return None if known is None else Prior(known.level, known.between, 1.0)

    def _made(self, prior: Prior) -> Baseline:
        return Baseline(self.asked, round(self.tau_days * DAY), round(self.learn_days * DAY), prior)

    def _score(self, name: Hashable, now: float, value: float) -> float:
        judged = self._judged(name, now, value)
        off = 0.0 if judged is None else abs(judged.output or 0.0)
        return off / (off + self.limit)

    def _learn(self, name: Hashable, now: float, value: float) -> None:
        own, frozen = self._states[name], name in self.frozen
        if own.baseline is not None:
            own.baseline.push(self._moment(now), value, frozen=frozen)
            return
        own.first.append((self._moment(now), value, frozen))
        if len(own.first) == FIRST:
            own.baseline = self._made(_supposed([known for _, known, _ in own.first]))
            for at, known, held in own.first:
                own.baseline.push(at, known, frozen=held)
            own.first.clear()

    def _judged(self, name: Hashable, now: float, value: float) -> Baseline | None:
        own = self._states.get(name) or self._begin(name)
        if own.baseline is None:
            return None
        tried = copy(own.baseline)
        tried.push(self._moment(now), value, frozen=name in self.frozen)
        return tried


def _supposed(values: list[float]) -> Prior:
    level = median(values)
    spread = NORMAL * median(abs(value - level) for value in values)
    return Prior(level, spread or STEADY * abs(level) or 1.0, 1.0)
