"""A patient's own page in plain words: times as people say them, and what a week of values was like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date

from cloud_ingest.careplan import midnight
from dashboards.i18n import translations
from dashboards.trend_models import Trend, TrendPoint
from dashboards.zones import known_zone
from hearthward.core.clock import SECOND

__all__ = ["DAY", "Day", "Times", "Week", "days_of", "known_zone", "last_days", "week_of"]

DAY: Final = 86_400 * SECOND
SAME: Final = {
    "nibp_systolic": 5.0,
    "nibp_diastolic": 4.0,
    "heart_rate": 4.0,
    "pulse_rate": 4.0,
    "respiratory_rate": 2.0,
    "spo2": 1.0,
    "body_temperature": 0.3,
    "body_weight": 0.5,
    "blood_glucose": 9.0,
    "pain": 1.0,
}
"""Averages of two weeks that differ by no more are said to be about the same: within what devices and
people vary by anyway."""
WEEK_DAYS: Final = 7
Change = Literal["higher", "lower", "same"]


@dataclass(frozen=True, slots=True)
class Times:
    """Says times in a language and a zone (None: not known, so UTC, and said so) as of ``now`` (UTC ns)."""

    language: str
    zone: str | None
    now: int

    def local(self, at: int) -> datetime:
        """The clock on the wall."""
        return datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(self.zone or "UTC"))

    def today(self) -> date:
        """The day it is."""
        return self.local(self.now).date()

    def day_bounds(self, day: date) -> tuple[int, int]:
        """When a day begins and ends (UTC ns)."""
        zone = self.zone or "UTC"
        return midnight(day, zone), midnight(day + timedelta(days=1), zone)

    def clock(self, at: int) -> str:
        """``14:05``."""
        return f"{self.local(at):%H:%M}" + ("" if self.zone else " UTC")

    def day(self, day: date) -> str:
        """``today``, ``Friday, 20 November``."""
        gettext = translations(self.language).gettext
        match (day - self.today()).days:
            case 0:
                return gettext("today")
            case -1:
                return gettext("yesterday")
            case 1:
                return gettext("tomorrow")
        return format_date(day, gettext("EEEE, d MMMM"), locale=self.language)

    def weekday(self, day: date) -> str:
        """``Fri``."""
        return format_date(day, "EEE", locale=self.language)

    def short(self, day: date) -> str:
        """``Fri 20 Nov``."""
        return format_date(day, translations(self.language).gettext("EEE d MMM"), locale=self.language)

    def moment(self, at: int) -> str:
        """``today 14:05``."""
        return f"{self.day(self.local(at).date())} {self.clock(at)}"

    def minutes_to(self, at: int) -> int:
        """Whole minutes until then, at least 1."""
        return max(1, -(-(at - self.now) // (60 * SECOND)))


@dataclass(frozen=True, slots=True)
class Day:
    """The values of one day."""

    day: date
    low: float
    high: float
    mean: float
    count: int


@dataclass(frozen=True, slots=True)
class Week:
    """What seven days of a metric were like, and the seven before (``before``: their average, or None)."""

    metric: str
    unit: str | None
    days: Sequence[Day]
    low: float
    high: float
    mean: float
    count: int
    last: TrendPoint
    before: float | None
    points: Sequence[TrendPoint]

    @property
    def change(self) -> Change | None:
        """How the average changed; None: there is nothing to compare with."""
        if self.before is None:
            return None
        by = self.mean - self.before
        if abs(by) <= SAME.get(self.metric, abs(self.before) * 0.05):
            return "same"
        return "higher" if by > 0 else "lower"


def _mean(points: Iterable[TrendPoint]) -> float:
    found = [(p.mean, p.count) for p in points]
    return sum(mean * n for mean, n in found) / sum(n for _, n in found)


def days_of(points: Sequence[TrendPoint], times: Times) -> list[Day]:
    """The points by days of the zone, the earliest first."""
    by_day: dict[date, list[TrendPoint]] = {}
    for point in points:
        by_day.setdefault(times.local(point.time).date(), []).append(point)
    return [
        Day(day, min(p.low for p in ps), max(p.high for p in ps), _mean(ps), sum(p.count for p in ps))
        for day, ps in sorted(by_day.items())
    ]


def week_of(trend: Trend, times: Times) -> Week | None:
    """The last seven days, today with them, of a trend that has fourteen; None without a value in them."""
    edge, _ = times.day_bounds(last_days(times)[0])
    points = [p for p in trend.points if p.time >= edge]
    earlier = [p for p in trend.points if p.time < edge]
    if not points:
        return None
    return Week(
        trend.metric,
        trend.unit,
        days_of(points, times),
        min(p.low for p in points),
        max(p.high for p in points),
        _mean(points),
        sum(p.count for p in points),
        max(points, key=lambda p: p.time),
        _mean(earlier) if earlier else None,
        points,
    )


def last_days(times: Times, days: int = WEEK_DAYS) -> list[date]:
    """Today and the days before, the earliest first."""
    return [times.today() - timedelta(days=n) for n in range(days - 1, -1, -1)]
