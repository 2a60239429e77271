"""Sending while readings keep coming: what is lost track of goes again all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from edge_agent.outbox import Outbox
from edge_agent.uplink.sending import RECOUNT_S, Sender
from hearthward.core.clock import EventClock
from hearthward.core.messages import Receipt
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, Frame, StoredBlock

Opener = Callable[..., Awaitable[Outbox]]
Batcher = Callable[..., ReadingBatch]


class Broker:
    """Takes every frame; ``came`` is set with each."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.came = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        self.frames.append(Frame.decode(payload))
        self.came.set()

    def blocks(self) -> list[StoredBlock]:
        return [b.stored() for frame in self.frames for b in frame.blocks]

    async def until(self, first: int, times: int = 1) -> None:
        async with asyncio.timeout(10):
            while [b.first for b in self.blocks()].count(first) < times:
                self.came.clear()
                await self.came.wait()


@asynccontextmanager
async def sending(
    box: Outbox, clock: EventClock, telemetry: Telemetry
) -> AsyncIterator[tuple[Sender, Broker]]:
    sender, broker = (
        Sender(
            box,
            tenant="main",
            gateway="gw",
            session="ses",
            clock=clock,
            telemetry=telemetry,
            in_flight=8,
            resend_s=3600.0,
            config=str,
        ),
        Broker(),
    )
    async with asyncio.TaskGroup() as tasks:
        own = [tasks.create_task(sender.run(broker, tasks)), tasks.create_task(sender.confirm())]
        sender.start_over()
        yield sender, broker
        for task in own:
            task.cancel()


def receipt(box: Outbox, broker: Broker, first: int) -> Receipt:
    block = next(b for b in broker.blocks() if b.first == first)
    return Receipt("gw", box.boot, "ses", (block,), ())


async def live(box: Outbox, clock: EventClock, sender: Sender, broker: Broker, batch: Batcher) -> None:
    """Readings come and are receipted each second, so nothing is ever idle."""
    for _ in range(round(3 * RECOUNT_S)):
        clock.advance(1)
        first, _ = await box.append(batch(1, 1))
        await broker.until(first)
        sender.take_receipt(receipt(box, broker, first))


async def test_a_number_that_was_skipped_is_sent_though_the_link_is_never_idle(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, clock = await open_outbox(), EventClock(10**18, frozen_monotonic=True)
    for i in range(3):
        await box.append(batch(10 * i, 5))
    whole = box.pending

    async def skipping(*args: int, **options: int) -> list[Block]:
        monkeypatch.undo()
        return [b for b in await whole(*args, **options) if b.first != 6]

    monkeypatch.setattr(box, "pending", skipping)
    async with sending(box, clock, telemetry) as (sender, broker):
        await broker.until(11)
        assert [b.first for b in broker.blocks()] == [1, 11]
        await live(box, clock, sender, broker, batch)
        await broker.until(6)
    assert telemetry.value("uplink_recounts_total") == 1
    assert len(broker.blocks()) == 3 + round(3 * RECOUNT_S)


async def test_what_the_outbox_has_put_off_is_sent_and_deleted_later(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, clock = await open_outbox(), EventClock(10**18, frozen_monotonic=True)
    for i in range(3):
        await box.append(batch(10 * i, 5))
    async with sending(box, clock, telemetry) as (sender, broker):
        await broker.until(11)
        second = receipt(box, broker, 6)
        with monkeypatch.context() as crowded:
            crowded.setattr(box._store, "_crowded", lambda: True)
            sender.take_receipt(second)
            while telemetry.value("outbox_deferred_total") == 0:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.001)
        assert box.backlog() == 15
        await live(box, clock, sender, broker, batch)
        await broker.until(6, times=2)
        sender.take_receipt(second)
        while (6, 10) not in list(box.settled()):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
