"""The edge's books on their way to the cloud: counts by device and hour, each cumulative."""

from __future__ import annotations

import asyncio
from typing import Final

from edge_agent.outbox import Outbox
from edge_agent.uplink.sending import Publishing
from hearthward.core.messages import Account, Accounts
from hearthward.core.wire import topic

__all__ = ["Bookkeeper"]

EVERY_S: Final = 10.0
_LEAST: Final = 0.2
"""Of the interval: that nothing waits any more is told no sooner, as live readings come and go."""
ROWS: Final = 5_000
"""In one message at most: well below its greatest size."""


class Bookkeeper:
    """Publishes changed rows every ten seconds, all after each connect, and once more when nothing waits."""

    def __init__(self, outbox: Outbox, *, tenant: str, gateway: str, every_s: float = EVERY_S) -> None:
        self._outbox = outbox
        self._topic = topic(tenant, gateway, "account")
        self._gateway = gateway
        self._every_s = every_s

    async def run(self, client: Publishing) -> None:
        """Publish over one connection, until cancelled. Raises aiomqtt.MqttError."""
        mark = await self._publish(client, 0)
        while True:
            at_rest = self._outbox.backlog() == 0
            await asyncio.sleep(self._every_s * _LEAST)
            if at_rest:
                await asyncio.sleep(self._every_s * (1 - _LEAST))
            else:
                await self._drained(self._every_s * (1 - _LEAST))
            mark = await self._publish(client, mark, anyway=not at_rest and self._outbox.backlog() == 0)

    async def _drained(self, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self._outbox.drained()
        except TimeoutError:
            return  # the regular one is due

    async def _publish(self, client: Publishing, mark: int, *, anyway: bool = False) -> int:
        """Publish what changed since ``mark``; returns the new one. All from the beginning counts always."""
        mark_now, rows = self._outbox.accounts(mark)
        if not rows and mark and not anyway:
            return mark_now
        for n in range(0, max(1, len(rows)), ROWS):
            payload = self._accounts(rows[n : n + ROWS]).encode()
            await client.publish(self._topic, payload, qos=1)
        return mark_now

    def _accounts(self, rows: list[Account]) -> Accounts:
        box = self._outbox
        return Accounts(self._gateway, box.boot, box.accepted, box.backlog(), tuple(rows))
