"""The live stream through a real server and real sockets: who is slow, who comes back, many at once."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from dashboards.fake_views import sample_of
from dashboards.live.channel import QUEUE
from dashboards.live.hub import LiveHub
from hearthward.trust.access import Role, scope_of
from tests.unit.dashboards.webworld import World, reading

FLOOD = 1000
MANY = 100
SMALL = 4096


@dataclass
class Served:
    """A world behind a socket."""

    world: World
    hub: LiveHub
    port: int
    token: str

    def one_more(self, value: int) -> None:
        """A second later, with a value that is sent at once."""
        self.world.clock.advance(1)
        sample = sample_of(reading("main-oxi-A", "spo2", value, self.world.clock.now_ns()))
        self.hub._dirty |= self.hub._board.take([sample])
        self.hub._send()


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    world = await World().fill()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)  # else the kernel would take it all
    config = uvicorn.Config(world.app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve(sockets=[listening]))
        try:
            hub: LiveHub = world.app.state.hub
            scope = scope_of(world.principal(Role.NURSE))
            async with asyncio.timeout(20):
                while not server.started or hub.snapshot(scope)["why"]:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
            token = world.backend.open_session(world.principal(Role.NURSE))
            yield Served(world, hub, listening.getsockname()[1], token)
        finally:
            world.app.state.hub.close()
            server.should_exit = True
            await task
            listening.close()


@dataclass
class Browser:
    """One open stream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    last: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event."""
        async with asyncio.timeout(20):
            while True:
                line = (await self.reader.readline()).decode()
                assert line, "the stream has ended"
                name, _, value = line.strip().partition(": ")
                self.fields[name] = value
                self.last = self.fields.get("id", "")
                if name == "data":
                    kind = self.fields["event"]
                    return kind, json.loads(value)

    async def until(self, kind: str) -> tuple[list[str], dict[str, Any]]:
        """The kinds up to the next of a kind, and its data."""
        kinds = []
        while True:
            found, data = await self.next()
            kinds.append(found)
            if found == kind:
                return kinds, data


@asynccontextmanager
async def browser(of: Served, last: str = "", *, small: bool = False) -> AsyncIterator[Browser]:
    raw = socket.socket()
    if small:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", of.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=SMALL * 16)
    resume = f"Last-Event-ID: {last}\r\n" if last else ""
    writer.write(
        f"GET /api/v1/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {of.token}\r\n{resume}\r\n".encode()
    )
    try:
        yield Browser(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_who_does_not_read_costs_bounded_memory_delays_nobody_and_is_told_to_fetch_again():
    async with served() as at, browser(at) as quick, browser(at, small=True) as slow:
        await quick.until("beat")
        await slow.until("beat")
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined] - it hangs
        channel = at.hub._channel(scope_of(at.world.principal(Role.NURSE)))
        seen = 0
        for n in range(FLOOD):
            at.one_more(80 + n % 19)
            assert all(client.queue.qsize() <= QUEUE for client in channel.clients)
            while n % 20 == 19 and seen < channel.seq:
                kinds, data = await quick.until("patch")
                assert "refetch" not in kinds
                seen = data["seq"]
        slow.reader._transport.resume_reading()  # type: ignore[attr-defined]
        kinds, data = await slow.until("refetch")
        assert data == {"why": "slow"}
        assert kinds.count("patch") < FLOOD
        at.one_more(99)
        _, data = await slow.until("patch")
        assert data["tiles"][0]["v"]["spo2"][0] == "99"


async def test_who_comes_back_gets_what_was_missed_and_nothing_twice():
    async with served() as at:
        async with browser(at) as first:
            await first.until("beat")
            at.one_more(91)
            _, before = await first.until("patch")
            last = first.last
        for value in (92, 93):
            at.one_more(value)
        async with browser(at, last) as again:
            got = [await again.next() for _ in range(2)]
            assert [kind for kind, _ in got] == ["patch", "patch"]
            assert [d["seq"] for _, d in got] == [before["seq"] + 1, before["seq"] + 2]
            assert got[1][1]["tiles"][0]["v"]["spo2"][0] == "93"
            assert (await again.next())[0] == "beat"
        async with browser(at, "another-server-7") as lost:
            assert await lost.next() == ("refetch", {"why": "gap"})


async def test_many_who_come_at_once_are_all_served_and_none_is_told_to_fetch_again():
    all_here = asyncio.Barrier(MANY + 1)

    async def come(at: Served) -> list[str]:
        async with browser(at) as mine:
            assert (await mine.next())[0] == "beat"
            await all_here.wait()
            return (await mine.until("patch"))[0]

    async with served() as at, asyncio.TaskGroup() as group:
        coming = [group.create_task(come(at)) for _ in range(MANY)]
        await all_here.wait()
        at.one_more(90)
        for kinds in await asyncio.gather(*coming):
            assert set(kinds) <= {"beat", "patch"}
            assert len(kinds) < 20, "nobody is told of each who comes"


async def test_all_who_fetch_the_wall_before_the_next_message_get_one_encoding():
    async with served() as at:
        scope = scope_of(at.world.principal(Role.NURSE))
        channel = at.hub._channel(scope)
        first = json.loads(at.hub.snapshot_text(scope))
        encoded = channel.whole
        assert json.loads(at.hub.snapshot_text(scope))["tiles"] == first["tiles"]
        assert channel.whole is encoded
        assert first["tiles"] == at.hub.snapshot(scope)["tiles"]
        at.world.clock.advance(600)
        later = json.loads(at.hub.snapshot_text(scope))
        assert later["seq"] > first["seq"]
        states = {t["v"]["spo2"][1] for t in later["tiles"]}
        assert states == {"stale"}
