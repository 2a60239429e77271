"""One segment: a file of fixed size: a header (twice), blocks and changes, and a footer once it is full."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

import msgpack

from edge_agent.segments.files import Disk, File
from edge_agent.segments.records import Kind, Row, block_digest, inflate, record, scan, touched
from edge_agent.segments.state import State
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block

__all__ = ["FOOTER_BYTES", "WORDS_BYTES", "Found", "Segment", "close_off", "look", "read_rows"]

_VERSION: Final = 1
_ALIGN: Final = 4096
FOOTER_BYTES: Final = 4096
"""At the file's end, for the footer: what is in it, and one check over all of it."""
WORDS_BYTES: Final = 2048
"""Of earlier payloads in the header: what blocks have in common with them takes no room again."""
_PEEK: Final = 4 * _ALIGN
_STATE_SHARE: Final = 32
"""A header's copy of the books is left out when it would take more than this part of the file."""


@dataclass(slots=True)
class Segment:
    """A segment in use. ``live`` are the numbers in it that are not settled; ``rows`` is kept while it grows.

    ``data_bytes`` and ``numbers`` count every block ever written to it, ``wave_bytes`` those of waves.
    """

    name: str
    serial: int
    size: int
    boot: str
    words: bytes
    end: int
    crc: int = 0
    data_bytes: int = 0
    wave_bytes: int = 0
    numbers: RangeSet = field(default_factory=RangeSet)
    live: RangeSet = field(default_factory=RangeSet)
    rows: dict[int, Row] | None = None
    file: File | None = None

    @classmethod
    def create(cls, disk: Disk, name: str, size: int, serial: int, state: State, words: bytes) -> Segment:
        """Begin a segment in a file that is free. Raises OSError."""
        header = _header(serial, state, words, size)
        segment = cls(name, serial, size, state.boot, words, len(header), zlib.crc32(header), rows={})
        file = disk.open(name)
        try:
            file.write(0, header)
            file.sync()
        except BaseException:
            file.close()
            raise
        segment.file = file
        return segment

    def room(self) -> int:
        """Bytes that can still be appended."""
        return self.size - FOOTER_BYTES - self.end

    def write(self, data: bytes) -> None:
        """Write records at the end, synced. Raises OSError; ``end`` stays then."""
        if self.file is None:
            raise OSError(errno.EBADF, "the segment is closed")
        self.file.write(self.end, data)
        self.file.sync()

    def wrote(self, data: bytes, rows: Iterable[Row]) -> None:
        """Take in what ``write`` wrote."""
        if self.rows is None:
            self.rows = {}
        self.end += len(data)
        self.crc = zlib.crc32(data, self.crc)
        for row in rows:
            self.rows[row.first] = row
            self.note(row)
            self.live.add(row.first, row.last)

    def note(self, row: Row) -> None:
        """Count a block that stands in it."""
        self.numbers.add(row.first, row.last)
        self.data_bytes += row.end - row.start
        self.wave_bytes += (row.end - row.start) * row.waves

    def live_bytes(self) -> int:
        """About how much room the blocks take that are not settled: as if all numbers took the same."""
        count = len(self.numbers)
        return self.data_bytes * len(self.live) // count if count else 0

    def waves_share(self) -> float:
        """What part of its blocks' room waves take, 0 to 1."""
        return self.wave_bytes / self.data_bytes if self.data_bytes else 0.0

    def seal(self) -> None:
        """Write the footer: nothing is appended any more. Raises OSError."""
        footer = self._footer()
        try:
            if self.file is not None and len(footer) <= FOOTER_BYTES:
                self.file.write(self.size - FOOTER_BYTES, footer)
                self.file.sync()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def _footer(self) -> bytes:
        flat = [n for pair in self.numbers for n in pair]
        waves = [self.wave_bytes] if self.wave_bytes else []  # without them a former release can read it
        body = cast("bytes", msgpack.packb([self.end, self.crc, self.data_bytes, flat, *waves]))
        return record(Kind.FOOTER, self.serial, body)

    def block(self, row: Row, body: bytes) -> Block | None:
        """The block of a row, or None when its body is not what its head says."""
        try:
            payload = inflate(body, self.words) if row.deflated else body
        except zlib.error:
            return None
        return Block(row.first, row.count, payload) if block_digest(payload) == row.digest else None


def _header(serial: int, state: State, words: bytes, size: int) -> bytes:
    """Two copies, each from a page's beginning."""
    known = state.encode()
    if len(known) > size // _STATE_SHARE:
        known = state.encode(counts=False)
    if len(known) > size // _STATE_SHARE:
        known = b""
    body = cast("bytes", msgpack.packb([_VERSION, state.boot, words, known, state.ended]))
    copy = record(Kind.HEADER, serial, body)
    return copy.ljust(-(-len(copy) // _ALIGN) * _ALIGN, b"\0") + copy


@dataclass(slots=True)
class Found:
    """What looking at a segment's file found.

    ``rows`` of blocks and changes are None as long as the footer is all that was looked at: ``check`` then
    reads the rest. ``whole`` says that everything up to ``end`` is good and nothing was begun after it;
    ``sealed`` that a later segment was begun.
    """

    segment: Segment
    state: State | None
    ended: dict[int, int]
    sealed: bool
    whole: bool = True
    rows: list[Row] | None = None
    checked: bool = False

    def check(self, disk: Disk) -> None:
        """Have everything read that the footer vouches for; where its check does not hold, the good rows."""
        if self.checked:
            return
        self.checked = True
        data = _read(disk, self.segment.name, self.segment.size)
        if zlib.crc32(memoryview(data)[: self.segment.end]) != self.segment.crc:
            self.walk(data, None)

    def walk(self, data: bytes, stop: int | None) -> None:
        """Go through all rows, as far as ``stop``."""
        self.checked = True
        segment = self.segment
        segment.numbers, segment.data_bytes, segment.wave_bytes = RangeSet(), 0, 0
        self.rows, heads, at, whole = [], 0, 0, len(data) == segment.size
        limit = min(segment.size - FOOTER_BYTES, len(data) if stop is None else stop)
        for row in scan(data, segment.serial, 0, limit):
            if row.kind == Kind.HEADER:
                heads += 1
            else:
                whole = whole and row.start == at
                self.rows.append(row)
            at = row.end
        segment.end = at
        begun = stop is None and touched(data, at, segment.serial)
        self.whole = whole and heads > 1 and not begun


def look(disk: Disk, name: str, size: int) -> Found | int:
    """Look at a segment file: all of it, but for one with a footer.

    Returns the highest serial met when no header can be read. Raises OSError.
    """
    file = disk.open(name)
    try:
        start, footer = file.read(0, _PEEK), file.read(size - FOOTER_BYTES, FOOTER_BYTES)
    finally:
        file.close()
    if not any(start):
        return 0
    head = _first(start, Kind.HEADER)
    data = start if head is not None else _read(disk, name, size)
    head = head or _first(data, Kind.HEADER)
    if head is None:
        return max((_serial_at(data, row) for row in scan(data)), default=0)
    serial = _serial_at(data, head)
    _, boot, words, known, ended = msgpack.unpackb(head.body(data), use_list=False, strict_map_key=False)
    state = State.decode(known) if known else None
    segment = Segment(name, serial, size, boot, words, 0)
    end = next(scan(footer, serial), None)
    found = Found(segment, state, ended, sealed=end is not None and end.kind == Kind.FOOTER)
    if end is not None and found.sealed:
        segment.end, segment.crc, segment.data_bytes, flat, *waves = msgpack.unpackb(end.body(footer))
        segment.wave_bytes = waves[0] if waves else 0
        segment.numbers = RangeSet(zip(flat[::2], flat[1::2], strict=True))
    else:
        found.walk(_read(disk, name, size), None)
    return found


def _first(data: bytes, kind: Kind) -> Row | None:
    return next((row for row in scan(data) if row.kind == kind), None)


def _read(disk: Disk, name: str, length: int) -> bytes:
    file = disk.open(name)
    try:
        return file.read(0, length)
    finally:
        file.close()


def _serial_at(data: bytes, row: Row) -> int:
    return int.from_bytes(data[row.start + 8 : row.start + 12], "little")


def close_off(disk: Disk, segment: Segment) -> None:
    """Write the footer of a segment that an earlier process left open, or whose check did not hold.

    It vouches for the good rows only. Raises OSError.
    """
    file = disk.open(segment.name)
    try:
        segment.crc = zlib.crc32(file.read(0, segment.end))
    except BaseException:
        file.close()
        raise
    segment.file = file
    segment.seal()


def read_rows(disk: Disk, segment: Segment) -> list[Row]:
    """The good rows of blocks and changes that stand in a segment now. Raises OSError."""
    data = _read(disk, segment.name, segment.end)
    return [row for row in scan(data, segment.serial) if row.kind != Kind.HEADER]
