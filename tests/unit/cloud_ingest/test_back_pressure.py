"""However much comes while the store stands still: memory is bounded, and afterwards nothing is missing."""

from __future__ import annotations

import gc
from pathlib import Path

import psutil

from cloud_ingest.holding import Holding
from cloud_ingest.sources import Message
from cloud_ingest.waiting import MAX_BATCH, MAX_BATCH_BYTES, Waiting
from hearthward.core.wire import MAX_FRAME_BYTES
from tests.unit.cloud_ingest.ward import Ward, block, frame, message, reading, spans

ROWS = 400
MEGABYTE = 1 << 20


def large(n: int) -> Message:
    """A frame of 200 kB: as many readings, each with a text of 500 characters of its own."""
    first = n * ROWS + 1
    rows = [reading((first + i) / 10, 97.0, profile=f"{first + i:0500d}") for i in range(ROWS)]
    return message(frame(block(first, *rows)))


async def test_ten_thousand_large_frames_against_a_store_that_stands_still(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    ward.clock.advance(3600)
    pipeline, process = ward.pipeline, psutil.Process()
    pipeline._waiting = Waiting(max_bytes=8 * MEGABYTE)
    pipeline._frames._holding = Holding(ward.clock, max_bytes=4 * MEGABYTE)
    sent = [large(n) for n in range(70)]
    assert 190_000 < len(sent[0].payload) < MAX_FRAME_BYTES
    ward.store.failing = 10**9
    gc.collect()
    before = process.memory_info().rss
    most = 0
    try:
        for n in range(10_000):  # what got no receipt comes again, each time as bytes of its own
            one = sent[n % len(sent)]
            pipeline.offer(Message(one.topic, bytes(bytearray(one.payload))))
            if n % 100 == 0:
                await pipeline.process_waiting()
                most = max(most, process.memory_info().rss - before)
        assert len(pipeline._frames._holding) > 0
        assert ward.telemetry.value("frames_dropped_total", reason="queue_full") > 9_000
        assert most < 12 * MEGABYTE + 60 * MEGABYTE, f"{most / MEGABYTE:.0f} MB"  # and a batch, decoded
        assert ward.receipts() == []
        ward.store.failing = 0
        while (wait := pipeline._frames.wait_s) is not None or len(pipeline._waiting):
            ward.clock.advance(wait or 0)
            await pipeline.process_waiting()
        for one in sent:
            await ward.take(one)
        assert len(await ward.stored()) == 70 * ROWS
        receipted = {n for r in ward.receipts() for a, b in spans(r) for n in range(a, b + 1)}
        assert receipted == set(range(1, 70 * ROWS + 1))
    finally:
        await ward.close()


def test_a_batch_is_bounded_in_number_and_bytes() -> None:
    waiting = Waiting(max_messages=1000, max_bytes=64 * MEGABYTE)
    for _ in range(100):
        assert waiting.offer(Message("t", b"x" * 10))
    assert len(waiting.batch()) == MAX_BATCH
    while waiting.batch():
        pass
    for _ in range(20):
        assert waiting.offer(Message("t", b"x" * (MAX_BATCH_BYTES // 4)))
    assert [len(waiting.batch()) for _ in range(5)] == [4, 4, 4, 4, 4]
    assert waiting.offer(Message("t", b"x" * 64 * MEGABYTE))
    assert not waiting.offer(Message("t", b"x"))
    assert len(waiting.batch()) == 1


async def test_an_arrival_is_waited_for_no_longer_than_asked() -> None:
    waiting = Waiting()
    await waiting.arrival(0.001)
    assert len(waiting) == 0
    waiting.offer(Message("t", b"x"))
    await waiting.arrival()
