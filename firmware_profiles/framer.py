"""Cutting a byte stream into frames, with bounded memory and without ever raising."""

from __future__ import annotations

from dataclasses import dataclass

from hearthward.core.errors import DecodeError

__all__ = ["FramedBytes", "Framer"]

_HEAD = 32


@dataclass(frozen=True, slots=True)
class FramedBytes:
    """One frame's payload without its delimiter, for ``Profile.decode(source, payload)``."""

    source: str
    payload: bytes


class Framer:
    """Frames that end with a delimiter; how the stream is chunked does not change the results.

    A frame longer than ``max_length`` becomes one DecodeError (``oversized``) and the stream is skipped
    to the next delimiter. What noise leaves between two delimiters is a frame, for the decoder to refuse.
    """

    __slots__ = ("_buffer", "_delimiter", "_max", "_skipping", "source")

    def __init__(self, source: str, delimiter: bytes, max_length: int) -> None:
        self.source = source
        self._delimiter = delimiter
        self._max = max_length
        self._buffer = bytearray()
        self._skipping = False

    @property
    def pending(self) -> int:
        """How many bytes wait for the rest of their frame; at most ``max_length`` and a delimiter."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[FramedBytes | DecodeError]:
        """Take the next bytes of the stream; returns what they completed, in order."""
        out: list[FramedBytes | DecodeError] = []
        delimiter, buffer, margin = self._delimiter, self._buffer, len(self._delimiter) - 1
        search = max(0, len(buffer) - margin)
        buffer += data
        start = 0
        while (end := buffer.find(delimiter, search)) >= 0:
            if self._skipping:
                self._skipping = False
            elif end - start > self._max:
                out.append(self._oversized(start))
            else:
                out.append(FramedBytes(self.source, bytes(buffer[start:end])))
            start = search = end + len(delimiter)
        if not self._skipping and len(buffer) - start > self._max + margin:
            out.append(self._oversized(start))
            self._skipping = True
        if self._skipping:  # only what may be the start of the delimiter is kept
            start = max(start, len(buffer) - margin)
        del buffer[:start]
        return out

    def _oversized(self, start: int) -> DecodeError:
        head = bytes(self._buffer[start : start + _HEAD]).hex()
        msg = f"no end of frame within {self._max} bytes"
        return DecodeError(msg, reason="oversized", offset=self._max, source=self.source, head=head)
