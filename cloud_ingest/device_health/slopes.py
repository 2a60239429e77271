"""The robust slope of a few daily values, with its interval.

Theil-Sen: the median of the slopes of all pairs, which up to 29 % of wild values do not move; the interval
is that of Sen (J. Am. Stat. Assoc. 63, 1968), from Kendall's statistic by its normal approximation, its ends
rounded outwards (Hollander and Wolfe, Nonparametric Statistical Methods, 9.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, sqrt
from statistics import NormalDist, median
from typing import Final

__all__ = ["COVERAGE", "FEWEST", "MOST", "Slope", "slope_of", "trimmed"]

FEWEST: Final = 5
"""Of fewer points Kendall's statistic cannot be significant at 0.05 (its least p of 4 points is 0.083)."""
MOST: Final = 120
"""The newest so many count: their 7,140 pairs take a few milliseconds."""
COVERAGE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Slope:
    """Per day: the best guess and the interval; ``level`` is the line's value at the last day."""

    per_day: float
    low: float
    high: float
    level: float
    points: int
    first: int
    last: int

    @property
    def falls(self) -> bool:
        """Whether all of the interval is below nothing."""
        return self.high < 0

    @property
    def rises(self) -> bool:
        """Whether all of the interval is above nothing."""
        return self.low > 0


def slope_of(points: Sequence[tuple[int, float]], coverage: float = COVERAGE) -> Slope | None:
    """Of (day, value) by day, each day once; None for fewer than ``FEWEST``."""
    used = points[-MOST:]
    n = len(used)
    if n < FEWEST:
        return None
    pairs = sorted((b - a) / (j - i) for k, (i, a) in enumerate(used) for j, b in used[k + 1 :] if j != i)
    per_day = median(pairs)
    end = trimmed(n, coverage, len(pairs))
    last = used[-1][0]
    level = median(value + per_day * (last - day) for day, value in used)
    return Slope(per_day, pairs[end - 1], pairs[-end], level, n, used[0][0], last)


def trimmed(points: int, coverage: float, pairs: int | None = None) -> int:
    """The interval of that many points goes from the so-manieth smallest slope to the so-manieth largest."""
    wide = NormalDist().inv_cdf((1 + coverage) / 2) * sqrt(points * (points - 1) * (2 * points + 5) / 18)
    return max(1, floor(((points * (points - 1) // 2 if pairs is None else pairs) - wide) / 2))
