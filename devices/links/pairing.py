"""Pairing: by "just works", or with the six digits that the device shows; and bonds that are refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, Literal

from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

__all__ = [
    "AskPasskey",
    "BondRefusedError",
    "PairingError",
    "PairingKind",
    "Why",
    "pairing_refused",
    "what_to_do",
]

PairingKind = Literal["none", "bond", "passkey"]

AskPasskey = Callable[[], Awaitable[int | None]]
"""Gives the six digits that the device shows; None when nobody can tell them."""


class Why(StrEnum):
    """Why a pairing failed."""

    REFUSED = "refused"
    PASSKEY_WRONG = "passkey_wrong"
    PASSKEY_MISSING = "passkey_missing"
    KEYS_LOST = "keys_lost"
    NOT_PAIRED = "not_paired"
    BOND_WEAK = "bond_weak"


class PairingError(LinkError):
    """The device and this host did not pair; ``why`` says what went wrong, the text what to do."""

    def __init__(self, address: str, why: Why) -> None:
        super().__init__(what_to_do(address, why), address=address, cause=_CAUSES[why].value)
        self.why = why


class BondRefusedError(PairingError):
    """The device does not know the bond that this host has with it."""

    def __init__(self, address: str) -> None:
        super().__init__(address, Why.KEYS_LOST)


_SAID: Final = {
    Why.REFUSED: "the device refuses to pair; it is paired with another host, or not in pairing mode",
    Why.PASSKEY_WRONG: "these are not the six digits that the device shows",
    Why.PASSKEY_MISSING: "the device shows six digits and wants them typed in",
    Why.KEYS_LOST: "the device has forgotten this gateway, or was paired with another host since",
    Why.NOT_PAIRED: "the device asks to be paired",
    Why.BOND_WEAK: "the device asks for a bond that was made with its six digits",
}
_CAUSES: Final = {
    Why.REFUSED: Cause.PAIRED_ELSEWHERE,
    Why.PASSKEY_WRONG: Cause.NEEDS_PASSKEY,
    Why.PASSKEY_MISSING: Cause.NEEDS_PASSKEY,
    Why.KEYS_LOST: Cause.PAIRED_ELSEWHERE,
    Why.NOT_PAIRED: Cause.NEEDS_PAIRING,
    Why.BOND_WEAK: Cause.NEEDS_PASSKEY,
}


def what_to_do(address: str, why: Why) -> str:
    """What is wrong, and what a person can do about it, in one sentence."""
    pair = f"`hearthward devices pair {address}` on this gateway"
    again = f"`hearthward devices pair {address} --again` on this gateway"
    advice = {
        Why.REFUSED: f"delete its pairing with the other host and put it into pairing mode, then {pair}",
        Why.PASSKEY_WRONG: f"{pair}, with the digits that it shows then",
        Why.PASSKEY_MISSING: pair,
        Why.KEYS_LOST: f"put it into pairing mode, then {again}",
        Why.NOT_PAIRED: f"put it into pairing mode, then {pair}",
        Why.BOND_WEAK: f"put it into pairing mode, then {again}",
    }
    return f"{address}: {_SAID[why]}: {advice[why]}"


_BLUEZ: Final = {
    "AuthenticationFailed": Why.PASSKEY_WRONG,
    "AuthenticationRejected": Why.REFUSED,
    "AuthenticationCanceled": Why.REFUSED,
    "AuthenticationTimeout": Why.PASSKEY_MISSING,
}
"""org.bluez.Error, as Device1.Pair answers (BlueZ's doc/org.bluez.Device.rst)."""


@contextmanager
def pairing_refused(address: str, failed: Why = Why.PASSKEY_WRONG) -> Iterator[None]:
    """BlueZ's refusals as PairingError.

    ``failed`` is what a failed authentication means: wrong digits, where somebody could be asked for some.
    """
    from bleak.exc import BleakError

    try:
        yield
    except BleakError as error:
        why = next((why for name, why in _BLUEZ.items() if name in str(error)), None)
        if why is None:
            raise
        raise PairingError(address, failed if why is Why.PASSKEY_WRONG else why) from error
