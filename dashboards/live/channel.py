"""The stream of one scope: numbered messages, encoded once for all its browsers, kept for a while."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hearthward.trust.access import Scope

__all__ = ["QUEUE", "RING", "Channel", "Subscription", "members", "sse"]

RING: Final = 600
"""So many messages are kept for browsers that come back; who was away for longer fetches everything."""
QUEUE: Final = 64
"""So many messages wait for one browser; one that is slower fetches everything."""

Message = tuple[int, bytes]


def members(data: Mapping[str, Any]) -> str:
    """An object's members as JSON text without its braces, so that texts can be put together."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))[1:-1]


def sse(kind: str, inner: str, key: str | None = None) -> bytes:
    """A server-sent event with an object as its data; ``inner`` are its members."""
    head = f"id: {key}\n" if key else ""
    return f"{head}event: {kind}\ndata: {{{inner}}}\n\n".encode()


@dataclass(eq=False, slots=True)
class Subscription:
    """One browser's bounded queue; ``None`` in it ends the stream."""

    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    overrun: bool = False

    def put(self, message: bytes | None) -> bool:
        """Queue a message; False when the browser is too slow, whose queue is then emptied."""
        if self.overrun and message is not None:
            return False
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            while not self.queue.empty():
                self.queue.get_nowait()
            self.overrun = message is not None
            self.queue.put_nowait(message if message is None else sse("refetch", members({"why": "slow"})))
            return message is None
        return True

    async def get(self) -> bytes | None:
        """All that waits, as one piece; None at the end."""
        pieces = [await self.queue.get()]
        while pieces[-1] is not None and not self.queue.empty():
            pieces.append(self.queue.get_nowait())
        self.overrun = False
        if pieces[0] is None:
            return None
        if pieces[-1] is None:
            self.queue.put_nowait(pieces.pop())
        return b"".join(p for p in pieces if p is not None)


class Channel:
    """All browsers of one scope."""

    def __init__(self, scope: Scope, boot: str) -> None:
        self.scope = scope
        self.seq = 0
        self.clients: set[Subscription] = set()
        self.beside: dict[str, Any] = {"loose": [], "off": 0, "mail": 0}
        """What was last sent besides the tiles."""
        self.idle_since: int | None = None
        self.whole: tuple[int, str] = (-1, "")
        """The whole wall as JSON text, and the number of the message up to which it is good."""
        self.boot = boot
        self._ring: deque[Message] = deque(maxlen=RING)

    def publish(self, kind: str, inner: str) -> int:
        """Number, keep and fan out a message; returns how many browsers were too slow for it."""
        self.seq += 1
        message = sse(kind, f'"seq":{self.seq},{inner}', f"{self.boot}-{self.seq}")
        self._ring.append((self.seq, message))
        return self.fan_out(message)

    def fan_out(self, message: bytes) -> int:
        """Queue without numbering (heartbeats)."""
        return sum(not client.put(message) for client in self.clients)

    def since(self, last: str) -> list[bytes] | None:
        """What came after the event id ``last``; None when that is no longer known."""
        boot, _, number = last.rpartition("-")
        if boot != self.boot or not number.isdigit():
            return None
        seen = int(number)
        missed = [m for seq, m in self._ring if seq > seen]
        return missed if len(missed) == self.seq - seen else None
