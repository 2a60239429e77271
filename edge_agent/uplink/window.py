"""Which blocks are under way and which come next: the uplink's bookkeeping, without any I/O.

A *flight* is a frame sent and not wholly receipted. Everything goes in order as long as little waits; when
more waits than the window carries, it splits into two lanes: the newest readings go at once, in at most
half of the window, and the backlog follows from its oldest end in the other half.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, Gap

__all__ = ["FRAME_READINGS", "Flight", "Lane", "Span", "Window", "common"]

FRAME_READINGS: Final = 500


class Lane(Enum):
    """Which half of the window a flight counts to."""

    LIVE = "live"
    BACKLOG = "backlog"


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers ``first..last`` to be sent next, in ``lane``."""

    lane: Lane
    first: int
    last: int


@dataclass(slots=True)
class Flight:
    """A frame under way; ``blocks`` shrinks with every receipt; ``sent`` is monotonic nanoseconds."""

    lane: Lane
    blocks: tuple[Block, ...]
    gaps: tuple[Gap, ...]
    sent: int
    publishing: bool = field(default=True)


class Window:
    """At most ``size`` flights at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.flights: list[Flight] = []
        self._claimed = RangeSet()
        self._floor = 1
        self._last_lane = Lane.BACKLOG

    def reset(self, settled: RangeSet) -> None:
        """Forget all flights (a new connection); ``settled`` needs no sending."""
        self.flights.clear()
        self._claimed = RangeSet(settled)
        self._floor = 1

    def next_span(self, accepted: int) -> Span | None:
        """What to send next of the numbers up to ``accepted``; None when nothing, or the window is full."""
        if len(self.flights) >= self.size:
            return None
        unsent = self._claimed.missing(1, accepted)
        if sum(b - max(a, self._floor) + 1 for a, b in unsent if b >= self._floor) > self._in_order:
            self._floor = max(self._floor, accepted - FRAME_READINGS + 1)
        live = next(((max(a, self._floor), b) for a, b in unsent if b >= self._floor), None)
        backlog = next(((a, min(b, self._floor - 1)) for a, b in unsent if a < self._floor), None)
        lane = self._lane(live=live is not None, backlog=backlog is not None)
        chosen = live if lane is Lane.LIVE else backlog
        return Span(lane, *chosen) if lane and chosen else None

    @property
    def _in_order(self) -> int:
        return max(1, self.size // 2) * FRAME_READINGS

    def _lane(self, *, live: bool, backlog: bool) -> Lane | None:
        room = max(1, self.size // 2)
        late = sum(f.lane is Lane.BACKLOG for f in self.flights)
        if live and backlog:
            if self.size == 1:
                return Lane.LIVE if self._last_lane is Lane.BACKLOG else Lane.BACKLOG
            return Lane.LIVE if len(self.flights) - late < self.size - room else Lane.BACKLOG
        if live:
            return Lane.LIVE
        return Lane.BACKLOG if backlog and late < room else None

    def take(self, span: Span, blocks: Sequence[Block], gaps: Iterable[Gap], now: int) -> Flight | None:
        """Book the blocks found in ``span`` as a flight; None when there are none (they were dropped)."""
        self._claimed.add(span.first, blocks[-1].last if blocks else span.last)
        if not blocks:
            return None
        self._last_lane = span.lane
        flight = Flight(span.lane, tuple(blocks), tuple(gaps), now)
        self.flights.append(flight)
        return flight

    def receipt(self, ranges: RangeSet) -> list[Gap]:
        """Take what is stored out of the flights; returns the gaps that arrived with ended ones."""
        told: list[Gap] = []
        for flight in self.flights:
            flight.blocks = tuple(b for b in flight.blocks if not ranges.covers(b.first, b.last))
            if not flight.blocks:
                told.extend(flight.gaps)
        self._end()
        return told

    def drop(self, gaps: Iterable[Gap]) -> None:
        """Take blocks that the outbox no longer holds out of the flights."""
        gone = RangeSet((g.first, g.last) for g in gaps)
        for flight in self.flights:
            flight.blocks = tuple(b for b in flight.blocks if not gone.covers(b.first, b.last))
        self._end()

    def _end(self) -> None:
        self.flights = [f for f in self.flights if f.blocks]

    def due(self, now: int, resend_ns: int) -> Flight | None:
        """The flight that has waited for its receipt too long, the oldest first."""
        late = [f for f in self.flights if not f.publishing and f.sent + resend_ns <= now]
        return min(late, key=lambda f: f.sent, default=None)

    def next_due(self, resend_ns: int) -> int | None:
        """When the next flight falls due, monotonic nanoseconds."""
        return min((f.sent + resend_ns for f in self.flights if not f.publishing), default=None)

    def hurry(self) -> None:
        """Make every flight due now: the receiver was away."""
        for flight in self.flights:
            flight.sent = -(2**62)


def common(ranges: RangeSet, first: int, last: int) -> list[tuple[int, int]]:
    """The parts of ``first..last`` that are in ``ranges``."""
    return RangeSet(ranges.missing(first, last)).missing(first, last)
