"""Messages that wait for the pipeline: bounded in number and bytes, taken in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from cloud_ingest.sources.base import Message

__all__ = ["Waiting"]

MAX_MESSAGES: Final = 512
MAX_BYTES: Final = 32 << 20
MAX_BATCH: Final = 64
MAX_BATCH_BYTES: Final = 1 << 20
"""What a batch is stopped at: decoded, readings take forty times the room that they do on the wire."""


SMALL_BYTES: Final = 16 << 10
"""A frame of live readings is smaller, one of a backlog is not."""


class Waiting:
    """What does not fit is refused: the edge sends it again.

    Small messages and large ones take turns, so that live readings wait for no more than one batch of some
    gateway's backlog.
    """

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._small: deque[Message] = deque()
        self._large: deque[Message] = deque()
        self._small_next = True
        self._bytes = 0
        self._arrived = asyncio.Event()

    def offer(self, message: Message) -> bool:
        """Take a message, or say that there is no room."""
        size = len(message.payload)
        if len(self) >= self._max_messages or self._bytes + size > self._max_bytes:
            return False
        (self._small if size <= SMALL_BYTES else self._large).append(message)
        self._bytes += size
        self._arrived.set()
        return True

    async def arrival(self, timeout_s: float | None = None) -> None:
        """Return once there is something, or after ``timeout_s``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()

    def batch(self) -> list[Message]:
        """What has arrived meanwhile, up to MAX_BATCH: busy times make larger batches by themselves."""
        turn = self._small if self._small and (self._small_next or not self._large) else self._large
        self._small_next = turn is self._large
        taken: list[Message] = []
        size = 0
        while turn and len(taken) < MAX_BATCH and size < MAX_BATCH_BYTES:
            taken.append(turn.popleft())
            size += len(taken[-1].payload)
        self._bytes -= size
        if not len(self):
            self._arrived.clear()
        return taken

    def __len__(self) -> int:
        return len(self._small) + len(self._large)
