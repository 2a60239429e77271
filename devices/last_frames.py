"""The last raw frames of each device, in memory only and bounded: for who looks how they are decoded."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from firmware_profiles import Profile
from firmware_profiles.anatomy import dissect
from hearthward.core.errors import DecodeError
from hearthward.core.raw_frames import MOST_BYTES, MOST_FRAMES, FieldPart, RawFrame

__all__ = ["LastFrames"]

logger = logging.getLogger(__name__)

UNREAD_BYTES: Final = 64
"""Of refused bytes that belong to no frame so many are kept."""


@dataclass(slots=True)
class _Frame:
    """One frame; longer ones by their heads."""

    number: int
    received: int
    source: str
    payload: bytes
    size: int
    profile: Profile | None
    reason: str = ""
    detail: str = ""


class LastFrames:
    """``MOST_FRAMES`` of each configured device; ``note``, called for each frame, does next to nothing."""

    def __init__(self) -> None:
        self._rings: dict[str, deque[_Frame]] = {}
        self._counts: dict[str, int] = {}

    def have(self, devices: Iterable[str]) -> None:
        """These devices are configured; of others nothing is kept."""
        wanted = dict.fromkeys(devices)
        self._rings = {d: self._rings.get(d) or deque(maxlen=MOST_FRAMES) for d in wanted}
        self._counts = {d: self._counts.get(d, 0) for d in wanted}

    def __contains__(self, device: str) -> bool:
        """Whether the device is configured."""
        return device in self._rings

    def note(self, device: str, profile: Profile | None, source: str, payload: bytes, received: int) -> None:
        """A frame came at ``received`` (UTC ns), and is about to be read."""
        ring = self._rings.get(device)
        if ring is None:
            return
        number = self._counts[device] = self._counts[device] + 1
        size = len(payload)
        head = payload if size <= MOST_BYTES else payload[:MOST_BYTES]
        ring.append(_Frame(number, received, source, head, size, profile))

    def refused(self, device: str, source: str, payload: bytes, error: DecodeError, now: int) -> None:
        """A frame, or bytes that are none (source empty), gives no readings; UTC ns."""
        if device not in self._rings:
            return
        head = payload[:MOST_BYTES]
        for frame in reversed(self._rings[device]):
            if (frame.source, frame.size, frame.reason) == (
                source,
                len(payload),
                "",
            ) and frame.payload == head:
                break
        else:
            self.note(device, None, source, payload[:UNREAD_BYTES], now)
            frame = self._rings[device][-1]
            frame.size = len(payload)
        frame.reason, frame.detail = error.reason, error.message

    def told(self, device: str, after: int = 0) -> tuple[tuple[RawFrame, ...], int]:
        """The frames with numbers above ``after``, oldest first, and how many of those are gone already."""
        kept = [frame for frame in self._rings.get(device, ()) if frame.number > after]
        newest = self._counts.get(device, 0)
        return tuple(map(_raw, kept)), max(0, newest - after - len(kept)) if after else 0


def _raw(frame: _Frame) -> RawFrame:
    profile = frame.profile
    return RawFrame(
        number=frame.number,
        received=frame.received,
        source=frame.source,
        payload=frame.payload,
        size=frame.size,
        profile="" if profile is None else profile.part_of(frame.source).id,
        reason=frame.reason,
        detail=frame.detail,
        fields=_fields(frame),
    )


def _fields(frame: _Frame) -> tuple[FieldPart, ...]:
    if frame.profile is None or frame.size > len(frame.payload):
        return ()
    try:
        return dissect(frame.profile, frame.source, frame.payload)
    except Exception:
        logger.exception("profile %s fails on a frame of %d bytes", frame.profile.id, frame.size)
        return ()
