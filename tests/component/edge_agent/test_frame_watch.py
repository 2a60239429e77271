"""An instrument's bytes, from its serial line over a real broker to who looks at them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from devices.discovery import Discovery
from devices.links.fake_surroundings import FakeSurroundings
from devices.supervisor import DeviceFleet
from edge_agent import ConfigStore, EdgeAgent, Outbox, Uplink
from firmware_profiles import load_catalog
from hearthward.core.clock import SystemClock
from hearthward.core.ids import SeededIds
from hearthward.core.sightings import Ask
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument
from tests.component.edge_agent.brokers import (
    GATEWAY,
    KEY,
    TENANT,
    Broker,
    Consumer,
    signed_document,
    trusting,
)
from tests.component.edge_agent.oximeter import Oximeter, packets


def watch(seconds: int, issued: int) -> bytes:
    ask = Ask(GATEWAY, "watch", seconds, issued, device="oxi")
    return ask.signed(KEY.sign(ask.signed_part())).encode()


@pytest.fixture
async def twin() -> AsyncIterator[Oximeter]:
    made = Oximeter("oxi")
    await made.start()
    yield made
    await made.close()


async def test_bytes_are_told_while_somebody_looks_and_not_before(
    broker: Broker,
    twin: Oximeter,
    open_outbox: Callable[..., Awaitable[Outbox]],
    tmp_path: Path,
    telemetry: Telemetry,
):
    clock, catalog, box = SystemClock(), load_catalog(), await open_outbox()
    trust, store = trusting(tmp_path), ConfigStore(tmp_path / "config")
    async with Consumer(broker.port) as consumer:
        entry = {"id": "oxi", "transport": "serial", "address": twin.address, "profile": "nonin-df2"}
        body = {"tenant": TENANT, "devices": [entry], "timezone": None}
        store.save(signed_document(ConfigDocument(GATEWAY, 1, body)))
        agent = EdgeAgent(
            GATEWAY,
            TENANT,
            box,
            store,
            lambda agent: DeviceFleet(
                catalog,
                None,
                agent.accept,
                clock,
                SeededIds(1),
                telemetry,
                agent.on_state,
                agent.on_rejected,
                on_read=agent.on_read,
                on_frame=agent.frames.note,
            ),
            lambda agent: Uplink(
                box,
                f"mqtt://127.0.0.1:{broker.port}",
                tenant=TENANT,
                gateway=GATEWAY,
                clock=clock,
                telemetry=telemetry,
                on_config=agent.configure,
                status=agent.status,
                trust=trust,
                around=Discovery(catalog, FakeSurroundings(), clock),
                frames=agent.frames,
            ),
            trust=trust,
            clock=clock,
            telemetry=telemetry,
        )
        task = asyncio.create_task(agent.run(), name="gateway")
        try:
            await twin.wait_ready()
            for samples in packets(0, 3):
                await twin.send(samples)
            await consumer.until(lambda: bool(consumer.frames))
            assert consumer.raw == [], "nobody looks"
            asked = Ask(GATEWAY, "watch", 60, 1, device="oxi")
            await consumer.publish("ask", asked.encode())  # nobody signed it
            await consumer.publish("ask", watch(60, 2))
            await consumer.until(lambda: bool(consumer.raw))
            first = consumer.raw[0]
            assert (first.device, first.known, first.gateway) == ("oxi", True, GATEWAY)
            newest = first.frames[-1]
            assert (newest.size, newest.source, newest.reason) == (125, "df2", "")
            assert newest.profile == "nonin-df2"
            values = {part.name: (part.offset, part.value) for part in newest.fields}
            assert values["spo2"] == (13, "97")
            assert values["pulse"][1] in {"72", "73"}
            await twin.send_raw(b"\x55" * 40)
            for samples in packets(75, 3):
                await twin.send(samples)
            await consumer.until(lambda: any(f.reason for m in consumer.raw for f in m.frames))
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert telemetry.value("asks_refused_total", reason="signature") == 1
    assert telemetry.value("frame_watches_total") == 1
