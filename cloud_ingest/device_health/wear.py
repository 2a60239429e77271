"""What a run's sensors say of wear, cycle by cycle, without a look ahead.

Of each sensor that varies at all: means that forget with three time constants, how far the shortest lies
from the longest, and how far the middle one has moved from what the unit began with. Of all sensors together,
weighted into one index that falls with wear: the same, its slopes, and for how long it has been low. Where
units are operated under several conditions a sensor is first taken relative to what is usual under that one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from statistics import fmean, pstdev
from typing import Final

from cloud_ingest.device_health.run_to_failure import SENSORS, SETTINGS, Run
from hearthward.core.adding import added

__all__ = ["Conditions", "Wear", "features"]

TAUS: Final = (5.0, 15.0, 40.0)
"""In cycles."""
INDEX_TAUS: Final = (5.0, 10.0, 20.0, 40.0)
SLOPES: Final = (20, 40, 80)
"""Over so many of the last cycles."""
LEVELS: Final = (-0.3, -0.6, -1.0, -1.5)
"""Of the index below its beginning, in its spreads: cycles since each was passed are counted."""
FEWEST: Final = 5
"""Cycles that have a slope."""
BEGINNING: Final = 20
"""Cycles that count as how a unit began."""
APART: Final = 0.05
"""Settings with a gap of this share of their range between them are two."""
MATTERS: Final = 0.1
"""So much of some sensor's variance a setting must account for, or it is no condition but its own noise."""
SMALL: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Conditions:
    """How units are operated: groups of like settings, and what is usual of each sensor in each.

    ``centres`` and ``usual`` (mean, spread by sensor) go together; ``sensors`` are those that vary within
    a condition; the others say nothing of wear. ``scales`` are how far apart the centres lie in each setting,
    0 for one that sensors do not follow.
    """

    sensors: tuple[int, ...]
    centres: tuple[tuple[float, ...], ...]
    usual: tuple[tuple[tuple[float, float], ...], ...]
    scales: tuple[float, ...]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Conditions:
        """Find them in runs."""
        settings = [row for run in runs for row in run.settings]
        sensors = [row for run in runs for row in run.sensors]
        columns = list(zip(*sensors, strict=True))
        places = [_places([row[n] for row in settings], columns) for n in range(SETTINGS)]
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, place in enumerate(zip(*places, strict=True)):
            groups.setdefault(place, []).append(i)
        centres, usual = [], []
        for _, members in sorted(groups.items()):
            centres.append(tuple(fmean(settings[i][n] for i in members) for n in range(SETTINGS)))
            of_each = ([column[i] for i in members] for column in columns)
            usual.append(tuple((fmean(found), pstdev(found)) for found in of_each))
        varying = tuple(
            s
            for s in range(SENSORS)
            if any(spread > SMALL * max(1.0, abs(mean)) for mean, spread in _of(usual, s))
        )
        scales = (
            max(own) - min(own) if any(place) else 0.0
            for own, place in zip(zip(*centres, strict=True), places, strict=True)
        )
        return cls(varying, tuple(centres), tuple(usual), tuple(scales))

    def relative(self, settings: Sequence[float], sensors: Sequence[float]) -> list[float]:
        """The varying sensors in spreads from what is usual under these settings."""
        usual = self.usual[self._nearest(settings)]
        return [
            (sensors[s] - usual[s][0]) / usual[s][1] if usual[s][1] > SMALL else 0.0 for s in self.sensors
        ]

    def _nearest(self, settings: Sequence[float]) -> int:
        if len(self.centres) == 1:
            return 0
        return min(
            range(len(self.centres)),
            key=lambda i: sum(
                ((x - c) / scale) ** 2
                for x, c, scale in zip(settings, self.centres[i], self.scales, strict=True)
                if scale
            ),
        )


def _of(usual: Sequence[Sequence[tuple[float, float]]], sensor: int) -> list[tuple[float, float]]:
    return [condition[sensor] for condition in usual]


def _places(values: Sequence[float], sensors: Sequence[Sequence[float]]) -> list[int]:
    """Which group each value of a setting falls into; all in one where no sensor follows the groups.

    A setting that only trembles, to few decimals, falls into groups as well, one a decimal.
    """
    ordered = sorted(set(values))
    gap = APART * (ordered[-1] - ordered[0])
    cuts = [(a + b) / 2 for a, b in pairwise(ordered) if b - a > gap > 0]
    places = [bisect_left(cuts, value) for value in values]
    return (
        places
        if cuts and any(_explained(places, column) > MATTERS for column in sensors)
        else [0] * len(places)
    )


def _explained(places: Sequence[int], values: Sequence[float]) -> float:
    """The share of the variance between groups, less what chance would give."""
    mean = fmean(values)
    whole = fsum((x - mean) ** 2 for x in values)
    if whole <= (SMALL * max(1.0, abs(mean))) ** 2 * len(values):
        return 0.0
    count, total = Counter(places), dict.fromkeys(places, 0.0)
    for place, x in zip(places, values, strict=True):
        total[place] += x - mean
    between = fsum(total[place] ** 2 / n for place, n in count.items())
    return between / whole - (len(count) - 1) / max(1, len(values) - 1)


class _Means:
    """Means of several quantities that forget with time constant ``tau`` (cycles)."""

    def __init__(self, tau: float, width: int) -> None:
        self._keep = math.exp(-1 / tau)
        self._weight = 0.0
        self._sums = [0.0] * width

    def push(self, row: Sequence[float]) -> list[float]:
        keep = self._keep
        self._weight = self._weight * keep + 1 - keep
        self._sums = [s * keep + (1 - keep) * x for s, x in zip(self._sums, row, strict=True)]
        return [s / self._weight for s in self._sums]


class _Beginning:
    """The means of the first cycles."""

    def __init__(self, width: int) -> None:
        self._cycles = 0
        self.means = [0.0] * width

    def push(self, row: Sequence[float]) -> list[float]:
        self._cycles += 1
        if self._cycles <= BEGINNING:
            self.means = [b + (x - b) / self._cycles for b, x in zip(self.means, row, strict=True)]
        return self.means


class _Index:
    """All sensors in one number, and what its past says."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = weights
        self._means = [_Means(tau, 1) for tau in INDEX_TAUS]
        self._beginning = _Beginning(1)
        self._last: deque[float] = deque(maxlen=max(SLOPES))
        self._lows = [0] * len(LEVELS)
        self._deficit = 0.0

    def push(self, row: Sequence[float]) -> list[float]:
        index = added(w * x for w, x in zip(self._weights, row, strict=True))
        self._last.append(index)
        means = [mean.push([index])[0] for mean in self._means]
        (began,) = self._beginning.push([index])
        moved = means[1] - began
        self._lows = [n + 1 if n or moved < level else 0 for n, level in zip(self._lows, LEVELS, strict=True)]
        self._deficit += min(0.0, moved)
        values = list(self._last)
        return [
            *means,
            *(mean - began for mean in means[:3]),
            *(_slope(values[-n:]) for n in SLOPES),
            *map(float, self._lows),
            self._deficit,
        ]


def _slope(values: Sequence[float]) -> float:
    """Of the line that fits best, a cycle; 0 of too few."""
    count = len(values)
    if count < FEWEST:
        return 0.0
    middle = (count - 1) / 2
    return added((i - middle) * v for i, v in enumerate(values)) * 12 / (count * (count * count - 1))


class Wear:
    """One unit on its way: takes a cycle, gives its features. ``weights`` make the index, one a sensor."""

    def __init__(self, conditions: Conditions, weights: Sequence[float]) -> None:
        width = len(conditions.sensors)
        self._conditions = conditions
        self._means = [_Means(tau, width) for tau in TAUS]
        self._beginning = _Beginning(width)
        self._index = _Index(weights)
        self._cycles = 0

    def push(self, settings: Sequence[float], sensors: Sequence[float]) -> list[float]:
        """The features after this cycle."""
        row = self._conditions.relative(settings, sensors)
        self._cycles += 1
        began = self._beginning.push(row)
        short, middle, long = (mean.push(row) for mean in self._means)
        apart = [a - b for a, b in zip(short, long, strict=True)]
        moved = [a - b for a, b in zip(middle, began, strict=True)]
        return [*short, *middle, *long, *apart, *moved, *self._index.push(row), float(self._cycles)]


def features(conditions: Conditions, weights: Sequence[float], run: Run) -> list[list[float]]:
    """Of each cycle of a run."""
    wear = Wear(conditions, weights)
    return [wear.push(a, b) for a, b in zip(run.settings, run.sensors, strict=True)]
