"""Surroundings of memory: the fake of the port, for tests of everything above it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from devices.links.ports import SerialPort
from devices.links.radio import Sighting
from devices.links.surroundings import OnHeard
from firmware_profiles import Profile
from hearthward.core.errors import LinkError

__all__ = ["FakeSurroundings"]


class FakeSurroundings:
    """Set ``near`` to who advertises, ``plugged`` to the ports, ``refusal`` to make scanning fail.

    ``hear`` has something advertise while somebody else scans. ``sends`` has what comes on a port by itself,
    by its path; a port that is not there is another program's. ``listened_to`` are the ports that were tried.
    """

    def __init__(self) -> None:
        self.near: list[Sighting] = []
        self.plugged: list[SerialPort] = []
        self.refusal: LinkError | None = None
        self.broken: Exception | None = None
        self.scans: list[float] = []
        self.sends: dict[str, frozenset[str]] = {}
        self.listened_to: list[str] = []
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

    async def hears(self, path: str, known: Sequence[Profile]) -> frozenset[str]:
        """See the port; takes no time."""
        self.listened_to.append(path)
        await asyncio.sleep(0)
        if path not in self.sends:
            msg = f"serial port {path} is in use by another program"
            raise LinkError(msg, path=path)
        sources = {one.hears for profile in known for one in profile.document.match.serial}
        return self.sends[path] & sources
