"""The outbox's blocking half: opens a folder's segments and books, and does what the outbox asks."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.segments.accounts import Count
from edge_agent.segments.books import BOOKS, Books
from edge_agent.segments.files import Disk
from edge_agent.segments.journal import PIECES, SEGMENT, Journal, NewBlock, counts_of, segment_name
from edge_agent.segments.records import Kind
from edge_agent.segments.recovery import Recovered, recover
from edge_agent.segments.ring import SPARE, FullError, Ring
from edge_agent.segments.segment import FOOTER_BYTES, Segment, close_off, read_rows
from edge_agent.segments.shelf import Shelf, bodies
from edge_agent.segments.state import Change, State
from hearthward.core.messages import Account
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, Gap, StoredBlock

__all__ = ["MIN_SEGMENTS", "SMALLEST", "Done", "FullError", "NewBlock", "Store", "Work", "segment_size"]

log = logging.getLogger(__name__)

MIN_SEGMENTS: Final = 6
SMALLEST: Final = 256 << 10
LARGEST: Final = 4 << 20
SHARES: Final = 256
_PIECE_BYTES: Final = 16


@dataclass(slots=True)
class Work:
    """What the next transaction shall do; ``suspects`` are segments in which a damaged row was met.

    ``counts`` are taken out once they are on the disk, also when something else fails after that.
    """

    blocks: list[NewBlock] = field(default_factory=list)
    rests_on: list[tuple[int, int]] = field(default_factory=list)
    confirmed: list[StoredBlock] = field(default_factory=list)
    reported: list[Gap] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    suspects: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Done:
    """What was done; ``refused`` says why blocks (all but ``blocks``) were not accepted; the rest was done.

    ``mismatched`` blocks were confirmed with another content, ``deferred`` ones stay until the books, in too
    many pieces now, have become simpler: a later receipt deletes them.
    """

    first: int = 0
    blocks: list[Block] = field(default_factory=list)
    deleted: list[StoredBlock] = field(default_factory=list)
    mismatched: int = 0
    deferred: int = 0
    refused: str = ""


class Store:
    """Segments and books of one folder. All methods block; ``read`` may be called beside the others.

    ``replaced`` says why a new boot was needed, if one was.
    """

    def __init__(
        self,
        disk: Disk,
        max_bytes: int,
        new_boot: Callable[[], str],
        hour: Callable[[], int],
        *,
        begin: State | None = None,
        room: int | None = None,
    ) -> None:
        """Open and mend what the disk has, or begin anew: with the books ``begin``, reserving ``room``.

        Raises OSError, and ValueError (another version).
        """
        sizes = disk.sizes()
        self.size = _present_size(sizes) or segment_size(max_bytes)
        wanted = max(MIN_SEGMENTS, min(max_bytes, room or max_bytes) // self.size - len(BOOKS))
        fault = self._reserve(disk, sizes, wanted)
        have = disk.sizes()
        found = recover(disk, sorted(n for n in have if n.startswith(SEGMENT)), self.size)
        self.shelf = Shelf(disk, found.segments, found.free)
        self.journal = Journal(
            self.shelf,
            Books(disk, self.size, found.record),
            found.state or begin or State(new_boot()),
            self.size,
            found.top,
        )
        if fault is not None:
            self.journal.fault("not all of its room can be had", fault)
        self.ring = Ring(self.journal, wanted, hour)
        self.replaced = found.reason
        try:
            self._settle_in(found)
        except BaseException:
            self.journal.close()
            raise

    def _reserve(self, disk: Disk, sizes: dict[str, int], wanted: int) -> OSError | None:
        """Give every file its room; without it, an outbox that exists goes on with what it has."""
        there = [n for n in sizes if n.startswith(SEGMENT) or n in BOOKS]
        fresh, free = not there, disk.free()
        needed = (wanted + len(BOOKS)) * self.size - sum(sizes[n] for n in there)
        if needed > free:
            msg = (
                f"it reserves {needed >> 20} MiB, but only {free >> 20} MiB are free: "
                "make room or set a smaller edge.outbox_bytes"
            )
            if fresh:
                raise OSError(errno.ENOSPC, msg)
            wanted = min(wanted, len(there) + free // self.size)
        names = {*BOOKS, *there, *map(segment_name, range(wanted))}
        missing = sorted(n for n in names if sizes.get(n) != self.size)
        try:
            disk.create(missing, self.size)
        except OSError as error:
            if fresh:
                for name in missing:
                    disk.remove(name)
            if fresh or error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            return error
        return None

    def _settle_in(self, found: Recovered) -> None:
        """Begin a segment and books of this run, count what is lost, and take former boots over."""
        self.shelf.strangers = len(found.strangers)
        for segment in self.shelf.segments.values():
            try:
                if segment.serial in found.open:
                    close_off(self.shelf.disk, segment)
            except OSError as error:
                self.journal.fault("a segment cannot be closed off", error)
        self.ring.release()
        self.journal.roll()
        if found.lost:
            self.ring.lose(RangeSet((g.first, g.last) for g in found.lost))
        for segment, pins in found.strangers:
            self._take_over(segment, pins)
        self._tidy()

    def _take_over(self, old: Segment, pins: RangeSet) -> None:
        """Give the waiting blocks of a former boot's segment numbers of this one; then it is free."""
        rows = [
            r
            for r in read_rows(self.shelf.disk, old)
            if r.kind == Kind.BLOCK and old.live.covers(r.first, r.last)
        ]
        for row, block in bodies(self.shelf.disk, old, sorted(rows, key=lambda r: r.first)):
            if block is None:
                continue
            new = NewBlock(block.count, block.payload, block.decisions, tuple(counts_of(block)))
            change = Change(moved=((old.serial, row.last),))
            if pins.common(row.first, row.last):
                at = self.journal.state.following
                change.pins = ((at, at + row.count - 1),)
            try:
                self.ring.make_room()
            except FullError as error:
                log.error("outbox: a former block cannot be taken over: %s", error)  # noqa: TRY400
                continue
            self.journal.transact([new], change)
        self.shelf.strangers -= 1
        self.shelf.free.append(old.name)

    def fill(self) -> tuple[float, float]:
        """How full it is (at 1 the ring drops), and how full of waves alone, about."""
        room = max(1, self.shelf.files() - SPARE) * (self.size - FOOTER_BYTES)
        taken = waves = 0.0
        for segment in self.shelf.segments.values():
            taken += (live := segment.live_bytes())
            waves += live * segment.waves_share()
        return min(1.0, taken / room), min(1.0, waves / room)

    def accounts(self, after: int) -> tuple[int, list[Account]]:
        """The rows changed since a mark, and the new mark."""
        with self.shelf.lock:
            return self.journal.state.counts.mark, self.journal.state.counts.changed(after)

    def commit(self, work: Work) -> Done:
        """Do it, durably. Raises OSError: then nothing was accepted (what was done before may stay done)."""
        for serial in work.suspects:
            self.ring.audit(serial)
        done = Done()
        try:
            return self._commit(work, done)
        finally:
            self._tidy()

    def _tidy(self) -> None:
        """Have segments to spare again after a transaction, if that is possible now."""
        try:
            if self.journal.broken and self.shelf.current is not None:
                self.journal.roll()
            self.ring.make_room()
        except FullError:
            pass  # appends are refused; what is confirmed makes room
        except OSError as error:
            self.journal.fault("it cannot be cleared up", error)

    def _commit(self, work: Work, done: Done) -> Done:
        change = self._settle(work, done)
        try:
            urgent = any(b.decisions for b in work.blocks)
            if urgent and self._crowded():
                msg = "too many separate alarms wait for their receipt"
                raise FullError(msg)
            if work.blocks:
                self.ring.make_room(urgent=urgent)
        except FullError as error:
            done.refused = str(error)
        if change and (not work.blocks or done.refused or len(change.done) > PIECES):
            self.journal.record(change)
            change = Change()
            work.counts.clear()
        if not work.blocks or done.refused:
            return done
        self._accept(work, done, change, urgent=urgent)
        return done

    def _accept(self, work: Work, done: Done, change: Change, *, urgent: bool) -> None:
        """Append the blocks, in as many transactions as segments are needed.

        What fails once some are accepted refuses the others: the caller has to hear of those.
        """
        done.first = self.journal.state.following
        waiting = list(work.blocks)
        while waiting:
            try:
                if done.blocks:
                    self.ring.make_room(urgent=urgent)
                accepted = self.journal.transact(waiting, change)
            except FullError as error:
                done.refused = str(error)
                return
            except OSError as error:
                if not done.blocks:
                    raise
                self.journal.fault("only a part was accepted", error)
                done.refused = f"the disk of the outbox fails: {error}"
                return
            done.blocks += accepted
            work.counts.clear()
            waiting, change = waiting[len(accepted) :], Change()

    def _crowded(self) -> bool:
        """Whether the books consist of so many pieces that they would outgrow their file."""
        return self.journal.state.pieces() > self.size // _PIECE_BYTES

    def _settle(self, work: Work, done: Done) -> Change:
        """What confirmations, reports, pins and counts come to."""
        gone = self._confirmed(work.confirmed, done)
        for gap in work.reported:
            for known in self.journal.state.gaps:
                for piece in RangeSet([(known.first, known.last)]).common(gap.first, gap.last):
                    gone.add(*piece)
        pins = RangeSet()
        for first, last in work.rests_on:
            for row in self.shelf.rows_between(first, last):
                if not gone.covers(row.first, row.last):
                    pins.add(row.first, row.last)
        return Change(done=tuple(gone), pins=tuple(pins), counts=tuple(work.counts))

    def _confirmed(self, blocks: Sequence[StoredBlock], done: Done) -> RangeSet:
        """The numbers of those blocks that are here with just that content."""
        gone, before, crowded = RangeSet(), self.journal.state.done, self._crowded()
        for block in blocks:
            row = self.shelf.row_at(block.first)
            if row is None or block.first in gone:
                continue
            if (row.count, row.digest) != (block.count, block.digest):
                done.mismatched += 1
            elif crowded and block.first - 1 not in before and block.last + 1 not in before:
                done.deferred += 1
            else:
                gone.add(block.first, block.last)
                done.deleted.append(block)
        return gone

    @property
    def state(self) -> State:
        """The books."""
        return self.journal.state

    @property
    def faults(self) -> int:
        """How often something failed that cost nothing yet."""
        return self.journal.faults

    def take_gaps(self) -> list[Gap]:
        """The gaps made since this was asked last."""
        gaps, self.ring.gaps = self.ring.gaps, []
        return gaps

    def read(self, after: int, max_readings: int, max_bytes: int, until: int) -> tuple[list[Block], set[int]]:
        """See ``Shelf.read``."""
        return self.shelf.read(after, max_readings, max_bytes, until)

    def close(self) -> None:
        """Close the files."""
        self.journal.close()


def segment_size(max_bytes: int) -> int:
    """A power of two, so that there are 64 to 256 segments, or fewer in a small outbox."""
    size = SMALLEST
    while size < LARGEST and size * SHARES < max_bytes:
        size *= 2
    return size


def _present_size(sizes: dict[str, int]) -> int:
    """How large the segments of an outbox that exists are; 0 when there is none."""
    counted = Counter(n for name, n in sizes.items() if name.startswith(SEGMENT) and n)
    return counted.most_common(1)[0][0] if counted else 0
