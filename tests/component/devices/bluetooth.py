"""What the Bluetooth tests share: a link that runs, and what it received."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from devices.links.base import DeviceLink
from devices.links.ble import BleLink
from devices.links.radio import Radio
from firmware_profiles import Catalog, DeviceFacts, Step, load_catalog


@functools.cache
def catalog() -> Catalog:
    return load_catalog()


class Listener:
    """One running link: what it received, and how it ended."""

    def __init__(self, link: DeviceLink, facts: DeviceFacts, steps: Sequence[Step]) -> None:
        self.link = link
        self.facts = facts
        self.received: list[tuple[str, bytes]] = []
        self._arrived = asyncio.Condition()
        self._news = asyncio.Event()
        self.task = asyncio.create_task(link.run(steps, self._on_payload))

    def _on_payload(self, source: str, payload: bytes, _ago: int = 0) -> None:
        self.received.append((source, payload))
        self._news.set()

    def of(self, source: str) -> list[bytes]:
        return [payload for name, payload in self.received if name == source]

    async def wait_for(self, source: str, count: int = 1) -> list[bytes]:
        """The payloads of ``source`` once there are ``count``; fails when the link ends before."""
        async with asyncio.timeout(20):
            while len(self.of(source)) < count:
                self._news.clear()
                news = asyncio.create_task(self._news.wait())
                await asyncio.wait({news, self.task}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if self.task.done():
                    await self.task
        return self.of(source)

    async def close(self) -> None:
        await self.link.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def listen(radio: Radio, address: str, profile_id: str) -> Listener:
    """Connect to a device and run its profile's session."""
    profile = catalog().get(profile_id)
    link = BleLink(address, profile, radio)
    facts = await link.connect()
    return Listener(link, facts, profile.session)


@asynccontextmanager
async def listening(radio: Radio, address: str, profile_id: str) -> AsyncIterator[Listener]:
    listener = await listen(radio, address, profile_id)
    try:
        yield listener
    finally:
        await listener.close()
