"""Transactions: to the segment, synced, then to the books, synced; in memory only after that.

So what the books have, the segment had: a power cut leaves at most one transaction that only the segment
has, and it was promised to nobody yet.
"""

from __future__ import annotations

import errno
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

_WAVE_WORDS: Final = 256
"""Of a segment's words: the names and the first row of a block of waves; samples have nothing in common."""
_PIN_BYTES: Final = 24
"""What pinning one more block takes in a change."""
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
        self._wave_words = b""

    def transact(
        self, blocks: Sequence[NewBlock], change: Change, carried: Sequence[Block] = ()
    ) -> list[Block]:
        """One transaction: new blocks, blocks carried over from another segment, and a change.

        Of the new ones as many as fit the segment, but at least one; returns them. Raises OSError: nothing
        has happened then.
        """
        segment = self.shelf.current
        written = None
        if segment is not None and not self.broken:
            written = self._compose(segment, blocks, change, carried)
        if segment is None or written is None:
            segment = self.roll()
            written = self._compose(segment, blocks, change, carried)
        if written is None:
            raise OSError(errno.EFBIG, "a transaction does not fit a segment")
        try:
            segment.write(written.data)
        except OSError:
            self.broken = True
            raise
        try:
            self._books.append(written.change.serial, written.book)
        except OSError as error:  # the segment has it: it is accepted, and the books begin anew
            self.broken = True
            self.fault("the books cannot be written", error)
        self.shelf.take_in(segment, written.data, written.rows)
        with self.shelf.lock:
            self.state.apply(written.change)
        self.shelf.forget(RangeSet([*change.done, *((g.first, g.last) for g in change.gaps)]))
        for block in written.new:
            if block.waves:
                self._wave_words = block.payload[:_WAVE_WORDS]
            else:
                self._words = (self._words + block.payload)[-WORDS_BYTES:]
        return written.new

    def _compose(
        self, segment: Segment, blocks: Sequence[NewBlock], change: Change, carried: Sequence[Block]
    ) -> _Transaction | None:
        """The bytes for segment and books; None when they do not fit there."""
        own = change.encode() if change else b""
        writing = _Writing(segment, segment.room() - len(own) - 2 * HEAD_BYTES)
        if not all(map(writing.add, carried)):
            return None
        at, new, pins, counts = self.state.following, [], list(change.pins), list(change.counts)
        for block in blocks:
            numbered = Block(at, block.count, block.payload)
            if not writing.add(numbered, _PIN_BYTES * block.decisions):
                break
            new.append(numbered)
            counts += block.counts
            at = numbered.last + 1
            if block.decisions:
                pins.append((numbered.first, numbered.last))
        if blocks and not new:
            return None
        serial, done, gaps, pinned = self.state.serial + 1, change.done, change.gaps, tuple(pins)
        whole = Change(serial, at, done, gaps, pinned, tuple(counts), change.moved)
        book = whole.encode()
        if len(book) + HEAD_BYTES > self._books.room():
            return None
        if change or pins:
            own = Change(0, 0, done, gaps, pinned, change.counts, change.moved).encode()
            writing.end(own, serial)
        return _Transaction(writing.data(), writing.rows, whole, book, new)

    def record(self, change: Change) -> None:
        """A change without blocks, in transactions of bounded size."""
        for n in range(0, max(1, len(change.done), len(change.gaps), len(change.pins)), PIECES):
            part = slice(n, n + PIECES)
            counts, moved = (change.counts, change.moved) if n == 0 else ((), ())
            self.transact(
                [],
                Change(0, 0, change.done[part], change.gaps[part], change.pins[part], counts, moved),
            )

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
        words = self._words[-(WORDS_BYTES - len(self._wave_words)) :] + self._wave_words
        segment = Segment.create(self.shelf.disk, name, self.size, serial, self.state, words)
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


@dataclass(frozen=True, slots=True)
class _Transaction:
    """What is to be written, and what it comes to."""

    data: bytes
    rows: list[Row]
    change: Change
    book: bytes
    new: list[Block]


class _Writing:
    """Collects the records of a transaction at the end of a segment, within ``room`` bytes."""

    def __init__(self, segment: Segment, room: int) -> None:
        self.rows: list[Row] = []
        self._segment = segment
        self._room = room
        self._blocks: list[tuple[Block, bytes, bytes, bool]] = []
        self._change = b""

    def add(self, block: Block, extra: int = 0) -> bool:
        """Take a block if it fits."""
        body, small = deflate(block.payload, self._segment.words)
        self._room -= HEAD_BYTES + len(body) + extra
        if self._room < 0:
            return False
        self._blocks.append((block, block_digest(block.payload), body, small))
        return True

    def end(self, change: bytes, serial: int) -> None:
        """End with a change."""
        self._change = record(Kind.CHANGE, self._segment.serial, change, first=serial)

    def data(self) -> bytes:
        """All of it; ``rows`` are then where the blocks will stand."""
        parts, at = [], self._segment.end
        for n, (block, digest, body, small) in enumerate(self._blocks, 1):
            ends = n == len(self._blocks) and not self._change
            raw = record(
                Kind.BLOCK,
                self._segment.serial,
                body,
                first=block.first,
                count=block.count,
                digest=digest,
                ends=ends,
                deflated=small,
                waves=block.waves,
            )
            end = at + len(raw)
            row = Row(Kind.BLOCK, block.first, block.count, digest, at, end, ends, small, block.waves)
            self.rows.append(row)
            parts.append(raw)
            at = end
        return b"".join([*parts, self._change])


def counts_of(block: Block, kind: str = "accepted") -> list[Count]:
    """What a block is in the accounts: decisions and waves are no readings."""
    if block.decisions or block.waves:
        return []
    try:
        batch = decode_block(block.payload)
    except DecodeError:
        return []
    return accepted_in(batch.device, batch.received, kind)


def segment_name(n: int) -> str:
    """What the n-th segment's file is called."""
    return f"{SEGMENT}{n:04}"
