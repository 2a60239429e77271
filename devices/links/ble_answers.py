"""What a Bluetooth device said since it was last written to, for steps that wait for an answer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

__all__ = ["Answers"]

KEPT: Final = 32
"""So many messages since the last write: an answer may come before anybody waits for it."""


class Answers:
    """The last messages of one connection."""

    def __init__(self) -> None:
        self._heard: deque[tuple[str, bytes]] = deque(maxlen=KEPT)
        self._news = asyncio.Event()

    def asked(self) -> None:
        """Something is written now: what was said before is no answer to it."""
        self._heard.clear()

    def heard(self, source: str, payload: bytes) -> None:
        """A message came."""
        self._heard.append((source, payload))
        self._news.set()

    async def wait(self, source: str, begins: bytes, within_s: float) -> bytes:
        """The first message of a source that begins so, since the last write. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                for name, payload in self._heard:
                    if name == source and payload.startswith(begins):
                        return payload
                self._news.clear()
                await self._news.wait()
