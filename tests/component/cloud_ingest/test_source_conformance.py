"""One suite over every source of frames: the fake, and MQTT over each real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

import aiomqtt
import pytest

from cloud_ingest.sources import Broker as Address
from cloud_ingest.sources import FrameSource, MemorySource, Message, MqttSource
from hearthward.core.errors import UplinkError
from hearthward.core.ids import RandomIds
from hearthward.core.telemetry import Telemetry
from tests.component.edge_agent.brokers import MOSQUITTO, Broker, Mosquitto, Nats

FRAME = "hw/1/main/gw-1/frame"
CONFIG = "hw/1/main/gw-1/config"


class World(Protocol):
    """What surrounds a source."""

    source: FrameSource

    async def send(self, topic: str, payload: bytes) -> None: ...
    async def retained(self, topic: str) -> bytes: ...
    async def lose(self) -> None:
        """The connection breaks once and can be made again at once."""


class MemoryWorld:
    def __init__(self) -> None:
        self.source = MemorySource()

    async def send(self, topic: str, payload: bytes) -> None:
        self.source.deliver(topic, payload)

    async def retained(self, topic: str) -> bytes:
        return self.source.retained[topic]

    async def lose(self) -> None:
        self.source.cut()
        self.source.mend()
        self.source.deliver("hw/1/main/gw-9/status", b"wakes it")


class MqttWorld:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.source = MqttSource(
            lambda: Address("127.0.0.1", broker.port), ids=RandomIds(), telemetry=Telemetry()
        )

    async def send(self, topic: str, payload: bytes) -> None:
        async with aiomqtt.Client("127.0.0.1", self._broker.port) as client:
            await client.publish(topic, payload, qos=1)

    async def retained(self, topic: str) -> bytes:
        async with aiomqtt.Client("127.0.0.1", self._broker.port) as client:
            await client.subscribe(topic, qos=1)
            async for message in client.messages:
                return message.payload
        raise AssertionError

    async def lose(self) -> None:
        await self._broker.kill()


@pytest.fixture(params=["memory", "nats", "mosquitto"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    if request.param == "mosquitto" and MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    broker: Broker = Nats(tmp_path) if request.param == "nats" else Mosquitto(tmp_path)
    async with broker:
        yield MqttWorld(broker)


class Running:
    def __init__(self, source: FrameSource) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.connects: asyncio.Queue[bool] = asyncio.Queue()
        self._source = source

    async def __aenter__(self) -> Self:
        async def on_connected() -> None:
            self.connects.put_nowait(self._source.connected)

        self._task = asyncio.create_task(self._source.run(self.messages.put_nowait, on_connected))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def connected(self) -> bool:
        async with asyncio.timeout(30):
            return await self.connects.get()

    async def message(self) -> Message:
        async with asyncio.timeout(30):
            return await self.messages.get()


async def test_hands_over_frames_status_and_applied_in_order(world: World):
    async with Running(world.source) as running:
        assert await running.connected()
        sent = [Message(f"hw/1/main/gw-1/{kind}", kind.encode()) for kind in ("frame", "status", "applied")]
        for item in sent:
            await world.send(item.topic, item.payload)
        assert [await running.message() for _ in sent] == sent


async def test_empty_and_large_payloads_come_through(world: World):
    async with Running(world.source) as running:
        await running.connected()
        large = bytes(range(256)) * 4000
        await world.send(FRAME, large)
        await world.send(FRAME, b"")
        assert (await running.message()).payload == large
        assert (await running.message()).payload == b""


async def test_retained_messages_are_there_when_publish_returns(world: World):
    async with Running(world.source) as running:
        await running.connected()
        await world.source.publish(CONFIG, b"one", retain=True)
        await world.source.publish(CONFIG, b"two", retain=True)
        assert await world.retained(CONFIG) == b"two"


async def test_tells_every_connect(world: World):
    async with Running(world.source) as running:
        assert await running.connected()
        await world.lose()
        assert await running.connected()
        while not running.messages.empty():
            running.messages.get_nowait()
        await world.send(FRAME, b"after")
        messages = [await running.message()]
        while messages[-1].topic != FRAME:
            messages.append(await running.message())
        assert messages[-1].payload == b"after"


async def test_a_probe_makes_the_round_trip_and_is_handed_to_nobody(world: World):
    async with Running(world.source) as running:
        await running.connected()
        await asyncio.gather(world.source.probe(), world.source.probe())
        await world.send(FRAME, b"x")
        assert (await running.message()).payload == b"x"


async def test_without_a_connection_publishing_fails_and_nothing_is_queued(world: World):
    with pytest.raises(UplinkError):
        await world.source.publish(FRAME, b"x")
    with pytest.raises(UplinkError):
        await world.source.probe()
    async with Running(world.source) as running:
        await running.connected()
    assert not world.source.connected
    with pytest.raises(UplinkError):
        await world.source.publish(FRAME, b"x")
