"""What is known of one subject and rule besides the present episode: what is over, what gateways decided.

Episodes of both sides are compared by their times alone: from the first breaching reading to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from rules.model import Measured

__all__ = ["NOTHING", "OPEN", "Elsewhere", "Shared", "Span", "overlap"]

OPEN: Final = -1
"""The end of what has not ended."""
PAST_KEPT: Final = 32
"""Alarms that are over and remembered; an older one is not merged with what a gateway says of that time."""
ELSEWHERE_KEPT: Final = 1024
"""Episodes of gateways that are remembered: more than one every five minutes of three days cut off."""
SEEN_KEPT: Final = 32


class Span(NamedTuple):
    """An alarm that is over; ``entry``: it never signalled and stands in the worklist only."""

    alarm: str
    onset: int
    end: int
    entry: bool


class Elsewhere(NamedTuple):
    """An episode that a gateway has opened, as far as it has told.

    ``last`` is its newest word (event time), ``end`` OPEN until it says that it is over; not ``sure`` of the
    end, that was only concluded. ``ours`` is the alarm that it is here, which began by it if ``opened``.
    """

    alarm: str
    source: str
    onset: int
    last: int
    end: int
    sure: bool
    ours: str
    opened: bool
    rule_hash: str
    limit: str


def overlap(onset: int, end: float, other: int, other_end: float) -> bool:
    """Whether two episodes are one; of what has not ended the end is infinite."""
    return onset == other or (onset < other_end and other < end)


@dataclass(frozen=True, slots=True)
class Shared:
    """``past`` and ``elsewhere`` in order of their ends as learned.

    ``seen`` are the newest readings that gateways' decisions rest on, one a signal and device, until our own
    of that device are as new.
    """

    past: tuple[Span, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    seen: tuple[Measured, ...] = ()

    # -- questions

    def named(self, alarm: str) -> Elsewhere | None:
        """What is known of a gateway's alarm."""
        return next((e for e in self.elsewhere if e.alarm == alarm), None)

    def holding(self, ours: str) -> tuple[Elsewhere, ...]:
        """The gateways' episodes that keep an alarm of ours open."""
        return tuple(e for e in self.elsewhere if e.end == OPEN and e.ours == ours)

    def covers(self, at: int, clock: int) -> bool:
        """Whether a gateway has told all about that time already: an episode that is over by now.

        So is an alarm of ours of which gateways have told up to an end that our ``clock`` has not come to.
        """
        if any(e.onset <= at < e.end or e.onset == at == e.end for e in self.elsewhere):
            return True
        return any(s.onset <= at < s.end and clock < s.end for s in self.past if not s.entry)

    def tells_of(self, at: int) -> bool:
        """Whether an episode of a gateway, over or not, has that time in it."""
        return any(e.onset <= at and (e.end == OPEN or at <= e.end) for e in self.elsewhere)

    def alone(self, at: int, onset: int) -> bool:
        """Whether nothing else of the rule was, or went on, from ``at`` until an episode's ``onset``."""
        if self.covers(at, onset) or self.covered_until(at, onset) > at:
            return False
        return not any(s.onset < onset and at < s.end for s in self.past if not s.entry)

    def free_from(self, onset: int, at: int) -> int:
        """From when on (no earlier than ``onset``) nothing else went on any more, as known ``at``."""
        ends = [s.end for s in self.past if not s.entry and s.end <= at]
        return max([onset, *ends, self.covered_until(onset, at)])

    def until(self, started: int, end: int) -> int:
        """When what began then has ended: no later than a later alarm began that was learned of first."""
        return min([end, *(s.onset for s in self.past if not s.entry and started <= s.onset < end)])

    def covered_until(self, onset: int, at: int) -> int:
        """The latest end within (onset, at] of what a gateway has told all about; else ``onset``."""
        return max((e.end for e in self.elsewhere if onset < e.end <= at), default=onset)

    def heard(self) -> int:
        """When a gateway last said that all is well again; OPEN: never."""
        return max((e.end for e in self.elsewhere if e.sure), default=OPEN)

    def overlapping(self, onset: int, end: float, *, entry: bool) -> Iterator[Span]:
        """What is over and overlaps an episode."""
        return (s for s in self.past if s.entry is entry and overlap(s.onset, s.end, onset, end))

    def over_after(self, at: int) -> Span | None:
        """What went on at that time and is known to have ended since then."""
        return next((s for s in self.past if not s.entry and s.onset <= at < s.end), None)

    def open_of(self, source: str) -> Iterator[Elsewhere]:
        """The episodes that a gateway has not ended yet: one at most, if it has lost nothing."""
        return (e for e in self.elsewhere if e.source == source and e.end == OPEN)

    def next_of(self, source: str, onset: int) -> int | None:
        """When a gateway's next episode after one with that onset began, if that is known."""
        later = (e.onset for e in self.elsewhere if e.source == source and e.onset > onset)
        return min(later, default=None)

    # -- changes

    def with_past(self, span: Span) -> Shared:
        """One alarm more is over (or an entry of the worklist has grown)."""
        others = tuple(s for s in self.past if s.alarm != span.alarm)
        return replace(self, past=(*others, span)[-PAST_KEPT:])

    def without_past(self, alarm: str) -> Shared:
        """An entry of the worklist is part of something else now."""
        return replace(self, past=tuple(s for s in self.past if s.alarm != alarm))

    def with_word(self, word: Elsewhere) -> Shared:
        """A gateway has said something about an episode of its own."""
        others = tuple(e for e in self.elsewhere if e.alarm != word.alarm)
        return replace(self, elsewhere=(*others, word)[-ELSEWHERE_KEPT:])

    def moved(self, alarm: str, to: str) -> Shared:
        """What was one alarm of ours is part of another one now."""
        found = tuple(e._replace(ours=to) if e.ours == alarm else e for e in self.elsewhere)
        return replace(self, elsewhere=found)

    def with_seen(self, readings: Iterable[Measured]) -> Shared:
        """Readings that a gateway's decision rests on."""
        newest = {(m.metric, m.device): m for m in self.seen}
        for m in readings:
            known = newest.get((m.metric, m.device))
            if known is None or m.time > known.time:
                newest[m.metric, m.device] = m
        kept = sorted(newest.values(), key=lambda m: m.time)[-SEEN_KEPT:]
        return replace(self, seen=tuple(sorted(kept)))

    # -- as plain data

    def pack(self) -> list[Any]:
        """All of it; equal histories give equal data."""
        return [[list(row) for row in rows] for rows in (self.past, self.elsewhere, self.seen)]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> Shared:
        """What ``pack`` described."""
        past, elsewhere, seen = packed
        return cls(
            tuple(Span(*row) for row in past),
            tuple(Elsewhere(*row) for row in elsewhere),
            tuple(Measured(*row) for row in seen),
        )


NOTHING: Final = Shared()
