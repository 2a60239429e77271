"""What alarms ask of people: how many, how they were answered, and where they come from.

Worked out from the record of the journal (the ``transitions``), one alarm at a time. An alarm counts where
its patient lay when it was first signalled, on the day and in the hour it began. What a rule on trial
decided, what came too late to signal and what was only asked again is no alarm. A bed-day is 24 hours of one
patient's stay.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final, Literal
from zoneinfo import ZoneInfo

from hearthward.core.clock import SECOND

__all__ = ["AGAIN_NS", "DAY", "Asked", "Burden", "By", "Fact", "Figures", "Row", "Source", "Stay", "burden"]

By = Literal["ward", "rule", "patient", "day", "hour"]
DAY: Final = 86_400 * SECOND
AGAIN_NS: Final = 300 * SECOND
"""An alarm of the same rule and subject so soon after the end of the one before is the same trouble again."""
HOURS: Final = 24
SOURCES: Final = 10
"""Top sources shown."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which alarms: signalled first in [start, end) (UTC ns); ``zone`` is whose days are meant."""

    start: int
    end: int
    by: By = "ward"
    ward: str | None = None
    rule: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Fact:
    """One alarm as its transitions tell of it; times in UTC ns.

    ``priority`` is the highest it had; ``accepted`` when somebody first took it over, None where nobody did
    after its last rise; ``acted`` whether anybody answered in any way; ``step`` the last of the escalation
    that was taken (0: the first).
    """

    alarm: str
    subject: str
    rule: str
    kind: str
    priority: str
    ward: str | None
    started: int
    ended: int | None = None
    accepted: int | None = None
    acted: bool = False
    step: int = 0
    doctor: bool = False
    audio_pauses: int = 0
    undelivered: int = 0
    rises: int = 0
    """How often a graver stage raised it: it was told anew each time."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A patient in a ward's care during [start, end) (UTC ns; None: still)."""

    patient: str
    ward: str | None
    start: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The burden of a set of alarms; times in seconds, None where there is nothing to work it out from."""

    alarms: int
    bed_days: float
    priorities: Mapping[str, int]
    kinds: Mapping[str, int]
    acted: int
    accepted: int
    response_median_s: float | None
    response_p90_s: float | None
    ended: int
    duration_median_s: float | None
    duration_p90_s: float | None
    escalated: int
    doctor: int
    again: int
    audio_pauses: int
    undelivered: int
    rises: int

    @property
    def per_bed_day(self) -> float | None:
        """Alarms per bed and day."""
        return self.alarms / self.bed_days if self.bed_days > 0 else None


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one ward, rule, subject, day (ISO date) or hour of the day (``00`` to ``23``)."""

    key: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Source:
    """A rule that alarmed for one subject, and how often."""

    rule: str
    subject: str
    alarms: int
    share: float


@dataclass(frozen=True, slots=True)
class Burden:
    """The whole answer; rows with the most alarms first, days and hours in their order."""

    asked: Asked
    total: Figures
    rows: tuple[Row, ...]
    sources: tuple[Source, ...]
    days: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """ISO date -> priority -> alarms, of the days on which there were any."""


@dataclass(slots=True)
class _Tally:
    alarms: int = 0
    bed_ns: int = 0
    priorities: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    acted: int = 0
    responses: list[float] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    escalated: int = 0
    doctor: int = 0
    again: int = 0
    audio_pauses: int = 0
    undelivered: int = 0
    rises: int = 0

    def add(self, fact: Fact, *, again: bool) -> None:
        self.alarms += 1
        self.priorities[fact.priority] += 1
        self.kinds[fact.kind] += 1
        self.acted += fact.acted
        if fact.accepted is not None:
            self.responses.append(max(0, fact.accepted - fact.started) / SECOND)
        if fact.ended is not None:
            self.durations.append(max(0, fact.ended - fact.started) / SECOND)
        self.escalated += fact.step > 0
        self.doctor += fact.doctor
        self.again += again
        self.audio_pauses += fact.audio_pauses
        self.undelivered += fact.undelivered
        self.rises += fact.rises

    def figures(self) -> Figures:
        return Figures(
            alarms=self.alarms,
            bed_days=self.bed_ns / DAY,
            priorities=dict(self.priorities),
            kinds=dict(self.kinds),
            acted=self.acted,
            accepted=len(self.responses),
            response_median_s=_median(self.responses),
            response_p90_s=_rank(self.responses, 0.9),
            ended=len(self.durations),
            duration_median_s=_median(self.durations),
            duration_p90_s=_rank(self.durations, 0.9),
            escalated=self.escalated,
            doctor=self.doctor,
            again=self.again,
            audio_pauses=self.audio_pauses,
            undelivered=self.undelivered,
            rises=self.rises,
        )


def burden(
    facts: Iterable[Fact], stays: Iterable[Stay], asked: Asked, shown: Callable[[str], bool] = lambda _: True
) -> Burden:
    """The figures of ``facts`` (in the order of ``started``) during ``stays``; takes both one at a time.

    Subjects that are not ``shown`` go together under an empty key.
    """
    total = _Tally()
    rows: defaultdict[str, _Tally] = defaultdict(_Tally)
    sources: Counter[tuple[str, str]] = Counter()
    last_end: dict[tuple[str, str], int] = {}
    days = _Days(asked)
    by_day: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for fact in facts:
        source = fact.rule, fact.subject
        before = last_end.get(source)
        again = before is not None and 0 <= fact.started - before <= AGAIN_NS
        if fact.ended is not None:
            last_end[source] = fact.ended
        total.add(fact, again=again)
        subject = fact.subject if shown(fact.subject) else ""
        rows[_key(fact, subject, asked.by, days)].add(fact, again=again)
        sources[fact.rule, subject] += 1
        by_day[days.of(fact.started)][fact.priority] += 1
    _spread(stays, asked, total, rows, days, shown)
    found = [Row(key, tally.figures()) for key, tally in rows.items()]
    found.sort(key=lambda r: r.key if asked.by in {"day", "hour"} else (-r.figures.alarms, r.key))
    top = tuple(
        Source(rule, subject, n, n / total.alarms)
        for (rule, subject), n in sorted(sources.items(), key=lambda s: (-s[1], s[0]))[:SOURCES]
    )
    return Burden(asked, total.figures(), tuple(found), top, dict(sorted(by_day.items())))


def _spread(
    stays: Iterable[Stay],
    asked: Asked,
    total: _Tally,
    rows: defaultdict[str, _Tally],
    days: _Days,
    shown: Callable[[str], bool],
) -> None:
    """Add the bed time of ``stays`` to whom it belongs; rules share it, and an hour has a 24th."""
    for stay in stays:
        start = max(stay.start, asked.start)
        end = asked.end if stay.end is None else min(stay.end, asked.end)
        if start >= end:
            continue
        total.bed_ns += end - start
        if asked.by == "ward":
            rows[stay.ward or ""].bed_ns += end - start
        elif asked.by == "patient" and (key := stay.patient if shown(stay.patient) else "") in rows:
            rows[key].bed_ns += end - start
        elif asked.by == "day":
            for key, length in days.split(start, end):
                rows[key].bed_ns += length
    if asked.by in {"rule", "hour"}:
        for tally in rows.values():
            tally.bed_ns = total.bed_ns if asked.by == "rule" else total.bed_ns // HOURS


def _key(fact: Fact, subject: str, by: By, days: _Days) -> str:
    match by:
        case "ward":
            return fact.ward or ""
        case "rule":
            return fact.rule
        case "patient":
            return subject
        case "day":
            return days.of(fact.started)
        case "hour":
            return days.hour(fact.started)


class _Days:
    """The days of a time zone; a moment's day is looked up, not worked out, 100,000 times."""

    def __init__(self, asked: Asked) -> None:
        zone = self._zone = ZoneInfo(asked.zone)
        self._starts: list[int] = []
        self._dates: list[str] = []
        day = datetime.fromtimestamp(asked.start // SECOND, UTC).astimezone(zone).date()
        while True:
            begins = datetime(day.year, day.month, day.day, tzinfo=zone)
            self._starts.append(round(begins.timestamp()) * SECOND)
            self._dates.append(day.isoformat())
            if self._starts[-1] >= asked.end:
                return
            day += timedelta(days=1)

    def of(self, at: int) -> str:
        """The ISO date of a moment of the period."""
        return self._dates[max(0, bisect_right(self._starts, at) - 1)]

    def hour(self, at: int) -> str:
        """The hour of the day of a moment."""
        return f"{datetime.fromtimestamp(at // SECOND, UTC).astimezone(self._zone).hour:02d}"

    def split(self, start: int, end: int) -> Iterator[tuple[str, int]]:
        """(date, ns) for each day that [start, end) touches."""
        for begins, ends, date in zip(self._starts, self._starts[1:], self._dates, strict=False):
            length = min(ends, end) - max(begins, start)
            if length > 0:
                yield date, length


def _median(values: list[float]) -> float | None:
    return median(values) if values else None


def _rank(values: list[float], share: float) -> float | None:
    """The nearest-rank percentile."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None
