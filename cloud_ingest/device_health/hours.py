"""Hours of use: how many since a service or calibration, at what pace of late, and when one is due so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, variance
from typing import Final

from cloud_ingest.device_health.findings import Evidence, Finding, date_of, rounded
from cloud_ingest.device_health.slopes import COVERAGE
from cloud_ingest.device_health.sums import DAY_NS, DaySums, day_of
from cloud_ingest.device_health.walk import crossing, outwards

__all__ = [
    "LONGEST",
    "MOST_HOURS",
    "NOTICE_DAYS",
    "SHORT",
    "UNSURE",
    "ByHours",
    "Pace",
    "by_hours",
    "due_text",
    "hours_after",
    "pace_of",
    "service_finding",
    "used_since",
]

WEEK: Final = 7
WEEKS: Final = 8
"""Whole weeks that are looked back, so that weekdays weigh alike and a stay in a drawer shows."""
STUDENT: Final = {3: 2.920, 4: 2.353, 5: 2.132, 6: 2.015, 7: 1.943, 8: 1.895}
"""By the number of weeks: Student's t that is exceeded once in twenty times, one degree of freedom fewer."""
NOTICE_DAYS: Final = 30
"""A service is arranged within a month, as a calibration is."""
SHORT: Final = 4
"""What is due again within so many times the notice would never be without a finding."""
UNSURE: Final = 0.7
"""Of fewer weeks the pace is a guess; no work order is opened for it before the hours are over."""
LONGEST: Final = 3650.0
MOST_HOURS: Final = 100_000
HOUR_NS: Final = DAY_NS // 24


@dataclass(frozen=True, slots=True)
class Pace:
    """Hours of use a day of late; ``spread`` is the weeks' standard deviation in hours (None: too few)."""

    per_day: float
    weeks: int = 0
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class ByHours:
    """Where hours of use stand against an interval of ``every`` hours; ``due`` is a day since 1970.

    ``left`` days at the pace of late, nine times in ten from ``low`` to ``high`` (None: too little is known).
    """

    used: int
    every: int
    due: int | None = None
    confidence: float = 1.0
    per_day: float | None = None
    weeks: int = 0
    left: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def over(self) -> bool:
        """Whether the hours are used up."""
        return self.used >= self.every

    @property
    def soon(self) -> bool:
        """Whether it is time to say so: within the notice, which is a quarter of a short interval."""
        if self.left is None or not self.per_day:
            return self.over
        return self.left < min(NOTICE_DAYS, self.every / self.per_day / SHORT)

    @property
    def evidence(self) -> Evidence:
        """The numbers behind it."""
        numbers = {
            "hours_a_day": self.per_day,
            "left": self.left,
            "left_low": self.low,
            "left_high": self.high,
        }
        known = {name: rounded(value) for name, value in numbers.items() if value is not None}
        weeks = {"weeks": self.weeks} if self.weeks else {}
        return {"hours": self.used, "every_hours": self.every, **weeks, **known}


def hours_after(hours: int, day: int, at: int) -> int:
    """Hours of a day (its bits) that begin after an instant (UTC ns); the hour it falls into is before it."""
    gone = at // HOUR_NS - day * 24 + 1
    return (hours >> min(24, gone)).bit_count() if gone > 0 else hours.bit_count()


def used_since(days: Iterable[DaySums], at: int | None) -> int:
    """Hours of use after an instant (UTC ns; None: all)."""
    return sum(one.used if at is None else hours_after(one.hours, one.day, at) for one in days)


def pace_of(days: Sequence[DaySums], today: int) -> Pace | None:
    """Hours a day in the whole weeks before ``today``; None: it was not used for a whole day yet.

    ``days`` by day, those without use may be missing; the weeks before the first one with use do not count.
    """
    used = {one.day: one.used for one in days if one.used and one.day < today}
    if not used:
        return None
    known = today - min(used)
    weeks = min(WEEKS, known // WEEK)
    if weeks not in STUDENT:
        return Pace(sum(used.values()) / known)
    totals = [
        sum(used.get(today - WEEK * week - day, 0) for day in range(1, WEEK + 1)) for week in range(weeks)
    ]
    return Pace(fmean(totals) / WEEK, weeks, sqrt(variance(totals)))


def by_hours(used: int, every: int, days: Sequence[DaySums], today: int) -> ByHours:
    """Where ``used`` hours stand against ``every``; ``days`` are the newest, oldest first.

    The interval is that in which the sum of weeks to come, like those seen, reaches what is left
    (``walk.crossing``), by Student's t.
    """
    pace = pace_of(days, today)
    per_day, weeks = (None, 0) if pace is None else (pace.per_day, pace.weeks)
    if used >= every:
        return ByHours(used, every, _reached(used - every, days, today), 1.0, per_day, weeks)
    if pace is None or pace.per_day <= 0:
        return ByHours(used, every, per_day=per_day, weeks=weeks)
    left = min(LONGEST, (every - used) / pace.per_day)
    if pace.spread is None:
        return ByHours(used, every, today + int(left), UNSURE, per_day, weeks, left)
    ends = crossing(every - used, pace.per_day * WEEK, STUDENT[weeks] * pace.spread, weeks)
    low, high = (min(LONGEST, end * WEEK) for end in ends)
    return ByHours(used, every, today + int(low), COVERAGE, per_day, weeks, left, low, high)


def _reached(beyond: int, days: Sequence[DaySums], today: int) -> int:
    """The day on which the hours were used up, ``beyond`` of them ago; the first that is known at least."""
    day = today
    for one in reversed(days):
        if beyond < 0:
            break
        beyond, day = beyond - one.used, one.day
    return day


def service_finding(found: ByHours, serviced: int | None) -> Finding | None:
    """What is to be said of a service that is due by hours of use since ``serviced`` (UTC ns, None: ever)."""
    if not found.soon or found.due is None:
        return None
    evidence: dict[str, float | int | str] = dict(found.evidence)
    if serviced is not None:
        evidence["serviced"] = date_of(day_of(serviced))
    text = due_text(found, serviced, {"en": "Service", "zh": "保养"})
    about = evidence.get("serviced", "")
    return Finding("service", evidence, found.confidence, text, found.due * DAY_NS, str(about))


def due_text(found: ByHours, since: int | None, what: Mapping[str, str]) -> dict[str, str]:
    """When ``what`` is due by hours of use since an instant (UTC ns, None: ever), by language."""
    day = "" if since is None else date_of(day_of(since))
    en = f"used {found.used} of {found.every} h" + (f" since {day}" if day else "")
    zh = f"{f'自 {day} 起' if day else ''}已使用 {found.used} 小时，间隔 {found.every} 小时"  # noqa: RUF001 - Chinese punctuation
    if found.over or found.left is None:
        due = "" if found.due is None else date_of(found.due)
        return {"en": f"{what['en']} was due on {due}: {en}", "zh": f"{what['zh']}已于 {due} 到期：{zh}"}  # noqa: RUF001 - as above
    days = {"en": f"about {found.left:.0f} days", "zh": f"约 {found.left:.0f} 天后"}
    if found.low is not None and found.high is not None:
        low, high = outwards(found.low, found.high)
        days["en"] += f" ({low} to {high})"
        days["zh"] += f"（{low} 至 {high} 天）"  # noqa: RUF001 - as above
    return {"en": f"{what['en']} is due in {days['en']}: {en}", "zh": f"{days['zh']}{what['zh']}到期：{zh}"}  # noqa: RUF001 - as above
