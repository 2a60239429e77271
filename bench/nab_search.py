"""The parameters of the record stack, searched on labelled series: bounded, and the same each time.

Settings are drawn at random from wide ranges, and the best on the series given are averaged (geometrically
where they are memories): a single best one would be the luckiest. A threshold counts by the mean score of its
neighbours, for the same reason. ``python -m bench.nab_search`` searches on all files and prints what
``rules.detectors.parameters.DEFAULTS`` says.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, geometric_mean
from typing import Any, Final

import numpy as np

from bench.nab_data import Series, read_series
from bench.nab_scoring import STANDARD, probation, worth
from bench.real_data import recordings
from rules.detectors import DEFAULTS, Parameters, Weights
from rules.detectors.batch import BatchedStacks

__all__ = ["Search"]

SETTINGS: Final = 3000
BEST: Final = 60
"""Of so many settings all over the ranges, so many of the best are averaged."""
SEED: Final = 8
GRID: Final = np.exp(np.linspace(math.log(5e-3), math.log(3.0), 110))
"""Thresholds that are tried, of the evidence before it becomes a score."""
_NEIGHBOURS: Final = 3
_AT_ONCE: Final = 200
RANGES: Final = {
    "tau_range": (3_000.0, 40_000.0),
    "tau_short": (2.0, 12.0),
    "tau_medium": (20.0, 120.0),
    "tau_long": (120.0, 500.0),
    "tau_slow": (150.0, 1_500.0),
    "tau_spread": (20.0, 200.0),
    "tau_usual": (300.0, 2_000.0),
    "hour_days": (1.0, 30.0),
    "tau_hours": (8.0, 80.0),
    "tau_record": (3_000.0, 40_000.0),
    "tau_calm": (10.0, 120.0),
    "calm": (0.6, 1.6),
    "tau_chatter": (300.0, 3_000.0),
    "chatter": (0.05, 3.0),
    "mature": (30.0, 1_000.0),
}
_WEIGHT: Final = (0.125, 2.0)
_LEFT_OUT: Final = 0.35
"""The share of draws in which a statistic has no weight."""


def drawn(count: int) -> list[Parameters]:
    """Settings at random within the ranges."""
    chance = random.Random(SEED)  # noqa: S311 - the same each time
    out = []
    for _ in range(count):
        taus: dict[str, Any] = {
            name: math.exp(chance.uniform(math.log(a), math.log(b))) for name, (a, b) in RANGES.items()
        }
        a, b = _WEIGHT
        weights = [
            0.0 if chance.random() < _LEFT_OUT else math.exp(chance.uniform(math.log(a), math.log(b)))
            for _ in Weights._fields
        ]
        out.append(replace(DEFAULTS, **taus, weights=Weights(*weights), threshold=1.0))
    return out


def scores_of(settings: Sequence[Parameters], series: Sequence[Series]) -> Any:
    """For each series its scores, settings x rows: all side by side, one row of each at a time."""
    by_length = sorted(range(len(series)), key=lambda n: -len(series[n].times))
    stacks = BatchedStacks(
        len(series) * len(settings),
        parameters=settings,
        group=list(range(len(settings))) * len(series),
    )
    out = [np.zeros((len(settings), len(s.times))) for s in series]
    for row in range(max(len(s.times) for s in series)):
        alive = [n for n in by_length if len(series[n].times) > row]
        times = np.repeat([series[n].times[row] for n in alive], len(settings))
        values = np.repeat([series[n].values[row] for n in alive], len(settings))
        scores = stacks.update(np.arange(len(times)), times, values).reshape(len(alive), -1)
        for place, n in enumerate(alive):
            out[n][:, row] = scores[place]
    return out


def _curve(scores: Any, window: Any, gain: Any) -> Any:
    """The raw score of one series over ``GRID``, counted from that of a detector that finds nothing.

    ``window`` and ``gain`` say of each row what ``nab_scoring.worth`` does; both are of scored rows only.
    """
    heard = np.flatnonzero(scores > 0.0)
    evidence = scores[heard] / (1.0 - scores[heard])
    step = np.searchsorted(GRID, evidence, side="right") - 1
    heard, step = heard[step >= 0], step[step >= 0]
    window, gain = window[heard], gain[heard]
    outside = window < 0
    total = np.bincount(step[outside], gain[outside], len(GRID))[::-1].cumsum()
    for n in np.unique(window[~outside]):
        found = np.full(len(GRID), -STANDARD.miss)
        np.maximum.at(found, step[window == n], gain[window == n])
        total = total + np.maximum.accumulate(found[::-1]) + STANDARD.miss
    return total[::-1]


def curves(settings: Sequence[Parameters], series: Sequence[Series]) -> Any:
    """Raw scores, settings x series x thresholds. The settings' own threshold must be 1."""
    begins = [probation(s.labelled.rows) for s in series]
    worths = [
        np.array([worth(s.labelled, row) for row in range(begin, s.labelled.rows)]).T
        for s, begin in zip(series, begins, strict=True)
    ]
    parts = []
    for start in range(0, len(settings), _AT_ONCE):
        found = scores_of(settings[start : start + _AT_ONCE], series)
        of_each = [
            [_curve(row[begin:], *one) for row in scores]
            for scores, begin, one in zip(found, begins, worths, strict=True)
        ]
        parts.append(np.array(of_each).swapaxes(0, 1))
        print(f"  {start + len(found[0])} of {len(settings)} settings", file=sys.stderr, flush=True)
    return np.concatenate(parts)


def smoothed(raw: Any) -> Any:
    """Each threshold's score as the mean of its neighbours' (along the last axis)."""
    width = 2 * _NEIGHBOURS + 1
    padding = [(0, 0)] * (raw.ndim - 1) + [(_NEIGHBOURS, _NEIGHBOURS)]
    padded = np.pad(raw, padding, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1).mean(-1)


def _mean(settings: Sequence[Parameters]) -> Parameters:
    memories: dict[str, Any] = {name: geometric_mean([getattr(s, name) for s in settings]) for name in RANGES}
    weights = Weights(*(fmean(of_one) for of_one in zip(*(s.weights for s in settings), strict=True)))
    return replace(DEFAULTS, **memories, weights=weights, threshold=1.0)


@dataclass(frozen=True, slots=True)
class Search:
    """Settings all over the ranges, and the raw score of each (settings x series x thresholds)."""

    series: Sequence[Series]
    settings: Sequence[Parameters]
    found: Any

    @classmethod
    def over(cls, series: Sequence[Series]) -> Search:
        """Score the settings on all series."""
        settings = drawn(SETTINGS)
        return cls(series, settings, curves(settings, series))

    def best(self, part: Sequence[int]) -> Parameters:
        """The parameters, threshold included, that the series numbered in ``part`` choose."""
        part = list(part)
        series = [self.series[n] for n in part]
        score = smoothed(self.found[:, part].sum(1)).max(1)
        centre = _mean([self.settings[n] for n in np.argsort(-score, kind="stable")[:BEST]])
        found = curves([centre], series)[0].sum(0)
        return replace(centre, threshold=float(GRID[smoothed(found).argmax()]))


def main() -> None:
    """Search on all files and print the parameters."""
    folder = recordings("nab")
    if folder is None:
        sys.exit("the benchmark's files are not here: set HEARTHWARD_DATA")
    series = read_series(folder)
    print(Search.over(series).best(range(len(series))))


if __name__ == "__main__":
    main()
