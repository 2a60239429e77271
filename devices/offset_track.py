"""How far one clock is ahead of true time, from pairs that only ever come late. Pure.

What a device sends arrives after it was measured, never before: its time minus the receive time lies below
the true offset by the delay. So the largest of such differences bounds the offset from below, and where the
delay is known to be short, from above as well. A quartz runs evenly: bounds hold for other times, too,
widened by what its rate may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hearthward.core.clock import SECOND

__all__ = ["CONFIRM", "PPM", "Bounds", "OffsetTrack", "Pair", "Span"]

PPM: Final = 1e-6
RATE: Final = 250 * PPM
"""No device's clock runs faster or slower by more."""
WANDER: Final = 10 * PPM
"""A quartz's rate changes so much with its temperature."""
SLACK_NS: Final = SECOND
"""What contradicts by less does not."""
CONFIRM: Final = 3
"""So many pairs make an offset: of as many in a row one at least came at once."""
STEP_SPAN_NS: Final = 30 * SECOND
"""And a step, when they are not what a stalled link gave out at one moment."""
MERGED_NS: Final = 60 * SECOND
"""Pairs of such a time are one: in it, no clock drifts by anything that counts."""
GROUPS: Final = 12
ERAS: Final = 4
"""Former ones that are remembered."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between ``low`` and ``high`` (ns) lies by how much the clock is ahead."""

    low: int
    high: int

    @property
    def middle(self) -> int:
        """The best estimate."""
        return (self.low + self.high) // 2


@dataclass(frozen=True, slots=True)
class Pair:
    """At ``at`` (UTC ns) the clock was ahead by ``low`` ns at least, and by ``high`` if it came at once.

    ``loose``: it was stored before it was sent, so that ``high`` says little.
    """

    at: int
    low: int
    high: int
    loose: bool = False

    def moved(self, by: int) -> Pair:
        """As by a gateway's clock that shows ``by`` ns more."""
        return Pair(self.at + by, self.low - by, self.high - by, self.loose)


Group = tuple[Pair, ...]
"""Of its pairs one at least came at once."""


def _spread(dt: int, slow: float, fast: float) -> tuple[int, int]:
    """By how much an offset changes in ``dt`` ns, at least and at most."""
    a, b = round(slow * dt), round(fast * dt)
    return min(a, b), max(a, b)


def _bounds(group: Iterable[Pair], at: int, slow: float, fast: float) -> Bounds:
    lows, highs = [], []
    for pair in group:
        least, most = _spread(at - pair.at, slow, fast)
        lows.append(pair.low + least)
        highs.append(pair.high + most)
    return Bounds(max(lows), max(highs))


@dataclass(frozen=True, slots=True)
class Span:
    """Between ``first`` and ``last`` (UTC ns) something was measured."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Era:
    """From one setting of the clock to the next: heard ``since`` one time, until another."""

    since: int
    heard: int
    groups: tuple[Group, ...]
    rate: tuple[float, float]
    """By how much the clock gains, at least and at most."""
    floor: tuple[Pair, ...] = ()
    """Pairs of which none may have come at once."""

    def moved(self, by: int) -> _Era:
        groups = tuple(tuple(pair.moved(by) for pair in group) for group in self.groups)
        floor = tuple(pair.moved(by) for pair in self.floor)
        return _Era(self.since + by, self.heard + by, groups, self.rate, floor)

    def bounds(self, at: int) -> Bounds:
        slow, fast = self.rate
        found = [_bounds(group, at, slow, fast) for group in self.groups]
        lows = [b.low for b in found]
        lows += [pair.low + _spread(at - pair.at, slow, fast)[0] for pair in self.floor]
        low, high = max(lows), min(b.high for b in found)
        if low <= high:
            return Bounds(low, high)
        return _bounds(self.groups[-1], at, -RATE, RATE)  # it does not run evenly: only the newest counts

    def span(self, shown: int, resolution: int) -> Span:
        """When the clock showed ``shown``, in steps of ``resolution`` ns."""
        known = self.bounds(shown - self.bounds(self.heard).middle)
        return Span(shown - known.high, shown + resolution - known.low)


def _rate(groups: Sequence[Group]) -> tuple[float, float]:
    """By how much a clock gains, at least and at most, from its first and its last pairs."""
    first, last = groups[0], groups[-1]
    t, u = first[-1].at, last[-1].at
    if u - t < MERGED_NS:
        return -RATE, RATE
    a, b = _bounds(first, t, -RATE, RATE), _bounds(last, u, -RATE, RATE)
    slow = max(-RATE, (b.low - a.high) / (u - t) - WANDER)
    fast = min(RATE, (b.high - a.low) / (u - t) + WANDER)
    return (slow, fast) if slow <= fast else (-RATE, RATE)


class OffsetTrack:
    """One clock's offset to true time, era by era; an era ends when the clock is set."""

    def __init__(self) -> None:
        self._era: _Era | None = None
        self._former: tuple[_Era, ...] = ()
        self._counted = 0
        self._wide = MERGED_NS
        self._doubtful: tuple[Pair, ...] = ()
        self._missed = 0

    def copy(self) -> OffsetTrack:
        """One that goes on by itself."""
        other = OffsetTrack()
        other.__dict__.update(self.__dict__)
        return other

    @property
    def since(self) -> int | None:
        """When the era began, None: nothing is known yet."""
        return None if self._era is None else self._era.since

    def bounds(self, at: int) -> Bounds | None:
        """By how much the clock is ahead at ``at``, in its present era."""
        return None if self._era is None else self._era.bounds(at)

    def surprise(self, pair: Pair) -> int:
        """1: the clock is further ahead than can be; -1: it is behind, or the pair is late; 0: neither."""
        known = self.bounds(pair.at)
        if known is None:
            return 0
        if pair.low > known.high + SLACK_NS:
            return 1
        return -1 if pair.high < known.low - SLACK_NS else 0

    def spans(self, shown: int, resolution: int, *, live: bool) -> list[Span]:
        """When the clock may have shown ``shown``: in which era, the likeliest first; empty: not known.

        What is ``live`` was measured in the present era.
        """
        if self._era is None:
            return []
        now = self._era.span(shown, resolution)
        if live or not self._former:
            return [now]
        found = [now] if now.last >= self._former[-1].heard - SLACK_NS else []
        until = self._era.since
        for era in reversed(self._former):
            span = era.span(shown, resolution)
            if span.first <= until + SLACK_NS:
                found.append(span)
            until = era.since
        return found or [now]

    def seen(self, pair: Pair) -> None:
        """A measurement that was received as it was made, or later."""
        if self._era is None or self.surprise(pair):
            self._doubt(pair)
            return
        self._doubtful, self._missed = (), 0
        self._era = self._added(self._era, pair)

    def start(self, pair: Pair) -> None:
        """The clock was set, and is known from then on."""
        self._begin(pair.at, (pair,))

    def gateway_set(self, by: int) -> None:
        """The clock by which pairs are received was set by ``by`` ns."""
        self._era = None if self._era is None else self._era.moved(by)
        self._former = tuple(era.moved(by) for era in self._former)
        self._doubtful = tuple(pair.moved(by) for pair in self._doubtful)

    def _added(self, era: _Era, pair: Pair) -> _Era:
        floor = era.floor
        heard = max(era.heard, pair.at)
        if floor and pair.loose is not floor[-1].loose:  # each kind has its own promise of one in three
            if pair.loose:
                return _Era(era.since, heard, era.groups, era.rate, floor)
            floor, self._counted = (), 0
        if not floor or pair.at - floor[-1].at >= MERGED_NS:
            floor = (*floor, pair)[-CONFIRM:]
        elif pair.low > floor[-1].low:
            floor = (*floor[:-1], pair)
        self._counted += 1
        due = pair.at - era.groups[-1][-1].at >= self._wide
        if not due and self._counted >= CONFIRM:
            due = _bounds(floor, pair.at, -RATE, RATE).high < era.bounds(pair.at).high - SLACK_NS
        if self._counted < CONFIRM or not due:
            return _Era(era.since, heard, era.groups, era.rate, floor)
        groups = (*era.groups, floor)
        if len(groups) > GROUPS:
            groups, self._wide = (*groups[:-1:2], groups[-1]), self._wide * 2
        self._counted = 0
        return _Era(era.since, heard, groups, _rate(groups))

    def _doubt(self, pair: Pair) -> None:
        """Keep what contradicts until it is confirmed; delays only make clocks look further behind."""
        known = self._doubtful if pair.loose else tuple(p for p in self._doubtful if not p.loose)
        apart = {_apart(pair, other) for other in known} - {0}
        if apart:
            self._missed += 1
            if apart == {-1} and self._missed < CONFIRM:
                return
            known = ()
        self._missed = 0
        self._doubtful = known = (*known[:1], *known[1:][1 - CONFIRM :], pair)
        settled = self._era is None or pair.at - known[0].at >= STEP_SPAN_NS
        if len(known) >= CONFIRM and settled:
            self._begin(known[0].at, known[-CONFIRM:])

    def _begin(self, since: int, group: Group) -> None:
        if self._era is not None:
            self._former = (*self._former, self._era)[-ERAS:]
        self._era = _Era(since, group[-1].at, (group,), (-RATE, RATE))
        self._counted, self._wide = 0, MERGED_NS
        self._doubtful, self._missed = (), 0


def _apart(pair: Pair, other: Pair) -> int:
    """Whether two pairs cannot be of one clock, both in time: 1, the first is further ahead; -1; 0."""
    drift = round(RATE * abs(pair.at - other.at))
    if pair.low > other.high + drift + SLACK_NS:
        return 1
    return -1 if pair.high < other.low - drift - SLACK_NS else 0
