"""The cloud's half over real brokers: a real outbox and uplink on the other side, and the broker killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiomqtt
import pytest

from cloud_ingest.feed import AlarmChanged
from cloud_ingest.records import Records
from cloud_ingest.service import CloudService
from cloud_ingest.sources import Broker as Address
from cloud_ingest.sources import MqttSource
from cloud_ingest.sources.mqtt import SourceState
from cloud_ingest.stores import FOREVER, SqliteStore
from edge_agent import CloudTrust, Outbox
from edge_agent.uplink import Uplink
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError, UplinkError
from hearthward.core.ids import RandomIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, Receipt, Status
from hearthward.trust.keys import SigningKey
from rules import RuleSet
from tests.component.edge_agent.brokers import MOSQUITTO, Broker, Mosquitto, Nats
from tests.unit.cloud_ingest.ward import RULES, SCOPE, TENANT, block, enrol, frame, reading, spans


@pytest.fixture(params=["nats", "mosquitto"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    if request.param == "mosquitto" and MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    made: Broker = Nats(tmp_path) if request.param == "nats" else Mosquitto(tmp_path)
    async with made as started:
        yield started


class Cloud:
    def __init__(self, folder: Path, port: int, rules: RuleSet = RULES) -> None:
        self.key = SigningKey.of_file(folder / "signing-key.pem")
        self.clock, self.ids, self.telemetry = SystemClock(), RandomIds(), Telemetry()
        self.records = Records.open(folder / "records.db", clock=self.clock, ids=self.ids)
        self.store = SqliteStore(folder / "series.db")
        self.states: list[SourceState] = []
        self.source = MqttSource(
            Address("127.0.0.1", port),
            ids=self.ids,
            telemetry=self.telemetry,
            on_state=self.states.append,
        )
        self.service = CloudService(
            records=self.records,
            store=self.store,
            source=self.source,
            rules=rules,
            clock=self.clock,
            telemetry=self.telemetry,
            key=self.key,
        )


@asynccontextmanager
async def running(
    folder: Path, port: int, *, fresh: bool = True, rules: RuleSet = RULES
) -> AsyncIterator[Cloud]:
    cloud = Cloud(folder, port, rules)
    if fresh:
        enrol(cloud.records)
    task = asyncio.create_task(cloud.service.run())
    try:
        await eventually(lambda: cloud.source.connected)
        yield cloud
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await cloud.store.close()
        await cloud.records.close()


async def eventually(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a state that nobody announces
            await asyncio.sleep(0.01)


async def test_frame_to_alarm_and_receipt(broker: Broker, tmp_path: Path):
    async with (
        running(tmp_path, broker.port) as cloud,
        aiomqtt.Client("127.0.0.1", broker.port) as edge,
    ):
        await edge.subscribe([("hw/1/main/gw-1/receipt", 1), ("hw/1/main/gw-1/config", 1)])
        events = cloud.service.feed.subscribe()
        await edge.publish(
            "hw/1/main/gw-1/frame", frame(block(1, reading(0, 84)), event_time=False).encode(), qos=1
        )
        config: ConfigDocument | None = None
        receipt: Receipt | None = None
        async with asyncio.timeout(20):
            async for message in edge.messages:
                if message.topic.value.endswith("config"):
                    config = ConfigDocument.decode(message.payload)
                else:
                    receipt = Receipt.decode(message.payload)
                if config and receipt:
                    break
            async for event in events:
                if isinstance(event, AlarmChanged):
                    break
        assert receipt is not None
        assert config is not None
        async with aiomqtt.Client("127.0.0.1", broker.port) as late, asyncio.timeout(20):
            await late.subscribe("hw/1/main/gw-1/config", 1)
            assert (await anext(aiter(late.messages))).retain
        assert spans(receipt) == ((1, 1),)
        assert [d["id"] for d in config.body["devices"]] == ["dev_1", "dev_2"]
        assert len(await cloud.service.alarms(SCOPE, active_only=True)) == 1


async def test_a_real_edge_loses_and_doubles_nothing_while_the_broker_is_killed_and_the_cloud_restarts(
    broker: Broker, tmp_path: Path
):
    configs: list[ConfigDocument] = []

    async def on_config(document: ConfigDocument) -> None:
        configs.append(document)

    telemetry = Telemetry()
    outbox = await Outbox.open(
        tmp_path / "outbox.db", clock=SystemClock(), ids=RandomIds(), telemetry=telemetry, max_bytes=4 << 20
    )
    uplink = Uplink(
        outbox,
        f"mqtt://127.0.0.1:{broker.port}",
        tenant=TENANT,
        gateway="gw-1",
        clock=SystemClock(),
        telemetry=telemetry,
        on_config=on_config,
        status=lambda: Status(online=True, boot=outbox.boot),
        resend_s=0.3,
        trust=CloudTrust(tmp_path / "cloud-key", clock=SystemClock()),
    )
    edge = asyncio.create_task(uplink.run())
    rng = random.Random(5)
    sent = 0

    async def measure(seconds: int) -> None:
        nonlocal sent
        for _ in range(seconds):
            batch = ReadingBatch.of([reading(sent + i, float(rng.randrange(80, 100))) for i in range(5)])
            sent += 5
            await outbox.append(batch)
            await asyncio.sleep(0.002)

    try:
        async with running(tmp_path, broker.port) as cloud:
            await measure(60)
            await broker.kill()
            await measure(60)
            await eventually(lambda: cloud.telemetry.value("readings_stored_total") > 200)
        await measure(60)
        async with running(tmp_path, broker.port, fresh=False) as cloud:
            await measure(20)
            await eventually(lambda: outbox.backlog() == 0, 60)
            stored = await cloud.store.read(TENANT, ["dev_1"], None, 0, FOREVER)
            assert len(stored) == sent == 1000
            assert len(set(stored.corrected)) == 1000
            assert len(configs) >= 1
            assert (state := cloud.service.gateways.get("gw-1")) is not None
            assert state.online
            dead = cloud.telemetry.by_label("dead_letters_total", "reason")
            assert dead == {}
    finally:
        edge.cancel()
        with suppress(asyncio.CancelledError):
            await edge
        await outbox.close()


async def test_comes_back_to_a_broker_that_starts_later(tmp_path: Path):
    nats = Nats(tmp_path)
    async with nats:
        port = nats.port
    states: list[SourceState] = []
    ids, telemetry = RandomIds(), Telemetry()
    source = MqttSource(Address("127.0.0.1", port), ids=ids, telemetry=telemetry, on_state=states.append)
    connected = asyncio.Event()

    async def on_connected() -> None:
        connected.set()

    task = asyncio.create_task(source.run(lambda _message: None, on_connected))
    try:
        await eventually(lambda: SourceState.BACKOFF in states)
        with pytest.raises(UplinkError):
            await source.publish("hw/1/main/gw-1/receipt", b"x")
        async with Nats(tmp_path, port):
            async with asyncio.timeout(30):
                await connected.wait()
            assert source.connected
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not source.connected
    assert source.state is SourceState.IDLE


def test_addresses():
    assert Address.of_url("mqtt://h") == Address("h", 1883)
    assert Address.of_url("mqtts://u:p%40@h:99") == Address("h", 99, "u", "p@", tls=True)
    assert Address.of_url("mqtt://h", "u", "p").username == "u"
    for bad in ("http://h", "mqtt://", "mqtt://h:port"):
        with pytest.raises(ConfigError, match="mqtt://host"):
            Address.of_url(bad)
