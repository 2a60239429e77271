"""Which instrument is on a port, by what it sends of its own accord: heard, never asked.

An unknown instrument may take a question for a command, so none is put to it: an instrument that waits to be
started stays unknown, and its profile has to be named.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from devices.links.serial_port import open_port, port_error
from firmware_profiles import FramedBytes, Profile, SerialSettings
from hearthward.core.errors import DecodeError

__all__ = ["ENOUGH", "LISTEN_S", "heard_on", "settings_of"]

LISTEN_S: Final = 8.0
"""So long each speed is listened to: enough for frames of one a second, believed from the sixth on."""
ENOUGH: Final = 3
"""Payloads that decode without a refusal between them."""


async def heard_on(path: str, profiles: Sequence[Profile], *, listen_s: float = LISTEN_S) -> frozenset[str]:
    """The names under ``match.serial.hears`` of the profiles whose frames come on the port; none for silence.

    Tries each line setting of the profiles in turn. Raises LinkError when the port cannot be opened or goes.
    """
    for line, those in settings_of(profiles):
        if heard := await _at(path, line, those, listen_s):
            return heard
    return frozenset()


def settings_of(profiles: Sequence[Profile]) -> list[tuple[SerialSettings, list[Profile]]]:
    """The line settings to listen at, each with the profiles that may be heard there."""
    wanted = [(one.serial, one) for one in profiles if one.serial and _hears(one)]
    wanted.sort(key=lambda pair: (pair[0].baudrate, pair[0].parity, pair[0].bytesize, pair[0].stopbits))
    return [(line, [one for _, one in those]) for line, those in groupby(wanted, key=lambda pair: pair[0])]


def _hears(profile: Profile) -> frozenset[str]:
    return frozenset(one.hears for one in profile.document.match.serial if one.hears)


class _Candidate:
    """One profile's framer and decoder on the stream; ``found`` when enough of its payloads came in a row."""

    def __init__(self, profile: Profile) -> None:
        self.hears = _hears(profile)
        self._profile = profile
        self._framer = profile.framer()
        self._row = 0

    def hear(self, data: bytes) -> bool:
        for item in self._framer.feed(data):
            self._row = self._row + 1 if isinstance(item, FramedBytes) and self._decodes(item) else 0
            if self._row >= ENOUGH:
                return True
        return False

    def _decodes(self, item: FramedBytes) -> bool:
        try:
            self._profile.decode(item.source, item.payload)
        except DecodeError:
            return False
        return True


async def _at(
    path: str, line: SerialSettings, profiles: Sequence[Profile], listen_s: float
) -> frozenset[str]:
    candidates = [_Candidate(profile) for profile in profiles]
    found: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()

    def on_data(data: bytes) -> None:
        names = [one.hears for one in candidates if one.hear(data)]
        if names and not found.done():
            found.set_result(frozenset().union(*names))

    transport, wire = await open_port(path, line)
    wire.on_data = on_data
    transport.resume_reading()
    either: list[asyncio.Future[object]] = [found, wire.lost]  # type: ignore[list-item]
    try:
        await asyncio.wait(either, timeout=listen_s, return_when=asyncio.FIRST_COMPLETED)
        if wire.lost.done() and not found.done():
            raise port_error(path, wire.lost.result() or OSError(errno.EIO, "closed"))
    finally:
        transport.abort()
        await asyncio.shield(wire.lost)
    return found.result() if found.done() else frozenset()
