"""Where a device stands with its gateway, and why, as words that travel and can be put into any language."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from hearthward.core.columns import fits_int64
from hearthward.core.text import tidy

__all__ = ["MOST_NAME", "Cause", "DeviceWord", "Sighting"]

MOST_STATE: Final = 32
MOST_DETAIL: Final = 300
MOST_NEXT_S: Final = 86_400
MOST_ADDRESS: Final = 256
MOST_NAME: Final = 64
MOST_ID: Final = 64
MOST_UUID: Final = 36
MOST_WHY: Final = 240
MOST_SERVICES: Final = 16
MOST_COMPANIES: Final = 8
COMPANIES: Final = 1 << 16
RSSI: Final = range(-128, 128)


class Cause(StrEnum):
    """Why a device does not stream; ``NONE`` while it does, or while it is on its way to."""

    NONE = "none"
    OUT_OF_RANGE = "out_of_range"
    """Bluetooth: it does not answer, nor was it heard."""
    PAIRED_ELSEWHERE = "paired_elsewhere"
    """It refuses our bond, or asks for pairing that another host has."""
    NEEDS_PAIRING = "needs_pairing"
    """It tells nothing to a host that it has no bond with."""
    NEEDS_PASSKEY = "needs_passkey"
    NEEDS_CONSENT = "needs_consent"
    """It tells a user's measurements only with that user's consent, which was not given or is refused."""
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
    GATEWAY_OFFLINE = "gateway_offline"
    """The cloud's word, not a gateway's: nobody knows how the device is."""
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

    def __str__(self) -> str:
        """The session's state and, after a colon, the gateway's sentence."""
        return f"{self.state}: {self.detail}" if self.detail else self.state

    def packed(self) -> list[Any]:
        """As it travels; texts are cut and made printable."""
        state, detail = tidy(self.state, MOST_STATE), tidy(self.detail, MOST_DETAIL)
        return [state, self.cause.value, self.since, detail, min(self.next_s, MOST_NEXT_S)]

    @classmethod
    def unpacked(cls, raw: object) -> Self:
        """What travelled, or a former release's text. A cause that is not known here is ``OTHER``.

        Raises TypeError or ValueError: it is neither.
        """
        if isinstance(raw, str):
            state, _, detail = raw.partition(":")
            return cls(tidy(state.strip(), MOST_STATE), detail=tidy(detail.strip(), MOST_DETAIL))
        if not isinstance(raw, list):
            msg = "a device's word is no list"
            raise TypeError(msg)
        state, cause, since, detail, next_s = raw
        texts = all(isinstance(text, str) for text in (state, cause, detail))
        if not texts or not fits_int64(since) or not fits_int64(next_s) or not 0 <= next_s <= MOST_NEXT_S:
            msg = "a device's word has a field of the wrong kind"
            raise TypeError(msg)
        known = Cause(cause) if cause in _CAUSES else Cause.OTHER
        return cls(tidy(state, MOST_STATE), known, since, tidy(detail, MOST_DETAIL), next_s)


_CAUSES: Final = frozenset(cause.value for cause in Cause)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device that a gateway hears or finds plugged in: what was seen of it, and what it may be.

    ``address`` is a Bluetooth address or a port's path. ``profile`` is the catalogue's profile that
    matches what was seen, or empty; ``why`` then says what is missing, as a word that
    ``core.device_words.why_unmatched`` puts into a sentence. ``device`` is its id when configured.
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

    def packed(self) -> list[Any]:
        """As it travels, within its bounds: texts are cut and made printable, long lists cut."""
        return [
            self.transport,
            tidy(self.address, MOST_ADDRESS),
            self.first,
            self.last,
            tidy(self.name, MOST_NAME),
            self.rssi if self.rssi in RSSI else None,
            [tidy(service, MOST_UUID) for service in self.services[:MOST_SERVICES]],
            list(self.company_ids[:MOST_COMPANIES]),
            tidy(self.usb, MOST_ID),
            tidy(self.profile, MOST_ID),
            tidy(self.why, MOST_WHY),
            tidy(self.device, MOST_ID),
        ]

    @classmethod
    def unpacked(cls, raw: object) -> Self:
        """What travelled. Raises TypeError or ValueError: it is no sighting, or beyond its bounds."""
        if not isinstance(raw, list):
            msg = "a sighting is no list"
            raise TypeError(msg)
        transport, address, first, last, name, rssi, services, companies, usb, profile, why, device = raw
        texts = all(isinstance(t, str) for t in (address, name, usb, profile, why, device, *services))
        typed = texts and fits_int64(first) and fits_int64(last) and transport in {"ble", "serial"}
        typed = typed and (rssi is None or (type(rssi) is int and rssi in RSSI))
        typed = typed and all(type(c) is int and 0 <= c < COMPANIES for c in companies)
        if not typed or len(services) > MOST_SERVICES or len(companies) > MOST_COMPANIES:
            msg = "a sighting has a field of the wrong kind"
            raise TypeError(msg)
        kept = cls(
            transport,
            address,
            first,
            last,
            name,
            rssi,
            tuple(services),
            tuple(companies),
            usb,
            profile,
            why,
            device,
        )
        return cls(*kept._tidied())

    def _tidied(self) -> list[Any]:
        return [tuple(part) if isinstance(part, list) else part for part in self.packed()]
