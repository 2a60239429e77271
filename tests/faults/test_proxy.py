"""The proxy cuts packets as MQTT does, and fails where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.proxy import PUBACK, PUBLISH, Behaviour, CutAt, Framer, Freeze, Proxy, Refuse, Way

ACK = bytes((PUBACK << 4, 2, 0, 7))


def publish(topic: str, payload: bytes, packet_id: int) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic.encode() + packet_id.to_bytes(2, "big") + payload
    head, rest = bytearray([0x32]), len(body)
    while True:
        rest, digit = divmod(rest, 128)
        head.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes(head) + body


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 65535)), max_size=6),
    st.lists(st.integers(1, 64), min_size=1),
)
def test_packets_come_out_as_they_went_in_however_they_are_cut(
    messages: list[tuple[bytes, int]], cuts: list[int]
):
    stream = b"".join(publish("hw/1/main/gw-1/frame", payload, number) for payload, number in messages)
    framer, found, at, turn = Framer(), [], 0, 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        found += framer.feed(stream[at : at + step])
        at, turn = at + step, turn + 1
    assert b"".join(p.raw for p in found) == stream
    assert [(p.payload, int.from_bytes(p.packet_id, "big")) for p in found] == messages
    assert all(p.kind == PUBLISH and p.qos == 1 and p.topic == "hw/1/main/gw-1/frame" for p in found)


@asynccontextmanager
async def through_proxy() -> AsyncIterator[
    tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter, list[bytes]]
]:
    """A broker that acknowledges every packet, behind a proxy, and a client."""
    got: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        while data := await reader.read(4096):
            for packet in framer.feed(data):
                got.append(packet.raw)
                writer.write(ACK)
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Proxy(port) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            try:
                writer.write(publish("a", b"first", 1))
                assert await reader.readexactly(4) == ACK
                yield proxy, reader, writer, got
            finally:
                writer.close()


MESSAGE = publish("hw/1/main/gw-1/frame", b"x" * 50, 2)


@pytest.mark.parametrize(
    ("way", "kind", "where", "arrived", "acknowledged"),
    [
        (Way.UP, PUBLISH, "before", 1, b""),
        (Way.UP, PUBLISH, "within", 1, b""),
        (Way.DOWN, PUBACK, "before", 2, b""),
        (Way.DOWN, PUBACK, "after", 2, ACK),
        (Way.DOWN, PUBACK, "within", 2, ACK[:2]),
    ],
)
async def test_a_link_is_cut_at_a_packet(way: Way, kind: int, where: str, arrived: int, acknowledged: bytes):
    async with asyncio.timeout(10), through_proxy() as (proxy, reader, writer, got):
        cut = proxy.behaviour = CutAt(way, kind, where)
        writer.write(MESSAGE)
        await cut.done.wait()
        said = b""
        try:
            while data := await reader.read(100):
                said += data
        except ConnectionResetError:
            pass
        assert said == acknowledged
        assert len(got) == arrived


async def test_a_frozen_link_keeps_its_socket_and_a_new_one_works():
    async with asyncio.timeout(10), through_proxy() as (proxy, reader, writer, got):
        proxy.behaviour = Freeze(proxy)
        writer.write(MESSAGE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        fresh, out = await asyncio.open_connection("127.0.0.1", proxy.port)
        out.write(MESSAGE)
        assert await fresh.readexactly(4) == ACK
        out.close()
        assert len(got) == 2


async def test_refused_and_mended():
    async with asyncio.timeout(10), through_proxy() as (proxy, reader, _, _got):
        proxy.behaviour = Refuse()
        proxy.cut()
        assert not await _rest(reader)
        fresh, out = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert not await _rest(fresh)
        out.close()
        proxy.behaviour = Behaviour()
        fresh, out = await asyncio.open_connection("127.0.0.1", proxy.port)
        out.write(MESSAGE)
        assert await fresh.readexactly(4) == ACK
        out.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
