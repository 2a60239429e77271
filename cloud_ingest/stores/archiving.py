"""A store that tells somebody what it has stored: so that a backup need not read it all again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cloud_ingest.stores.base import FOREVER, Delivery, Origins, Outcome, Tell, TimeSeriesStore
from cloud_ingest.stores.summaries import Summary
from hearthward.core.model import ReadingBatch

__all__ = ["ArchivingStore"]


class ArchivingStore:
    """``inner``, and ``stored(tenant, deliveries)`` after each append that has succeeded."""

    def __init__(self, inner: TimeSeriesStore, stored: Callable[[str, Sequence[Delivery]], None]) -> None:
        self._inner, self._stored = inner, stored
        self.durable_ack = inner.durable_ack

    async def append(self, tenant: str, batch: ReadingBatch, origin: Origins) -> list[Outcome]:
        """See TimeSeriesStore."""
        return (await self.append_many(tenant, [Delivery(batch, origin)]))[0]

    async def append_many(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        """See TimeSeriesStore."""
        outcomes = await self._inner.append_many(tenant, deliveries)
        self._stored(tenant, deliveries)
        return outcomes

    async def read(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None,
        start: int,
        end: int,
        *,
        limit: int | None = None,
        newest: bool = False,
    ) -> ReadingBatch:
        """See TimeSeriesStore."""
        return await self._inner.read(tenant, devices, metrics, start, end, limit=limit, newest=newest)

    async def latest(self, tenant: str, devices: Sequence[str]) -> ReadingBatch:
        """See TimeSeriesStore."""
        return await self._inner.latest(tenant, devices)

    async def count(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None = None,
        start: int = 0,
        end: int = FOREVER,
    ) -> int:
        """See TimeSeriesStore."""
        return await self._inner.count(tenant, devices, metrics, start, end)

    async def summaries(
        self, tenant: str, device: str, metric: str, start: int, end: int, step: int
    ) -> list[Summary]:
        """See TimeSeriesStore."""
        return await self._inner.summaries(tenant, device, metric, start, end, step)

    async def run(self, tell: Tell) -> None:
        """See TimeSeriesStore."""
        await self._inner.run(tell)

    async def close(self) -> None:
        """See TimeSeriesStore."""
        await self._inner.close()
