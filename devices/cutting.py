"""Frames out of the notifications of a Bluetooth characteristic that are a stream of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hearthward.core.errors import DecodeError

if TYPE_CHECKING:
    from devices.config import OnNoise
    from devices.links.base import OnPayload
    from firmware_profiles import Profile

__all__ = ["cut"]


def cut(profile: Profile, on_payload: OnPayload, on_noise: OnNoise) -> OnPayload:
    """What hands on whole frames of one connection; ``on_payload`` itself where nothing is to be cut.

    A serial link cuts its frames itself. What is no frame goes to ``on_noise`` with the head of its bytes.
    """
    framing = profile.document.framing
    if framing is None or profile.transport != "ble":
        return on_payload
    framer = profile.framer()

    def feed(source: str, payload: bytes, ago: int = 0) -> None:
        if source != framer.source:
            on_payload(source, payload, ago)
            return
        for item in framer.feed(payload):
            if isinstance(item, DecodeError):
                on_noise(bytes.fromhex(str(item.details.get("head") or "")), item)
            else:
                on_payload(item.source, item.payload, ago)

    return feed
