"""What is known of a signal's usual course, and how one reading departs from it and moves it."""

# ruff: noqa: FURB136 - a call of max costs more than what it compares

from __future__ import annotations

import math
from typing import Final, NamedTuple

from rules.detectors.parameters import Coefficients, Prior

__all__ = ["FLOOR", "SETTLED", "Levels", "advance", "first", "log2", "supposed"]

SETTLED: Final = 5.0
"""Paces before which a variance says nothing."""
FLOOR: Final = 1.0 / 1024.0
"""The share of the usual variance below which a variance counts as none."""


class Levels(NamedTuple):
    """Lowest, highest, means of several memories, variances, and the mean departure from the hour's.

    ``usual_log`` is the mean logarithm of the variance. ``calm`` and ``chatter`` remember what has been told.
    """

    low: float
    high: float
    short: float
    medium: float
    long: float
    slow: float
    mean: float
    variance: float
    usual_variance: float
    usual_log: float
    hours: float
    calm: float
    chatter: float


def log2(value: float) -> float:
    """The binary logarithm, straight between powers of two: the same on every machine, and in batches."""
    mantissa, exponent = math.frexp(value)
    return exponent + (mantissa + mantissa) - 2.0


def first(value: float) -> Levels:
    """All that one reading tells."""
    return Levels(value, value, value, value, value, value, value, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def supposed(prior: Prior) -> Levels:
    """What the population's usual tells before the first reading: three spreads to both sides."""
    level, spread, variance = prior.level, prior.spread, prior.spread * prior.spread
    usual_log = log2(variance + variance * FLOOR)
    far = 3.0 * spread
    return Levels(
        level - far,
        level + far,
        level,
        level,
        level,
        level,
        level,
        variance,
        variance,
        usual_log,
        0.0,
        0.0,
        0.0,
    )


def advance(
    old: Levels, value: float, k: Coefficients, age: float, off: float, *, learning: bool
) -> tuple[float, tuple[float, float, float, float, float, float, float], Levels]:
    """(how far beyond the range, the other statistics, the levels with the reading in them).

    ``off`` is how far the value lies from the hour's level, ``age`` how long the stream is known; a young
    stream learns as a plain mean. Without ``learning`` only the short memories move.
    """
    low, high, short, medium, long, slow, mean, variance, usual_variance, usual_log, hours, calm, chatter = (
        old
    )
    elapsed, k_range, k_short, k_medium, k_long, k_slow, k_spread, k_usual, k_hours, *_ = k
    young = min(1.0, elapsed / age)  # a frozen stream gets no older, however long its gaps
    beyond = value - high if value > high else low - value if value < low else 0.0
    width = high - low
    if beyond > 0.0:
        beyond = beyond / width if width > 0.0 else math.inf
    short += (k_short if k_short >= young else young) * (value - short)
    medium += (k_medium if k_medium >= young else young) * (value - medium)
    long += (k_long if k_long >= young else young) * (value - long)
    share = k_spread if k_spread >= young else young
    step = value - mean
    mean += share * step
    variance = (1.0 - share) * (variance + share * (step * step))
    hours += k_hours * (off - hours)
    before = slow
    spread = 0.0
    share = k_usual if k_usual >= young else young
    usual = usual_variance + share * (variance - usual_variance)
    if usual > 0.0:
        doublings = log2(variance + usual * FLOOR)
        settled = usual_variance > 0.0 and age > SETTLED
        spread = abs(doublings - usual_log) if settled else 0.0
    if learning:
        inward = width * k_range
        high, low = high - inward, low + inward
        high = value if value >= high else high
        low = value if value <= low else low
        slow += (k_slow if k_slow >= young else young) * (value - slow)
        if usual > 0.0:
            usual_log = usual_log + share * (doublings - usual_log) if settled else doublings
        usual_variance = usual
    statistics = (
        abs(short - before),
        abs(medium - before),
        abs(long - before),
        abs(short - medium),
        spread,
        abs(off),
        abs(hours),
    )
    new = Levels(
        low, high, short, medium, long, slow, mean, variance, usual_variance, usual_log, hours, calm, chatter
    )
    return beyond, statistics, new
