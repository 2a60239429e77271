"""A pleth from a serial port through session and outbox into frames: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from devices import DeviceConfig, DeviceFleet, DeviceSession, SessionState
from devices.links.factory import Links
from edge_agent import Outbox
from edge_agent import outbox as module
from edge_agent.uplink.sending import Sender
from firmware_profiles import load_catalog
from hearthward.core.clock import SystemClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.ids import RandomIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wave_blocks import decode_waves
from hearthward.core.waves import WaveformChunk
from hearthward.core.wire import Block, Frame, decode_block
from tests.component.edge_agent.brokers import eventually, receipt_for
from tests.component.edge_agent.oximeter import PACKET, Oximeter, packets
from tests.unit.edge_agent.batches import make_batch

Opener = Callable[..., Awaitable[Outbox]]
CATALOG = load_catalog()
ALL = 10**9, 10**12


class Bedside:
    """One oximeter, its fleet and the outbox; ``refusing`` makes the outbox's readings wait."""

    def __init__(self, box: Outbox, twin: Oximeter, telemetry: Telemetry) -> None:
        self.box, self.twin, self.telemetry = box, twin, telemetry
        self.refusing = False
        self.fleet = DeviceFleet(
            CATALOG,
            None,
            self.accept,
            SystemClock(),
            RandomIds(),
            telemetry,
            wave_sink=box.append_waves,
        )

    async def accept(self, batch: ReadingBatch) -> None:
        if self.refusing:
            msg = "the disk is away"
            raise StoreUnavailable(msg)
        await self.box.append(batch)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.fleet.apply([DeviceConfig(self.twin.id, "serial", self.twin.address, self.twin.profile)])
        task = asyncio.create_task(self.fleet.run())
        try:
            await self.twin.wait_ready()
            await eventually(lambda: self.fleet.states() == {self.twin.id: "streaming"})
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def dropped(self, reason: str) -> float:
        return self.telemetry.value("wave_samples_dropped_total", device=self.twin.id, reason=reason)

    def taken(self) -> int:
        """Readings that came from the device."""
        return round(self.telemetry.value("readings_received_total", device=self.twin.id))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAVES_S", 0.02)


@pytest.fixture
async def twin() -> AsyncIterator[Oximeter]:
    made = Oximeter("oxi-1")
    await made.start()
    yield made
    await made.close()


async def send(bedside: Bedside, first: int, count: int) -> None:
    before = bedside.taken()
    for samples in packets(first, count):
        await bedside.twin.send(samples)
    await eventually(lambda: bedside.taken() == before + 2 * count)


def chunks_of(blocks: Iterable[Block]) -> list[WaveformChunk]:
    return [c for b in blocks if b.waves for c in decode_waves(b.payload)]


class Cloud:
    """Takes every frame, and answers when the test says so."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        self.frames.append(Frame.decode(payload))


@asynccontextmanager
async def uplink(box: Outbox, cloud: Cloud, telemetry: Telemetry) -> AsyncIterator[Sender]:
    sender = Sender(
        box,
        tenant="main",
        gateway="gw-1",
        session="ses-1",
        clock=SystemClock(),
        telemetry=telemetry,
        in_flight=8,
        resend_s=60.0,
        config=str,
    )
    async with asyncio.TaskGroup() as tasks:
        own = [tasks.create_task(sender.run(cloud, tasks)), tasks.create_task(sender.confirm())]
        sender.start_over()
        yield sender
        for task in own:
            task.cancel()


async def test_a_pleth_reaches_the_cloud_whole_through_restarts_of_everything(
    open_outbox: Opener, twin: Oximeter, telemetry: Telemetry
):
    box, cloud = await open_outbox(), Cloud()
    bedside = Bedside(box, twin, telemetry)
    async with bedside.running():
        await send(bedside, 0, 7)  # two chunks of a second, and a third of one
    async with uplink(box, cloud, telemetry):  # the cloud gets it all, and its receipts are lost
        await eventually(lambda: len(chunks_of(b for f in cloud.frames for b in f.blocks)) == 3)
    await box.close()
    again = await open_outbox()
    bedside = Bedside(again, twin, telemetry)
    async with bedside.running(), uplink(again, cloud, telemetry) as sender:
        await send(bedside, 0, 3)
        answered = 0
        while again.accepted < 24 or again.backlog() or answered < len(cloud.frames):
            for frame in cloud.frames[answered:]:
                sender.take_receipt(receipt_for(frame))
            answered = len(cloud.frames)
            await asyncio.sleep(0.01)
    found = {(b.first, b.digest()): b for f in cloud.frames for b in f.blocks}
    chunks = chunks_of(sorted(found.values(), key=lambda b: b.first))
    assert [(c.first, len(c.samples)) for c in chunks] == [(0, 75), (75, 75), (150, 25), (0, 75)]
    assert len({c.run for c in chunks}) == 2
    assert [s for c in chunks[:3] for s in c.samples] == [s for p in packets(0, 7) for s in p]
    assert len({(c.device, c.metric, c.run, c.first) for c in chunks}) == 4
    numbers = sorted(n for b in found.values() for n in range(b.first, b.last + 1))
    assert numbers == list(range(1, again.accepted + 1))  # each number once: the books balance
    readings = [b for b in found.values() if not b.waves]
    assert sum(len(decode_block(b.payload)) for b in readings) == 20
    accepted = sum(row.n for row in again.accounts()[1] if row.kind == "accepted")
    assert accepted == 20
    assert again.backlog() == 0


async def test_a_frame_that_noise_has_spoilt_is_a_gap_of_the_pleth(
    open_outbox: Opener, twin: Oximeter, telemetry: Telemetry
):
    bedside = Bedside(await open_outbox(), twin, telemetry)
    async with bedside.running():
        await send(bedside, 0, 3)
        spoilt = bytes([1, 0x81, 9, 9, 0])  # its sum is wrong
        await twin.send_raw(spoilt)
        await send(bedside, 0, 3)
    one, two = chunks_of(await bedside.box.pending(0, *ALL))
    assert one.run == two.run
    assert (one.end, two.first) == (75, 75 + PACKET)


async def test_while_readings_wait_for_the_disk_waves_give_way_and_come_back(
    open_outbox: Opener, twin: Oximeter, telemetry: Telemetry
):
    box = await open_outbox()
    bedside = Bedside(box, twin, telemetry)
    session = DeviceSession(
        DeviceConfig(twin.id, "serial", twin.address, twin.profile),
        CATALOG,
        Links(None),
        bedside.accept,
        SystemClock(),
        RandomIds(),
        telemetry,
        lambda *_: None,
        lambda *_: None,
        wave_sink=box.append_waves,
        capacity=64,
    )
    task = asyncio.create_task(session.run())
    await eventually(lambda: session.state is SessionState.STREAMING)
    bedside.refusing = True
    for n in range(4):
        await send(bedside, 250 * n, 10)
    for samples in packets(1000, 20):  # pressed with the eighth, which ends a chunk
        await twin.send(samples)
    await eventually(lambda: bedside.dropped("pressure") > 0)
    bedside.refusing = False
    await eventually(lambda: bedside.taken() == 120)
    task.cancel()
    await asyncio.wait([task])
    blocks = await box.pending(0, *ALL)
    assert sum(len(decode_block(b.payload)) for b in blocks if not b.waves) == 120
    chunks = chunks_of(blocks)
    assert chunks[0].first == 0
    assert sum(len(c.samples) for c in chunks) + bedside.dropped("pressure") == 60 * PACKET
    assert telemetry.value("readings_dropped_total", device=twin.id) == 0


async def test_an_outbox_full_of_readings_goes_on_taking_them_and_no_waves(
    open_outbox: Opener, twin: Oximeter, telemetry: Telemetry
):
    box = await open_outbox(max_bytes=2 << 20)
    n = 0
    while not box.gaps:
        await box.append(make_batch(1000 * n, 400, fat=True))
        n += 1
    before = box.accepted
    bedside = Bedside(box, twin, telemetry)
    async with bedside.running():
        await send(bedside, 0, 6)
        await eventually(lambda: bedside.dropped("refused") == 150)
    assert box.accepted == before + 12
    assert telemetry.value("outbox_waves_refused_total") > 0
    held = sum(b.count for b in await box.pending(0, *ALL))
    assert held + sum(g.last - g.first + 1 for g in box.gaps) == box.accepted
