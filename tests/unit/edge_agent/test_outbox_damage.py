"""An outbox of which rows, segments or books are damaged or gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Gap
from tests.unit.edge_agent.boxes import Batcher, Opener, books_balance, digests, stored
from tests.unit.edge_agent.damage import damage_block, segment_of


async def test_a_damaged_row_met_while_reading_becomes_a_gap(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    for i in range(3):
        await box.append(batch(100 * i, 10))
    damage_block(box, 11)
    assert [b.first for b in await box.pending(0, 100)] == [1, 21]
    assert box.gaps == (Gap(11, 20, "corrupt"),)
    assert telemetry.value("outbox_dropped_total", reason="corrupt") == 10
    assert books_balance(box)


async def test_damage_found_at_the_next_opening_becomes_a_gap(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    for i in range(3):
        await box.append(batch(100 * i, 10))
    damage_block(box, 11)
    await box.close()
    again = await open_outbox(seed=1)
    assert (again.boot, again.gaps) == (box.boot, (Gap(11, 20, "corrupt"),))
    assert await digests(again) == [*range(10), *range(200, 210)]
    assert await again.append(batch(900, 1)) == (31, 31)
    lost = [r for r in again.accounts()[1] if r.kind == "dropped:corrupt"]
    assert [(r.device, r.n) for r in lost] == [("", 10)]
    assert telemetry.value("outbox_dropped_total", reason="corrupt") == 10


async def test_a_segment_that_is_gone_is_a_gap_and_the_rest_goes_on(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    for i in range(12):
        await box.append(batch(1000 * i, 200, fat=True))
    file = segment_of(box, 1)
    segment = next(s for s in box._store.shelf.segments.values() if s.name == file.name)
    held = list(segment.live)
    file.unlink()
    box._recent.clear()
    kept = await box.pending(0, 10**9, 10**12)  # in the run
    assert [(g.first, g.last, g.reason) for g in box.gaps] == [(a, b, "corrupt") for a, b in held]
    assert RangeSet((b.first, b.last) for b in kept) == RangeSet(RangeSet(held).missing(1, 2400))
    await box.close()
    again = await open_outbox()
    assert await again.append(batch(5, 1)) == (2401, 2401)
    assert books_balance(again)


@pytest.mark.parametrize("name", ["books-0", "books-1"])
async def test_one_of_the_books_may_be_lost(open_outbox: Opener, batch: Batcher, name: str):
    box = await open_outbox()
    for i in range(3):
        await box.append(batch(100 * i, 10))
    await box.confirm(await stored(box, 11))
    await box.append_decisions([b"start"], [(1, 1)])
    accounts = box.accounts()[1]
    await box.close()
    (box.path / name).unlink()
    again = await open_outbox(seed=5)
    assert (again.boot, again.accepted, again.gaps) == (box.boot, 31, ())
    assert list(again.urgent()) == [(1, 10), (31, 31)]
    assert again.accounts()[1] == accounts
    assert await again.append(batch(900, 1)) == (32, 32)


async def test_books_are_made_again_from_the_segments_when_both_are_lost(open_outbox: Opener, batch: Batcher):
    box = await open_outbox()
    for i in range(3):
        await box.append(batch(100 * i, 10))
    await box.confirm(await stored(box, 11))
    await box.close()
    for name in ("books-0", "books-1"):
        (box.path / name).write_bytes(b"")
    again = await open_outbox(seed=5)
    assert (again.boot, again.accepted, again.gaps) == (box.boot, 30, ())
    assert await digests(again) == [*range(10), *range(200, 210)]


async def test_with_books_and_last_segment_lost_the_rest_goes_on_under_a_new_boot(
    open_outbox: Opener, batch: Batcher, telemetry: Telemetry
):
    box = await open_outbox()
    await box.append_decisions([b"start"])
    for i in range(12):
        await box.append(batch(1000 * i, 200, fat=True))
    tail = segment_of(box, box.accepted)
    kept = [b for b in await box.pending(0, 10**9, 10**12) if segment_of(box, b.first) != tail]
    await box.close()
    for path in (tail, box.path / "books-0", box.path / "books-1"):
        path.unlink()
    again = await open_outbox(seed=5)
    assert again.boot != box.boot
    assert telemetry.value("outbox_garbled_total") == 1
    blocks = await again.pending(0, 10**9, 10**12)
    assert [b.payload for b in blocks] == [b.payload for b in kept]
    assert again.accepted == sum(b.count for b in kept)
    assert list(again.urgent()) == [(1, 1)]
    counted = sum(r.n for r in again.accounts()[1] if r.kind == "accepted")
    assert counted == again.accepted - 1
    assert books_balance(again)


async def test_a_folder_of_rubbish_is_begun_anew(open_outbox: Opener, batch: Batcher, tmp_path: Path):
    (tmp_path / "outbox").mkdir()
    for name in ("books-0", "books-1", "segment-0000", "segment-0003"):
        (tmp_path / "outbox" / name).write_bytes(os.urandom(9000))
    box = await open_outbox()
    assert await box.append(batch(1, 1)) == (1, 1)
