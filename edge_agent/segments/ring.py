"""What goes when there is no room, and what is lost to damage: each number counted.

Segments with much waste are cleared up first; then the oldest routine blocks are dropped, never what is
pinned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from edge_agent.segments.journal import Journal, counts_of
from edge_agent.segments.records import HEAD_BYTES, Kind
from edge_agent.segments.recovery import GONE
from edge_agent.segments.segment import Segment, read_rows
from edge_agent.segments.shelf import bodies
from edge_agent.segments.state import Change
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, Gap

__all__ = ["SPARE", "FullError", "Ring", "drop_until", "routine", "to_clear", "waste"]

SPARE: Final = 2
"""Segments kept free: what has to be carried over always has somewhere to go."""

_WORTH: Final = 0.25
"""A segment is cleared up when so much of it is waste: copying the rest then gains room."""
_SLACK_SHARE: Final = 8
"""At a segment's end so much of it may stay empty because the next block did not fit: that is no waste."""


def routine(segment: Segment, pins: RangeSet) -> RangeSet:
    """The waiting numbers of a segment that may be dropped."""
    left = segment.live.copy()
    for first, last in segment.live:
        for piece in pins.common(first, last):
            left.remove(*piece)
    return left


def waste(segment: Segment) -> int:
    """Bytes of a segment that clearing it up would gain."""
    empty = segment.size - segment.end - segment.size // _SLACK_SHARE
    return segment.data_bytes - segment.live_bytes() + max(0, empty)


def to_clear(sealed: Iterable[Segment], size: int) -> Segment | None:
    """The segment with the most waste, if that is enough."""
    worst = max(sealed, key=waste, default=None)
    return worst if worst is not None and waste(worst) >= _WORTH * size else None


def drop_until(sealed: Iterable[Segment], pins: RangeSet) -> int | None:
    """Up to which number routine has to go so that one segment has none left: the oldest first."""
    ends = []
    for segment in sealed:
        parts = list(routine(segment, pins))
        if parts:
            ends.append(parts[-1][1])
    return min(ends, default=None)


class FullError(Exception):
    """Everything in the outbox is pinned: nothing may be dropped for what is new."""


class Ring:
    """Keeps room in a journal's shelf of ``wanted`` segments; ``gaps`` are those it made, till taken."""

    def __init__(self, journal: Journal, wanted: int, hour: Callable[[], int]) -> None:
        self.wanted = wanted
        self.gaps: list[Gap] = []
        self._journal = journal
        self._shelf = journal.shelf
        self._hour = hour

    def release(self) -> None:
        """Have empty segments free again; files beyond ``wanted`` go (the outbox was made smaller)."""
        for serial in self._shelf.release():
            self._journal.state.ended.pop(serial, None)
            self._journal.state.moved.pop(serial, None)
        while self._shelf.free and self._shelf.files() > self.wanted:
            self._shelf.disk.remove(self._shelf.free.pop(0))

    def make_room(self, *, urgent: bool = False) -> None:
        """Have a segment to spare, and SPARE of them before the current one is full.

        By clearing up if that pays, else by dropping the oldest routine; for something ``urgent`` also what
        has only just come into the current segment. Raises FullError when everything is pinned, and OSError.
        """
        current = self._shelf.current
        early = current is not None and current.room() > current.size // 2
        self._have_free(1 if early else SPARE, urgent=urgent)

    def _have_free(self, spare: int, *, urgent: bool) -> None:
        clearings = len(self._shelf.segments) // 4 + 2
        for _ in range(8 * self._shelf.files()):
            self.release()
            over = max(0, self._shelf.files() - self.wanted)
            if len(self._shelf.free) >= spare + over:
                return
            sealed = self._shelf.sealed()
            victim = to_clear(sealed, self._journal.size)
            if victim is not None and clearings:
                clearings -= 1
                self.carry(victim)
                continue
            limit = drop_until(sealed, self._journal.state.pins)
            if limit is not None:
                self._drop(limit)
            elif (
                urgent
                and self._shelf.current is not None
                and self._shelf.free
                and routine(self._shelf.current, self._journal.state.pins)
            ):
                self._journal.roll()
            else:
                break
        if len(self._shelf.free) < spare:
            msg = "everything in the outbox is what an undelivered alarm rests on: nothing may be dropped"
            raise FullError(msg)

    def carry(self, segment: Segment) -> None:
        """Copy what waits in a segment to the current one, so that it becomes free."""
        batch: list[Block] = []
        size = 0
        for _, block in bodies(self._shelf.disk, segment, self._shelf.waiting(segment)):
            if block is None:
                continue
            batch.append(block)
            size += len(block.payload) + HEAD_BYTES
            if size >= self._journal.size // 8:
                self._journal.transact([], Change(), batch)
                batch, size = [], 0
        if batch:
            self._journal.transact([], Change(), batch)
        if segment.live:
            self.lose(segment.live.copy())

    def _drop(self, limit: int) -> None:
        """Drop the routine blocks up to number ``limit``, each counted."""
        gone, broken = RangeSet(), RangeSet()
        counts: Counter[tuple[str, int, str]] = Counter()
        for segment in list(self._shelf.segments.values()):
            may_go = routine(segment, self._journal.state.pins)
            if (may_go.at_least(0) or limit + 1) > limit:
                continue
            rows = [
                r for r in self._shelf.waiting(segment) if r.last <= limit and may_go.covers(r.first, r.last)
            ]
            for row, block in bodies(self._shelf.disk, segment, rows):
                if block is not None:
                    gone.add(row.first, row.last)
                    for device, hour, kind, n in counts_of(block, "dropped:full"):
                        counts[device, hour, kind] += n
            for first, last in may_go.common(1, limit):
                for piece in gone.missing(first, last):
                    broken.add(*piece)
        if broken:
            self.lose(broken)
        if gone:
            gaps = tuple(Gap(a, b, "full") for a, b in gone)
            self._journal.record(Change(gaps=gaps, counts=tuple((*key, n) for key, n in counts.items())))
            self.gaps += gaps

    def lose(self, numbers: RangeSet) -> None:
        """What cannot be read any more becomes a gap, counted under no device."""
        gaps = tuple(Gap(a, b, "corrupt") for a, b in numbers)
        self._journal.record(Change(gaps=gaps, counts=(("", self._hour(), "dropped:corrupt", len(numbers)),)))
        self.gaps += gaps

    def audit(self, serial: int) -> None:
        """Check every waiting block of a segment; what is not good any more is lost, and counted."""
        segment = self._shelf.segments.get(serial)
        if segment is None:
            return
        try:
            good = {r.first: r for r in read_rows(self._shelf.disk, segment) if r.kind == Kind.BLOCK}
        except OSError as error:
            if error.errno not in GONE:
                raise
            good = {}
        bad = segment.live.copy()
        waiting = [row for row in good.values() if bad.covers(row.first, row.last)]
        for row, block in bodies(self._shelf.disk, segment, waiting):
            if block is not None:
                bad.remove(row.first, row.last)
        self._shelf.forget_rows(serial)
        if segment is self._shelf.current and bad:
            self._journal.broken = True
        if bad:
            self.lose(bad)
