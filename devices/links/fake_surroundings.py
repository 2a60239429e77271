"""Surroundings of memory: the fake of the port, for tests of everything above it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from devices.links.ports import SerialPort
from devices.links.radio import Sighting
from devices.links.surroundings import OnHeard
from hearthward.core.errors import LinkError

__all__ = ["FakeSurroundings"]


class FakeSurroundings:
    """Set ``near`` to who advertises, ``plugged`` to the ports, ``refusal`` to make scanning fail.

    ``hear`` has something advertise while somebody else scans.
    """

    def __init__(self) -> None:
        self.near: list[Sighting] = []
        self.plugged: list[SerialPort] = []
        self.refusal: LinkError | None = None
        self.broken: Exception | None = None
        self.scans: list[float] = []
        self._listeners: list[OnHeard] = []

    @property
    def listened(self) -> bool:
        """Whether anybody overhears."""
        return bool(self._listeners)

    def hear(self, one: Sighting) -> None:
        """Something advertises."""
        for listener in tuple(self._listeners):
            listener(one)

    def overhear(self, listener: OnHeard) -> Callable[[], None]:
        """See the port."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def scan(self, seconds: float) -> None:
        """See the port; takes no time."""
        self.scans.append(seconds)
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        for one in self.near:
            self.hear(one)

    async def ports(self) -> list[SerialPort]:
        """See the port."""
        if self.broken is not None:
            raise self.broken
        return sorted(self.plugged, key=lambda port: port.path)
