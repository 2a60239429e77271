"""Frames that end with a delimiter."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_profiles.framing.base import Framed, FramedBytes
from firmware_profiles.framing.looks import passes
from firmware_profiles.framing.refusals import Refusals
from firmware_profiles.schema_transport import ByteTest
from hearthward.core.errors import DecodeError

__all__ = ["DelimiterFramer"]


class DelimiterFramer:
    """Payloads without their delimiter.

    A frame longer than ``max_length`` is refused once (``oversized``) and the stream is skipped to the next
    delimiter; one that fails the ``tests`` is refused (``malformed``). Other noise between two delimiters is
    a frame, for the decoder to refuse.
    """

    __slots__ = ("_base", "_buffer", "_delimiter", "_max", "_refusals", "_skipping", "_tests", "source")

    def __init__(
        self, source: str, delimiter: bytes, max_length: int, tests: Sequence[ByteTest] = ()
    ) -> None:
        self.source = source
        self._delimiter = delimiter
        self._max = max_length
        self._tests = tests
        self._buffer = bytearray()
        self._base = 0  # where the buffer begins in the stream
        self._skipping = False
        self._refusals = Refusals(source)

    @property
    def pending(self) -> int:
        """How many bytes wait for the rest of their frame; at most ``max_length`` and a delimiter."""
        return len(self._buffer)

    @property
    def in_frame(self) -> bool:
        """Never known: an answer may stand on a line of its own."""
        return False

    def feed(self, data: bytes, now: int = 0) -> list[Framed]:
        """Take the next bytes of the stream, which came ``now``; returns what they completed, in order."""
        out: list[Framed] = []
        delimiter, buffer, margin = self._delimiter, self._buffer, len(self._delimiter) - 1
        search = max(0, len(buffer) - margin)
        buffer += data
        start = 0
        while (end := buffer.find(delimiter, search)) >= 0:
            if self._skipping:
                self._skipping = False
            elif end - start > self._max:
                out += self._oversized(start)
            else:
                out += self._line(bytes(buffer[start:end]), self._base + end, now)
            start = search = end + len(delimiter)
        if not self._skipping and len(buffer) - start > self._max + margin:
            out += self._oversized(start)
            self._skipping = True
        if self._skipping:  # only what may be the start of the delimiter is kept
            start = max(start, len(buffer) - margin)
        del buffer[:start]
        self._base += start
        return out

    def _line(self, line: bytes, at: int, now: int) -> list[Framed]:
        if not self._tests:
            return [FramedBytes(self.source, line, now)]
        if len(line) > max(test.at for test in self._tests) and passes(line, 0, self._tests):
            return [*self._refusals.due(at), FramedBytes(self.source, line, now)]
        return [*self._refusals.refuse(at, "malformed", "a line of another form", line, len(line))]

    def _oversized(self, start: int) -> list[DecodeError]:
        message = f"no end of frame within {self._max} bytes"
        head = bytes(self._buffer[start : start + self._max + len(self._delimiter)])
        at = self._base + start + self._max + len(self._delimiter)
        return self._refusals.refuse(at, "oversized", message, head, self._max)

    def end(self) -> list[DecodeError]:
        """The stream has ended: what was refused and not told yet; a half line is not a refusal."""
        self._buffer.clear()
        self._skipping = False
        return self._refusals.end()
