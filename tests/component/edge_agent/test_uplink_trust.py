"""What an uplink believes, and what comes of a broker that lies and of clocks that jump."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent import ConfigStore, Outbox
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.messages import Status
from hearthward.core.telemetry import Telemetry
from hearthward.trust.keys import SigningKey
from tests.component.edge_agent.brokers import (
    GATEWAY,
    KEY,
    Broker,
    Consumer,
    eventually,
    receipt_for,
    signed,
    signed_document,
    trusting,
)
from tests.component.edge_agent.test_agent import document, gateway
from tests.component.edge_agent.test_uplink import uplink
from tests.faults.proxy import PUBACK, PUBLISH, Behaviour, Packet, Proxy, Way, Wire
from tests.unit.edge_agent.batches import make_batch

Opener = Callable[..., Awaitable[Outbox]]
FORGER = SigningKey.new()


async def test_receipts_that_are_forged_old_or_of_other_content_delete_nothing(
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
        for receipt in (
            good.signed(b""),
            receipt_for(consumer.frames[0], FORGER),
            replace(good, gaps=((1, 10),)),  # signed, but then altered
            signed(replace(good, session="ses_earlier")),
            signed(replace(good, blocks=(replace(stored, digest=b"xxxxxxxx"),))),
            signed(replace(good, blocks=(), gaps=((1, 10),))),
        ):
            await consumer.publish("receipt", receipt.encode())
        refused = {"signature": 3, "session": 1, "digest": 1, "never-sent": 1}
        await eventually(lambda: telemetry.by_label("receipts_refused_total", "reason") == refused)
        assert box.backlog() == 10
        await consumer.publish("receipt", good.encode())
        await box.drained()
        await consumer.publish("receipt", good.encode())  # played again: no effect, and no error
        await eventually(lambda: telemetry.value("receipts_repeated_total") == 1)
        assert telemetry.by_label("receipts_refused_total", "reason") == refused


async def test_the_first_cloud_is_believed_from_then_on_and_its_receipts_at_once(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    box, store = await open_outbox(), ConfigStore(tmp_path / "config")
    await box.append(make_batch(1, 10))
    trust = trusting(tmp_path, key=None)
    async with (
        Consumer(broker.port) as consumer,
        gateway(box, store, broker.port, telemetry, trust=trust) as (agent, _),
    ):
        await eventually(lambda: telemetry.value("receipts_refused_total", reason="no-key") > 0)
        assert box.backlog() == 10
        await consumer.publish_config(document(1, "a"))
        await box.drained()
        assert trust.key == KEY.public
        await consumer.publish("config", signed_document(document(2, "b"), FORGER).encode())
        await consumer.publish("config", document(3, "c").encode())
        await eventually(lambda: telemetry.value("config_refused_total", reason="unsigned") == 1)
        await consumer.until(lambda: consumer.statuses[-1].trouble == {"trust": "unsigned"})
        assert agent.document == signed_document(document(1, "a"))
    assert telemetry.by_label("config_refused_total", "reason") == {"key": 1, "unsigned": 1}
    again = trusting(tmp_path, key=None)
    await again.load()
    with pytest.raises(ConfigError, match="another cloud's key"):
        again.check_document(signed_document(document(9), FORGER))


async def test_a_stored_document_of_another_cloud_is_not_put_in_force_and_that_shows(
    broker: Broker, open_outbox: Opener, tmp_path: Path, telemetry: Telemetry
):
    store = ConfigStore(tmp_path / "config")
    store.save(signed_document(document(3, "a"), FORGER))
    box = await open_outbox()
    async with (
        Consumer(broker.port) as consumer,
        gateway(box, store, broker.port, telemetry) as (_, fleet),
    ):
        await consumer.until(lambda: bool(consumer.statuses))
        assert consumer.statuses[-1].trouble == {"configuration": "stored", "trust": "key"}
        assert fleet.configs == []
        await consumer.publish_config(document(4, "c"))
        await consumer.until(lambda: consumer.statuses[-1].trouble.get("configuration") is None)
        assert [c.id for c in fleet.configs] == ["c"]


class Liar(Behaviour):
    """A broker that acknowledges all that is published to it and forgets a share of it."""

    def __init__(self, seed: int, share: float) -> None:
        self._rng, self._share = random.Random(seed), share
        self.forgotten = 0

    async def handle(self, wire: Wire, way: Way, packet: Packet) -> None:
        if packet.kind == PUBLISH and way is Way.UP and packet.qos and self._rng.random() < self._share:
            self.forgotten += 1
            await wire.send(Way.DOWN, bytes((PUBACK << 4, 2)) + packet.packet_id)
            return
        await wire.send(way, packet.raw)


async def test_a_broker_that_forgets_what_it_has_acknowledged_costs_time_only(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    async with (
        Consumer(broker.port) as consumer,
        Proxy(broker.port) as proxy,
        uplink(box, proxy.port, telemetry, resend_s=0.05),
    ):
        proxy.behaviour = liar = Liar(seed=7, share=0.4)
        for i in range(60):
            await box.append(make_batch(1000 * i, 1 + i % 7))
        await box.drained()
    assert liar.forgotten > 5
    assert consumer.digests() == sorted(d for i in range(60) for d in range(1000 * i, 1000 * i + 1 + i % 7))
    assert telemetry.value("uplink_readings_receipted_total") == box.accepted == len(consumer.stored)


class Jumping(SystemClock):
    """The machine's clock, and what somebody has put it forward by."""

    ahead = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead


async def test_a_clock_that_jumps_changes_nothing_about_sending(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    """Timers go by the other clock, and what was accepted before is sent with the time it was accepted by."""
    box, clock, day = await open_outbox(), Jumping(), 86_400 * SECOND
    async with (
        Consumer(broker.port, answers=False) as consumer,
        uplink(box, broker.port, telemetry, clock=clock, resend_s=0.2),
    ):
        for i, days in enumerate((0, 1, -1, 0)):
            clock.ahead = days * day
            await box.append(make_batch(100 * i, 5))
            await consumer.until(
                lambda last=5 * (i + 1): any(f.blocks[-1].last == last for f in consumer.frames)
            )
        clock.ahead = 300 * day
        await box.append(make_batch(900, 5))
        heard = len(consumer.frames)
        await consumer.until(lambda: len(consumer.frames) >= heard + 6)
        now = SystemClock().now_ns()
        off = {b.first: round((f.wall - now) / day) for f in consumer.frames[heard:] for b in f.blocks}
        assert {first: off[first] for first in (1, 6, 11, 16)} == {1: 0, 6: 1, 11: -1, 16: 0}
        assert all(not f.synchronised for f in consumer.frames[heard:] if f.blocks[0].first < 20)
        consumer.answers = True
        await box.drained()
    assert consumer.digests() == sorted(d for i in (0, 100, 200, 300, 900) for d in range(i, i + 5))
    assert telemetry.by_label("receipts_refused_total", "reason") == {}


async def test_accounts_go_to_the_cloud_after_each_connect(
    broker: Broker, open_outbox: Opener, telemetry: Telemetry
):
    box = await open_outbox()
    await box.append(make_batch(1, 10))
    for _ in range(2):
        async with (
            Consumer(broker.port) as consumer,
            uplink(box, broker.port, telemetry, status=lambda: Status(online=True)),
        ):
            await consumer.until(lambda: bool(consumer.accounts))
            await box.drained()
        told = consumer.accounts[0]
        assert (told.gateway, told.boot, told.accepted) == (GATEWAY, box.boot, 10)
        assert sum(r.n for r in told.rows if r.kind == "accepted") == 10
