"""Real brokers on free loopback ports, and a consumer with a mind of its own."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol, Self

import aiomqtt

from edge_agent import CloudTrust
from edge_agent.uplink.connection import BrokerAddress, Connection
from hearthward.app.broker import BrokerChild
from hearthward.app.mqtt_probe import round_trip
from hearthward.core.clock import SystemClock
from hearthward.core.errors import UplinkError
from hearthward.core.ids import RandomIds
from hearthward.core.ranges import RangeSet
from hearthward.core.raw_frames import RawFrames
from hearthward.core.sightings import Sightings
from hearthward.core.wire import Accounts, ConfigDocument, Frame, Gap, Receipt, Status, decode_block, topic
from hearthward.trust.keys import SigningKey

TENANT, GATEWAY = "main", "gw-1"
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


KEY = SigningKey.new()
"""By which the consumer signs."""


def receipt_for(frame: Frame, key: SigningKey = KEY) -> Receipt:
    """As a cloud answers a frame of which it has stored everything."""
    blocks = tuple(b.stored() for b in frame.blocks)
    gaps = tuple((g.first, g.last) for g in frame.gaps)
    return signed(Receipt(frame.gateway, frame.boot, frame.session, blocks, gaps), key)


def signed(receipt: Receipt, key: SigningKey = KEY) -> Receipt:
    return receipt.signed(key.sign(receipt.signed_part()))


def trusting(folder: Path, key: bytes | None = KEY.public) -> CloudTrust:
    """A gateway's trust in the consumer (None: in whom it hears of first)."""
    return CloudTrust(folder / "cloud-key", clock=SystemClock(), key=key)


def signed_document(document: ConfigDocument, key: SigningKey = KEY) -> ConfigDocument:
    named = document.signed(key.public, b"")
    return document.signed(key.public, key.sign(named.signed_part()))


class Broker(Protocol):
    port: int

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
    async def kill(self) -> None:
        """Kill -9; it comes back by itself on the same port."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


async def eventually(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait for a state that nobody announces (a counter, a disk)."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


class Nats:
    def __init__(self, folder: Path, port: int = 0) -> None:
        self._child = BrokerChild(folder / "nats", port, ids=RandomIds())
        self.port = port

    async def __aenter__(self) -> Self:
        await self._child.__aenter__()
        self.port = self._child.port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._child.__aexit__(None, None, None)

    async def kill(self) -> None:
        assert self._child.pid
        os.kill(self._child.pid, signal.SIGKILL)


class Mosquitto:
    def __init__(self, folder: Path, port: int = 0) -> None:
        self._config = folder / "mosquitto.conf"
        self.port = port or free_port()
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n"
            "set_tcp_nodelay true\n"
        )
        await self._start()
        return self

    async def _start(self) -> None:
        assert MOSQUITTO
        self._process = await asyncio.create_subprocess_exec(
            MOSQUITTO, "-c", str(self._config), stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(10):
            while True:
                with suppress(UplinkError):
                    await round_trip("127.0.0.1", self.port, ids=RandomIds(), timeout_s=1)
                    return

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await self._process.wait()

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()
        await self._start()


class Consumer:
    """The cloud's side of the wire: stores what it likes and answers as it likes.

    ``unreliable`` makes it lose frames before storing, and drop, repeat, delay and reorder receipts; whatever
    it receipts it has stored.
    """

    def __init__(self, port: int, *, seed: int = 0, unreliable: bool = False, answers: bool = True) -> None:
        self.port = port
        self.unreliable = unreliable
        self.answers = answers
        self.stored: dict[tuple[str, int], int] = {}
        self.frames: list[Frame] = []
        self.statuses: list[Status] = []
        self.applied: list[str] = []
        self.accounts: list[Accounts] = []
        self.sightings: list[Sightings] = []
        self.raw: list[RawFrames] = []
        self.gaps: set[Gap] = set()
        self.changed = asyncio.Event()
        self.connected = asyncio.Event()
        self._name = RandomIds().new("consumer")
        self._rng = random.Random(seed)
        self._held: list[bytes] = []
        self._client: aiomqtt.Client
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="consumer")
        await self.connected.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                await self._session()
            self.connected.clear()
            await asyncio.sleep(0.02)

    async def _session(self) -> None:
        address = BrokerAddress("127.0.0.1", self.port)
        async with Connection(address, identifier=self._name, will=None, pending=100) as client:
            self._client = client
            await client.subscribe(
                [
                    (f"hw/1/{TENANT}/+/{kind}", 1)
                    for kind in ("frame", "status", "applied", "account", "sightings", "raw")
                ]
            )
            self.connected.set()
            async for message in client.messages:
                kind = message.topic.value.rpartition("/")[2]
                if kind == "frame":
                    await self._take(Frame.decode(message.payload))
                elif kind == "status":
                    self.statuses.append(Status.decode(message.payload))
                elif kind == "account":
                    self.accounts.append(Accounts.decode(message.payload))
                elif kind == "sightings":
                    self.sightings.append(Sightings.decode(message.payload))
                elif kind == "raw":
                    self.raw.append(RawFrames.decode(message.payload))
                else:
                    self.applied.append(message.payload.decode())
                self.changed.set()

    async def _take(self, frame: Frame) -> None:
        self.frames.append(frame)
        if self.unreliable and self._rng.random() < 0.3:
            return
        for block in frame.blocks:
            for seq, digest in enumerate(decode_block(block.payload).digest, block.first):
                assert self.stored.setdefault((frame.boot, seq), digest) == digest
        self.gaps.update(frame.gaps)
        if self.answers:
            await self._answer(receipt_for(frame).encode())

    async def _answer(self, receipt: bytes) -> None:
        self._held.append(receipt)
        if not self.unreliable:
            while self._held:
                await self.publish("receipt", self._held.pop(0))
            return
        self._rng.shuffle(self._held)
        while self._held and self._rng.random() < 0.7:
            fate = self._rng.random()
            receipt = self._held.pop()
            if fate < 0.3:
                continue
            for _ in range(2 if fate > 0.8 else 1):
                await self.publish("receipt", receipt)

    async def publish(
        self,
        kind: Literal["receipt", "config", "ask"],
        payload: bytes,
        *,
        gateway: str = GATEWAY,
        retain: bool = False,
    ) -> None:
        where = topic(TENANT, gateway, kind)
        await self._client.publish(where, payload, qos=1, retain=retain)

    async def publish_config(self, document: ConfigDocument, *, retain: bool = True) -> None:
        """Publish it signed."""
        await self.publish("config", signed_document(document).encode(), retain=retain)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60) -> None:
        """Wait for messages until ``condition`` holds."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def digests(self) -> list[int]:
        return sorted(self.stored.values())

    def covered(self, boot: str) -> RangeSet:
        return RangeSet((seq, seq) for b, seq in self.stored if b == boot)
