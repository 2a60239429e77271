"""Somebody on the broker who should not be there: old, forged and garbled messages."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hearthward.core.errors import DecodeError
from hearthward.core.messages import Receipt
from hearthward.core.wire import Frame, topic
from hearthward.trust.keys import SigningKey
from tests.faults.api import Away
from tests.faults.proxy import PUBACK, Framer, Swallow

if TYPE_CHECKING:
    from tests.faults.system import System

__all__ = ["forge_frames", "forge_receipts", "publish", "replay_frames"]

TENANT, GATEWAY = "main", "gw-1"
ANSWER_S: Final = 10.0
REFUSED_S: Final = 10.0
REPLAYED: Final = 20


async def publish(port: int, messages: Iterable[tuple[str, bytes]]) -> None:
    """Publish with QoS 1 and wait for each PUBACK; a broker may close on what it does not like."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    framer = Framer()
    try:
        async with asyncio.timeout(ANSWER_S):
            name = b"rogue-%08x" % random.getrandbits(32)
            writer.write(_packet(0x10, b"\0\x04MQTT\x04\x02\0\x3c" + _text(name)))
            for number, (where, payload) in enumerate(messages, 1):
                writer.write(_packet(0x32, _text(where.encode()) + number.to_bytes(2, "big") + payload))
                acknowledged = False
                while not acknowledged:
                    data = await reader.read(4096)
                    if not data:
                        return
                    acknowledged = any(packet.kind == PUBACK for packet in framer.feed(data))
    finally:
        writer.close()


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def _packet(head: int, body: bytes) -> bytes:
    length = bytearray()
    rest = len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([head]) + bytes(length) + body


async def replay_frames(system: System, rng: random.Random) -> None:
    """Send what the gateway has sent, again and in another order."""
    old = rng.sample(system.kept_frames, min(REPLAYED, len(system.kept_frames)))
    await publish(system.broker.port, [(topic(TENANT, GATEWAY, "frame"), frame) for frame in old])


async def forge_frames(system: System, rng: random.Random) -> None:
    """Send what no gateway of ours has sent; every one must end in the dead letters or change nothing."""
    raw = rng.choice(system.kept_frames)
    frame = Frame.decode(raw)
    here = topic(TENANT, GATEWAY, "frame")
    messages = [
        (here, rng.randbytes(200)),
        (here, raw[: rng.randrange(1, len(raw))]),
        (here, b""),
        (here, replace(frame, gateway="gw-2").encode()),
        (topic(TENANT, "gw-2", "frame"), raw),
        (topic("another", GATEWAY, "frame"), raw),
        (here, raw + b"\0" * (1 << 20)),
        (topic(TENANT, "gw-2", "frame"), replace(frame, gateway="gw-2").encode()),
    ]
    before = await _refused(system)
    for message in messages:  # each alone: a broker may cut the one that is too large
        await publish(system.broker.port, [message])
    try:
        async with asyncio.timeout(REFUSED_S):
            while await _refused(system) < before + 5:  # noqa: ASYNC110 - counters tell nobody
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        msg = f"forged frames are not refused: {await _refused(system) - before:g} of {len(messages)}"
        raise AssertionError(msg) from error


async def _refused(system: System) -> float:
    """How many frames the ingestor has refused. Not each becomes a dead letter: the same come again."""
    with contextlib.suppress(Away):
        return await system.api.counter("frames_refused_total")
    return 0.0


async def forge_receipts(system: System, rng: random.Random) -> None:
    """Say that readings are stored which nobody has: the gateway must keep them."""
    system.edge_link.behaviour = Swallow()
    await system.frame_seen()
    await asyncio.sleep(0.1)
    frame = Frame.decode(system.kept_frames[-1])
    true = Receipt(frame.gateway, frame.boot, frame.session, tuple(b.stored() for b in frame.blocks))
    stranger = SigningKey.new()
    old = _old_receipt(system.receipts)
    forged = [
        true.encode(),
        true.signed(stranger.sign(true.signed_part())).encode(),
        replace(true, gaps=((1, 1 << 40),)).signed(stranger.sign(true.signed_part())).encode(),
        replace(true, session="another").encode(),
        rng.randbytes(100),
        b"",
    ]
    if old is not None:
        forged += [
            old.encode(),
            replace(old, blocks=true.blocks).encode(),
            true.signed(old.signature).encode(),
        ]
    rng.shuffle(forged)
    where = topic(TENANT, GATEWAY, "receipt")
    await publish(system.broker.port, [(where, payload) for payload in forged])
    # the log tells each kind once a minute: an earlier round of it will do
    await system.until(lambda: system.edge.said("is refused") > 0, "the edge has refused no receipt")
    system.heal()


def _old_receipt(receipts: list[bytes]) -> Receipt | None:
    for payload in reversed(receipts):
        try:
            return Receipt.decode(payload)
        except DecodeError:
            continue
    return None
