"""Pairing: by "just works", or with the six digits that the device shows; and bonds that are refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final, Literal

from bleak.exc import BleakError

__all__ = ["AskPasskey", "BondRefusedError", "PairingError", "PairingKind", "Why", "advice"]

PairingKind = Literal["none", "bond", "passkey"]

AskPasskey = Callable[[], Awaitable[int | None]]
"""Gives the six digits that the device shows; None when nobody can tell them."""


class Why(StrEnum):
    """Why a pairing failed."""

    REFUSED = "refused"
    PASSKEY_WRONG = "passkey_wrong"
    PASSKEY_MISSING = "passkey_missing"
    KEYS_LOST = "keys_lost"


class PairingError(BleakError):
    """The device and this host did not pair; ``why`` says what went wrong."""

    def __init__(self, address: str, why: Why) -> None:
        super().__init__(f"{address}: {_SAID[why]}")
        self.why = why


class BondRefusedError(PairingError):
    """The device does not know the bond that this host has with it."""

    def __init__(self, address: str) -> None:
        super().__init__(address, Why.KEYS_LOST)


_SAID: Final = {
    Why.REFUSED: "the device refuses to pair; is it paired with another host, or not in pairing mode?",
    Why.PASSKEY_WRONG: "these are not the six digits that the device shows",
    Why.PASSKEY_MISSING: "the device shows six digits and wants them typed in",
    Why.KEYS_LOST: "the device has forgotten this gateway, or was paired with another host since",
}


def advice(address: str, why: Why) -> str:
    """What a person can do about it, in one sentence."""
    pair = f"`hearthward devices pair {address}` on this gateway"
    return {
        Why.REFUSED: f"delete its pairing with the other host and put it into pairing mode, then {pair}",
        Why.PASSKEY_WRONG: f"{pair}, with the digits that it shows then",
        Why.PASSKEY_MISSING: pair,
        Why.KEYS_LOST: f"put it into pairing mode, then {pair} --again",
    }[why]
