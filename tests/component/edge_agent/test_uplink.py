"""The uplink over real brokers, with a consumer that loses, repeats and reorders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from edge_agent import Outbox, Uplink
from edge_agent.uplink import connection
from edge_agent.uplink import uplink as module
from hearthward.core.clock import EventClock, SystemClock
from hearthward.core.device_states import DeviceWord
from hearthward.core.errors import ConfigError
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, Gap, Status
from tests.component.edge_agent.brokers import (
    GATEWAY,
    TENANT,
    Broker,
    Consumer,
    eventually,
    free_port,
    receipt_for,
    signed,
    signed_document,
    trusting,
)
from tests.unit.edge_agent.batches import make_batch
from tests.unit.edge_agent.damage import damage_block

Opener = Callable[..., Awaitable[Outbox]]


STREAMS = DeviceWord("streaming", since=1)


async def accept_all(_: ConfigDocument) -> None:
    return


@asynccontextmanager
async def uplink(box: Outbox, port: int, telemetry: Telemetry, **options: Any) -> AsyncIterator[Uplink]:
    options.setdefault("on_config", accept_all)
    options.setdefault("clock", SystemClock())
    options.setdefault("resend_s", 0.1)
    options.setdefault("status", lambda: Status(online=True, version="1.2.3", devices={"d": STREAMS}))
    options.setdefault("trust", trusting(box.path.parent))
    link = Uplink(
        box,
        f"mqtt://127.0.0.1:{port}",
        tenant=TENANT,
        gateway=GATEWAY,
        telemetry=telemetry,
        **options,
    )
    task = asyncio.create_task(link.run(), name="uplink")
    try:
        yield link
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_every_accepted_reading_arrives_through_lost_repeated_and_reordered_receipts(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    async with (
        Consumer(broker.port, seed=1, unreliable=True) as consumer,
        uplink(box, broker.port, telemetry),
    ):
        for i in range(60):
            await box.append(make_batch(1000 * i, 1 + i % 7))
        await box.drained()
    assert consumer.digests() == sorted(d for i in range(60) for d in range(1000 * i, 1000 * i + 1 + i % 7))
    assert telemetry.value("uplink_frames_resent_total") > 0
    assert telemetry.value("uplink_readings_receipted_total") == box.accepted
    assert telemetry.by_label("receipts_refused_total", "reason") == {}


async def test_a_broker_killed_in_mid_stream_loses_nothing(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    async with Consumer(broker.port) as consumer, uplink(box, broker.port, telemetry):
        for i in range(90):
            await box.append(make_batch(1000 * i, 3))
            if i in {20, 55}:
                await consumer.until(lambda: bool(consumer.frames))
                await broker.kill()
        await box.drained()
    assert consumer.digests() == sorted(d for i in range(90) for d in range(1000 * i, 1000 * i + 3))
    assert telemetry.value("uplink_disconnects_total") >= 1


async def test_frames_carry_the_blocks_unchanged_and_the_clocks(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    for i in range(3):
        await box.append(make_batch(100 * i, 400))
    blocks = await box.pending(0, 10**6)
    clock = EventClock(5_000_000_000)
    async with (
        Consumer(broker.port, answers=False) as consumer,
        uplink(box, broker.port, telemetry, clock=clock, resend_s=1000.0) as link,
    ):
        link.config_hash = "feedfeedfeedfeed"
        await consumer.until(lambda: len(consumer.frames) >= 3)
    sent = [b for f in consumer.frames for b in f.blocks]
    assert sorted(sent, key=lambda b: b.first) == blocks
    for frame in consumer.frames:
        assert (frame.gateway, frame.boot) == (GATEWAY, box.boot)
        assert (frame.wall, frame.event_time, frame.synchronised) == (5_000_000_000, True, True)
        assert sum(b.count for b in frame.blocks) <= 500
    assert box.backlog() == 1200


async def test_the_newest_readings_do_not_wait_behind_a_long_backlog(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    for i in range(20):
        await box.append(make_batch(1000 * i, 500))
    async with (
        Consumer(broker.port, answers=False) as consumer,
        uplink(box, broker.port, telemetry, in_flight=4, resend_s=1000.0),
    ):
        await consumer.until(lambda: len(consumer.frames) == 3)
        assert sorted(f.blocks[0].first for f in consumer.frames) == [1, 1001, 9501]
        await box.append(make_batch(77_777, 1))
        await consumer.until(lambda: len(consumer.frames) == 4)
        assert [b.first for b in consumer.frames[-1].blocks] == [10_001]
        # The window is full: only receipts let the rest go.
        consumer.answers = True
        for frame in list(consumer.frames):
            await consumer.publish("receipt", receipt_for(frame).encode())
        await box.drained()
    assert len(consumer.stored) == 10_001


async def test_receipts_for_others_and_for_what_never_left_are_refused(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    await box.append(make_batch(1, 10))
    async with (
        Consumer(broker.port, answers=False) as consumer,
        uplink(box, broker.port, telemetry, resend_s=1000.0),
    ):
        await consumer.until(lambda: bool(consumer.frames))
        good = receipt_for(consumer.frames[0])
        (stored,) = good.blocks
        for payload in (
            signed(replace(good, gateway="gw-2")).encode(),
            signed(replace(good, boot="boot_else")).encode(),
            signed(replace(good, blocks=(replace(stored, count=11),))).encode(),
            b"\xc1 not msgpack",
        ):
            await consumer.publish("receipt", payload)
        await eventually(lambda: sum(telemetry.by_label("receipts_refused_total", "reason").values()) == 4)
        refused = telemetry.by_label("receipts_refused_total", "reason")
        assert refused == {"gateway": 1, "boot": 1, "never-sent": 1, "malformed": 1}
        assert box.backlog() == 10
        await consumer.publish("receipt", good.encode())
        await box.drained()


async def test_what_an_earlier_process_sent_is_sent_again_and_receipted_anew(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    await box.append(make_batch(1, 10))
    async with Consumer(broker.port, answers=False) as consumer:
        async with uplink(box, broker.port, telemetry) as first:
            await consumer.until(lambda: bool(consumer.frames))
        await box.close()
        box = await open_outbox()
        async with uplink(box, broker.port, telemetry) as second:
            await consumer.until(lambda: consumer.frames[-1].session == second.session)
            consumer.answers = True
            await box.drained()
    assert first.session != second.session
    assert telemetry.by_label("receipts_refused_total", "reason") == {}


async def test_gaps_are_reported_with_frames_and_alone_until_receipted(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    await box.append(make_batch(1, 10))
    await box.append(make_batch(100, 10))
    damage_block(box, 1)
    async with Consumer(broker.port) as consumer, uplink(box, broker.port, telemetry):
        await box.drained()
        await eventually(lambda: not box.gaps)
        assert Gap(1, 10, "corrupt") in consumer.gaps
        assert consumer.digests() == list(range(100, 110))
        # With no readings to carry it, a gap goes alone, and its own numbers in a receipt answer it.
        consumer.answers = False
        await box.append(make_batch(500, 5))
        await consumer.until(lambda: len(consumer.stored) == 15)
        damage_block(box, 21)
        assert await box.pending(0, 100) == []
        await consumer.until(lambda: any(not f.blocks for f in consumer.frames))
        assert consumer.frames[-1].gaps == (Gap(21, 25, "corrupt"),)
        await consumer.publish("receipt", receipt_for(consumer.frames[-1]).encode())
        await eventually(lambda: not box.gaps)


async def test_status_is_retained_and_says_goodbye(broker: Broker, open_outbox: Opener, telemetry: Telemetry):
    box = await open_outbox()
    async with uplink(box, broker.port, telemetry) as link:
        link.config_hash = "feedfeedfeedfeed"
        link.status_changed()
        async with Consumer(broker.port) as consumer:
            await consumer.until(lambda: any(s.config == "feedfeedfeedfeed" for s in consumer.statuses))
            last = consumer.statuses[-1]
            assert (last.online, last.boot, last.version) == (True, box.boot, "1.2.3")
            assert last.devices == {"d": STREAMS}
    async with Consumer(broker.port) as late:
        await late.until(lambda: bool(late.statuses))
        assert [s.online for s in late.statuses] == [False]


async def test_configuration_is_checked_applied_and_reported(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    taken: list[int] = []

    async def on_config(document: ConfigDocument) -> None:
        if document.version == 3:
            msg = "unknown profile"
            raise ConfigError(msg, reason="apply")
        taken.append(document.version)

    documents = {v: ConfigDocument(GATEWAY, v, {"tenant": TENANT, "n": v}) for v in (1, 2, 3)}
    async with Consumer(broker.port) as consumer:
        await consumer.publish_config(documents[1])  # retained: waits for the gateway
        async with uplink(box, broker.port, telemetry, on_config=on_config):
            await consumer.until(lambda: documents[1].digest in consumer.applied)
            bad = signed_document(documents[2]).encode()
            await consumer.publish("config", bad.replace(b"main", b"else"))
            await consumer.publish("config", ConfigDocument("gw-9", 9, {}).encode())
            await consumer.publish_config(documents[3])
            await consumer.publish_config(documents[2])
            await consumer.until(lambda: documents[2].digest in consumer.applied)
            await consumer.until(lambda: consumer.statuses[-1].config == documents[2].digest)
    assert taken == [1, 2]
    assert documents[3].digest not in consumer.applied
    assert telemetry.by_label("config_refused_total", "reason") == {"digest": 1, "gateway": 1, "apply": 1}


async def test_a_cloud_that_comes_back_gets_what_it_missed_at_once(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    document = ConfigDocument(GATEWAY, 1, {"tenant": TENANT})
    async with uplink(box, broker.port, telemetry, resend_s=100_000.0):
        async with Consumer(broker.port, answers=False) as first:
            await box.append(make_batch(1, 4))
            await first.until(lambda: bool(first.frames))
        async with Consumer(broker.port) as second:
            await second.publish_config(document)
            await box.drained()
    assert second.digests() == [1, 2, 3, 4]


async def test_a_broker_that_comes_late_is_found_and_missed_only_once(
    make_broker: Callable[..., Broker],
    open_outbox: Opener,
    telemetry: Telemetry,
    caplog: pytest.LogCaptureFixture,
):
    port = free_port()
    box = await open_outbox()
    with caplog.at_level(logging.INFO, module.__name__):
        async with uplink(box, port, telemetry):
            await box.append(make_batch(1, 4))
            await eventually(lambda: telemetry.value("uplink_connect_failures_total") >= 3)
            async with make_broker(port), Consumer(port) as consumer:
                await box.drained()
    assert consumer.digests() == [1, 2, 3, 4]
    assert sum("cannot be reached" in r.message for r in caplog.records) == 1


async def test_stopping_while_connecting_leaves_nothing_behind(open_outbox: Opener, telemetry: Telemetry):
    """A listener that never answers: the CONNACK is awaited when the uplink is stopped."""
    asked = asyncio.Event()
    silent: list[asyncio.StreamWriter] = []

    def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)
        asked.set()

    box = await open_outbox()
    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    async with server, uplink(box, server.sockets[0].getsockname()[1], telemetry):
        await asked.wait()
    for writer in silent:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    assert [t.get_name() for t in asyncio.all_tasks() if "mqtt" in t.get_name()] == []


async def test_a_broker_that_takes_the_connection_and_never_answers_is_tried_again_soon(
    open_outbox: Opener, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "CONNACK_S", 0.2)
    asked: list[asyncio.StreamWriter] = []
    box = await open_outbox()
    server = await asyncio.start_server(lambda _, writer: asked.append(writer), "127.0.0.1", 0)
    async with server, uplink(box, server.sockets[0].getsockname()[1], telemetry):
        await eventually(lambda: len(asked) >= 2)
    for writer in asked:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
