"""Transactions: to the segment, synced, then to the books, synced; in memory only after that.

So what the books have, the segment had: a power cut leaves at most one transaction that only the segment
has, and it was promised to nobody yet.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.segments.accounts import Count, accepted_in
from edge_agent.segments.books import Books
from edge_agent.segments.records import HEAD_BYTES, Kind, Row, block_digest, deflate, record
from edge_agent.segments.segment import WORDS_BYTES, Segment
from edge_agent.segments.shelf import Shelf
from edge_agent.segments.state import Change, State
from hearthward.core.errors import DecodeError
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, decode_block

__all__ = ["PIECES", "SEGMENT", "Journal", "NewBlock", "counts_of", "segment_name"]

log = logging.getLogger(__name__)

_MARGIN: Final = 4 * 4096
"""Left free beside blocks, for the change that goes with them."""
SEGMENT: Final = "segment-"
PIECES: Final = 1000
"""Ranges in one transaction."""


@dataclass(frozen=True, slots=True)
class NewBlock:
    """A block to be accepted, and what it adds to the accounts."""

    count: int
    payload: bytes
    decisions: bool = False
    counts: tuple[Count, ...] = ()


class Journal:
    """Writes to the shelf's current segment and the books; ``state`` is what they come to.

    ``broken`` says that a write failed: the next transaction begins a segment and books anew.
    """

    def __init__(self, shelf: Shelf, books: Books, state: State, size: int, top: int) -> None:
        self.shelf = shelf
        self.state = state
        self.size = size
        self.broken = False
        self.faults = 0
        self._books = books
        self._top = top
        newest = max(shelf.segments.values(), key=lambda s: s.serial, default=None)
        self._words = newest.words if newest is not None else b""

    def transact(
        self, blocks: Sequence[NewBlock], change: Change, carried: Sequence[Block] = ()
    ) -> list[Block]:
        """One transaction: new blocks, blocks carried over from another segment, and a change.

        Raises OSError: nothing has happened then.
        """
        at, new = self.state.following, []
        pins = list(change.pins)
        for block in blocks:
            new.append(Block(at, block.count, block.payload))
            if block.decisions:
                pins.append((at, at + block.count - 1))
            at += block.count
        change.pins = tuple(pins)
        own = change.encode() if change else b""
        whole = Change(
            self.state.serial + 1,
            at,
            change.done,
            change.gaps,
            change.pins,
            (*change.counts, *(c for b in blocks for c in b.counts)),
            change.moved,
        )
        placed = [*carried, *new]
        size = sum(HEAD_BYTES + len(b.payload) for b in placed)
        book = whole.encode()
        segment = self._writable(max(size + len(own), len(book)) + 2 * HEAD_BYTES)
        data, rows = _records(segment, placed, own, whole.serial)
        try:
            segment.write(data)
        except OSError:
            self.broken = True
            raise
        try:
            self._books.append(whole.serial, book)
        except OSError as error:  # the segment has it: it is accepted, and the books begin anew
            self.broken = True
            self.fault("the books cannot be written", error)
        self.shelf.take_in(segment, data, rows)
        with self.shelf.lock:
            self.state.apply(whole)
        self.shelf.forget(RangeSet([*change.done, *((g.first, g.last) for g in change.gaps)]))
        for fresh in new:
            self._words = (self._words + fresh.payload)[-WORDS_BYTES:]
        return new

    def record(self, change: Change) -> None:
        """A change without blocks, in transactions of bounded size."""
        for n in range(0, max(1, len(change.done), len(change.gaps), len(change.pins)), PIECES):
            part = slice(n, n + PIECES)
            counts, moved = (change.counts, change.moved) if n == 0 else ((), ())
            self.transact(
                [],
                Change(0, 0, change.done[part], change.gaps[part], change.pins[part], counts, moved),
            )

    def fitting(self, blocks: list[NewBlock]) -> list[NewBlock]:
        """As many as fit the segment, which is a new one if not even the first does."""
        current = self._writable(HEAD_BYTES + len(blocks[0].payload) + _MARGIN)
        room, n = current.room() - _MARGIN, 0
        for block in blocks:
            room -= HEAD_BYTES + len(block.payload)
            if room < 0:
                break
            n += 1
        return blocks[: max(1, n)]

    def _writable(self, need: int) -> Segment:
        """The current segment with at least so much room, and books likewise."""
        current = self.shelf.current
        if current is None or self.broken or min(current.room(), self._books.room()) < need:
            return self.roll()
        return current

    def roll(self) -> Segment:
        """Begin a segment and, with it, the other file of the books. Raises OSError."""
        if not self.shelf.free:  # several crashes while clearing up: one more for now, if the disk has it
            extra = next(
                name for name in map(segment_name, range(1 << 16)) if name not in self.shelf.disk.sizes()
            )
            self.shelf.disk.create([extra], self.size)
            self.shelf.free.append(extra)
        old, serial, name = self.shelf.current, self._top + 1, self.shelf.free[-1]
        if old is not None and self.broken:
            self.state.ended[old.serial] = old.end
        self._top = serial
        segment = Segment.create(self.shelf.disk, name, self.size, serial, self.state, self._words)
        try:
            self._books.begin(serial, self.state)
        except BaseException:
            segment.close()
            self.broken = True
            raise
        self.shelf.put(segment)
        self.broken = False
        if old is not None:
            try:
                old.seal()
            except OSError as error:
                self.fault("a segment cannot be sealed", error)
            old.rows = None
        return segment

    def fault(self, what: str, error: OSError) -> None:
        """Something failed that costs nothing yet."""
        self.faults += 1
        log.error("outbox: %s: %s", what, error)

    def close(self) -> None:
        """Close the files. The segment gets no footer: that would say that a later one was begun."""
        if self.shelf.current is not None:
            self.shelf.current.close()
            self.shelf.current = None
        self._books.close()


def _records(
    segment: Segment, blocks: Sequence[Block], change: bytes, serial: int
) -> tuple[bytes, list[Row]]:
    """The bytes of a transaction, and where its blocks will stand."""
    parts, rows, at = [], [], segment.end
    for n, block in enumerate(blocks, 1):
        body, small = deflate(block.payload, segment.words)
        ends = n == len(blocks) and not change
        digest = block_digest(block.payload)
        raw = record(
            Kind.BLOCK,
            segment.serial,
            body,
            first=block.first,
            count=block.count,
            digest=digest,
            ends=ends,
            deflated=small,
        )
        rows.append(Row(Kind.BLOCK, block.first, block.count, digest, at, at + len(raw), ends, small))
        parts.append(raw)
        at += len(raw)
    if change:
        parts.append(record(Kind.CHANGE, segment.serial, change, first=serial))
    return b"".join(parts), rows


def counts_of(block: Block, kind: str = "accepted") -> list[Count]:
    """What a block is in the accounts."""
    if block.decisions:
        return []
    try:
        batch = decode_block(block.payload)
    except DecodeError:
        return []
    return accepted_in(batch.device, batch.received, kind)


def segment_name(n: int) -> str:
    """What the n-th segment's file is called."""
    return f"{SEGMENT}{n:04}"
