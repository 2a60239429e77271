"""Which segments there are, which numbers wait in which, and reading their blocks.

One thread writes, another may read beside it: ``lock`` guards what is in memory, and is never held over a
sync.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from edge_agent.segments.files import Disk, File
from edge_agent.segments.records import Kind, Row, scan
from edge_agent.segments.recovery import GONE
from edge_agent.segments.segment import Segment, read_rows
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block

__all__ = ["Shelf", "bodies"]

_CACHED: Final = 4
"""Segments whose lists of rows are kept for reading."""


_AT_ONCE: Final = 128
"""Rows looked up at a time."""


class Shelf:
    """The segments of one folder.

    ``segments`` are those in use by serial, ``current`` the one that grows, ``free`` the names of files that
    hold nothing any more, ``strangers`` how many of a former boot wait to be taken over.
    """

    def __init__(self, disk: Disk, segments: Sequence[Segment], free: Sequence[str]) -> None:
        self.lock = threading.Lock()
        self.disk = disk
        self.segments = {s.serial: s for s in segments}
        self.free = list(free)
        self.strangers = 0
        self.current: Segment | None = None
        self._rows: OrderedDict[int, tuple[list[int], list[Row]]] = OrderedDict()

    def files(self) -> int:
        """How many segment files there are."""
        return len(self.segments) + len(self.free) + self.strangers

    def sealed(self) -> list[Segment]:
        """The segments that do not grow any more."""
        return [s for s in self.segments.values() if s is not self.current]

    def put(self, segment: Segment) -> None:
        """A segment that was begun in the last of the free files is the current one."""
        with self.lock:
            self.free.pop()
            self.segments[segment.serial] = segment
            self.current = segment

    def release(self) -> list[int]:
        """Free the segments of which nothing waits any more; returns their serials."""
        with self.lock:
            empty = [s for s in self.sealed() if not s.live]
            for segment in empty:
                del self.segments[segment.serial]
                self._rows.pop(segment.serial, None)
                self.free.insert(0, segment.name)
        return [s.serial for s in empty]

    def take_in(self, segment: Segment, data: bytes, rows: Sequence[Row]) -> None:
        """What was written to the current segment: its blocks are nowhere else any more."""
        self.forget(RangeSet((row.first, row.last) for row in rows))
        with self.lock:
            segment.wrote(data, rows)
            if segment.serial in self._rows:
                firsts, kept = self._rows[segment.serial]
                for row in rows:
                    kept.insert(bisect_left(firsts, row.first), row)
                    insort(firsts, row.first)

    def forget(self, numbers: RangeSet) -> None:
        """Numbers that wait no longer."""
        with self.lock:
            for first, last in numbers:
                for segment in self.segments.values():
                    segment.live.remove(first, last)

    def forget_rows(self, serial: int) -> None:
        """Read a segment's rows again when they are needed."""
        with self.lock:
            self._rows.pop(serial, None)

    def rows(self, serial: int) -> tuple[list[int], list[Row]]:
        """A segment's blocks in order, and their first numbers; from memory if they are there."""
        with self.lock:
            segment = self.segments.get(serial)
            if segment is None:
                return [], []
            if serial in self._rows:
                self._rows.move_to_end(serial)
                return self._rows[serial]
            known = None if segment.rows is None else list(segment.rows.values())
            if known is not None:
                return self._remember(serial, known)
        try:
            rows = read_rows(self.disk, segment)
        except OSError as error:
            if error.errno not in GONE:
                raise
            rows = []
        with self.lock:
            return self._remember(serial, [r for r in rows if r.kind == Kind.BLOCK])

    def _remember(self, serial: int, rows: list[Row]) -> tuple[list[int], list[Row]]:
        rows.sort(key=lambda row: row.first)
        self._rows[serial] = [row.first for row in rows], rows
        while len(self._rows) > _CACHED:
            self._rows.popitem(last=False)
        return self._rows.get(serial, ([], []))

    def waiting(self, segment: Segment) -> list[Row]:
        """The rows of a segment that wait, in order."""
        rows = self.rows(segment.serial)[1]
        return [row for row in list(rows) if segment.live.covers(row.first, row.last)]

    def row_at(self, first: int) -> Row | None:
        """The waiting block that begins with a number."""
        for serial, segment in self.segments.items():
            if segment.live.covers(first, first):
                firsts, rows = self.rows(serial)
                i = bisect_left(firsts, first)
                return rows[i] if i < len(rows) and firsts[i] == first else None
        return None

    def rows_between(self, first: int, last: int) -> list[Row]:
        """The waiting blocks that hold any of the numbers ``first..last``."""
        found = []
        for serial, segment in self.segments.items():
            if segment.live.common(first, last):
                firsts, rows = self.rows(serial)
                low = max(0, bisect_right(firsts, first) - 1)
                found += [
                    row
                    for row in rows[low : bisect_right(firsts, last)]
                    if row.last >= first and segment.live.covers(row.first, row.last)
                ]
        return found

    def read(self, after: int, max_readings: int, max_bytes: int, until: int) -> tuple[list[Block], set[int]]:
        """Waiting blocks from the one with number ``after + 1`` to ``until`` in order; at least one.

        ``max_bytes`` bounds their payloads, however small they are on the disk. Also returns the segments in
        which something damaged was met: they have to be audited.
        """
        blocks: list[Block] = []
        at, readings, size = after + 1, max_readings, max_bytes
        while True:
            segment, number, bound = self._next(at, until)
            if segment is None:
                return blocks, set()
            rows = self._in_order(segment, number, bound)
            if rows is None:
                continue  # the writer was quicker
            if not rows:
                return blocks, {segment.serial}
            for row, block in bodies(self.disk, segment, _at_most(rows, readings, size)):
                if block is None:
                    return blocks, {segment.serial} if segment.live.covers(row.first, row.last) else set()
                readings -= row.count
                size -= len(block.payload)
                if blocks and (readings < 0 or size < 0):
                    return blocks, set()
                blocks.append(block)
                at = row.last + 1
            if readings <= 0 or size <= 0:
                return blocks, set()

    def _in_order(self, segment: Segment, number: int, bound: int) -> list[Row] | None:
        """The waiting rows that follow each other from the one with ``number`` on, before ``bound``.

        A frame's at most.

        Empty when the row is not there; None when the number does not wait in this segment any more.
        """
        firsts, rows = self.rows(segment.serial)
        with self.lock:
            if self.segments.get(segment.serial) is not segment or number not in segment.live:
                return None
            out: list[Row] = []
            i = bisect_right(firsts, number) - 1
            if i < 0 or rows[i].last < number:
                return out
            at = rows[i].first
            while i < len(rows) and rows[i].first == at < bound and len(out) < _AT_ONCE:
                out.append(rows[i])
                following = segment.live.at_least(rows[i].last + 1)
                if following is None:
                    break
                at = following
                i = i + 1 if i + 1 < len(rows) and rows[i + 1].first == at else bisect_left(firsts, at)
            return out

    def _next(self, at: int, until: int) -> tuple[Segment | None, int, int]:
        """The segment with the smallest waiting number from ``at`` on, that number, and where to stop."""
        best, number, bound = None, until + 1, until + 1
        with self.lock:
            for segment in self.segments.values():
                found = segment.live.at_least(at)
                if found is None or found >= bound:
                    continue
                if found < number:
                    best, number, bound = segment, found, number
                else:
                    bound = found
        return best, number, bound


def _at_most(rows: Sequence[Row], readings: int, size: int) -> Sequence[Row]:
    """The first rows within limits, and the next one; of the bytes on the disk, which are fewer mostly."""
    for n, row in enumerate(rows, 1):
        readings -= row.count
        size -= row.end - row.start
        if readings < 0 or size < 0:
            return rows[:n]
    return rows


def bodies(disk: Disk, segment: Segment, rows: Sequence[Row]) -> Iterator[tuple[Row, Block | None]]:
    """The rows' blocks; None for one that cannot be read (any more)."""
    try:
        file = disk.open(segment.name)
    except OSError as error:
        if error.errno not in GONE:
            raise
        yield from ((row, None) for row in rows)
        return
    try:
        for row in rows:
            yield row, _read_row(file, segment, row)
    finally:
        file.close()


def _read_row(file: File, segment: Segment, row: Row) -> Block | None:
    try:
        data = file.read(row.start, row.end - row.start)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return None
    found = next(scan(data, segment.serial), None)
    if found is None or (found.start, found.first, found.digest) != (0, row.first, row.digest):
        return None
    return segment.block(row, found.body(data))
