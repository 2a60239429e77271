"""Readings summed up in buckets of time, for trends: pure, shared by the fake and every store.

A bucket begins at a multiple of the step (UTC ns); a reading belongs to the bucket of its corrected time.
Only numbers are summed up, and none that its device calls a sensor that is off or not valid, that lies in the
future, or of which nobody knows when it was measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from math import fsum
from typing import Final

from hearthward.core.errors import StoreRejected
from hearthward.core.model import ASIDE, Quality, Reading

__all__ = ["NOT_SHOWN", "Summary", "Tally", "check_step", "joined", "newest_shown", "summed_up", "whole"]

NOT_SHOWN: Final = int(Quality.SENSOR_OFF | Quality.FUTURE | Quality.BAD | ASIDE)
"""Readings with one of these are no value of the patient at that time."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The values of one bucket; ``time`` is where it begins (UTC ns), ``last`` its newest value."""

    time: int
    low: float
    high: float
    mean: float
    last: float
    count: int


def check_step(step: int) -> None:
    """Raise StoreRejected for a step that makes no buckets."""
    if step <= 0:
        msg = f"a step of {step} ns"
        raise StoreRejected(msg, column="step")


def whole(start: int, end: int, step: int) -> tuple[int, int]:
    """The part of ``start..end`` that is whole buckets; its end is not after its start if there is none."""
    return -(-start // step) * step, end // step * step


def summed_up(readings: Iterable[Reading], step: int) -> list[Summary]:
    """Readings in the order in which a store gives them, of one device and metric."""
    shown = (r for r in readings if r.value is not None and not r.quality & NOT_SHOWN)
    return [_of(at, part) for at, part in groupby(shown, lambda r: r.corrected // step * step)]


def newest_shown(readings: Iterable[Reading]) -> tuple[int, float] | None:
    """When the newest of them that is a value was measured, and the value."""
    shown = [r for r in readings if r.value is not None and not r.quality & NOT_SHOWN]
    last = max(shown, key=lambda r: (r.corrected, r.received), default=None)
    return None if last is None or last.value is None else (last.corrected, last.value)


def _of(at: int, readings: Iterator[Reading]) -> Summary:
    values = [r.value for r in readings if r.value is not None]
    return Summary(at, min(values), max(values), fsum(values) / len(values), values[-1], len(values))


def joined(parts: Iterable[Summary]) -> list[Summary]:
    """One summary a bucket, by time; of parts of one bucket the later one has its newest value."""
    made: dict[int, Summary] = {}
    for part in parts:
        known = made.get(part.time)
        made[part.time] = part if known is None else _both(known, part)
    return [made[at] for at in sorted(made)]


@dataclass(slots=True)
class Tally:
    """What a server says of one bucket, told series by series in any order: several make one summary."""

    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    lasts: list[tuple[int, float]] = field(default_factory=list)
    """When, and the value."""

    @staticmethod
    def table() -> defaultdict[int, Tally]:
        """Tallies by where their buckets begin."""
        return defaultdict(Tally)

    def summary(self, time: int) -> Summary | None:
        """All of them together; None when there is no value."""
        count = sum(self.counts)
        if not (count and self.lows and self.highs and self.lasts):
            return None
        newest = max(self.lasts)[1]
        return Summary(time, min(self.lows), max(self.highs), fsum(self.sums) / count, newest, count)


def _both(first: Summary, second: Summary) -> Summary:
    count = first.count + second.count
    mean = (first.mean * first.count + second.mean * second.count) / count
    low, high = min(first.low, second.low), max(first.high, second.high)
    return Summary(first.time, low, high, mean, second.last, count)
