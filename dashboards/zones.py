"""In which time zone times are said, and how: that of the reader's browser, else that of the place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final, Protocol
from zoneinfo import ZoneInfo, available_timezones

from babel.dates import format_skeleton

from hearthward.core.clock import SECOND, Clock, parse_iso
from hearthward.trust.access import Scope

__all__ = ["ZONE_COOKIE", "Zones", "day_label", "known_zone", "local", "local_iso", "moment_in", "ticks"]

ZONE_COOKIE: Final = "hearthward_zone"
"""Where a page's script keeps what its browser says."""
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
KEPT_NS: Final = 60 * SECOND
MOST_KEPT: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
STEPS: Final = (
    *(n * MINUTE for n in (1, 5, 15, 30)),
    *(n * HOUR for n in (1, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 7, 14, 30, 60, 120, 365)),
)
TICKS: Final = 8


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def known_zone(name: str | None) -> str | None:
    """The time zone of that name, if there is one."""
    return name if name in _known() else None


class _Places(Protocol):
    clock: Clock

    async def site_zone(self, scope: Scope) -> str | None: ...

    async def care_zone(self, scope: Scope, patient: str) -> str | None: ...


class Zones:
    """Remembers for a minute which zone a scope's place is in."""

    def __init__(self, places: _Places) -> None:
        self._places = places
        self._found: dict[Scope, tuple[int, str]] = {}

    async def of(self, scope: Scope) -> str:
        """The zone of what measures there; UTC where nobody has said it."""
        now = self._places.clock.monotonic_ns()
        found = self._found.get(scope)
        if found is None or not 0 <= now - found[0] < KEPT_NS:
            if len(self._found) >= MOST_KEPT:
                self._found.clear()
            found = self._found[scope] = now, await self._ask(scope)
        return found[1]

    async def _ask(self, scope: Scope) -> str:
        if scope.patient is None:
            name = await self._places.site_zone(scope)
        else:
            name = await self._places.care_zone(scope, scope.patient)
        return known_zone(name) or "UTC"


def local(at: int, zone: str) -> datetime:
    """The clock on the wall there, at a time (UTC ns)."""
    return datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(zone))


def local_iso(at: int, zone: str) -> str:
    """For a field of a form: ``2026-03-01T08:00:00``; an hour that comes twice has its offset then."""
    there = local(at, zone)
    again = there.utcoffset() != there.replace(fold=0).utcoffset()
    return (there if again else there.replace(tzinfo=None)).isoformat()


def moment_in(text: str, zone: str, *, whole: bool = False) -> int:
    """ISO 8601 -> UTC ns; a time without a zone is one there. Raises ValueError, OverflowError.

    A date is its beginning, or with ``whole`` its end.
    """
    if _DATE.fullmatch(text):
        day = date.fromisoformat(text) + timedelta(days=int(whole))
        return round(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()) * SECOND
    found = datetime.fromisoformat(text.replace(" ", "T" if "T" not in text else "+"))
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(zone))
    return parse_iso(found.astimezone(UTC).isoformat())


def day_label(day: date, language: str) -> str:
    """A day as an axis names it: ``Mar 1``, ``3月1日``."""
    return format_skeleton("MMMd", day, locale=language)


def ticks(start: int, end: int, zone: str, language: str) -> list[tuple[int, str]]:
    """Even moments of an axis on the local clock: midnights with their date, others with their time."""
    step = next((s for s in STEPS if (end - start) // s <= TICKS), STEPS[-1])
    found: dict[int, str] = {}
    for at in _moments(start, end, step, zone):
        there = local(at, zone)
        midnight = (there.hour, there.minute) == (0, 0)
        found[at] = day_label(there.date(), language) if midnight else f"{there:%H:%M}"
    return [(at, said) for at, said in sorted(found.items()) if start <= at < end]


def _moments(start: int, end: int, step: int, zone: str) -> Iterator[int]:
    """Those of ``step`` within [start, end), and maybe a few beside; on days of 23 and 25 hours, too."""
    if step <= HOUR:
        offset = local(start, zone).utcoffset() or timedelta()
        shift = round(offset.total_seconds()) * SECOND
        first = -(-(start + shift) // step) * step - shift
        yield from range(first, end, step)
        return
    day, last = local(start, zone).date(), local(end, zone).date()
    hours = range(0, 24, step // HOUR) if step < DAY else (0,)
    while day <= last:
        if step < DAY or day.toordinal() % (step // DAY) == 0:
            for hour in hours:
                there = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone))
                yield round(there.timestamp()) * SECOND
        day += timedelta(days=1)
