"""``hearthward devices pair``: pair this machine with a device, asking for the digits that it shows."""

from __future__ import annotations

from typing import Final

import click

from devices.links.pairing import AskPasskey
from devices.links.radio import Radio, open_radio
from hearthward.app.typed_line import typed_line
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings

__all__ = ["ask_for_digits", "pair_device", "pair_over", "six_digits"]

SECONDS: Final = 60.0
"""To find the device, and then to pair."""
DIGITS: Final = 6
TRIES: Final = 3
"""So often it is asked; the device has less patience than a person who mistypes."""


async def pair_device(
    settings: Settings, address: str, *, radio: str | None, passkey: str | None, again: bool
) -> None:
    """Pair with the device at ``address`` and keep the bond where this machine's gateway looks for it.

    Raises LinkError (a PairingError says what to do) and ConfigError.
    """
    bonds = settings.data / "edge" / "bonds.json"
    async with open_radio(radio or settings.edge.radio, bonds=bonds) as opened:
        await pair_over(opened, address, ask_for_digits(passkey), again=again)


async def pair_over(radio: Radio, address: str, ask: AskPasskey, *, again: bool) -> None:
    """As ``pair_device``, over an open radio."""
    await radio.pair(address, ask, again=again, timeout=SECONDS)


def ask_for_digits(passkey: str | None) -> AskPasskey:
    """The digits that were given, or a question on the terminal; nothing but six digits is an answer.

    Raises ConfigError for given ones that are no passkey.
    """
    given = None if passkey is None else six_digits(passkey)
    if passkey is not None and given is None:
        msg = f"{passkey!r} is no passkey: it has six digits, such as 012345"
        raise ConfigError(msg)

    async def ask() -> int | None:
        if given is not None:
            return given
        for _ in range(TRIES):
            text = await typed_line("The six digits that the device shows: ")
            if text is None or (digits := six_digits(text)) is not None:
                return None if text is None else digits
            click.echo("these are not six digits, such as 012345", err=True)
        return None

    return ask


def six_digits(text: str) -> int | None:
    """The passkey that was typed, also with blanks between its digits; None when it is none."""
    digits = "".join(text.split())
    return int(digits) if len(digits) == DIGITS and digits.isascii() and digits.isdecimal() else None
