"""The joined gateway: stored configuration first, devices into the outbox, documents into force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edge_agent import ConfigStore, EdgeAgent, FakeFleet, Outbox, Uplink
from edge_agent import agent as module
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.device_states import DeviceWord
from hearthward.core.errors import DecodeError
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument
from tests.component.edge_agent.brokers import (
    GATEWAY,
    TENANT,
    Broker,
    Consumer,
    free_port,
    signed_document,
    trusting,
)
from tests.unit.edge_agent.batches import make_batch

Opener = Callable[..., Awaitable[Outbox]]


def document(version: int, *devices: str, **body: Any) -> ConfigDocument:
    entries = [
        {"id": d, "transport": "serial", "address": f"/dev/{d}", "profile": None, "timezone": None}
        for d in devices
    ]
    return ConfigDocument(GATEWAY, version, {"tenant": TENANT, "devices": entries, "timezone": None} | body)


def signed(version: int, *devices: str) -> ConfigDocument:
    return signed_document(document(version, *devices))


@asynccontextmanager
async def gateway(
    box: Outbox, store: ConfigStore, port: int, telemetry: Telemetry, **options: Any
) -> AsyncIterator[tuple[EdgeAgent, FakeFleet]]:
    fleet, discovery = FakeFleet(), options.get("discovery")
    trust = options.pop("trust", None) or trusting(store.path.parent)
    agent = EdgeAgent(
        GATEWAY,
        TENANT,
        box,
        store,
        fleet=lambda _: fleet,
        uplink=lambda a: Uplink(
            box,
            f"mqtt://127.0.0.1:{port}",
            tenant=TENANT,
            gateway=GATEWAY,
            clock=SystemClock(),
            telemetry=telemetry,
            on_config=a.configure,
            status=a.status,
            trust=trust,
            around=discovery,
            frames=a.frames,
        ),
        trust=trust,
        clock=SystemClock(),
        telemetry=telemetry,
        **options,
    )
    task = asyncio.create_task(agent.run(), name="gateway")
    try:
        yield agent, fleet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not fleet.running


async def test_the_stored_document_is_in_force_before_any_broker(
    open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    store = ConfigStore(tmp_path / "config")
    store.save(signed(3, "a", "b"))
    box = await open_outbox()
    async with gateway(box, store, free_port(), telemetry) as (agent, fleet):
        async with asyncio.timeout(30):
            await fleet.applied.wait()
        assert [c.id for c in fleet.configs] == ["a", "b"]
        assert agent.uplink.config_hash == document(3, "a", "b").digest


async def test_an_uplink_that_does_not_get_on_hangs_unless_the_disk_is_waited_for(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
):
    box = await open_outbox()
    store = ConfigStore(tmp_path / "config")
    async with Consumer(broker.port) as consumer, gateway(box, store, broker.port, telemetry) as (agent, _):
        await consumer.until(lambda: bool(consumer.statuses))
        assert agent.lives()
        monkeypatch.setattr(module, "HUNG_S", 0.0)
        assert agent.uplink.still_s > 0
        assert not agent.lives()
        waiting = asyncio.ensure_future(box.append(make_batch(1, 1)))
        while not box.at_disk:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)
        assert agent.lives()
        await waiting
    assert agent.uplink.still_s == 0


async def test_an_unusable_stored_document_does_not_keep_the_gateway_from_the_cloud(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    store = ConfigStore(tmp_path / "config")
    store.save(signed(3, "a", "a"))
    box = await open_outbox()
    async with Consumer(broker.port) as consumer, gateway(box, store, broker.port, telemetry) as (_, fleet):
        await consumer.publish_config(document(2, "c"))
        await consumer.until(lambda: document(2, "c").digest in consumer.applied)
        assert [c.id for c in fleet.configs] == ["c"]
    assert telemetry.by_label("config_refused_total", "reason") == {"stored": 1}


async def test_a_copy_of_the_document_is_gone_by_and_said_until_the_cloud_sends_it_again(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    store = ConfigStore(tmp_path / "config")
    store.save(signed(3, "a"))
    store.path.write_bytes(b"damaged")
    box = await open_outbox()
    async with Consumer(broker.port) as consumer, gateway(box, store, broker.port, telemetry) as (_, fleet):
        await consumer.until(lambda: bool(consumer.statuses) and consumer.statuses[-1].online)
        assert [c.id for c in fleet.configs] == ["a"]
        assert consumer.statuses[-1].trouble["configuration"] == "copy"
        assert consumer.statuses[-1].config == ""
        await consumer.publish_config(document(3, "a"))
        await consumer.until(lambda: document(3, "a").digest in consumer.applied)
        await consumer.until(lambda: "configuration" not in consumer.statuses[-1].trouble)


async def test_what_its_fleet_cannot_do_is_said(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    store = ConfigStore(tmp_path / "config")
    box = await open_outbox()
    async with Consumer(broker.port) as consumer, gateway(box, store, broker.port, telemetry) as (_, fleet):
        fleet.troubled = {"radio": "stuck"}
        await consumer.publish_config(document(1, "a"))
        await consumer.until(lambda: bool(consumer.statuses) and "radio" in consumer.statuses[-1].trouble)
        assert consumer.statuses[-1].trouble["radio"] == "stuck"


async def test_a_published_document_is_stored_applied_and_shown_and_older_ones_are_refused(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    store = ConfigStore(tmp_path / "config")
    box = await open_outbox()
    new = document(5, "a", "b")
    async with Consumer(broker.port) as consumer, gateway(box, store, broker.port, telemetry) as (_, fleet):
        await consumer.publish_config(new)
        await consumer.until(lambda: bool(consumer.statuses) and consumer.statuses[-1].config == new.digest)
        assert consumer.statuses[-1].devices == dict.fromkeys("ab", DeviceWord("streaming"))
        for refused in (document(4, "z"), document(6, "z", tenant="else"), document(7, "z", "z")):
            await consumer.publish_config(refused)
        newest = document(8, "c")
        await consumer.publish_config(newest)
        await consumer.until(lambda: newest.digest in consumer.applied)
        assert [c.id for c in fleet.configs] == ["c"]
    assert store.load() == signed_document(newest)
    assert telemetry.by_label("config_refused_total", "reason") == {"older": 1, "tenant": 1, "body": 1}


async def test_readings_are_told_when_they_are_accepted(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    told: list[tuple[ReadingBatch, int, int]] = []
    box = await open_outbox()
    store = ConfigStore(tmp_path / "config")
    options = {"on_accepted": lambda *row: told.append(row)}
    async with (
        Consumer(broker.port) as consumer,
        gateway(box, store, broker.port, telemetry, **options) as (agent, _),
    ):
        batch = make_batch(1, 3)
        await agent.accept(batch)
        assert told == [(batch, 1, 3)]
        await box.drained()
    assert consumer.digests() == [1, 2, 3]


async def test_the_status_tells_the_refused_frames_by_device_and_reason(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    box = await open_outbox()
    store = ConfigStore(tmp_path / "config")
    async with Consumer(broker.port) as consumer, gateway(box, store, broker.port, telemetry) as (agent, _):
        await consumer.until(lambda: bool(consumer.statuses))
        assert consumer.statuses[-1].rejected == {}
        for device, source, reason in (
            ("cuff", "2a35", "truncated"),
            ("cuff", "2a19", "truncated"),
            ("cuff", "2a35", "out_of_range"),
            ("line", "", "integrity"),
        ):
            agent.on_rejected(device, source, b"?", DecodeError("refused", reason=reason))
        agent.on_rejected("line", "", b"?", DecodeError("many in one", reason="integrity", count=40))
        told = {"cuff": {"truncated": 2, "out_of_range": 1}, "line": {"integrity": 41}}
        await consumer.until(lambda: consumer.statuses[-1].rejected == told)
        agent.on_read("cuff", 7200 * SECOND, 3)
        await box.append(make_batch(1, 2))
    counted = {(a.device, a.kind): a.n for a in box.accounts()[1] if not a.kind.startswith("accepted")}
    assert counted == {
        ("cuff", "rejected:truncated"): 2,
        ("cuff", "rejected:out_of_range"): 1,
        ("line", "rejected:integrity"): 41,
        ("cuff", "read"): 3,
    }
