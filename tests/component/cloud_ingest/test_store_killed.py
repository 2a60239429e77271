"""A real VictoriaMetrics is killed while readings come in: nothing is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from cloud_ingest.stores import Outcome
from cloud_ingest.stores.base import in_order
from cloud_ingest.stores.server import REMEMBERED_NS, ServerStore
from cloud_ingest.stores.shipper import Shipping
from cloud_ingest.stores.spool import SpooledStore
from cloud_ingest.stores.spool_file import SpoolFile
from cloud_ingest.stores.victoriametrics import VictoriaMetrics
from hearthward.core.clock import EventClock
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.component.cloud_ingest.victoria import Victoria
from tests.unit.cloud_ingest.stores.suite import SECOND, T0, everything, origins, reading

SAFETY_S = 60.0
BATCH = 40
DEVICES = ("dev_1", "dev_2")


def rows(n: int) -> ReadingBatch:
    """Two devices; three values in each payload, two payloads in one millisecond."""
    at = T0 + n * SECOND // 4
    return ReadingBatch.of(
        reading(
            0, device=device, received=at + i, corrected=at + i, digest=n * 10 + i, ordinal=k, value=60.0 + k
        )
        for device in DEVICES
        for i in range(2)
        for k in range(3)
    )


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await true():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_killed_in_mid_stream_and_started_again(tmp_path: Path):
    seed = random.Random(20261122)
    victoria = Victoria(tmp_path / "victoria")
    await asyncio.to_thread(victoria.start)
    clock, telemetry = EventClock(T0 + 1000 * SECOND, frozen_monotonic=True), Telemetry()
    file, engine = SpoolFile(tmp_path / "series.db"), VictoriaMetrics(victoria.server)
    store = SpooledStore(
        file,
        ServerStore(engine, clock),
        clock=clock,
        telemetry=telemetry,
        shipping=Shipping(safety_s=SAFETY_S),
    )
    told: list[str | None] = []
    running = asyncio.create_task(store.run(told.append))
    sent: list[ReadingBatch] = []

    async def stream(until_n: int) -> None:
        while len(sent) < until_n:
            batch, first = rows(len(sent)), 12 * len(sent)
            outcomes = await store.append("main", batch, origins(*range(first, first + 12)))
            assert outcomes == [Outcome.NEW] * 12
            sent.append(batch)
            await asyncio.sleep(0)

    async def shipped() -> bool:
        return not await file.waiting(store.shipper._after, 1)

    try:
        for _ in range(2):
            await stream(len(sent) + BATCH)
            await until(shipped)
            await stream(len(sent) + seed.randrange(1, BATCH))
            victoria.kill()  # what it acknowledged a moment ago is gone
            await stream(len(sent) + BATCH)  # it is taken all the same
            assert len(await everything(store, "main", DEVICES)) == 12 * len(sent)
            await asyncio.to_thread(victoria.start)
        await until(shipped)
        running.cancel()
        await asyncio.wait([running])
        assert (await file.fill()).waiting > 0
        for _ in range(2):  # what was lost is found and sent again; what was not, or not again, is safe
            await asyncio.to_thread(engine.settle)
            clock.advance(SAFETY_S + REMEMBERED_NS / SECOND)
            while await store.shipper.step():
                pass
        assert (await file.fill()).waiting == 0
        assert telemetry.value("store_server_lost_total") > 0
        expected = sorted((r for batch in sent for r in batch), key=in_order)
        assert await file.prune(T0 + 10**6 * SECOND) == len(expected) - 2 * 3  # each device's newest payload
        assert await everything(store, "main", DEVICES) == expected
        assert await everything(store.inner, "main", DEVICES) == expected
    finally:
        running.cancel()
        await asyncio.wait([running])
        await store.close()
        victoria.kill()
