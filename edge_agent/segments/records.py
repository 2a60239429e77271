"""The records that segments and books are made of: each with a check of its own, found again after damage.

A record is a head and a body. The head names the file's *serial*, so that what a file held in an earlier
use never passes for its present content.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = ["HEAD_BYTES", "Kind", "Row", "block_digest", "deflate", "inflate", "record", "scan", "touched"]

_MAGIC: Final = b"\xa5W"
_LEAD: Final = struct.Struct("<2sI")
_HEAD: Final = struct.Struct("<BBIIHQ8s")
HEAD_BYTES: Final = _LEAD.size + _HEAD.size
_DEFLATED: Final = 1
_ENDS: Final = 2
_WAVES: Final = 4
_LEVEL: Final = 1
_WINDOW: Final = -15


class Kind(IntEnum):
    """What a record holds."""

    HEADER = 1
    BLOCK = 2
    CHANGE = 3
    FOOTER = 4
    SNAPSHOT = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A good record: where it stands, and what its head says; ``ends`` marks the end of a transaction.

    A block has its first number, count and the digest of its payload, and may be of ``waves``; a change has
    its transaction's serial number in ``first``.
    """

    kind: int
    first: int
    count: int
    digest: bytes
    start: int
    end: int
    ends: bool
    deflated: bool
    waves: bool = False

    @property
    def last(self) -> int:
        """The last number of a block."""
        return self.first + self.count - 1

    def body(self, data: bytes) -> bytes:
        """Its body within the file's content, as stored."""
        return data[self.start + HEAD_BYTES : self.end]


def record(  # noqa: PLR0913 - what a head says
    kind: Kind,
    serial: int,
    body: bytes,
    *,
    first: int = 0,
    count: int = 0,
    digest: bytes = bytes(8),
    ends: bool = True,
    deflated: bool = False,
    waves: bool = False,
) -> bytes:
    """A record's bytes."""
    flags = _ENDS * ends | _DEFLATED * deflated | _WAVES * waves
    head = _HEAD.pack(kind, flags, serial, len(body), count, first, digest)
    return _LEAD.pack(_MAGIC, zlib.crc32(body, zlib.crc32(head))) + head + body


def scan(data: bytes, serial: int | None = None, at: int = 0, stop: int | None = None) -> Iterator[Row]:
    """The good records from ``at`` on, in order; damaged or foreign stretches are skipped.

    Only those of the file's ``serial``, or of any when it is None.
    """
    stop = len(data) if stop is None else min(stop, len(data))
    while at + HEAD_BYTES <= stop:
        row = _row(data, at, serial, stop)
        if row is not None:
            yield row
            at = row.end
        else:
            at = data.find(_MAGIC, at + 1, stop)
            if at < 0:
                return


def _row(data: bytes, at: int, serial: int | None, stop: int) -> Row | None:
    magic, crc = _LEAD.unpack_from(data, at)
    if magic != _MAGIC:
        return None
    kind, flags, owner, length, count, first, digest = _HEAD.unpack_from(data, at + _LEAD.size)
    end = at + HEAD_BYTES + length
    if end > stop or (serial is not None and owner != serial):
        return None
    if zlib.crc32(memoryview(data)[at + _LEAD.size : end]) != crc:
        return None
    ends, deflated, waves = (bool(flags & flag) for flag in (_ENDS, _DEFLATED, _WAVES))
    return Row(kind, first, count, digest, at, end, ends, deflated, waves)


def touched(data: bytes, at: int, serial: int) -> bool:
    """Whether something of this ``serial`` was begun at ``at``: a record cut off or damaged."""
    if at + HEAD_BYTES > len(data):
        return False
    return data[at : at + 2] == _MAGIC and _HEAD.unpack_from(data, at + _LEAD.size)[2] == serial


def block_digest(payload: bytes) -> bytes:
    """Eight bytes that tell a block's content from any other (as ``Block.digest``)."""
    return hashlib.blake2b(payload, digest_size=8).digest()


def deflate(payload: bytes, words: bytes) -> tuple[bytes, bool]:
    """The payload made smaller by what it has in common with ``words``; as it is where that does not help."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, 8, zlib.Z_DEFAULT_STRATEGY, words)
    small = packer.compress(payload) + packer.flush()
    return (small, True) if len(small) < len(payload) else (payload, False)


def inflate(body: bytes, words: bytes) -> bytes:
    """The payload again. Raises zlib.error."""
    unpacker = zlib.decompressobj(_WINDOW, words)
    return unpacker.decompress(body) + unpacker.flush()
