"""What a gateway hears and finds plugged in, told to the cloud; and how it is asked to do something now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hearthward.core.clock import SECOND
from hearthward.core.columns import fits_int64
from hearthward.core.device_states import Sighting
from hearthward.core.errors import DecodeError
from hearthward.core.packing import VERSION, pack, unpack
from hearthward.core.text import tidy

__all__ = [
    "MOST_CODE",
    "MOST_SCAN_S",
    "MOST_SIGHTINGS",
    "MOST_USER",
    "MOST_WATCH_S",
    "Ask",
    "Sightings",
    "worth_telling",
]

MOST_SIGHTINGS: Final = 64
"""In one message; of the rest of a busy place only the number is told."""
MOST_TEXT: Final = 300
MOST_MORE: Final = 1_000_000
JUST_NS: Final = 60 * SECOND
FAINT: Final = -128
MOST_SCAN_S: Final = 60
MOST_WATCH_S: Final = 300
MOST_DEVICE: Final = 64
_MOST_S: Final = {"scan": MOST_SCAN_S, "watch": MOST_WATCH_S, "consent": 0}
"""What can be asked, and for how many seconds at most."""
MOST_USER: Final = 254
MOST_CODE: Final = 9999
"""Of a device's user, and of the code by which that user consents (User Data Service 1.1)."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """All that a gateway tells of what is around it: each message replaces the one before.

    ``session`` is that of the sending process, as in its frames; ``wall`` its clock (UTC ns) when it was
    sent. ``hearing`` says whether its radio can be used, ``trouble`` why not. ``more`` is how many it has
    seen besides, which found no room.
    """

    gateway: str
    session: str
    wall: int
    sightings: tuple[Sighting, ...]
    hearing: bool = True
    trouble: str = ""
    more: int = 0

    def encode(self) -> bytes:
        """Sightings -> bytes; more than ``MOST_SIGHTINGS`` are cut to those most worth telling."""
        told = worth_telling(self.sightings)
        more = min(self.more + len(self.sightings) - len(told), MOST_MORE)
        rows, trouble = [one.packed() for one in told], tidy(self.trouble, MOST_TEXT)
        return pack([VERSION, self.gateway, self.session, self.wall, rows, self.hearing, trouble, more])

    @classmethod
    def decode(cls, payload: bytes) -> Sightings:
        """Bytes -> sightings. Raises DecodeError and nothing else."""
        try:
            gateway, session, wall, rows, hearing, trouble, *rest = unpack(payload, "sightings")
            (more,) = rest or (0,)  # a gateway of a former release says nothing of it
            texts = all(isinstance(t, str) for t in (gateway, session, trouble))
            good = texts and max(map(len, (gateway, session))) <= MOST_TEXT and fits_int64(wall)
            good = good and type(hearing) is bool and isinstance(rows, list) and len(rows) <= MOST_SIGHTINGS
            good = good and type(more) is int and 0 <= more <= MOST_MORE
            seen = tuple(map(Sighting.unpacked, rows)) if good else ()
            found = cls(
                gateway, session, wall, seen, hearing, tidy(trouble, MOST_TEXT) if texts else "", more
            )
        except DecodeError:
            raise
        except Exception as error:
            msg = f"sightings are malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not good:
            msg = "sightings have fields of the wrong type, or are too many"
            raise DecodeError(msg, reason="malformed")
        return found


def worth_telling(sightings: Iterable[Sighting]) -> tuple[Sighting, ...]:
    """At most ``MOST_SIGHTINGS``: what could be adopted first, then strangers, then what is configured.

    Of each what was heard in the same minute as the newest, the strongest first, then the others, the newest
    first: whoever looks for a device holds it near. Where one stands that is configured, the status tells.
    """
    known = tuple(sightings)
    now = max((one.last for one in known), default=0)

    def rank(one: Sighting) -> tuple[bool, bool, bool, int, int, str]:
        just = now - one.last < JUST_NS
        strength = -(one.rssi if one.rssi is not None else FAINT) if just else 0
        return bool(one.device), _strange(one), not just, strength, -one.last, one.address

    return tuple(sorted(known, key=rank)[:MOST_SIGHTINGS])


def _strange(one: Sighting) -> bool:
    """Whether most such are passers-by."""
    return one.transport == "ble" and not one.profile


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that a person wants a gateway to do now.

    ``kind`` is ``scan``: listen for ``seconds``; ``watch``: tell the bytes of a ``device``'s frames for
    ``seconds`` (see ``core.raw_frames``); or ``consent``: keep that of a device's user, which is ``consent``:
    (Bluetooth address, user 0..254, code 0..9999); the code is never logged.

    ``issued`` is the cloud's real time (UTC ns): a gateway does what it is asked once, and nothing older than
    what it has done. Without the cloud's ``signature`` nobody does it.
    """

    gateway: str
    kind: str
    seconds: int
    issued: int
    signature: bytes = b""
    consent: tuple[str, int, int] | None = field(default=None, repr=False)
    device: str = ""

    def signed_part(self) -> bytes:
        """What the cloud signs."""
        return b"ask" + pack(self._content())

    def _content(self) -> list[Any]:
        more: list[Any] = [] if self.consent is None else [list(self.consent)]
        if self.kind == "watch":
            more = [self.device]
        return [VERSION, self.gateway, self.kind, self.seconds, self.issued, *more]

    def signed(self, signature: bytes) -> Ask:
        """The same with a signature."""
        return replace(self, signature=signature)

    def encode(self) -> bytes:
        """Ask -> bytes."""
        return pack([*self._content(), self.signature])

    @classmethod
    def decode(cls, payload: bytes) -> Ask:
        """Bytes -> ask, its signature unchecked. Raises DecodeError and nothing else."""
        try:
            gateway, kind, seconds, issued, *more, signature = unpack(payload, "ask")
            good = isinstance(gateway, str) and kind in _MOST_S and fits_int64(issued)
            good = good and type(seconds) is int and isinstance(signature, bytes)
            good = good and min(1, _MOST_S[kind]) <= seconds <= _MOST_S[kind]
            consent = _consent(more) if kind == "consent" else None
            device = _device(more) if kind == "watch" else ""
            good = good and (bool(more) is not (kind == "scan"))
        except DecodeError:
            raise
        except Exception as error:
            msg = f"what is asked is malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not good:
            msg = f"what is asked is not known, or not within its seconds ({_MOST_S})"
            raise DecodeError(msg, reason="malformed")
        return cls(gateway, kind, seconds, issued, signature, consent, device)


def _consent(more: list[Any]) -> tuple[str, int, int]:
    """Address, user and code. Raises ValueError."""
    ((address, user, code),) = more
    good = isinstance(address, str) and len(address) <= MOST_TEXT and type(user) is type(code) is int
    if not (good and 0 <= user <= MOST_USER and 0 <= code <= MOST_CODE):
        msg = "no consent"
        raise ValueError(msg)
    return address, user, code


def _device(more: list[Any]) -> str:
    """A device's id. Raises ValueError."""
    (device,) = more
    if not isinstance(device, str) or not 0 < len(device) <= MOST_DEVICE:
        msg = "no device"
        raise ValueError(msg)
    return device
