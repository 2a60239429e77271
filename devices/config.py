"""One device as configured, and the ports by which its session reaches the outside world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from devices.links.base import DeviceLink
from devices.states import SessionState
from firmware_profiles import Profile
from hearthward.core.errors import DecodeError

__all__ = ["DeviceConfig", "LinkFactory", "OnFrame", "OnNoise", "OnRead", "OnRejected", "OnState"]


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """One device as configured: ``address`` is a Bluetooth address or a serial port's path.

    ``transport`` is ``ble`` for a device that only advertises, too: its profile, which has to be named then,
    says that it is not connected to. ``profile`` None: matched by what the device says of itself.
    ``timezone`` (IANA) is its local clock's.
    """

    id: str
    transport: Literal["ble", "serial"]
    address: str
    profile: str | None = None
    timezone: str | None = None
    interval_s: float | None = None


OnState = Callable[[str, SessionState, str], None]
"""Called with (device, state, the reason for people) at each change."""
OnRejected = Callable[[str, str, bytes, DecodeError], None]
"""Called with (device, source, payload, why) for each refused frame."""
OnRead = Callable[[str, int, int], None]
"""Called with (device, receive time, readings) for each payload that was decoded, whatever becomes of it."""
OnFrame = Callable[[str, Profile, str, bytes, int], None]
"""Called with (device, profile, source, payload, receive time) for each frame, before it is read."""
OnNoise = Callable[[bytes, DecodeError], None]
"""Called by a link that cuts frames itself with (what is kept of the refused bytes, why)."""


class LinkFactory(Protocol):
    """Makes a link for one connection; ``profile`` is None when the device is yet to be identified."""

    def __call__(self, config: DeviceConfig, profile: Profile | None, on_noise: OnNoise) -> DeviceLink:
        """A new, unconnected link. Raises ConfigError when this gateway cannot have such a link."""
        ...
