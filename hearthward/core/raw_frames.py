"""A device's last frames, byte by byte, as its gateway tells them while somebody looks.

Sent only while a ``watch`` that the cloud signed runs (``core.sightings.Ask``), never kept on a disk. They
hold what was measured of a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from hearthward.core.columns import fits_int64
from hearthward.core.errors import DecodeError
from hearthward.core.packing import VERSION, pack, unpack
from hearthward.core.text import tidy

__all__ = ["MOST_BYTES", "MOST_FRAMES", "FieldPart", "RawFrame", "RawFrames"]

MOST_FRAMES: Final = 20
"""Of a device; in one message at most."""
MOST_BYTES: Final = 512
"""Of a frame; the rest is left out, and its size is told."""
MOST_FIELDS: Final = 96
MOST_MESSAGE: Final = 64 * 1024
MOST_ID: Final = 64
MOST_NAME: Final = 64
MOST_VALUE: Final = 120
MOST_DETAIL: Final = 200


class FieldPart(NamedTuple):
    """One field as it was read: ``length`` bytes from ``offset``; bits of a byte have that whole byte.

    ``value`` is written out, in the metric's canonical ``unit`` (UCUM) where the field has one; empty: "no
    value", or samples.
    """

    name: str
    offset: int
    length: int
    value: str = ""
    unit: str = ""
    metric: str = ""

    def packed(self) -> list[Any]:
        """As it travels; texts are cut and made printable."""
        texts = tidy(self.value, MOST_VALUE), tidy(self.unit, MOST_NAME), tidy(self.metric, MOST_NAME)
        return [tidy(self.name, MOST_NAME), self.offset, self.length, *texts]

    @classmethod
    def unpacked(cls, raw: object) -> Self:
        """What travelled. Raises TypeError or ValueError."""
        if not isinstance(raw, list):
            msg = "a field is no list"
            raise TypeError(msg)
        name, offset, length, value, unit, metric = raw
        good = all(isinstance(text, str) for text in (name, value, unit, metric))
        if not good or not all(fits_int64(n) and n >= 0 for n in (offset, length)):
            msg = "a field has a part of the wrong kind"
            raise TypeError(msg)
        return cls(*cls(name, offset, length, value, unit, metric).packed())


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame as it came; ``number`` counts a device's frames since the gateway's start.

    ``payload`` is the head of its ``size`` bytes. ``reason`` (of DecodeError) says why it was refused, and
    ``detail`` that in the gateway's words; empty: it was taken. ``profile`` is the id of what read it.
    """

    number: int
    received: int
    source: str
    payload: bytes
    size: int
    profile: str = ""
    reason: str = ""
    detail: str = ""
    fields: tuple[FieldPart, ...] = ()

    def packed(self) -> list[Any]:
        """As it travels, within its bounds."""
        return [
            self.number,
            self.received,
            tidy(self.source, MOST_NAME),
            self.payload[:MOST_BYTES],
            self.size,
            tidy(self.profile, MOST_NAME),
            tidy(self.reason, MOST_NAME),
            tidy(self.detail, MOST_DETAIL),
            [part.packed() for part in self.fields[:MOST_FIELDS]],
        ]

    @classmethod
    def unpacked(cls, raw: object) -> Self:
        """What travelled. Raises TypeError or ValueError."""
        if not isinstance(raw, list):
            msg = "a frame is no list"
            raise TypeError(msg)
        number, received, source, payload, size, profile, reason, detail, fields = raw
        good = all(isinstance(text, str) for text in (source, profile, reason, detail))
        good = good and isinstance(payload, bytes) and len(payload) <= MOST_BYTES
        good = good and all(fits_int64(n) and n >= 0 for n in (number, received, size))
        if not good or not isinstance(fields, list) or len(fields) > MOST_FIELDS:
            msg = "a frame has a part of the wrong kind"
            raise TypeError(msg)
        parts = tuple(map(FieldPart.unpacked, fields))
        texts = tidy(source, MOST_NAME), tidy(profile, MOST_NAME), tidy(reason, MOST_NAME)
        source, profile, reason = texts
        return cls(number, received, source, payload, size, profile, reason, tidy(detail, MOST_DETAIL), parts)


@dataclass(frozen=True, slots=True)
class RawFrames:
    """The newest frames of a watched device, oldest first, that were not told yet.

    ``left_s``: for how many seconds it will still be told of. ``known``: whether the gateway has that device.
    ``missed``: frames since the message before that found no room.
    """

    gateway: str
    session: str
    device: str
    wall: int
    left_s: int
    frames: tuple[RawFrame, ...] = ()
    known: bool = True
    missed: int = 0

    def encode(self) -> bytes:
        """Frames -> bytes; those that make it too large are left out, the oldest first."""
        rows = [frame.packed() for frame in self.frames[-MOST_FRAMES:]]
        while True:
            missed = self.missed + len(self.frames) - len(rows)
            head = [VERSION, self.gateway, self.session, self.device, self.wall, self.left_s]
            payload = pack([*head, rows, self.known, missed])
            if len(payload) <= MOST_MESSAGE or not rows:
                return payload
            rows = rows[1:]

    @classmethod
    def decode(cls, payload: bytes) -> RawFrames:
        """Bytes -> frames. Raises DecodeError and nothing else."""
        try:
            gateway, session, device, wall, left_s, rows, known, missed = unpack(payload, "raw frames")
            good = all(isinstance(t, str) and len(t) <= MOST_ID for t in (gateway, session, device))
            good = good and all(fits_int64(n) for n in (wall, left_s, missed)) and min(left_s, missed) >= 0
            good = good and type(known) is bool and isinstance(rows, list) and len(rows) <= MOST_FRAMES
            frames = tuple(map(RawFrame.unpacked, rows)) if good else ()
        except DecodeError:
            raise
        except Exception as error:
            msg = f"raw frames are malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not good:
            msg = "raw frames have fields of the wrong type, or are too many"
            raise DecodeError(msg, reason="malformed")
        return cls(gateway, session, device, wall, left_s, frames, known, missed)
