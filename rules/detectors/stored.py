"""A record stack's state as numbers, and as 512 bytes: versioned, checked, bound to its parameters."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

from hearthward.core.errors import RuleError

__all__ = ["FIELDS", "SIZE", "VERSION", "pack", "unpack"]

VERSION: Final = 1
FIELDS: Final = 62
"""Clock 4, pace's sources 1 + 9, frozen, begun, readings, rejected, levels 13, records 7, hours 24."""
_MAGIC: Final = b"HWRS"
_HEAD: Final = struct.Struct("<4sHHI")
_BODY: Final = struct.Struct(f"<{FIELDS}d")
_CHECK: Final = struct.Struct("<I")
SIZE: Final = _HEAD.size + _BODY.size + _CHECK.size


def pack(numbers: Sequence[float], digest: int) -> bytes:
    """The numbers as bytes, made under the parameters with this digest."""
    data = _HEAD.pack(_MAGIC, VERSION, FIELDS, digest) + _BODY.pack(*numbers)
    return data + _CHECK.pack(zlib.crc32(data))


def unpack(data: bytes, digest: int) -> tuple[float, ...]:
    """The numbers again, bit by bit.

    Raises RuleError for bytes that are no such state, are damaged, of another version or of other parameters:
    the stream then begins anew.
    """
    if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
        msg = "not the state of a detector"
        raise RuleError(msg, bytes=len(data))
    _, version, fields, made_by = _HEAD.unpack_from(data)
    if (version, fields) != (VERSION, FIELDS):
        msg = (
            f"a detector's state of version {version}; this build reads version {VERSION}: let it begin anew"
        )
        raise RuleError(msg, version=version)
    if len(data) != SIZE or _CHECK.unpack_from(data, SIZE - _CHECK.size)[0] != zlib.crc32(
        data[: -_CHECK.size]
    ):
        msg = "a detector's state is damaged: let it begin anew"
        raise RuleError(msg, bytes=len(data))
    if made_by != digest:
        msg = "a detector's state was made under other parameters: let it begin anew"
        raise RuleError(msg, made_by=made_by, digest=digest)
    return _BODY.unpack_from(data, _HEAD.size)
