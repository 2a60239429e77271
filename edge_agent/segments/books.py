"""The outbox's own record: two files in turn, each a snapshot of the books and the changes since.

A file's serial is that of the segment that was begun with it. The one before stays complete up to there, so
that with the segment's own rows it makes up for a damaged one.
"""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass
from typing import Final

from edge_agent.segments.files import Disk, File
from edge_agent.segments.records import Kind, record, scan, touched
from edge_agent.segments.state import Change, State

__all__ = ["BOOKS", "Books", "Record", "read_books"]

log = logging.getLogger(__name__)

BOOKS: Final = ("books-0", "books-1")
_FORGOTTEN: Final = 8
"""This part of the hours at a time: making a snapshot takes a while."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one of the files says: the books as of its last good change.

    ``whole`` says that nothing damaged or cut off follows.
    """

    name: str
    serial: int
    state: State
    whole: bool


def read_books(disk: Disk, name: str, size: int) -> Record | None:
    """Read one of the files; None when it has no good snapshot. Raises OSError."""
    file = disk.open(name)
    try:
        data = file.read(0, size)
    finally:
        file.close()
    first = next(scan(data), None)
    if first is None or first.start or first.kind != Kind.SNAPSHOT:
        return None
    serial, state, at = first.first, State.decode(first.body(data)), first.end
    for row in scan(data, serial & 0xFFFFFFFF, at):
        if row.start != at or row.kind != Kind.CHANGE:
            break
        state.apply(Change.decode(row.first, row.body(data)))
        at = row.end
    whole = len(data) == size and not touched(data, at, serial & 0xFFFFFFFF)
    return Record(name, serial, state, whole)


class Books:
    """Writes the record. Every method blocks and raises OSError."""

    def __init__(self, disk: Disk, size: int, last: str | None) -> None:
        self._disk = disk
        self._size = size
        self._name = last or BOOKS[1]
        self._file: File | None = None
        self._serial = 0
        self._end = 0

    def room(self) -> int:
        """Bytes that changes can still take."""
        return self._size - self._end if self._file is not None else 0

    def begin(self, serial: int, state: State) -> None:
        """Go on in the other file, from a snapshot; the oldest hours are forgotten if it would fill it."""
        body = state.encode()
        while len(body) > self._size // 2 and len(state.counts):
            for _ in range(1 + len(state.counts) // _FORGOTTEN):
                state.counts.forget_oldest()
            body = state.encode()
        snapshot = record(Kind.SNAPSHOT, serial, body, first=serial)
        name = BOOKS[self._name == BOOKS[0]]
        file = self._disk.open(name)
        try:
            file.write(0, snapshot)
            file.sync()
        except BaseException:
            file.close()
            raise
        self.close()
        self._file, self._name, self._serial, self._end = file, name, serial, len(snapshot)

    def append(self, serial: int, change: bytes) -> None:
        """Write one encoded change, synced."""
        if self._file is None:
            raise OSError(errno.EBADF, "the books are closed")
        data = record(Kind.CHANGE, self._serial, change, first=serial)
        self._file.write(self._end, data)
        self._file.sync()
        self._end += len(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
