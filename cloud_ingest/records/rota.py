"""When a shift is: one time, or each week at the same local time through daylight saving. Pure.

A local time that the clocks skip is the moment when they are put forward; one that comes twice is the first
of the two. So later local times are never earlier moments: where shifts follow each other without a hole or
an overlap by the clock on the wall, they do so in UTC.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from hearthward.core.clock import SECOND

__all__ = ["Interval", "Series", "holes", "overlap", "times"]

Interval = tuple[int, int]
"""[start, end), UTC ns."""
WEEK: Final = timedelta(days=7)
WEEK_NS: Final = 7 * 86_400 * SECOND
HOUR_NS: Final = 3600 * SECOND
FAR_NS: Final = 400 * 86_400 * SECOND
"""A year of weeks and more: what two weekly shifts have not in common by then they never have."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Series(Protocol):
    """A shift's times as they stand in its row (``records.models.Shift``)."""

    start: int
    end: int
    weekly: bool
    until: int | None
    timezone: str
    cancelled: int | None
    skipped: list[Any]


@dataclass(frozen=True, slots=True)
class _Clock:
    """A place's clock."""

    zone: ZoneInfo

    def local(self, at: int) -> datetime:
        """What it shows at ``at`` (UTC ns, whole seconds)."""
        moment = _EPOCH + timedelta(seconds=at // SECOND)
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def moment(self, local: datetime) -> int:
        """When it shows ``local`` for the first time, or goes past it (UTC ns)."""
        first = _ns(local.replace(tzinfo=self.zone, fold=0))
        other = _ns(local.replace(tzinfo=self.zone, fold=1))
        if other >= first:
            return first
        # skipped: between the two the clock is put forward; find the second after which it shows more
        seconds = range(other // SECOND, first // SECOND + 1)
        place = bisect.bisect_left(seconds, local, key=lambda s: self.local(s * SECOND))
        return seconds[place] * SECOND


def _ns(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds()) * SECOND


@cache
def _clock(timezone: str) -> _Clock:
    return _Clock(ZoneInfo(timezone))


def times(series: Series, first: int, last: int) -> list[Interval]:
    """The times of a shift that have a moment of [first, last), whole, in order.

    What is cut off is only what was cancelled. The row's own start and end are exact; the later weeks have
    the same local times. A time that lies wholly in a skipped hour is none.
    """
    off = {start: since for start, since in series.skipped}  # noqa: C416 - pairs are lists
    out: list[Interval] = []
    for start, end in _starts(series, first):
        if start >= last or (series.until is not None and start >= series.until):
            break
        stop = min(end, off.get(start, end))
        if series.cancelled is not None:
            stop = min(stop, series.cancelled)
        if stop > max(start, first):
            out.append((start, stop))
    return out


def _starts(series: Series, first: int) -> Iterator[Interval]:
    if not series.weekly:
        yield series.start, series.end
        return
    clock = _clock(series.timezone)
    start, end = clock.local(series.start), clock.local(series.end)
    week = max(0, (first - series.end - 24 * HOUR_NS) // WEEK_NS)
    while True:
        if week == 0:
            yield series.start, series.end
        else:
            yield clock.moment(start + week * WEEK), clock.moment(end + week * WEEK)
        week += 1


def overlap(one: Series, other: Series) -> Interval | None:
    """The first times, one of each, that have a moment in common: its start and end; None when none have."""
    first = max(one.start, other.start)
    last = min(_over(one, first), _over(other, first))
    if first >= last:
        return None
    theirs = times(other, first, last)
    for start, end in times(one, first, last):
        place = bisect.bisect_right(theirs, start, key=lambda t: t[1])
        if place < len(theirs) and theirs[place][0] < end:
            return max(start, theirs[place][0]), min(end, theirs[place][1])
    return None


def _over(series: Series, first: int) -> int:
    """No moment from here on is the shift's (or none that matters)."""
    if not series.weekly:
        return series.end
    far = first + FAR_NS
    if series.until is None:
        return far
    return min(far, series.until + series.end - series.start + 2 * HOUR_NS)


def holes(covered: Iterable[Interval], first: int, last: int) -> list[Interval]:
    """The parts of [first, last) that none of ``covered`` has."""
    out: list[Interval] = []
    at = first
    for start, end in sorted(covered):
        if start >= last:
            break
        if start > at:
            out.append((at, start))
        at = max(at, end)
    if at < last:
        out.append((at, last))
    return out
