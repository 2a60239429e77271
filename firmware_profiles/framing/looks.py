"""Whether a frame begins at a place of the buffer: frames of fixed length, and frames that tell theirs."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from firmware_profiles.framing.refusals import Reason
from firmware_profiles.refusals import INTEGRITY
from firmware_profiles.schema_transport import ByteTest, Framing

__all__ = ["MORE", "OF_BODY", "FixedLook", "LengthLook", "Look", "Verdict", "passes"]

OF_BODY: Final = "-body"
"""Ends the name of a check that is made over what comes after the length field only."""

_LENGTHS: Final = {"u8": struct.Struct("B"), "u16": struct.Struct("<H"), "u16be": struct.Struct(">H")}


class Verdict(NamedTuple):
    """``size`` bytes are a frame; 0: more bytes are needed; -1: no frame begins here, and why."""

    size: int
    reason: Reason = "malformed"
    message: str = ""


MORE: Final = Verdict(0)
_NO_FRAME: Final = Verdict(-1, "malformed", "bytes that are no frame")


class Look(Protocol):
    """Looks at one place of the buffer."""

    def __call__(self, buffer: bytearray, at: int) -> Verdict:
        """Whether a frame begins at ``at``; asks for no more bytes than a frame can have."""
        ...


def passes(buffer: bytes | bytearray, at: int, tests: Sequence[ByteTest]) -> bool:
    """Whether the bytes from ``at`` on pass; they must be there."""
    return all(buffer[at + test.at] & test.mask == test.is_ for test in tests)


class FixedLook:
    """``length`` bytes that begin with ``start``, pass the tests and the check at their end."""

    __slots__ = ("_check", "_length", "_tests")

    def __init__(self, framing: Framing) -> None:
        self._length = framing.length or 1
        start = bytes.fromhex(framing.start or "")
        begins = (ByteTest(at=i, mask=255, **{"is": byte}) for i, byte in enumerate(start))
        self._tests = (*begins, *framing.tests)
        name = framing.integrity
        self._check = None if name is None else (name, *INTEGRITY[name])

    def __call__(self, buffer: bytearray, at: int) -> Verdict:
        """Whether a frame begins at ``at``."""
        have = len(buffer) - at
        for test in self._tests:
            if test.at < have and buffer[at + test.at] & test.mask != test.is_:
                return _NO_FRAME
        if have < self._length:
            return MORE
        if self._check is not None:
            name, size, check = self._check
            end = at + self._length
            if check(bytes(buffer[at : end - size])) != buffer[end - size : end]:
                return Verdict(-1, "integrity", f"the {name} of a frame is wrong")
        return Verdict(self._length)


class LengthLook:
    """Frames that begin with ``start``, tell their length, and end with a check and ``end``."""

    __slots__ = ("_adds", "_at", "_body", "_check", "_end", "_least", "_max", "_number", "_start", "_tests")

    def __init__(self, framing: Framing) -> None:
        self._start = bytes.fromhex(framing.start or "")
        self._end = bytes.fromhex(framing.end or "")
        self._at = framing.length_at or 0
        self._number = _LENGTHS[framing.length_type]
        self._adds = framing.length_adds
        self._max = framing.max_length or 1
        self._tests = framing.tests
        name = framing.integrity
        self._body = name is not None and name.endswith(OF_BODY)
        self._check = None if name is None else (name, *INTEGRITY[name.removesuffix(OF_BODY)])
        trailer = len(self._end) + (0 if self._check is None else self._check[1])
        last = max((test.at + 1 for test in self._tests), default=0)
        body = self._at + self._number.size
        self._least = max(body, last, framing.length or 1) + trailer

    def __call__(self, buffer: bytearray, at: int) -> Verdict:
        """Whether a frame begins at ``at``."""
        have = len(buffer) - at
        if not self._start.startswith(bytes(buffer[at : at + len(self._start)])):
            return _NO_FRAME
        body = self._at + self._number.size
        if have < max(body, len(self._start)):
            return MORE
        size = self._number.unpack_from(buffer, at + self._at)[0] + self._adds
        if size > self._max:
            return Verdict(-1, "oversized", f"a frame of {size} bytes, more than {self._max}")
        if size < self._least:
            return Verdict(-1, "malformed", f"a frame of {size} bytes, less than {self._least}")
        if any(test.at < have and buffer[at + test.at] & test.mask != test.is_ for test in self._tests):
            return _NO_FRAME
        return self._whole(buffer, at, size, body) if have >= size else MORE

    def _whole(self, buffer: bytearray, at: int, size: int, body: int) -> Verdict:
        stop = at + size - len(self._end)
        if buffer[stop : at + size] != self._end:
            return Verdict(-1, "malformed", f"a frame that does not end with {self._end.hex()}")
        if self._check is not None:
            name, width, check = self._check
            first = at + body if self._body else at
            if check(bytes(buffer[first : stop - width])) != buffer[stop - width : stop]:
                return Verdict(-1, "integrity", f"the {name} of a frame is wrong")
        return Verdict(size)
