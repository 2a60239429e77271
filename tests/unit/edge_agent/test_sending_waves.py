"""Waves on their way to the cloud: beside the readings, receipted like them, never before a breach."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edge_agent import outbox as module
from edge_agent.outbox import Outbox
from edge_agent.uplink.sending import RECOUNT_S
from hearthward.core.clock import EventClock
from hearthward.core.messages import Receipt
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wave_blocks import decode_waves
from tests.unit.edge_agent.test_sending import Broker, live, sending
from tests.unit.edge_agent.waves import make_chunk

Opener = Callable[..., Awaitable[Outbox]]
Batcher = Callable[..., ReadingBatch]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAVES_S", 0.0)


def receipt(box: Outbox, broker: Broker, frame: int) -> Receipt:
    return Receipt("gw", box.boot, "ses", tuple(b.stored() for b in broker.frames[frame].blocks), ())


async def test_waves_go_in_frames_of_their_own_after_the_readings_and_are_deleted_by_receipts(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box, clock = await open_outbox(), EventClock(10**18, frozen_monotonic=True)
    for n in range(3):
        await box.append(batch(10 * n, 2))
        await box.append_waves([make_chunk(n)])
    async with sending(box, clock, telemetry) as (sender, broker):
        await broker.until(9)
        kinds = [[b.waves for b in frame.blocks] for frame in broker.frames]
        assert kinds == [[False] * 3, [True] * 3]
        chunks = [c for b in broker.frames[1].blocks for c in decode_waves(b.payload)]
        assert chunks == [make_chunk(n) for n in range(3)]
        for n in range(2):
            sender.take_receipt(receipt(box, broker, n))
        await box.drained()
        await live(box, clock, sender, broker, batch)  # long enough for a recount: nothing goes twice
    assert telemetry.value("uplink_recounts_total") == 0
    assert len(broker.blocks()) == 6 + round(3 * RECOUNT_S)


async def test_a_breach_is_sent_at_once_however_many_waves_wait(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box, clock = await open_outbox(), EventClock(10**18, frozen_monotonic=True)
    async with sending(box, clock, telemetry) as (_, broker):
        for n in range(40):  # no receipt comes
            await box.append_waves([make_chunk(n)])
        before = len(broker.frames)
        assert before == 1
        first, _ = await box.append(batch(1, 1))
        await broker.until(first)
        assert [[b.first for b in frame.blocks] for frame in broker.frames] == [[1], [first]]


async def test_after_a_new_connection_waves_without_a_receipt_are_sent_again(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box, clock = await open_outbox(), EventClock(10**18, frozen_monotonic=True)
    await box.append(batch(1, 1))
    for n in range(3):
        await box.append_waves([make_chunk(n)])
    async with sending(box, clock, telemetry) as (sender, broker):
        await broker.until(4)
        sender.start_over()
        await broker.until(4, times=2)
        sender.take_receipt(receipt(box, broker, -1))
        await asyncio.sleep(0)
    await box.close()
    again = await open_outbox(seed=1)
    assert [b.waves for b in await again.pending(0, 100)] == [False]
