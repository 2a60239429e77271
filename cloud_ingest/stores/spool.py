"""The ingestor's own journal before a server: what it has taken is safe, whatever the server does.

Readings are accepted into the embedded store's file (synced, with keys), and shipped from there in the
background. The file keeps the newest days, so live pages need no server; what is older is read from it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from cloud_ingest.stores.base import FOREVER, Delivery, Origins, Outcome, Tell, TimeSeriesStore, in_order
from cloud_ingest.stores.points import Key, key_of
from cloud_ingest.stores.shipper import Shipper, Shipping
from cloud_ingest.stores.spool_file import SpoolFile
from cloud_ingest.stores.summaries import Summary, check_step, joined, summed_up
from hearthward.core.clock import Clock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry

__all__ = ["SpooledStore"]

log = logging.getLogger(__name__)


class SpooledStore:
    """``inner`` behind a file that makes it a store for receipts. Both are closed with it."""

    durable_ack = True

    def __init__(
        self,
        file: SpoolFile,
        inner: TimeSeriesStore,
        *,
        clock: Clock,
        telemetry: Telemetry,
        shipping: Shipping | None = None,
    ) -> None:
        self.file, self.inner = file, inner
        self.shipper = Shipper(file, inner, shipping or Shipping(), clock=clock, telemetry=telemetry)

    # -- writing

    async def append(self, tenant: str, batch: ReadingBatch, origin: Origins) -> list[Outcome]:
        """Accept a batch; see TimeSeriesStore."""
        return (await self.append_many(tenant, [Delivery(batch, origin)]))[0]

    async def append_many(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        """Accept several batches in one transaction; see TimeSeriesStore.

        Raises StoreUnavailable when the file has its full size: the readings stay where they come from.
        """
        await self.shipper.make_room()
        elsewhere = await self._elsewhere(tenant, deliveries)
        if elsewhere:
            outcomes = await self.file.append_beside(tenant, deliveries, elsewhere)
        else:
            outcomes = await self.file.append_many(tenant, deliveries)
        self.shipper.wake()
        return outcomes

    async def _elsewhere(self, tenant: str, deliveries: Sequence[Delivery]) -> Collection[Key]:
        """Which of the readings that are too old to be here the server has.

        When it cannot be asked they are accepted: it will find then that it has them.
        """
        moved = await self.file.moved_before()
        old = [r for d in deliveries for r in d.batch if 0 <= r.corrected < moved]
        if not old:
            return ()
        first, last = min(r.corrected for r in old), max(r.corrected for r in old)
        devices, metrics = sorted({r.device for r in old}), sorted({r.metric for r in old})
        try:
            found = await self.inner.read(tenant, devices, metrics, first, last + 1)
        except StoreUnavailable as error:
            log.warning("old readings are accepted without asking the server whether it has them: %s", error)
            return ()
        return {key_of(reading) for reading in found}

    # -- reading

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
        """Readings of a period, of both; see TimeSeriesStore.

        Raises StoreUnavailable when it reaches back to where only the server has them and that is away.
        """
        here = await self.file.read(tenant, devices, metrics, start, end, limit=limit, newest=newest)
        moved = await self.file.moved_before()  # after reading: what was deleted meanwhile is asked for
        if start >= moved or (newest and limit is not None and _since(here, moved) >= limit):
            return here
        there = await self.inner.read(
            tenant, devices, metrics, start, min(end, moved), limit=limit, newest=newest
        )
        merged: dict[Key, Reading] = {key_of(r): r for r in there}
        merged.update({key_of(r): r for r in here})
        rows = sorted(merged.values(), key=in_order)
        if limit is not None:
            rows = rows[max(0, len(rows) - limit) :] if newest else rows[:limit]
        return ReadingBatch.of(rows)

    async def latest(self, tenant: str, devices: Sequence[str]) -> ReadingBatch:
        """The newest reading of each device and metric, which never leaves the file."""
        return await self.file.latest(tenant, devices)

    async def count(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None = None,
        start: int = 0,
        end: int = FOREVER,
    ) -> int:
        """How many readings there are in both; see TimeSeriesStore."""
        if start >= await self.file.moved_before():
            return await self.file.count(tenant, devices, metrics, start, end)
        return len(await self.read(tenant, devices, metrics, start, end))

    async def summaries(
        self, tenant: str, device: str, metric: str, start: int, end: int, step: int
    ) -> list[Summary]:
        """Values of both summed up; see TimeSeriesStore.

        Buckets of the server's part of which something still stands here too (it came late, or is the newest
        of its kind) are added up from the readings, each once.
        """
        check_step(step)
        while True:
            moved = await self.file.moved_before()
            if start >= moved:
                found = await self.file.summaries(tenant, device, metric, start, end, step)
            else:
                found = await self._of_both(tenant, device, metric, (start, min(end, moved), end), step)
            if await self.file.moved_before() == moved:  # nothing was deleted meanwhile
                return found

    async def _of_both(
        self, tenant: str, device: str, metric: str, period: tuple[int, int, int], step: int
    ) -> list[Summary]:
        """Up to the middle of the period by the server, from there on by the file."""
        start, middle, end = period
        parts, at = list[Summary](), start
        for bucket in await self.file.summaries(tenant, device, metric, start, middle, step):
            begin, stop = max(start, bucket.time), min(middle, bucket.time + step)
            parts += await self.inner.summaries(tenant, device, metric, at, begin, step)
            parts += summed_up(await self.read(tenant, [device], [metric], begin, stop), step)
            at = stop
        parts += await self.inner.summaries(tenant, device, metric, at, middle, step)
        parts += await self.file.summaries(tenant, device, metric, middle, end, step)
        return joined(parts)

    # -- life

    async def run(self, tell: Tell) -> None:
        """Ship until cancelled; ``tell`` why the server lags behind."""
        await self.shipper.run(tell)

    async def close(self) -> None:
        """Close both; what was not shipped is shipped after the next start."""
        try:
            await self.inner.close()
        finally:
            await self.file.close()


def _since(batch: ReadingBatch, time: int) -> int:
    return sum(corrected >= time for corrected in batch.corrected)
