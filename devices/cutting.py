"""Frames out of the notifications of a Bluetooth characteristic that are a stream of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hearthward.core.errors import DecodeError

if TYPE_CHECKING:
    from devices.config import OnNoise
    from devices.links.base import OnPayload
    from firmware_profiles import Framer, Profile

__all__ = ["Cutting"]


class Cutting:
    """Hands on the whole payloads of one connection: as they are, or cut out of the profile's stream.

    A serial link cuts its frames itself. What is no frame goes to ``on_noise`` with the head of its bytes.
    """

    def __init__(self, profile: Profile, on_payload: OnPayload, on_noise: OnNoise) -> None:
        streams = profile.document.framing is not None and profile.transport == "ble"
        self._framer: Framer | None = profile.framer() if streams else None
        self._on_payload = on_payload
        self._on_noise = on_noise

    def __call__(self, source: str, payload: bytes, ago: int = 0) -> None:
        """One notification."""
        framer = self._framer
        if framer is None or source != framer.source:
            self._on_payload(source, payload, ago)
            return
        for item in framer.feed(payload):
            if isinstance(item, DecodeError):
                self._refused(item)
            else:
                self._on_payload(item.source, item.payload, ago)

    def end(self) -> None:
        """The connection has ended: tell what was refused and not told yet."""
        for error in () if self._framer is None else self._framer.end():
            self._refused(error)

    def _refused(self, error: DecodeError) -> None:
        self._on_noise(bytes.fromhex(str(error.details.get("head") or "")), error)
