"""Taking readings in: their order, which are news for a subject, which are superseded, which are repeats."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final, NamedTuple

from hearthward.core.model import ASIDE, Quality
from rules.compiled import LATE_AFTER, Plan
from rules.evaluate import UNFIT
from rules.model import Measured, Rows
from rules.rule import SECOND, RuleSet
from rules.signals import Series
from rules.state import Row, Subject

__all__ = ["FUTURE_SKEW", "Taken", "came_late", "measurements", "row_at", "rows_of", "take"]

FUTURE_SKEW: Final = 60 * SECOND
"""Dated later than this after the ingest time, a reading is not believed."""
_UNDATED: Final = int(Quality.TIME_UNKNOWN)
_INVALID: Final = int(Quality.INVALID)
_ASIDE: Final = int(ASIDE)
_UNSET: Final = int(Quality.CLOCK_UNSET)


class Taken(NamedTuple):
    """What one measurement came to; ``told`` are the signals whose quality was told.

    ``undated`` came out of a device's memory: nobody knows when they were measured. ``invalid`` are
    those that their device calls so. Neither changes anything.
    """

    news: list[Measured]
    superseded: list[Measured]
    undated: list[Measured]
    invalid: list[Measured]
    told: set[str]


def came_late(reading: Measured) -> bool:
    """Whether it was received so long after it was measured that people must be told both times."""
    return reading.received - reading.time > LATE_AFTER


def rows_of(rows: Rows, now: int, rules: RuleSet) -> Iterator[tuple[str, Row]]:
    """(subject, row) of all rows that any rule looks at."""
    for i, subject in enumerate(rows.patient):
        if subject and rows.metric[i] in rules.by_metric:
            yield subject, row_at(rows, i, now)


def row_at(rows: Rows, i: int, now: int) -> Row:
    """One row as it is kept; NaN counts as no value.

    One dated in the future is no measurement any more but the word of a device whose clock is wrong.
    """
    time, received, value, quality = rows.time[i], rows.received[i], rows.value[i], int(rows.quality[i])
    if value is None or value != value or time > now + FUTURE_SKEW:  # noqa: PLR0124 - NaN
        if time > now + FUTURE_SKEW:
            time, quality = min(received, now), quality | int(Quality.FUTURE)
        return Row(time, rows.device[i], rows.metric[i], received, False, 0.0, quality)
    return Row(time, rows.device[i], rows.metric[i], received, True, float(value), quality)


def measurements(rows: list[Row]) -> Iterator[list[Row]]:
    """One subject's rows in order, cut into what one device measured at one time.

    A signal that comes twice makes a second measurement.
    """
    for _, group in groupby(rows, key=lambda r: (r.time, r.device)):
        yield from parted(list(group))


def parted(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows of one device and time, cut so that no signal comes twice in a part."""
    part: list[Row] = []
    seen: set[str] = set()
    rest: list[Row] = []
    for row in rows:
        if row.metric in seen:
            rest.append(row)
        else:
            seen.add(row.metric)
            part.append(row)
    yield part
    if rest:
        yield from parted(rest)


def take(subject: Subject, plan: Plan, rows: list[Row], keep: int, frozen: frozenset[str]) -> Taken:
    """Remember one measurement; of what is put aside nothing but that it came.

    Devices silent for ``keep`` ns make room when a new one comes. Nothing is learned of ``frozen`` signals.
    """
    taken = Taken([], [], [], [], set())
    news, superseded, _, _, told = taken
    for row in rows:
        filtered = plan.filters.get(row.metric)
        if filtered is None:
            continue
        devices = subject.series.setdefault(row.metric, {})
        own = devices.get(row.device)
        if own is None:
            own = _new_series(devices, row, keep)
            own.need(filtered.features)
        if row.quality & _ASIDE and _put_aside(row, own, taken):
            continue
        if row.known and not row.quality & UNFIT:
            mark = row.time, row.value
            if mark in own.recent:
                continue
            reading = Measured(row.metric, row.device, row.time, row.value, row.received)
            own.recent.append(mark)
            if _superseded(reading, own, devices):
                superseded.append(reading)
            else:
                own.time, own.value, own.received = row.time, row.value, row.received
                own.derive(row.quality, frozen=row.metric in frozen)
                own.cell = filtered.cell(row.value)
                own.low, own.high = min(own.low, row.value), max(own.high, row.value)
                news.append(reading)
        if row.time >= own.spoken:
            own.quality, own.spoken = row.quality, row.time
            told.add(row.metric)
    return taken


def _new_series(devices: dict[str, Series], row: Row, keep: int) -> Series:
    for silent in [d for d, s in devices.items() if max(s.time, s.spoken) < row.time - keep]:
        del devices[silent]
    made = devices[row.device] = Series()
    return made


def _put_aside(row: Row, own: Series, taken: Taken) -> bool:
    """Keep what people are to see; whether all is said with it.

    Of what its device is now a memory says only that the clock is not set.
    """
    mark, aside = (row.time, row.value), (row.time, row.value, True)
    fit = row.known and not row.quality & UNFIT & ~_ASIDE
    if fit and mark not in own.recent and aside not in own.recent:
        own.recent.append(aside)
        kept = taken.invalid if row.quality & _INVALID else taken.undated
        kept.append(Measured(row.metric, row.device, row.time, row.value, row.received))
    if not row.quality & _UNDATED:
        return False
    if row.quality & _UNSET and row.time >= own.spoken:
        own.quality, own.spoken = own.quality | _UNSET, row.time
        taken.told.add(row.metric)
    return True


def _superseded(reading: Measured, own: Series, devices: dict[str, Series]) -> bool:
    """Older than its device's newest, or late and older than any device's newest."""
    if own.time > reading.time:
        return True
    return came_late(reading) and any(s.time > reading.time for s in devices.values())
