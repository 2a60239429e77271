"""Cutting byte streams into frames: bounded memory, never raising, whatever the bytes and their chunks."""

from __future__ import annotations

from firmware_profiles.framing.base import Framed, FramedBytes, Framer
from firmware_profiles.framing.cutter import Cutter
from firmware_profiles.framing.delimiter import DelimiterFramer
from firmware_profiles.framing.looks import FixedLook, LengthLook
from firmware_profiles.framing.refusals import BURST, EVERY, RUN, Refusals
from firmware_profiles.schema_transport import Framing

__all__ = [
    "BURST",
    "EVERY",
    "RUN",
    "Cutter",
    "DelimiterFramer",
    "FixedLook",
    "Framed",
    "FramedBytes",
    "Framer",
    "LengthLook",
    "Refusals",
    "framer_of",
]


def framer_of(framing: Framing) -> Framer:
    """A new framer; ``framing`` has been checked when its profile was loaded."""
    if framing.kind == "delimiter":
        delimiter = (framing.delimiter or "").encode("latin-1")
        return DelimiterFramer(framing.source, delimiter, framing.max_length or 1, framing.tests)
    look = LengthLook(framing) if framing.kind == "length" else FixedLook(framing)
    return Cutter(framing, look)
