"""Payloads that say again what was just kept: left out for as long as their frame's ``repeat_s`` says."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_profiles import DecodedReading, Profile
from hearthward.core.clock import SECOND

__all__ = ["Repeats"]


class Repeats:
    """What was last kept of each source of one connection.

    Any difference - a value, a code, a quality, a time, one more or less - is no repetition.
    """

    def __init__(self) -> None:
        self._for: dict[str, int] = {}
        self._kept: dict[str, tuple[Sequence[DecodedReading], int]] = {}

    def connected(self, profile: Profile) -> None:
        """A new connection, to a device of this profile: what it says first is kept."""
        frames = profile.document.frames.items()
        self._for = {
            name.lower(): round(frame.repeat_s * SECOND)
            for name, frame in frames
            if frame.repeat_s is not None
        }
        self._kept.clear()

    def again(self, source: str, decoded: Sequence[DecodedReading], now: int) -> bool:
        """Whether that, received at ``now`` (UTC ns), was kept so shortly before that it may be left out."""
        kept, at = self._kept.get(source.lower(), ((), 0))
        return 0 <= now - at < self._for.get(source.lower(), 0) and kept == decoded

    def keep(self, source: str, decoded: Sequence[DecodedReading], now: int) -> None:
        """It was kept."""
        if source.lower() in self._for:
            self._kept[source.lower()] = decoded, now
