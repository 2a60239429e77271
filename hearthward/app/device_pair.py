"""``hearthward devices pair``: pair this machine with a device, asking for the digits that it shows."""

from __future__ import annotations

import asyncio
from typing import Final

import click

from devices.links.pairing import AskPasskey
from devices.links.radio import Radio, open_radio
from hearthward.core.settings import Settings

__all__ = ["ask_for_digits", "pair_device", "pair_over"]

SECONDS: Final = 60.0
"""To find the device, and then to pair."""
DIGITS: Final = 6


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
    """The digits that were given, or a question on the terminal; nothing but six digits is one."""

    async def ask() -> int | None:
        text = passkey if passkey is not None else await asyncio.to_thread(_prompt)
        return int(text) if text.isdecimal() and len(text) == DIGITS else None

    return ask


def _prompt() -> str:
    try:
        return str(click.prompt("The six digits that the device shows", err=True)).strip()
    except click.Abort:
        return ""
