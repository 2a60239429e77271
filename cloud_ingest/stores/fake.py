"""The fakes of the time-series port: a dictionary with the store's key, and one that can forget."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_ingest.stores.base import (
    FOREVER,
    Delivery,
    Origins,
    Outcome,
    Tell,
    check_delivery,
    in_order,
    marks,
)
from cloud_ingest.stores.summaries import Summary, check_step, summed_up
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch

__all__ = ["MemoryServer", "MemoryStore"]

Key = tuple[str, str, str, int, int, int]
Origin = tuple[str, str, int]


class MemoryStore:
    """Keeps everything in memory. ``failing``: the next so many appends raise StoreUnavailable."""

    durable_ack = True

    def __init__(self) -> None:
        self._rows: dict[Key, tuple[Reading, Origin]] = {}
        self.failing = 0

    async def append(self, tenant: str, batch: ReadingBatch, origin: Origins) -> list[Outcome]:
        """Store a batch; see TimeSeriesStore."""
        return (await self.append_many(tenant, [Delivery(batch, origin)]))[0]

    async def append_many(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        """Store several batches at once; see TimeSeriesStore."""
        for delivery in deliveries:
            check_delivery(delivery)
        if self.failing > 0:
            self.failing -= 1
            msg = "told to fail"
            raise StoreUnavailable(msg)
        return [self._append(tenant, d.batch, d.origins) for d in deliveries]

    def _append(self, tenant: str, batch: ReadingBatch, origins: Origins) -> list[Outcome]:
        out = []
        for reading, mark, seq in zip(batch, marks(batch), origins.seqs, strict=True):
            key = (tenant, reading.device, reading.metric, reading.key_time, mark, reading.ordinal)
            origin = (origins.gateway, origins.boot, seq)
            present = self._rows.get(key)
            if present is None:
                self._rows[key] = (reading, origin)
                out.append(Outcome.NEW)
            else:
                out.append(Outcome.SAME if present[1] == origin else Outcome.DUPLICATE)
        return out

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
        """Readings of a period; see TimeSeriesStore."""
        rows = self._select(tenant, devices, metrics, start, end)
        if limit is not None:
            rows = rows[max(0, len(rows) - limit) :] if newest else rows[:limit]
        return ReadingBatch.of(rows)

    async def latest(self, tenant: str, devices: Sequence[str]) -> ReadingBatch:
        """The newest reading of each device and metric."""
        newest = {(r.device, r.metric): r for r in self._select(tenant, devices, None, 0, FOREVER)}
        return ReadingBatch.of(newest[key] for key in sorted(newest))

    async def count(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None = None,
        start: int = 0,
        end: int = FOREVER,
    ) -> int:
        """How many readings there are."""
        return len(self._select(tenant, devices, metrics, start, end))

    async def summaries(
        self, tenant: str, device: str, metric: str, start: int, end: int, step: int
    ) -> list[Summary]:
        """Values summed up; see TimeSeriesStore."""
        check_step(step)
        return summed_up(self._select(tenant, [device], [metric], start, end), step)

    async def run(self, tell: Tell) -> None:
        """Nothing goes on in the background."""
        tell(None)

    async def close(self) -> None:
        """Nothing to release."""

    def _select(
        self, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None, start: int, end: int
    ) -> list[Reading]:
        found = [
            reading
            for (owner, device, metric, *_), (reading, _) in self._rows.items()
            if owner == tenant
            and device in devices
            and (metrics is None or metric in metrics)
            and start <= reading.corrected < end
        ]
        return sorted(found, key=in_order)


class MemoryServer(MemoryStore):
    """Acknowledges before anything is safe, as some servers do.

    ``kill`` takes what was not synced by then; ``away``: every call raises StoreUnavailable; ``refused``:
    devices whose readings raise StoreRejected.
    """

    durable_ack = False

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.refused: set[str] = set()
        self._safe: dict[Key, tuple[Reading, Origin]] = {}

    def sync(self) -> None:
        """What there is now survives."""
        self._safe = dict(self._rows)

    def kill(self) -> None:
        """Lose what was not synced."""
        self._rows = dict(self._safe)

    async def append_many(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        """Store several batches; see TimeSeriesStore."""
        self._must_be_there()
        if any(self.refused.intersection(d.batch.device) for d in deliveries):
            msg = "told to refuse"
            raise StoreRejected(msg)
        return await super().append_many(tenant, deliveries)

    def _select(
        self, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None, start: int, end: int
    ) -> list[Reading]:
        self._must_be_there()
        return super()._select(tenant, devices, metrics, start, end)

    def _must_be_there(self) -> None:
        if self.away:
            msg = "told to be away"
            raise StoreUnavailable(msg)
