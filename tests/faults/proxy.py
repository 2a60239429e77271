"""A TCP proxy that understands MQTT 3.1.1 packets, so that a link can fail at a chosen packet.

It stands between a client and the broker. What it does with each packet is its ``behaviour``, which may be
changed at any time; the plain one hands everything on.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

__all__ = [
    "PUBACK",
    "PUBLISH",
    "Behaviour",
    "CutAt",
    "Framer",
    "Freeze",
    "Lossy",
    "Packet",
    "Proxy",
    "Refuse",
    "Slow",
    "Swallow",
    "Way",
    "Wire",
]

PUBLISH: Final = 3
PUBACK: Final = 4
CHUNK: Final = 65_536
_LONGEST_HEADER: Final = 5


class Way(Enum):
    """Which way a packet goes."""

    UP = "from the client to the broker"
    DOWN = "from the broker to the client"


@dataclass(frozen=True, slots=True)
class Packet:
    """One whole control packet, as on the wire."""

    raw: bytes

    @property
    def kind(self) -> int:
        """The control packet's type."""
        return self.raw[0] >> 4

    @property
    def body(self) -> bytes:
        """What follows the fixed header."""
        at = 1
        while self.raw[at] & 0x80:
            at += 1
        return self.raw[at + 1 :]

    @property
    def qos(self) -> int:
        """Of a PUBLISH."""
        return self.raw[0] >> 1 & 3

    @property
    def topic(self) -> str:
        """Of a PUBLISH."""
        body = self.body
        return body[2 : 2 + int.from_bytes(body[:2], "big")].decode(errors="replace")

    @property
    def packet_id(self) -> bytes:
        """Of a PUBLISH with QoS 1."""
        body = self.body
        after = 2 + int.from_bytes(body[:2], "big")
        return body[after : after + 2]

    @property
    def payload(self) -> bytes:
        """Of a PUBLISH."""
        body = self.body
        return body[2 + int.from_bytes(body[:2], "big") + (2 if self.qos else 0) :]


class Framer:
    """Bytes as they come -> whole packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are complete by now."""
        self._buffer += data
        while (size := self._size()) is not None and size <= len(self._buffer):
            yield Packet(bytes(self._buffer[:size]))
            del self._buffer[:size]

    def _size(self) -> int | None:
        length = 0
        for at, byte in enumerate(self._buffer[1:_LONGEST_HEADER]):
            length |= (byte & 0x7F) << 7 * at
            if not byte & 0x80:
                return length + at + 2
        return None


class Wire:
    """One client's connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self._to = {Way.UP: broker, Way.DOWN: client}
        self.gone = asyncio.Event()

    async def send(self, way: Way, data: bytes) -> None:
        """Hand bytes on."""
        writer = self._to[way]
        writer.write(data)
        await writer.drain()

    def cut(self) -> None:
        """Reset both connections: what is not handed on yet is lost."""
        for writer in self._to.values():
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            writer.transport.abort()
        self.gone.set()

    async def finish(self, way: Way) -> None:
        """Cut after what was handed on has left."""
        with suppress(OSError):
            await self._to[way].drain()
        for writer in self._to.values():
            writer.close()
        self.gone.set()


class Behaviour:
    """What is done with packets; this one hands each on."""

    admits = True
    """Whether new connections are taken."""

    async def handle(self, wire: Wire, way: Way, packet: Packet) -> None:
        """Deal with one packet."""
        await wire.send(way, packet.raw)


class Refuse(Behaviour):
    """No link at all: new connections are refused (``Proxy.cut`` ends those that are there)."""

    admits = False


class CutAt(Behaviour):
    """Cut at the next packet of a kind: ``before`` it is handed on, ``after`` it, or ``within`` it."""

    def __init__(self, way: Way, kind: int, where: str) -> None:
        self._way, self._kind, self._where = way, kind, where
        self.done = asyncio.Event()

    async def handle(self, wire: Wire, way: Way, packet: Packet) -> None:
        if self.done.is_set() or way is not self._way or packet.kind != self._kind:
            await wire.send(way, packet.raw)
            return
        self.done.set()
        if self._where == "before":
            wire.cut()
            return
        await wire.send(way, packet.raw if self._where == "after" else packet.raw[: len(packet.raw) // 2])
        await wire.finish(way)


class Freeze(Behaviour):
    """Half-open: connections that are there keep their sockets and pass nothing any more; new ones work."""

    def __init__(self, proxy: Proxy) -> None:
        self._frozen = frozenset(proxy.wires)
        self.passed = asyncio.Event()
        """Set when a packet of a new connection was handed on from the broker."""

    async def handle(self, wire: Wire, way: Way, packet: Packet) -> None:
        if wire in self._frozen:
            await wire.gone.wait()
            return
        await wire.send(way, packet.raw)
        if way is Way.DOWN:
            self.passed.set()


class Slow(Behaviour):
    """Each packet takes so many seconds, in both directions."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def handle(self, wire: Wire, way: Way, packet: Packet) -> None:
        await asyncio.sleep(self._seconds)
        await wire.send(way, packet.raw)


class Lossy(Behaviour):
    """Acknowledgements and messages get lost, and now and then the connection with them."""

    def __init__(self, rng: random.Random, *, drop: float = 0.3, cut: float = 0.05) -> None:
        self._rng, self._drop, self._cut = rng, drop, cut

    async def handle(self, wire: Wire, way: Way, packet: Packet) -> None:
        if packet.kind in {PUBLISH, PUBACK}:
            fate = self._rng.random()
            if fate < self._cut:
                await wire.send(way, packet.raw[: self._rng.randrange(1, len(packet.raw))])
                await wire.finish(way)
                return
            if fate < self._cut + self._drop:
                return
        await wire.send(way, packet.raw)


class Swallow(Behaviour):
    """A broker that lies: frames of readings are acknowledged and forgotten."""

    async def handle(self, wire: Wire, way: Way, packet: Packet) -> None:
        if way is Way.UP and packet.kind == PUBLISH and packet.topic.endswith("/frame"):
            await wire.send(Way.DOWN, bytes((PUBACK << 4, 2)) + packet.packet_id)
            return
        await wire.send(way, packet.raw)


OnPacket = Callable[[Way, Packet], None]


class Proxy:
    """Listens on a free loopback port and leads to a broker's; ``seen`` is told of each packet first."""

    def __init__(self, upstream: int, seen: OnPacket = lambda _way, _packet: None) -> None:
        self.upstream = upstream
        self.port = 0
        self.behaviour = Behaviour()
        self.wires: set[Wire] = set()
        self._seen = seen
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """End all connections at once."""
        for wire in list(self.wires):
            wire.cut()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.behaviour.admits:
                await self._carry(reader, writer)
        except asyncio.CancelledError:
            pass  # it is the last thing this task does, and asyncio's server would take it for an error
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            return  # the broker is down: so is the link
        wire = Wire(writer, forth)
        self.wires.add(wire)
        for end in (writer, forth):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pumps = [
            asyncio.create_task(self._pump(wire, way, source), name=f"proxy {way.name}")
            for way, source in ((Way.UP, reader), (Way.DOWN, back))
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.wires.discard(wire)
            wire.gone.set()
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            forth.transport.abort()

    async def _pump(self, wire: Wire, way: Way, source: asyncio.StreamReader) -> None:
        framer = Framer()
        with suppress(OSError):
            while data := await source.read(CHUNK):
                for packet in framer.feed(data):
                    self._seen(way, packet)
                    await self.behaviour.handle(wire, way, packet)
