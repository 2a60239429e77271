"""What a patient is to do at which times, and what became of it: times, windows, adherence. Pure.

A time of day that the clocks skip is the moment after; one that comes twice is the first of the two. A
measurement is done by a reading that lies nearer to its time than to the times before and after, and at most
``window_s`` from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from hearthward.core.clock import SECOND

__all__ = [
    "LATE_NS",
    "MEASURED",
    "Adherence",
    "DueState",
    "Mark",
    "Occurrence",
    "Slot",
    "Task",
    "adherence",
    "day_of",
    "dues",
    "midnight",
    "next_due",
    "occurrences",
    "slots",
]

DueState = Literal["done", "skipped", "missed", "now", "later"]
MEASURED: Final = (
    "nibp_systolic",
    "body_weight",
    "blood_glucose",
    "body_temperature",
    "spo2",
    "pulse_rate",
    "pain",
)
"""What a task can ask to be measured; a blood pressure by its systolic value."""
LATE_NS: Final = 24 * 3600 * SECOND
"""For so long after its window something can still be said to have been done, or skipped."""
DAY: Final = timedelta(days=1)
FAR_DAYS: Final = 8
"""Days ahead in which every task with weekdays has a time."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the plan; ``times`` are local ("08:00"), ``weekdays`` ISO numbers or None for every day."""

    id: str
    kind: str
    metric: str | None
    title: str
    times: tuple[str, ...]
    weekdays: tuple[int, ...] | None
    timezone: str
    window_s: int
    remind: bool
    start: int
    end: int | None = None

    def local(self, at: int) -> str:
        """The time of day at ``at`` (UTC ns) where the task is: ``08:00``."""
        return datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(self.timezone)).strftime("%H:%M")

    @property
    def window(self) -> int:
        """Nanoseconds before and after a time that still count for it."""
        return self.window_s * SECOND


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody said of a task at one of its times."""

    state: Literal["done", "skipped"]
    note: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A task at one of its times: done within [opens, closes) it counts for ``due``. UTC ns."""

    task: Task
    due: int
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What became of a slot, and when (``at``); ``by`` is the user who said so, or "" for a reading."""

    slot: Slot
    state: DueState
    at: int | None = None
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Adherence:
    """How often what was to be done by now was done; what is open still is not counted."""

    done: int = 0
    skipped: int = 0
    missed: int = 0

    @property
    def asked(self) -> int:
        """How often something was to be done."""
        return self.done + self.skipped + self.missed

    @property
    def percent(self) -> int | None:
        """Of it done; None: nothing was to be done yet."""
        return round(100 * self.done / self.asked) if self.asked else None


def day_of(at: int, timezone: str) -> date:
    """The day that a time (UTC ns) falls on."""
    return datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(timezone)).date()


def midnight(day: date, timezone: str) -> int:
    """When a day begins (UTC ns)."""
    return _at(day, time(), timezone)


def _at(day: date, hour: time, timezone: str) -> int:
    return round(datetime.combine(day, hour, ZoneInfo(timezone)).timestamp()) * SECOND


def dues(task: Task, first: int, last: int) -> list[int]:
    """The task's times within [first, last) (UTC ns), in order."""
    first, last = max(first, task.start), last if task.end is None else min(last, task.end)
    return sorted({due for due in _all(task, first, last) if first <= due < last})


def _all(task: Task, first: int, last: int) -> Iterator[int]:
    if last <= first:
        return
    day, over = day_of(first, task.timezone) - DAY, day_of(last, task.timezone) + DAY
    hours = [time.fromisoformat(text) for text in task.times]
    while day <= over:
        if task.weekdays is None or day.isoweekday() in task.weekdays:
            yield from (_at(day, hour, task.timezone) for hour in hours)
        day += DAY


def slots(tasks: Iterable[Task], first: int, last: int) -> list[Slot]:
    """The tasks' times within [first, last), in order, each with what counts for it."""
    found = []
    for task in tasks:
        window = task.window
        times = dues(task, first - 2 * window, last + 2 * window)
        for n, due in enumerate(times):
            if first <= due < last:
                opens, closes = due - window, due + window
                if n:
                    opens = max(opens, (times[n - 1] + due) // 2)
                if n + 1 < len(times):
                    closes = min(closes, (due + times[n + 1]) // 2)
                found.append(Slot(task, due, opens, closes))
    return sorted(found, key=lambda s: (s.due, s.task.id))


def next_due(task: Task, now: int) -> int | None:
    """The task's first time after ``now``."""
    ahead = midnight(day_of(now, task.timezone) + FAR_DAYS * DAY, task.timezone)
    return next(iter(dues(task, now + 1, ahead)), None)


def occurrences(
    found: Sequence[Slot],
    marks: Mapping[tuple[str, int], Mark],
    measured: Mapping[tuple[str, int], int],
    now: int,
) -> list[Occurrence]:
    """What became of each slot; ``marks`` and ``measured`` (when) by task and due. A reading goes first."""
    return [
        _occurrence(s, marks.get((s.task.id, s.due)), measured.get((s.task.id, s.due)), now) for s in found
    ]


def _occurrence(slot: Slot, mark: Mark | None, measured: int | None, now: int) -> Occurrence:
    if measured is not None:
        return Occurrence(slot, "done", measured)
    if mark is not None:
        return Occurrence(slot, mark.state, mark.at, mark.by, mark.note)
    if now >= slot.closes:
        return Occurrence(slot, "missed")
    return Occurrence(slot, "now" if now >= slot.opens else "later")


def adherence(found: Iterable[Occurrence]) -> Adherence:
    """How often it was done of those that are over, or were done or skipped already."""
    states = [o.state for o in found]
    return Adherence(states.count("done"), states.count("skipped"), states.count("missed"))
