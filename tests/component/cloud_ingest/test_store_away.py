"""A store that stops for a while, between a real edge, a real broker and the cloud: edges accept on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.frames import STORE
from cloud_ingest.stores import FOREVER
from edge_agent import CloudTrust, Outbox
from edge_agent.uplink import Uplink
from hearthward.core.clock import SystemClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.ids import RandomIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Status
from tests.component.cloud_ingest.test_cloud_over_mqtt import eventually, running
from tests.component.edge_agent.brokers import Nats
from tests.unit.cloud_ingest.ward import SCOPE, TENANT, reading


async def test_the_edge_accepts_on_people_are_told_and_then_all_of_it_comes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    outbox = await Outbox.open(
        tmp_path / "outbox.db", clock=SystemClock(), ids=RandomIds(), telemetry=Telemetry(), max_bytes=4 << 20
    )
    away = True
    async with Nats(tmp_path) as broker, running(tmp_path, broker.port) as cloud:
        real = cloud.store.append_many

        async def append_many(tenant: str, deliveries: Any) -> Any:
            if away:
                msg = "stopped by the test"
                raise StoreUnavailable(msg)
            return await real(tenant, deliveries)

        monkeypatch.setattr(cloud.store, "append_many", append_many)
        uplink = Uplink(
            outbox,
            f"mqtt://127.0.0.1:{broker.port}",
            tenant=TENANT,
            gateway="gw-1",
            clock=SystemClock(),
            telemetry=Telemetry(),
            on_config=_nothing,
            status=lambda: Status(online=True, boot=outbox.boot),
            resend_s=0.3,
            trust=CloudTrust(tmp_path / "cloud-key", clock=SystemClock()),
        )
        edge = asyncio.create_task(uplink.run())
        try:
            for n in range(100):
                async with asyncio.timeout(5):  # accepted, though nothing can be stored
                    await outbox.append(ReadingBatch.of([reading(5 * n + i, 84.0) for i in range(5)]))
            await eventually(lambda: cloud.service.facts.get(STORE, "part_failing") == 1.0)
            await eventually(lambda: cloud.telemetry.value("store_retries_total") > 2)
            assert outbox.backlog() == 500
            assert cloud.service.ingest_silent_s < 5  # timers go on
            assert "ingest" in cloud.service.trouble()
            assert await cloud.service.alarms(SCOPE, active_only=True) == []
            away = False
            await eventually(lambda: outbox.backlog() == 0, 60)
            stored = await cloud.store.read(TENANT, ["dev_1"], None, 0, FOREVER)
            assert len(stored) == len(set(stored.corrected)) == 500
            assert cloud.service.facts.get(STORE, "part_failing") == 0.0
            assert len(await cloud.service.alarms(SCOPE, active_only=True)) == 1
        finally:
            edge.cancel()
            with suppress(asyncio.CancelledError):
                await edge
            await outbox.close()


async def _nothing(_document: object) -> None:
    pass
