"""Cutting frames out of a stream by looking at it byte by byte, and putting frames together to payloads."""

from __future__ import annotations

from typing import Final

from firmware_profiles.framing.base import Framed, FramedBytes
from firmware_profiles.framing.looks import Look, Verdict, passes
from firmware_profiles.framing.refusals import HEAD, RUN, Reason, Refusals
from firmware_profiles.schema_transport import Framing
from hearthward.core.errors import DecodeError

__all__ = ["Cutter"]

_STRAY: Final = "frames before the first of a packet"


class Cutter:
    """Frames that a ``Look`` knows, one payload each or ``group`` of them in one.

    After noise the stream is looked at from every byte on, so the next whole frame is found. ``lock``
    frames in a row are needed before the first is believed; a group holds only frames without a byte
    between them, and in a packet only its first frame passes ``first``.
    """

    __slots__ = (
        "_base", "_buffer", "_came", "_first", "_group", "_held", "_keep", "_lock", "_locked", "_look",
        "_noise", "_noise_size", "_now", "_out", "_refusals", "_strays", "_unpack", "_verdict", "_waiting",
        "source",
    )  # fmt: skip

    def __init__(self, framing: Framing, look: Look) -> None:
        self.source = framing.source
        self._look = look
        self._lock = framing.lock
        self._group = framing.group or 1
        self._first = framing.first
        self._unpack = framing.unpack is not None
        self._keep = framing.length if framing.kind == "length" else None
        self._buffer = bytearray()
        self._base = 0  # where the buffer begins in the stream
        self._refusals = Refusals(self.source)
        self._out: list[Framed] = []
        self._noise = bytearray()  # the head of the run of noise that goes on
        self._noise_size = 0
        self._verdict = Verdict(-1)  # why it began
        self._now = 0
        self._held: list[bytes] = []  # frames that wait to be confirmed by the next ones
        self._came: list[int] = []  # when each of them did
        self._locked = framing.lock <= 1
        self._waiting: list[bytes] = []  # frames of a group that is not complete
        self._strays: list[bytes] = []  # frames before the first of a packet

    @property
    def pending(self) -> int:
        """How many bytes wait for the rest of their frame, to be confirmed, or for their group."""
        frames = sum(len(frame) for row in (self._held, self._waiting, self._strays) for frame in row)
        return len(self._buffer) + frames

    @property
    def in_frame(self) -> bool:
        """Whether the last bytes may be a frame's beginning."""
        return bool(self._buffer)

    def feed(self, data: bytes, now: int = 0) -> list[Framed]:
        """Take the next bytes of the stream, which came ``now``; returns what they completed, in order."""
        self._out, self._now = [], now
        buffer = self._buffer
        buffer += data
        at, size = 0, len(buffer)
        while at < size:
            verdict = self._look(buffer, at)
            if verdict.size == 0:
                break
            if verdict.size < 0:
                self._bad_byte(buffer[at], self._base + at, verdict)
                at += 1
                continue
            frame = bytes(buffer[at : at + verdict.size])
            at += verdict.size
            self._good_frame(frame, self._base + at)
        del buffer[:at]
        self._base += at
        return self._out

    def end(self) -> list[DecodeError]:
        """The stream has ended: what was refused and not told yet; half frames and groups are dropped."""
        told = self._tell_noise(self._base)
        for waiting in (self._buffer, self._held, self._came, self._waiting, self._strays):
            waiting.clear()
        self._locked = self._lock <= 1
        return told + self._refusals.end()

    def _bad_byte(self, byte: int, at: int, verdict: Verdict) -> None:
        if not self._noise_size:
            self._verdict = verdict
        if len(self._noise) < HEAD:
            self._noise.append(byte)
        self._noise_size += 1
        if self._noise_size >= RUN:
            self._lose(at + 1)

    def _good_frame(self, frame: bytes, at: int) -> None:
        if self._noise_size:
            self._lose(at)
        else:
            self._out += self._refusals.due(at)
        if self._locked:
            self._believed(frame, at, self._now)
            return
        self._held.append(frame)
        self._came.append(self._now)
        if len(self._held) >= self._lock:
            self._locked = True
            held, came = self._held, self._came
            self._held, self._came = [], []
            for each, then in zip(held, came, strict=True):
                self._believed(each, at, then)

    def _lose(self, at: int) -> None:
        """The row of frames is broken: tell the noise, and what waited for frames that did not come."""
        self._out += self._tell_noise(at)
        self._drop(self._held, at, "frames that the next ones did not confirm")
        self._came.clear()
        self._locked = self._lock <= 1
        self._drop(self._waiting, at, "frames of a group that was broken off")
        self._drop(self._strays, at, _STRAY)

    def _tell_noise(self, at: int) -> list[DecodeError]:
        if not self._noise_size:
            return []
        verdict, head, size = self._verdict, bytes(self._noise), self._noise_size
        self._noise.clear()
        self._noise_size = 0
        return self._refusals.refuse(at, verdict.reason, verdict.message, head, size)

    def _drop(self, frames: list[bytes], at: int, message: str) -> None:
        if frames:
            self._refuse(at, "malformed", f"{len(frames)} {message}", frames[0], sum(map(len, frames)))
            frames.clear()

    def _refuse(self, at: int, reason: Reason, message: str, head: bytes, size: int) -> None:
        self._out += self._refusals.refuse(at, reason, message, head, size)

    def _believed(self, frame: bytes, at: int, came: int) -> None:
        if self._first is not None:
            begins = passes(frame, 0, (self._first,))
            if begins:
                self._drop(self._waiting, at, "frames of a packet that was broken off")
            elif not self._waiting:
                self._strays.append(frame)
                if len(self._strays) * len(frame) >= RUN:
                    self._drop(self._strays, at, _STRAY)
                return
            if begins:
                self._drop(self._strays, at, _STRAY)
        self._waiting.append(_unpacked(frame) if self._unpack else frame[: self._keep])
        if len(self._waiting) == self._group:
            self._out.append(FramedBytes(self.source, b"".join(self._waiting), came))
            self._waiting.clear()


def _unpacked(frame: bytes) -> bytes:
    """The first byte, then the bytes after the second with their top bits, which the second one holds."""
    high = frame[1]
    return bytes((frame[0], *(byte & 0x7F | (high >> i & 1) << 7 for i, byte in enumerate(frame[2:]))))
