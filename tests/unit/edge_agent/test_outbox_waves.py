"""Waves in the outbox: numbered like readings, in no account, and never in the room of readings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from edge_agent import outbox as module
from edge_agent.encoding import BLOCK_SAMPLES, encode_all, encode_all_waves
from edge_agent.outbox import Outbox
from edge_agent.segments.fake import MemoryDisk
from edge_agent.segments.records import scan
from edge_agent.segments.segment import FOOTER_BYTES, Found, Segment, look
from edge_agent.segments.state import State
from edge_agent.segments.store import MIN_SEGMENTS, SMALLEST, Store, Work
from hearthward.core.errors import StoreRejected
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wave_blocks import decode_waves
from hearthward.core.waves import MAX_SAMPLES, WaveformChunk
from tests.unit.edge_agent.batches import make_batch
from tests.unit.edge_agent.decided import Edge, reading
from tests.unit.edge_agent.waves import make_chunk

Opener = Callable[..., Awaitable[Outbox]]
Batcher = Callable[..., ReadingBatch]
ALL = 10**9, 10**12


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAVES_S", 0.0)


def noisy(n: int) -> WaveformChunk:
    """A chunk that no compression makes small."""
    samples = tuple(hash((n, i)) % 2**31 for i in range(MAX_SAMPLES))
    return replace(make_chunk(n), samples=samples)


async def chunks_of(box: Outbox) -> list[WaveformChunk]:
    return [c for b in await box.pending(0, *ALL) if b.waves for c in decode_waves(b.payload)]


async def test_chunks_are_numbered_with_readings_and_survive_reopening(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    assert await box.append(batch(100, 3)) == (1, 3)
    first = [make_chunk(0), make_chunk(0, "oxi-2")]
    assert await box.append_waves(first) == (4, 5)
    assert await box.append(batch(200, 1)) == (6, 6)
    accepted = sum(n for _, _, kind, n in box._store.state.counts if kind == "accepted")
    assert accepted == 4  # of readings: chunks are in no account
    await box.close()
    again = await open_outbox(seed=1)
    assert (again.accepted, again.backlog()) == (6, 6)
    assert await chunks_of(again) == first
    assert await again.append_waves([make_chunk(1)]) == (7, 7)
    assert sum(n for _, _, kind, n in again._store.state.counts if kind == "accepted") == 4
    assert await again.confirm([b.stored() for b in await again.pending(0, *ALL)]) == 7
    assert again.backlog() == 0


async def test_what_all_devices_send_within_a_moment_is_one_block(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "WAVES_S", 0.05)
    box = await open_outbox()
    waving = [asyncio.create_task(box.append_waves([make_chunk(0, f"oxi-{i}")])) for i in range(3)]
    await asyncio.sleep(0)
    assert await box.append(batch(1, 2)) == (1, 2)  # readings do not wait for them
    assert telemetry.value("outbox_commits_total") == 1
    assert await asyncio.gather(*waving) == [(3, 3), (4, 4), (5, 5)]
    assert telemetry.value("outbox_commits_total") == 2
    assert [(b.count, b.waves) for b in await box.pending(0, *ALL)] == [(2, False), (3, True)]


async def test_closing_commits_waves_that_wait(open_outbox: Opener, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WAVES_S", 60.0)
    box = await open_outbox()
    waiting = asyncio.create_task(box.append_waves([make_chunk(0)]))
    await asyncio.sleep(0)
    await box.close()
    assert await waiting == (1, 1)
    assert await chunks_of(await open_outbox()) == [make_chunk(0)]


async def test_chunks_that_no_block_can_carry_are_refused_and_the_others_taken(open_outbox: Opener):
    box = await open_outbox()
    bad = replace(make_chunk(0), samples=(2**40,))
    told = await asyncio.gather(
        box.append_waves([make_chunk(0)]),
        box.append_waves([bad]),
        box.append_waves([make_chunk(1)]),
        return_exceptions=True,
    )
    assert (told[0], told[2]) == ((1, 1), (2, 2))
    assert isinstance(told[1], StoreRejected)
    with pytest.raises(StoreRejected):
        await box.append_waves([])


async def test_waves_have_a_share_of_the_room_and_no_more(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    accepted = 0
    while telemetry.value("outbox_waves_fill") < module.WAVES_SHARE:
        await box.append_waves([noisy(accepted)])
        accepted += 1
    with pytest.raises(StoreRejected, match="no room for waves"):
        await box.append_waves([noisy(accepted)])
    assert telemetry.value("outbox_waves_refused_total") == 1
    assert module.WAVES_SHARE <= telemetry.value("outbox_waves_fill") < module.WAVES_SHARE + 0.1
    assert telemetry.value("outbox_waves_fill") == pytest.approx(box.fill())
    await box.append(batch(1, 400, fat=True))  # of readings there is no end
    assert telemetry.value("outbox_dropped_total", reason="full") == 0
    await box.close()
    again = await open_outbox(seed=1)  # known again without reading all of it
    with pytest.raises(StoreRejected):
        await again.append_waves([noisy(0)])
    blocks = await again.pending(0, *ALL)
    assert sum(b.count for b in blocks if b.waves) == accepted
    await again.confirm([b.stored() for b in blocks])
    assert telemetry.value("outbox_waves_fill") < module.WAVES_SHARE / 2
    await again.append_waves([make_chunk(0)])


async def test_an_outbox_nearly_full_of_readings_takes_no_waves(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    n = 0
    while box.fill() < module.WAVES_FILL:
        await box.append(batch(1000 * n, 400, fat=True))
        n += 1
    with pytest.raises(StoreRejected, match="no room for waves"):
        await box.append_waves([make_chunk(0)])
    assert telemetry.value("outbox_dropped_total", reason="full") == 0


async def test_what_the_ring_drops_of_waves_is_a_gap_and_in_no_account(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    for n in range(4):
        await box.append_waves([make_chunk(n)])
    n = 0
    while not box.gaps:
        await box.append(batch(1000 * n, 400, fat=True))
        n += 1
    (gap,) = box.gaps
    assert (gap.first, gap.reason) == (1, "full")
    dropped = sum(n for _, _, kind, n in box._store.state.counts if kind == "dropped:full")
    assert dropped == gap.last - 4  # all but the chunks
    held = sum(b.count for b in await box.pending(0, *ALL))
    assert gap.last + held == box.accepted


def test_a_kill_amid_waves_leaves_books_that_balance():
    disk = MemoryDisk()

    def opened() -> Store:
        return Store(disk, (MIN_SEGMENTS + 2) * SMALLEST, lambda: "boot-1", lambda: 7)

    store, payloads = opened(), []
    for n in range(40):
        blocks, _ = encode_all_waves([[make_chunk(n)]])
        store.commit(Work(blocks=blocks))
        payloads.append(blocks[0].payload)
        if n % 7 == 6:  # no closing: what is on the disk has to do
            store = opened()
    blocks, suspects = store.read(0, *ALL, 10**9)
    assert not suspects
    assert [b.payload for b in blocks] == payloads
    state: State = store.state
    assert (state.following, list(state.counts)) == (41, [])
    store.close()


def test_a_sealed_segment_says_what_is_of_waves_and_one_without_is_as_ever():
    def sealed(waves: bool) -> Segment:  # noqa: FBT001 - which of the two
        disk = MemoryDisk()
        store = Store(disk, (MIN_SEGMENTS + 2) * SMALLEST, lambda: "boot-1", lambda: 7)
        blocks = encode_all([make_batch(1, 20)])[0]
        if waves:
            blocks += encode_all_waves([[make_chunk(0)]])[0]
        store.commit(Work(blocks=blocks))
        (written,) = store.shelf.segments.values()
        store.journal.roll()
        footer = disk_footer(disk, written)
        (row,) = scan(footer, written.serial)
        assert len(msgpack.unpackb(row.body(footer))) == (5 if waves else 4)
        found = look(disk, written.name, written.size)
        assert isinstance(found, Found)
        assert (found.sealed, found.segment.wave_bytes) == (True, written.wave_bytes)
        return found.segment

    assert sealed(waves=False).waves_share() == 0.0
    assert 0.2 < sealed(waves=True).waves_share() < 1


def disk_footer(disk: MemoryDisk, segment: Segment) -> bytes:
    file = disk.open(segment.name)
    try:
        return file.read(segment.size - FOOTER_BYTES, FOOTER_BYTES)
    finally:
        file.close()


def test_many_samples_become_several_blocks():
    blocks, unfit = encode_all_waves([[noisy(n) for n in range(20)]])
    assert not unfit
    assert sum(b.count for b in blocks) == 20
    assert all(b.count * MAX_SAMPLES <= BLOCK_SAMPLES for b in blocks)
    assert all(not b.counts for b in blocks)


async def test_what_is_small_on_the_disk_is_no_larger_in_a_frame_than_it_may_be(open_outbox: Opener):
    box = await open_outbox()
    flat = [0] * (MAX_SAMPLES - 1) + [2**30]  # four bytes a sample, and deflated next to nothing
    for n in range(30):
        await box.append_waves([replace(make_chunk(n), samples=tuple(flat))])
    limit = 100_000
    from_memory = await box.pending(0, 10**9, limit)
    box._recent.clear()
    from_disk = await box.pending(0, 10**9, limit)
    assert from_disk == from_memory
    assert sum(len(b.payload) for b in from_disk) <= limit
    assert sum(len(b.payload) for b in from_disk) > limit / 2


async def test_rules_at_the_edge_pass_waves_over_and_find_what_an_alarm_rests_on(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.outbox.append_waves([make_chunk(0), make_chunk(1)])
    await edge.read(reading(1, 97))
    await edge.outbox.append_waves([make_chunk(2)])
    await edge.read(reading(2, 84))
    assert edge.kinds == [("start", "spo2-low")]
    assert edge.outbox.urgent.covers(5, 5)
    assert edge.telemetry.value("edge_undecided_total") == 0
    assert edge.telemetry.value("edge_passed_over_total") == 0
    await edge.start()  # anew, out of the outbox and what was kept
    await edge.read(reading(3, 96))
    assert edge.kinds == [("start", "spo2-low"), ("end", "spo2-low")]
