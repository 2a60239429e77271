"""Shifts as people read them: hours of a day in a time zone, weeks, and when nobody is there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cloud_ingest.records.rota import holes
from dashboards.staff_models import Hole, Turn
from hearthward.core.clock import SECOND

__all__ = ["DAY", "at_local", "day_of", "gaps", "hour_of", "week_of"]

DAY: Final = 86_400 * SECOND


def at_local(day: date, hour: time, timezone: str) -> int:
    """UTC ns of an hour of a day in a time zone (the first of two equal ones)."""
    return round(datetime.combine(day, hour, ZoneInfo(timezone)).timestamp()) * SECOND


def day_of(at: int, timezone: str) -> date:
    """The day that a time (UTC ns) falls on in a time zone."""
    return datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(timezone)).date()


def hour_of(at: int, timezone: str) -> str:
    """The time of day of a time (UTC ns) in a time zone: ``07:30``."""
    return datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(timezone)).strftime("%H:%M")


def week_of(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def gaps(ward: str, role: str, turns: Iterable[Turn], start: int, end: int) -> list[Hole]:
    """When nobody of ``turns`` is on duty in a role on a ward within [start, end)."""
    mine = [(t.start, t.end) for t in turns if t.role == role and t.ward in {None, ward}]
    return [Hole(ward=ward, role=role, start=a, end=b) for a, b in holes(mine, start, end)]
