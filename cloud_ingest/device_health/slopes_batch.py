"""Slopes and batteries of many devices at once: the very ones of ``slopes`` and ``battery``, from numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from cloud_ingest.device_health.battery import Battery, battery_with, falls, lately, since_charged
from cloud_ingest.device_health.slopes import COVERAGE, FEWEST, MOST, Slope, slope_of, trimmed
from rules.detectors.exactly import Array

__all__ = ["batteries_of", "slopes_of"]

Points: TypeAlias = Sequence[tuple[int, float]]

_AT_ONCE: Final = 1 << 18
"""Pairs of points that lie within a core's cache."""


def slopes_of(series: Sequence[Points], coverage: float = COVERAGE) -> list[Slope | None]:
    """``slope_of`` each; those with as many points are worked out together."""
    found: list[Slope | None] = [None] * len(series)
    alike: dict[int, list[int]] = {}
    for n, points in enumerate(series):
        used = points[-MOST:]
        if len({day for day, _ in used}) < len(used):
            found[n] = slope_of(points, coverage)  # a day that came twice has pairs without a slope
        elif len(used) >= FEWEST:
            alike.setdefault(len(used), []).append(n)
    for count, which in alike.items():
        step = max(1, _AT_ONCE // (count * count))
        for start in range(0, len(which), step):
            part = which[start : start + step]
            slopes = _slopes([series[n][-MOST:] for n in part], coverage)
            for n, slope in zip(part, slopes, strict=True):
                found[n] = slope
    return found


def batteries_of(series: Sequence[Points], today: int) -> list[Battery | None]:
    """``battery_of`` each, on the same day."""
    used = [since_charged(points) for points in series]
    slopes = slopes_of(used)
    falling = [points and falls(points, slope, today) for points, slope in zip(used, slopes, strict=True)]
    recent = slopes_of([lately(points) if fell else [] for points, fell in zip(used, falling, strict=True)])
    each = zip(used, slopes, recent, strict=True)
    return [battery_with(points, slope, late, today) if points else None for points, slope, late in each]


def _slopes(series: Sequence[Points], coverage: float) -> list[Slope]:
    """Of series with as many points each."""
    table = np.array(series, np.float64)
    days, values = table[:, :, 0], table[:, :, 1]
    first, second = np.triu_indices(days.shape[1], 1)
    pairs = (values[:, second] - values[:, first]) / (days[:, second] - days[:, first])
    pairs.sort(axis=1)
    per_day = _median(pairs)
    levels = values + per_day[:, None] * (days[:, -1:] - days)
    levels.sort(axis=1)
    end = trimmed(days.shape[1], coverage)
    columns = (per_day, pairs[:, end - 1], pairs[:, -end], _median(levels))
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    return [
        Slope(best, low, high, level, len(points), points[0][0], points[-1][0])
        for (best, low, high, level), points in zip(numbers, series, strict=True)
    ]


def _median(ordered: Array) -> Array:
    """Of each row."""
    half, odd = divmod(ordered.shape[1], 2)
    return ordered[:, half] if odd else (ordered[:, half - 1] + ordered[:, half]) / 2
