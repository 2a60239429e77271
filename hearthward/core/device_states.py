"""Where a device stands with its gateway, and why, as words that travel and can be put into any language."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Cause", "DeviceWord", "Sighting"]


class Cause(StrEnum):
    """Why a device does not stream; ``NONE`` while it does, or while it is on its way to."""

    NONE = "none"
    OUT_OF_RANGE = "out_of_range"
    """Bluetooth: it does not answer, nor was it heard."""
    PAIRED_ELSEWHERE = "paired_elsewhere"
    """It refuses our bond, or asks for pairing that another host has."""
    NEEDS_PASSKEY = "needs_passkey"
    CONNECTED_ELSEWHERE = "connected_elsewhere"
    """It is heard, but takes no connection."""
    LINK_LOST = "link_lost"
    SILENT = "silent"
    NO_RADIO = "no_radio"
    RADIO_STUCK = "radio_stuck"
    """The adapter gives no answer; it is being reset."""
    PORT_MISSING = "port_missing"
    PORT_BUSY = "port_busy"
    PORT_FORBIDDEN = "port_forbidden"
    ONLY_NOISE = "only_noise"
    """Bytes come, but no frames: a wrong speed, or another instrument."""
    LACKS_SERVICE = "lacks_service"
    UNSUPPORTED = "unsupported"
    WRONG_FIRMWARE = "wrong_firmware"
    MISCONFIGURED = "misconfigured"
    INTERNAL = "internal"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class DeviceWord:
    """A device's session state (``devices.states``), why, since when (UTC ns), and what else is known.

    ``detail`` is the gateway's own sentence in English, for engineers; ``next_s`` the seconds to the next
    try.
    """

    state: str
    cause: Cause = Cause.NONE
    since: int = 0
    detail: str = ""
    next_s: int = 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device that a gateway hears or finds plugged in: what was seen of it, and what it may be.

    ``address`` is a Bluetooth address or a port's path. ``profile`` is the catalogue's profile that
    matches what was seen, or empty; ``why`` then says what is missing. ``device`` is its id when configured.
    """

    transport: str
    address: str
    first: int
    last: int
    name: str = ""
    rssi: int | None = None
    services: tuple[str, ...] = ()
    company_ids: tuple[int, ...] = ()
    usb: str = ""
    profile: str = ""
    why: str = ""
    device: str = ""
