"""Which blocks are under way and which come next: the uplink's bookkeeping, without any I/O.

A *flight* is a frame sent and not wholly receipted. What is urgent goes first, in a lane of its own. The
rest goes in order as long as little waits; when more waits than the window carries, it splits into two
lanes: the newest readings go at once, and the backlog follows from its oldest end, at its own pace, in what
the window leaves it. Waves that come with the newest readings are put off to a lane of one flight, which
goes while no reading waits to be sent; where more are put off than that carries, they become backlog. A
flight that is not receipted however often it is sent goes aside: the cloud may fail on that very frame, and
what comes after it shall not wait. It is sent again all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from edge_agent.uplink.pace import FLIGHTS, FRAME_MOST, MOST, Pace
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, Gap

__all__ = ["FRAME_READINGS", "WAVES_WAITING", "Flight", "Lane", "Span", "Window", "common"]

FRAME_READINGS: Final = 500
"""In one live frame."""
WAVES_WAITING: Final = 512
"""Chunks of waveforms put off at most: ten seconds of fifty oximeters."""
RESEND_STEADY: Final = 3
"""So often a flight is sent again at the same interval; then it doubles each time."""
RESEND_SLOWEST: Final = 12
"""Up to this many intervals: who has not answered for so long needs no heap of repeats."""
ASIDE_TRIES: Final = 5
"""Sent so often without a receipt, a flight goes aside..."""
ASIDE_MOST: Final = 16
"""...if no more are there than this: a cloud that does not answer at all gets no more at a time."""


class Lane(Enum):
    """Which part of the window a flight counts to."""

    URGENT = "urgent"
    LIVE = "live"
    WAVES = "waves"
    BACKLOG = "backlog"


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers ``first..last`` to be sent next, in ``lane``, at most ``readings`` in one frame."""

    lane: Lane
    first: int
    last: int
    readings: int = FRAME_READINGS


@dataclass(slots=True)
class Flight:
    """A frame under way; ``blocks`` shrinks with every receipt; ``sent`` is monotonic nanoseconds.

    One that is ``aside`` takes no place in its lane any more.
    """

    lane: Lane
    blocks: tuple[Block, ...]
    gaps: tuple[Gap, ...]
    sent: int
    publishing: bool = field(default=True)
    tries: int = 1
    aside: bool = False

    def due(self, resend_ns: int) -> int:
        """When it is to be sent again."""
        beyond = max(0, self.tries - RESEND_STEADY)
        return self.sent + resend_ns * min(1 << beyond, RESEND_SLOWEST)


class Window:
    """At most ``size`` flights at a time, as many urgent ones beside them, one of waves, and those aside."""

    def __init__(self, size: int, pace: Pace | None = None) -> None:
        self.size = size
        self.pace = pace or Pace()
        self.flights: list[Flight] = []
        self._claimed = RangeSet()
        self._waves = RangeSet()
        self._floor = 1
        self._last_lane = Lane.BACKLOG

    @property
    def most(self) -> int:
        """No more numbers than this are under way at a time."""
        return (2 * self.size + 1) * FRAME_READINGS + MOST + ASIDE_MOST * FRAME_MOST

    def reset(self, settled: RangeSet) -> None:
        """Forget all flights (a new connection); ``settled`` needs no sending."""
        self.flights.clear()
        self._claimed = RangeSet(settled)
        self._waves = RangeSet()
        self._floor = 1

    def next_span(self, accepted: int, urgent: Iterable[tuple[int, int]] = ()) -> Span | None:
        """What to send next of the numbers up to ``accepted``; None when nothing, or the window is full."""
        if (span := self._urgent(accepted, urgent)) is not None:
            return span
        if sum(f.lane in {Lane.LIVE, Lane.BACKLOG} for f in self._counting()) >= self.size:
            return None
        unsent = self._claimed.missing(1, accepted)
        if sum(b - max(a, self._floor) + 1 for a, b in unsent if b >= self._floor) > self._in_order:
            self._floor = max(self._floor, accepted - FRAME_READINGS + 1)
        live = next(((max(a, self._floor), b) for a, b in unsent if b >= self._floor), None)
        backlog = next(((a, min(b, self._floor - 1)) for a, b in unsent if a < self._floor), None)
        lane = self._lane(live=live is not None, backlog=backlog is not None)
        if lane is Lane.LIVE and live:
            return Span(lane, *live)
        if (
            live is None
            and (waves := self.waves())
            and all(f.lane is not Lane.WAVES for f in self._counting())
        ):
            return Span(Lane.WAVES, waves[0][0], waves[-1][1])
        return Span(lane, *backlog, self.pace.frame) if lane and backlog else None

    def waves(self) -> list[tuple[int, int]]:
        """The numbers of waves that were put off, in order: those that a span of that lane means."""
        return list(self._waves)

    def _counting(self) -> list[Flight]:
        """The flights that take a place in their lane."""
        return [f for f in self.flights if not f.aside]

    def _urgent(self, accepted: int, urgent: Iterable[tuple[int, int]]) -> Span | None:
        if sum(f.lane is Lane.URGENT for f in self._counting()) >= self.size:
            return None
        for first, last in urgent:
            for piece in self._claimed.missing(first, min(last, accepted)):
                return Span(Lane.URGENT, *piece)
        return None

    @property
    def _in_order(self) -> int:
        return max(1, self.size // 2) * FRAME_READINGS

    def _lane(self, *, live: bool, backlog: bool) -> Lane | None:
        late = [f for f in self._counting() if f.lane is Lane.BACKLOG]
        under_way = sum(b.count for f in late for b in f.blocks)
        room = min(FLIGHTS, max(1, self.size // 2))
        open_to_backlog = len(late) < room and (not late or under_way + self.pace.frame <= self.pace.limit)
        if live and backlog and self.size == 1:
            return Lane.LIVE if self._last_lane is Lane.BACKLOG else Lane.BACKLOG
        fresh = sum(f.lane is Lane.LIVE for f in self._counting())
        if live and (not backlog or fresh < self.size - room):
            return Lane.LIVE
        return Lane.BACKLOG if backlog and open_to_backlog else None

    def take(self, span: Span, blocks: Sequence[Block], gaps: Iterable[Gap], now: int) -> Flight | None:
        """Book the blocks found in ``span`` as a flight; None when there are none (they were dropped).

        Nor when all are waves found among the newest readings: those are put off.
        """
        if span.lane is Lane.WAVES:
            for block in blocks:
                self._waves.remove(block.first, block.last)
        elif not blocks:
            self._claimed.add(span.first, span.last)
        else:
            self._claimed.add(min(span.first, blocks[0].first), blocks[-1].last)
        if span.lane is Lane.LIVE:
            blocks = self._put_off(blocks)
        if not blocks:
            return None
        if span.lane in {Lane.LIVE, Lane.BACKLOG}:
            self._last_lane = span.lane
        flight = Flight(span.lane, tuple(blocks), tuple(gaps), now)
        self.flights.append(flight)
        return flight

    def _put_off(self, blocks: Sequence[Block]) -> list[Block]:
        """Put waves off; returns the rest. Where too many wait, the oldest become backlog."""
        for block in blocks:
            if block.waves:
                self._waves.add(block.first, block.last)
        while len(self._waves) > WAVES_WAITING:
            first, last = self.waves()[0]
            self._waves.remove(first, last)
            self._claimed.remove(first, last)
            self._floor = max(self._floor, last + 1)
        return [block for block in blocks if not block.waves]

    def no_waves(self, first: int, last: int) -> None:
        """These were put off, and are not there any more."""
        self._waves.remove(first, last)

    def receipt(self, ranges: RangeSet, now: int) -> None:
        """Take what is stored out of the flights; the backlog's pace follows how long those took."""
        self._settle_waves(ranges)
        for flight in self.flights:
            flight.blocks = tuple(b for b in flight.blocks if not ranges.covers(b.first, b.last))
            if not flight.blocks and flight.lane is Lane.BACKLOG and flight.tries == 1:
                self.pace.answered(now - flight.sent)
        self._end()

    def astray(self, known: RangeSet) -> RangeSet:
        """What counts as sent though it is neither ``known`` to need no sending nor in a flight."""
        accounted = known.copy()
        for first, last in self._waves:
            accounted.add(first, last)
        for flight in self.flights:
            for block in flight.blocks:
                accounted.add(block.first, block.last)
        return RangeSet(gap for first, last in self._claimed for gap in accounted.missing(first, last))

    def unsend(self, numbers: RangeSet) -> None:
        """Have these count as not sent."""
        for first, last in numbers:
            self._claimed.remove(first, last)

    def drop(self, gone: RangeSet) -> None:
        """Take blocks that the outbox no longer holds out of the flights."""
        self._settle_waves(gone)
        for flight in self.flights:
            flight.blocks = tuple(b for b in flight.blocks if not gone.covers(b.first, b.last))
        self._end()

    def _settle_waves(self, settled: RangeSet) -> None:
        for first, last in settled if self._waves else ():
            self._waves.remove(first, last)

    def _end(self) -> None:
        self.flights = [f for f in self.flights if f.blocks]

    def again(self, now: int, resend_ns: int) -> Flight | None:
        """Book the flight that has waited for its receipt too long once more, the longest overdue first."""
        late = [f for f in self.flights if not f.publishing and f.due(resend_ns) <= now]
        if not late:
            return None
        flight = min(late, key=lambda f: f.due(resend_ns))
        flight.sent, flight.publishing, flight.tries = now, True, flight.tries + 1
        if flight.lane is Lane.BACKLOG and not flight.aside:
            self.pace.unanswered()
        if flight.tries > ASIDE_TRIES and sum(f.aside for f in self.flights) < ASIDE_MOST:
            flight.aside = True
        return flight

    def next_due(self, resend_ns: int) -> int | None:
        """When the next flight falls due, monotonic nanoseconds."""
        return min((f.due(resend_ns) for f in self.flights if not f.publishing), default=None)

    def hurry(self) -> None:
        """Make every flight due now: the receiver was away."""
        for flight in self.flights:
            flight.sent, flight.tries = -(2**62), 1


def common(ranges: RangeSet, first: int, last: int) -> list[tuple[int, int]]:
    """The parts of ``first..last`` that are in ``ranges``."""
    return RangeSet(ranges.missing(first, last)).missing(first, last)
