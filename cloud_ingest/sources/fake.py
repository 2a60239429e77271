"""The fake of the source: messages are handed in by a test, and what is published is kept."""

from __future__ import annotations

import asyncio

from cloud_ingest.sources.base import Message, OnConnected, OnMessage
from hearthward.core.errors import UplinkError

__all__ = ["MemorySource"]


class MemorySource:
    """A broker in memory with one subscriber: this source."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.retained: dict[str, bytes] = {}
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self._publishing = asyncio.Event()
        self._up = asyncio.Event()
        self._up.set()
        self._connected = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether ``run`` is connected."""
        return self._connected.is_set()

    def deliver(self, topic: str, payload: bytes) -> None:
        """A message arrives (when connected; else it waits)."""
        self._queue.put_nowait(Message(topic, payload))

    def cut(self) -> None:
        """The connection is lost."""
        self._up.clear()
        self._connected.clear()

    def mend(self) -> None:
        """The connection can be made again."""
        self._up.set()

    async def wait_published(self, count: int) -> None:
        """Return once so many messages have been published in all."""
        while len(self.published) < count:
            self._publishing.clear()
            await self._publishing.wait()

    async def wait_connected(self) -> None:
        """Return once connected."""
        await self._connected.wait()

    async def run(self, on_message: OnMessage, on_connected: OnConnected) -> None:
        """Hand over what is delivered; see FrameSource."""
        try:
            while True:
                if not self._connected.is_set():
                    await self._up.wait()
                    self._connected.set()
                    await on_connected()
                message = await self._queue.get()
                await self._up.wait()
                if not self._connected.is_set():
                    self._connected.set()
                    await on_connected()
                on_message(message)
        finally:
            self._connected.clear()

    async def probe(self) -> None:
        """At once while connected; see FrameSource."""
        if not self.connected:
            msg = "the source is not connected"
            raise UplinkError(msg)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Keep the message; see FrameSource."""
        if not self.connected:
            msg = "the source is not connected"
            raise UplinkError(msg, topic=topic)
        self.published.append(Message(topic, payload))
        if retain:
            self.retained[topic] = payload
        self._publishing.set()
