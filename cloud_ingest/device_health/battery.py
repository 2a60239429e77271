"""How long a device's battery will last, from its level day by day.

What a device spends in a day varies: the level is a random walk with a drift, and when it comes to an end is
as uncertain as what will be spent until then. The drift is the slope of two weeks and that of all since the
last charge, which differ where the use has changed; the interval covers both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist, fmean
from typing import Final, NamedTuple

from cloud_ingest.device_health.findings import SUREST, Finding, date_of, rounded
from cloud_ingest.device_health.slopes import COVERAGE, FEWEST, MOST, Slope, slope_of
from cloud_ingest.device_health.sums import DAY_NS, SignalDay
from cloud_ingest.device_health.walk import crossing, outwards

__all__ = [
    "EMPTY",
    "Battery",
    "battery_finding",
    "battery_of",
    "battery_with",
    "falls",
    "lately",
    "level_of",
    "since_charged",
]

RECHARGED: Final = 10.0
"""A rise of so many % from one day to the next is a new or charged cell: levels come in steps of 1 to 10."""
EMPTY: Final = 5.0
"""%: a coin cell's voltage falls off its plateau there, and transmitters brown out before zero is told."""
LOW: Final = 20.0
"""%: the usual "low" of battery services; said without a trend, too."""
SOON_DAYS: Final = 14.0
"""A spare part and a visit are arranged within two weeks."""
LONGEST: Final = 3650.0
RECENT_DAYS: Final = 14
"""So long is what is spent lately; the other slope is that of all since the last charge."""
LAGS: Final = (2, 4, 7, 14)
"""Days over which is told how unevenly a device spends: a week's course cancels over 7."""
STALE_DAYS: Final = 7
"""A trend goes on until today for so long without a new level; then the device may be switched off."""


@dataclass(frozen=True, slots=True)
class Battery:
    """Level in %; days left with the interval, None while the level does not clearly fall."""

    level: float
    since: int
    points: int
    per_day: float | None = None
    left: float | None = None
    low: float | None = None
    high: float | None = None


def level_of(day: SignalDay) -> float:
    """A day's level in %: its mean, and once it was charged or has a new cell its newest value."""
    return day.last if day.last - day.mean >= RECHARGED else day.mean


def battery_of(points: Sequence[tuple[int, float]], today: int) -> Battery | None:
    """Of (day, %) by day; what was before the last charge or new cell does not count. None without any.

    Days left are from ``today`` on: a trend that ended a few days ago goes on until then.
    """
    used = since_charged(points)
    slope = slope_of(used)
    recent = slope_of(lately(used)) if falls(used, slope, today) else None
    return battery_with(used, slope, recent, today) if used else None


def since_charged(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """What counts of (day, %) by day: since the last charge or new cell."""
    begin = max((i for i in range(1, len(points)) if points[i][1] - points[i - 1][1] >= RECHARGED), default=0)
    return points[begin:]


def lately(used: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Of what counts the last two weeks; nothing where these are all."""
    recent = [point for point in used if point[0] > used[-1][0] - RECENT_DAYS]
    return recent if len(recent) < len(used) else []


def falls(used: Sequence[tuple[int, float]], slope: Slope | None, today: int) -> bool:
    """Whether what counts has a trend that goes on until ``today``."""
    return slope is not None and slope.falls and today - used[-1][0] <= STALE_DAYS


def battery_with(
    used: Sequence[tuple[int, float]], slope: Slope | None, recent: Slope | None, today: int
) -> Battery:
    """The battery of what counts, with its slope and that of ``lately``."""
    level, since = used[-1][1], used[0][0]
    if slope is None or not falls(used, slope, today):
        return Battery(level, since, len(used))
    found = [_spent(used, slope)]
    if recent is not None and recent.per_day < 0:
        found.append(_spent(lately(used), recent))
    gone = max(0, today - used[-1][0])
    per_day = fmean(s.per_day for s in found)
    ends = fmean(s.level for s in found) / -per_day, min(s.low for s in found), max(s.high for s in found)
    left, low, high = (min(LONGEST, max(0.0, days - gone)) for days in ends)
    return Battery(level, since, len(used), per_day, left, min(low, left), max(high, left))


class _Spent(NamedTuple):
    """By one trend: % a day, % left above ``EMPTY`` on its last day, days until then at least and at most."""

    per_day: float
    level: float
    low: float
    high: float


def _spent(used: Sequence[tuple[int, float]], slope: Slope) -> _Spent:
    """When a walk with this drift comes to ``EMPTY``, nine times in ten.

    Both the drift that was seen and what will be spent vary (``walk.crossing``).
    """
    level, drift = max(0.0, slope.level - EMPTY), -slope.per_day
    wide = NormalDist().inv_cdf((1 + COVERAGE) / 2) * sqrt(_unevenness(used[-MOST:], drift))
    low, high = crossing(level, drift, wide, slope.last - slope.first)
    steepest, flattest = level / -slope.low, level / -slope.high if slope.high < 0 else inf
    return _Spent(slope.per_day, level, min(low, steepest), max(high, flattest))


def _unevenness(used: Sequence[tuple[int, float]], drift: float) -> float:
    """The variance (square %) a day of what is spent, without what a level is read with.

    That adds as much to differences over one day as over several: it goes when one is taken off the other.
    """
    by_day, whole = dict(used), used[-1][0] - used[0][0]

    def variance(lag: int) -> float | None:
        found = [by_day[d] - by_day[d + lag] - drift * lag for d in by_day if d + lag in by_day]
        return fmean(x * x for x in found) if len(found) >= FEWEST - 2 else None

    once = variance(1)
    over = {lag: variance(lag) for lag in LAGS if 2 * lag <= whole}
    if once is None:
        return max((v / lag for lag, v in over.items() if v is not None), default=0.0)
    return max((0.0, *((v - once) / (lag - 1) for lag, v in over.items() if v is not None)))


def battery_finding(found: Battery | None, today: int) -> Finding | None:
    """What is to be said of it; None while it lasts."""
    if found is None:
        return None
    soon = found.left is not None and found.left < SOON_DAYS
    if not soon and found.level >= LOW:
        return None
    evidence: dict[str, float | int | str] = {
        "level": rounded(found.level),
        "days": found.points,
        "since": date_of(found.since),
    }
    if found.left is None or found.low is None or found.high is None or found.per_day is None:
        text = {
            "en": f"Battery at {found.level:.0f} %",
            "zh": f"电池电量 {found.level:.0f}%",
        }
        return Finding("battery", evidence, SUREST, text, proposed=today * DAY_NS)
    evidence |= {
        "per_day": rounded(found.per_day),
        "left": rounded(found.left),
        "left_low": rounded(found.low),
        "left_high": rounded(found.high),
    }
    low, high = outwards(found.low, found.high)
    text = {
        "en": f"Battery at {found.level:.0f} %, falls by {-found.per_day:.2g} % a day: lasts about "
        f"{found.left:.0f} days ({low} to {high})",
        "zh": f"电池电量 {found.level:.0f}%，每天下降 {-found.per_day:.2g}%：约可用 {found.left:.0f} 天"  # noqa: RUF001 - Chinese punctuation
        f"（{low} 至 {high} 天）",  # noqa: RUF001 - Chinese punctuation
    }
    confidence = SUREST if found.level < LOW else COVERAGE
    return Finding("battery", evidence, confidence, text, proposed=(today + int(found.low)) * DAY_NS)
