"""What a run's sensors say of wear, cycle by cycle, without a look ahead.

Of each sensor that varies at all: means that forget with three time constants, how far the shortest lies
from the longest, and how far the middle one has moved from what the unit began with. Of all sensors together,
weighted into one index that falls with wear: the same, its slopes, and for how long it has been low. Where
units are operated under several conditions a sensor is first taken relative to what is usual under that one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Final

from cloud_ingest.device_health.run_to_failure import SENSORS, SETTINGS, Run

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
SMALL: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Conditions:
    """How units are operated: groups of like settings, and what is usual of each sensor in each.

    ``centres`` and ``usual`` (mean, spread by sensor) go together; ``sensors`` are those that vary within
    a condition; the others say nothing of wear.
    """

    sensors: tuple[int, ...]
    centres: tuple[tuple[float, ...], ...]
    usual: tuple[tuple[tuple[float, float], ...], ...]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Conditions:
        """Find them in runs."""
        cuts = [_cuts([row[n] for run in runs for row in run.settings]) for n in range(SETTINGS)]
        groups: dict[tuple[int, ...], list[int]] = {}
        settings = [row for run in runs for row in run.settings]
        sensors = [row for run in runs for row in run.sensors]
        for i, row in enumerate(settings):
            place = tuple(sum(value > cut for cut in cuts[n]) for n, value in enumerate(row))
            groups.setdefault(place, []).append(i)
        centres, usual = [], []
        for _, members in sorted(groups.items()):
            centres.append(tuple(fmean(settings[i][n] for i in members) for n in range(SETTINGS)))
            columns = [[sensors[i][s] for i in members] for s in range(SENSORS)]
            usual.append(tuple((fmean(column), pstdev(column)) for column in columns))
        varying = tuple(
            s
            for s in range(SENSORS)
            if any(spread > SMALL * max(1.0, abs(mean)) for mean, spread in _of(usual, s))
        )
        return cls(varying, tuple(centres), tuple(usual))

    def relative(self, settings: Sequence[float], sensors: Sequence[float]) -> list[float]:
        """The varying sensors in spreads from what is usual under these settings."""
        usual = self.usual[self._nearest(settings)]
        return [
            (sensors[s] - usual[s][0]) / usual[s][1] if usual[s][1] > SMALL else 0.0 for s in self.sensors
        ]

    def _nearest(self, settings: Sequence[float]) -> int:
        if len(self.centres) == 1:
            return 0
        scale = [max(abs(c[n]) for c in self.centres) or 1.0 for n in range(SETTINGS)]
        return min(
            range(len(self.centres)),
            key=lambda i: sum(((settings[n] - self.centres[i][n]) / scale[n]) ** 2 for n in range(SETTINGS)),
        )


def _of(usual: Sequence[Sequence[tuple[float, float]]], sensor: int) -> list[tuple[float, float]]:
    return [condition[sensor] for condition in usual]


def _cuts(values: Sequence[float]) -> list[float]:
    """Where the values fall apart into groups."""
    ordered = sorted(set(values))
    gap = APART * (ordered[-1] - ordered[0])
    return [(a + b) / 2 for a, b in pairwise(ordered) if b - a > gap > 0]


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
        index = sum(w * x for w, x in zip(self._weights, row, strict=True))
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
    return sum((i - middle) * v for i, v in enumerate(values)) * 12 / (count * (count * count - 1))


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
