"""A source that is stopped stops, whatever arrives at the same moment, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.sources import Broker as Address
from cloud_ingest.sources import MqttSource, connection
from cloud_ingest.sources.connection import Connection
from cloud_ingest.sources.mqtt import SourceState
from hearthward.core.errors import UplinkError
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from tests.component.edge_agent.brokers import Nats, eventually

CONFIG = "hw/1/main/gw-1/config"


def source_at(port: int) -> MqttSource:
    return MqttSource(Address("127.0.0.1", port), ids=SeededIds(1), telemetry=Telemetry())


async def nothing() -> None:
    pass


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Nats]:
    async with Nats(tmp_path) as nats:
        yield nats


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel ONCE: a task that forgets it fails the test."""
    task.cancel()
    await asyncio.wait([task], timeout=20)
    assert task.cancelled()


def left_over() -> list[str]:
    """Tasks of ours, and the library's own one (which has no name)."""
    named = {t: f"{t.get_name()} {t.get_coro()!r}" for t in asyncio.all_tasks()}
    return [name for name in named.values() if name.startswith(("mqtt-", "source-")) or "_misc_loop" in name]


async def test_an_answer_that_comes_together_with_the_cancel_does_not_hide_it():
    client = Connection(Address("127.0.0.1", 1), identifier="c")
    answer = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(client._wait_for(answer, timeout=None))
    await asyncio.sleep(0)
    answer.set_result("PUBACK")
    await stop(waiting)


async def test_a_publish_cancelled_by_its_own_puback_is_cancelled(broker: Nats):
    source, connected = source_at(broker.port), asyncio.Event()

    async def on_connected() -> None:
        connected.set()

    running = asyncio.create_task(source.run(lambda _m: None, on_connected))
    await connected.wait()
    assert source._client is not None
    paho = source._client._client
    answered = paho.on_publish

    def both_at_once(*args: Any) -> None:
        assert answered is not None
        answered(*args)
        publishing.cancel()

    paho.on_publish = both_at_once
    publishing = asyncio.create_task(source.publish(CONFIG, b"x", retain=True))
    await asyncio.wait([publishing], timeout=20)
    assert publishing.cancelled()
    await stop(running)


async def test_a_failure_while_it_is_being_stopped_does_not_keep_it_running(broker: Nats):
    """Python 3.11: an error in a group that is being cancelled takes the place of the cancellation."""
    source, connected = source_at(broker.port), asyncio.Event()

    async def fails_when_stopped() -> None:
        connected.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            msg = "the broker did not take the message"
            raise UplinkError(msg) from None

    running = asyncio.create_task(source.run(lambda _m: None, fails_when_stopped))
    await connected.wait()
    await stop(running)
    assert source.state is SourceState.IDLE
    assert not source.connected
    assert left_over() == []


async def test_what_nobody_expects_ends_the_run(broker: Nats):
    """An error of our own code is no reason to connect again: whoever runs the source is told."""

    async def broken() -> None:
        raise LookupError

    with pytest.raises(ExceptionGroup) as caught:
        await source_at(broker.port).run(lambda _m: None, broken)
    assert caught.group_contains(LookupError)
    assert left_over() == []


async def test_a_broker_that_takes_the_connection_and_never_answers_is_tried_again_soon(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(connection, "CONNACK_TIMEOUT_S", 0.2)
    asked: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: asked.append(writer), "127.0.0.1", 0)
    async with server:
        running = asyncio.create_task(
            source_at(server.sockets[0].getsockname()[1]).run(lambda _m: None, nothing)
        )
        await eventually(lambda: len(asked) >= 2)
        await stop(running)
        for writer in asked:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    assert left_over() == []


async def test_stopping_while_connecting_leaves_nothing_behind():
    """A listener that never answers: the CONNACK is awaited when the source is stopped."""
    asked = asyncio.Event()
    silent: list[asyncio.StreamWriter] = []

    def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)
        asked.set()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    async with server:
        running = asyncio.create_task(
            source_at(server.sockets[0].getsockname()[1]).run(lambda _m: None, nothing)
        )
        await asked.wait()
        await stop(running)
        assert left_over() == []
        for writer in silent:
            with suppress(OSError):
                await writer.drain()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_stopping_while_the_broker_is_gone(broker: Nats):
    source, connected = source_at(broker.port), asyncio.Event()

    async def on_connected() -> None:
        connected.set()

    running = asyncio.create_task(source.run(lambda _m: None, on_connected))
    await connected.wait()
    await broker.kill()
    await eventually(lambda: source.state is not SourceState.CONNECTED)
    await stop(running)
    assert left_over() == []
