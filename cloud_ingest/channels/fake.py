"""The fake of the port: remembers what was sent and fails as told."""

from __future__ import annotations

import asyncio
from collections import deque

from cloud_ingest.channels.base import Handover, Message

__all__ = ["FakeChannel"]


class FakeChannel:
    """Takes messages into ``taken``; ``fail`` queues errors, ``gate`` holds sending while it is cleared.

    While ``broken`` is set, ``check`` raises it.
    """

    def __init__(self, name: str = "fake", *, confirms: bool = False) -> None:
        self.name = name
        self.confirms = confirms
        self.broken: Exception | None = None
        self.taken: list[Message] = []
        self.tried: list[Message] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self.closed = False
        self._failures: deque[tuple[Exception, bool]] = deque()

    def fail(self, *errors: Exception, after_taking: bool = False) -> None:
        """Raise these from the next sends, in order; ``after_taking`` loses only the answer."""
        self._failures.extend((error, after_taking) for error in errors)

    async def send(self, message: Message) -> Handover:
        """Take the message, or raise the next queued error."""
        self.tried.append(message)
        self.reached.set()
        await self.gate.wait()
        error, after_taking = self._failures.popleft() if self._failures else (None, True)
        if after_taking:
            self.taken.append(message)
        if error is not None:
            raise error
        return Handover(reference=f"{self.name}-{len(self.taken)}")

    async def check(self) -> None:
        """Raise what it is broken by, if it is."""
        if self.broken is not None:
            raise self.broken

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
