"""What a gateway hears and finds plugged in, told to the cloud; and how it is asked to listen now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from hearthward.core.columns import fits_int64
from hearthward.core.device_states import Sighting
from hearthward.core.errors import DecodeError
from hearthward.core.packing import VERSION, pack, unpack

__all__ = ["ASKED_KINDS", "MOST_SCAN_S", "MOST_SIGHTINGS", "Ask", "Sightings", "worth_telling"]

MOST_SIGHTINGS: Final = 64
"""In one message; the rest of a busy place is not told."""
MOST_SCAN_S: Final = 60
ASKED_KINDS: Final = frozenset({"scan"})


@dataclass(frozen=True, slots=True)
class Sightings:
    """All that a gateway tells of what is around it: each message replaces the one before.

    ``session`` is that of the sending process, as in its frames; ``wall`` its clock (UTC ns) when it was
    sent. ``hearing`` says whether its radio can be used, ``trouble`` why not.
    """

    gateway: str
    session: str
    wall: int
    sightings: tuple[Sighting, ...]
    hearing: bool = True
    trouble: str = ""

    def encode(self) -> bytes:
        """Sightings -> bytes; more than ``MOST_SIGHTINGS`` are cut to those most worth telling."""
        rows = [one.packed() for one in worth_telling(self.sightings)]
        return pack([VERSION, self.gateway, self.session, self.wall, rows, self.hearing, self.trouble])

    @classmethod
    def decode(cls, payload: bytes) -> Sightings:
        """Bytes -> sightings. Raises DecodeError and nothing else."""
        try:
            gateway, session, wall, rows, hearing, trouble = unpack(payload, "sightings")
            good = all(isinstance(t, str) for t in (gateway, session, trouble)) and fits_int64(wall)
            good = good and type(hearing) is bool and isinstance(rows, list) and len(rows) <= MOST_SIGHTINGS
            found = cls(gateway, session, wall, tuple(map(Sighting.unpacked, rows)), hearing, trouble)
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

    Of each the newest: where a device stands that is configured, the status tells.
    """
    ranked = sorted(sightings, key=lambda s: (bool(s.device), _strange(s), -s.last, s.address))
    return tuple(ranked[:MOST_SIGHTINGS])


def _strange(one: Sighting) -> bool:
    """Whether most such are passers-by."""
    return one.transport == "ble" and not one.profile


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that a person wants a gateway to do now. ``kind`` is ``scan``: listen for ``seconds``.

    ``issued`` is the cloud's real time (UTC ns): a gateway does what it is asked once, and nothing older than
    what it has done. Without the cloud's ``signature`` nobody does it.
    """

    gateway: str
    kind: str
    seconds: int
    issued: int
    signature: bytes = b""

    def signed_part(self) -> bytes:
        """What the cloud signs."""
        return b"ask" + pack(self._content())

    def _content(self) -> list[Any]:
        return [VERSION, self.gateway, self.kind, self.seconds, self.issued]

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
            gateway, kind, seconds, issued, signature = unpack(payload, "ask")
            good = isinstance(gateway, str) and kind in ASKED_KINDS and fits_int64(issued)
            good = (
                good and type(seconds) is int and 0 < seconds <= MOST_SCAN_S and isinstance(signature, bytes)
            )
        except DecodeError:
            raise
        except Exception as error:
            msg = f"what is asked is malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not good:
            msg = f"what is asked is not known, or not within 1..{MOST_SCAN_S} s"
            raise DecodeError(msg, reason="malformed")
        return cls(gateway, kind, seconds, issued, signature)
