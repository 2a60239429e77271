"""The player's line: time one way, acknowledgements the other, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from hearthward.app import control
from hearthward.app.control import ControlClient, ControlServer, parse_address
from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError

START = 1_000


class Line:
    """A server and what it was told."""

    def __init__(self) -> None:
        self.clock = EventClock(START)
        self.taken: dict[str, int] = {}
        self.lost = 0
        self.news = asyncio.Event()
        self.server = ControlServer(self.clock, self._on_taken, self._on_lost)

    def _on_taken(self, device: str, n: int) -> None:
        self.taken[device] = self.taken.get(device, 0) + n
        self.news.set()

    def _on_lost(self) -> None:
        self.lost += 1
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()

    async def step(self, at: int) -> None:
        self.clock.follow(at)
        await self.server.step(at)


@asynccontextmanager
async def served() -> AsyncIterator[Line]:
    line = Line()
    await line.server.start()
    try:
        yield line
    finally:
        await line.server.close()


@asynccontextmanager
async def following(port: int) -> AsyncIterator[tuple[ControlClient, EventClock]]:
    clock = EventClock()
    client = ControlClient("127.0.0.1", port, clock)
    task = asyncio.create_task(client.run())
    try:
        yield client, clock
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_new_edge_gets_the_time_and_every_step_waits_for_it():
    async with served() as line, following(line.server.port) as (client, clock):
        await client.synchronised()
        assert clock.now_ns() == START
        for at in (2_000, 3_000, 10**18):
            await line.step(at)
            assert clock.now_ns() == at


async def test_what_was_taken_is_reported_by_device():
    async with served() as line, following(line.server.port) as (client, _):
        await client.synchronised()
        client.taken({"a": 2, "b": 1})
        client.taken({})
        client.taken({"a": 1})
        await line.until(lambda: line.taken == {"a": 3, "b": 1})


async def test_reports_without_a_line_are_dropped():
    ControlClient("127.0.0.1", 1, EventClock()).taken({"a": 1})


async def test_an_edge_that_leaves_is_noticed_and_holds_no_step_up():
    async with served() as line:
        async with following(line.server.port) as (client, _):
            await client.synchronised()
        await line.until(lambda: line.lost == 1)
        async with asyncio.timeout(control.STEP_S / 2):
            await line.step(5_000)
        async with following(line.server.port) as (client, clock):
            await client.synchronised()
            assert clock.now_ns() == 5_000


async def test_an_edge_follows_a_player_that_comes_late_or_back(caplog: pytest.LogCaptureFixture):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    async with following(port) as (client, clock):
        await asyncio.sleep(3 * control.RETRY_S)  # a few failures, of which one is told
        for at in (2_000, 3_000):
            line = Line()
            line.clock.follow(at)
            await line.server.start(port)
            async with asyncio.timeout(10):
                while clock.now_ns() != at:  # noqa: ASYNC110 - the clock tells nobody
                    await asyncio.sleep(0.01)
            await client.synchronised()
            await line.server.close()
    told = [r.getMessage() for r in caplog.records if "no player's clock" in r.getMessage()]
    assert 1 <= len(told) <= 3
    assert f"127.0.0.1:{port}" in told[0]


@pytest.mark.parametrize(
    "said",
    [
        b"rubbish\n",
        b"[]\n",
        b'{"at": "soon"}\n',
        b'{"taken": {"a": "x"}}\n',
        b'{"taken": 3}\n',
        b"x" * 70_000,
    ],
)
async def test_a_stranger_is_hung_up_on_and_harms_nobody(said: bytes, caplog: pytest.LogCaptureFixture):
    async with served() as line, following(line.server.port) as (client, clock):
        await client.synchronised()
        reader, writer = await asyncio.open_connection("127.0.0.1", line.server.port)
        assert await reader.readline() == b'{"t": %d}\n' % START
        writer.write(said)
        async with asyncio.timeout(10):
            while await reader.read(1000):
                pass
        writer.close()
        await line.step(2_000)
        assert clock.now_ns() == 2_000
    assert "not what an edge says" in caplog.text
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_an_edge_that_hangs_holds_a_step_up_for_a_while_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "STEP_S", 0.05)
    async with served() as line:
        reader, writer = await asyncio.open_connection("127.0.0.1", line.server.port)
        await reader.readline()
        async with asyncio.timeout(5):
            await line.step(2_000)
        assert await reader.readline() == b'{"t": 2000}\n'
        writer.close()


async def test_a_taken_port_is_told():
    async with served() as line:
        second = ControlServer(EventClock(), line.server._on_taken, line.server._on_edge_lost)
        with pytest.raises(
            ConfigError, match=rf"127\.0\.0\.1:{line.server.port}.*already in use; .*--control"
        ):
            await second.start(line.server.port)
        await second.close()


async def test_closing_with_edges_connected_leaves_nothing_behind():
    line = Line()
    await line.server.start()
    async with following(line.server.port) as (client, _):
        await client.synchronised()
        await line.server.close()
        assert line.lost == 1
        assert not line.server._serving


def test_addresses():
    assert parse_address("127.0.0.1:7000", "--event-clock") == ("127.0.0.1", 7000)


@pytest.mark.parametrize("text", ["nonsense", "", ":7000", "host:", "host:x", "host:0", "host:65536", "h:-1"])
def test_wrong_addresses_are_named_with_their_option(text: str):
    with pytest.raises(ConfigError, match=r"--event-clock: .* is not HOST:PORT"):
        parse_address(text, "--event-clock")
