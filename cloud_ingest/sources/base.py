"""Where messages of gateways come from, as a port: an unreliable way that may lose, repeat and reorder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["FrameSource", "Message", "OnConnected", "OnMessage"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came; nothing about it has been checked."""

    topic: str
    payload: bytes


OnMessage = Callable[[Message], None]
"""Takes a message without waiting; what it cannot take now it drops and counts (the edge sends again)."""
OnConnected = Callable[[], Awaitable[None]]
"""Called after every connect, once subscribed: publishes again what only the broker's memory held."""


class FrameSource(Protocol):
    """Frames, status and applied messages in; receipts and configuration documents out."""

    @property
    def connected(self) -> bool:
        """Whether messages can come and go now."""
        ...

    async def run(self, on_message: OnMessage, on_connected: OnConnected) -> None:
        """Stay connected and hand over messages in the order of arrival, until cancelled."""
        ...

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send one message; retained ones are confirmed by the broker before this returns.

        Raises UplinkError when there is no connection: nothing is queued here.
        """
        ...

    async def probe(self) -> None:
        """Return once a message of our own has made the round trip. Raises UplinkError when it has not."""
        ...
