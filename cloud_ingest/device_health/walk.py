"""When something that goes on unevenly comes to its end: a battery's level, the hours until a service."""

from __future__ import annotations

from math import ceil, floor, inf, sqrt

__all__ = ["crossing", "outwards"]


def crossing(distance: float, drift: float, wide: float, seen: float) -> tuple[float, float]:
    """The times between which a walk with a positive ``drift`` comes as far as ``distance``.

    ``wide`` is the half width of the interval after one unit of time: its quantile times the spread; ``seen``
    is for how long the drift was. What is to come varies, and the drift is known no better than that: after t
    the half width is wide * sqrt(t + t^2 / seen). The later end is none (inf) where it may stand still.
    """
    if distance <= 0:
        return 0.0, 0.0
    square = wide * wide
    steep, half = drift * drift - square / seen, 2 * distance * drift + square
    root = half + sqrt(max(0.0, half * half - 4 * steep * distance * distance))
    return 2 * distance * distance / root, root / (2 * steep) if steep > 0 else inf


def outwards(low: float, high: float) -> tuple[int, int]:
    """An interval in whole numbers that holds no less than it."""
    return floor(low), ceil(high)
