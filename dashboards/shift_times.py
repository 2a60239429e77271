"""The times of shifts: hours of a day in a time zone, and the weekly ones as they recur. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from dashboards.staff_models import Hole, Turn
from hearthward.core.clock import SECOND

__all__ = ["DAY", "at_local", "day_of", "gaps", "times_of", "week_of"]

DAY: Final = 86_400 * SECOND
WEEK: Final = timedelta(days=7)


def at_local(day: date, hour: time, timezone: str) -> int:
    """UTC ns of an hour of a day in a time zone (the first of two equal ones)."""
    return round(datetime.combine(day, hour, ZoneInfo(timezone)).timestamp()) * SECOND


def day_of(at: int, timezone: str) -> date:
    """The day that a time (UTC ns) falls on in a time zone."""
    return datetime.fromtimestamp(at / SECOND, UTC).astimezone(ZoneInfo(timezone)).date()


def week_of(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def times_of(
    start: int, end: int, timezone: str, *, weekly: bool, until: int | None, since: int, before: int
) -> list[tuple[int, int]]:
    """The times of a shift that lie at least partly in [since, before), as (start, end) in UTC ns.

    A weekly one keeps its hours in ``timezone`` over the change to summer time and back.
    """
    if not weekly:
        return [(start, end)] if start < before and end > since else []
    zone = ZoneInfo(timezone)
    first, last = (datetime.fromtimestamp(t / SECOND, UTC).astimezone(zone) for t in (start, end))
    passed = max(0, (since - end) // (7 * DAY) - 1)
    found = []
    for week in range(passed, passed + (before - max(since, start)) // (7 * DAY) + 4):
        times = tuple(_shifted(t, week, zone) for t in (first, last))
        if times[0] >= before or (until is not None and times[0] >= until):
            break
        if times[1] > since:
            found.append((times[0], times[1]))
    return found


def _shifted(local: datetime, weeks: int, zone: ZoneInfo) -> int:
    moved = (local.replace(tzinfo=None) + weeks * WEEK).replace(tzinfo=zone)
    return round(moved.timestamp()) * SECOND


def gaps(ward: str, role: str, turns: Iterable[Turn], start: int, end: int) -> list[Hole]:
    """When nobody of ``turns`` is on duty in a role on a ward within [start, end)."""
    mine = sorted((t.start, t.end) for t in turns if t.role == role and t.ward in {None, ward})
    holes, covered = [], start
    for begins, ends in mine:
        if begins > covered:
            holes.append(Hole(ward=ward, role=role, start=covered, end=min(begins, end)))
        covered = max(covered, ends)
        if covered >= end:
            return holes
    return [*holes, Hole(ward=ward, role=role, start=covered, end=end)]
