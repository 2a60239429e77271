"""What a machine can hear and what is plugged into it, as a port; the fake is ``fake_surroundings``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from devices.links.ports import SerialPort, list_ports
from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from devices.links.radio import Radio, Sighting
    from firmware_profiles import Profile

__all__ = ["Machine", "OnHeard", "Surroundings"]

OnHeard = Callable[["Sighting"], None]
"""Called on the event loop with each advertisement; must not block."""


class Surroundings(Protocol):
    """The radio's scan, the list of serial ports, and what is heard on one."""

    def overhear(self, listener: OnHeard) -> Callable[[], None]:
        """Hear along whatever is scanned for, starting no scan; returns what ends it."""
        ...

    async def scan(self, seconds: float) -> None:
        """Have the radio listen for so long; who overhears is told. Raises LinkError: it cannot."""
        ...

    async def ports(self) -> list[SerialPort]:
        """The serial ports there are now, by path."""
        ...

    async def hears(self, path: str, known: Sequence[Profile]) -> frozenset[str]:
        """The sources of those ``known`` profiles whose frames come on a port by themselves; nothing is sent.

        Takes some seconds where it is silent. Raises LinkError: the port cannot be opened.
        """
        ...


class Machine:
    """This machine: a radio (None: it has none) and the operating system's list of ports."""

    def __init__(self, radio: Radio | None) -> None:
        self._radio = radio

    def overhear(self, listener: OnHeard) -> Callable[[], None]:
        """See the port."""
        return _nothing if self._radio is None else self._radio.overhear(listener)

    async def scan(self, seconds: float) -> None:
        """See the port."""
        if self._radio is None:
            msg = "this gateway has no Bluetooth radio: choose --radio"
            raise LinkError(msg, cause=Cause.NO_RADIO.value)
        await self._radio.scan(seconds)

    async def ports(self) -> list[SerialPort]:
        """See the port."""
        return await asyncio.to_thread(list_ports)

    async def hears(self, path: str, known: Sequence[Profile]) -> frozenset[str]:
        """See the port."""
        from devices.links.serial_listen import heard_on

        return await heard_on(path, known)


def _nothing() -> None:
    """Nothing to end."""
