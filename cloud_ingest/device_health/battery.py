"""How long a device's battery will last, from its level day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud_ingest.device_health.findings import SUREST, Finding, date_of, rounded
from cloud_ingest.device_health.slopes import COVERAGE, slope_of
from cloud_ingest.device_health.sums import DAY_NS, SignalDay

__all__ = ["Battery", "battery_finding", "battery_of", "level_of"]

RECHARGED: Final = 10.0
"""A rise of so many % from one day to the next is a new or charged cell: levels come in steps of 1 to 10."""
EMPTY: Final = 5.0
"""%: a coin cell's voltage falls off its plateau there, and transmitters brown out before zero is told."""
LOW: Final = 20.0
"""%: the usual "low" of battery services; said without a trend, too."""
SOON_DAYS: Final = 14.0
"""A spare part and a visit are arranged within two weeks."""
LONGEST: Final = 3650.0
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
    if not points:
        return None
    begin = max((i for i in range(1, len(points)) if points[i][1] - points[i - 1][1] >= RECHARGED), default=0)
    used = points[begin:]
    level, since = used[-1][1], used[0][0]
    slope = slope_of(used)
    gone = max(0, today - used[-1][0])
    if slope is None or not slope.falls or gone > STALE_DAYS:
        return Battery(level, since, len(used))
    left = max(0.0, slope.level - EMPTY)

    def days(per_day: float) -> float:
        return min(LONGEST, max(0.0, left / -per_day - gone))

    return Battery(
        level,
        since,
        len(used),
        slope.per_day,
        days(slope.per_day),
        days(slope.low),
        days(slope.high),
    )


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
    text = {
        "en": f"Battery at {found.level:.0f} %, falls by {-found.per_day:.2g} % a day: lasts about "
        f"{found.left:.0f} days ({found.low:.0f} to {found.high:.0f})",
        "zh": f"电池电量 {found.level:.0f}%，每天下降 {-found.per_day:.2g}%：约可用 {found.left:.0f} 天"  # noqa: RUF001 - Chinese punctuation
        f"（{found.low:.0f} 至 {found.high:.0f} 天）",  # noqa: RUF001 - Chinese punctuation
    }
    confidence = SUREST if found.level < LOW else COVERAGE
    return Finding("battery", evidence, confidence, text, proposed=(today + int(found.low)) * DAY_NS)
