"""A block whose numbers are taken and whose digest is forgotten: known, or kept, but never just receipted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from cloud_ingest.facts import Facts
from cloud_ingest.intake import Intake
from cloud_ingest.lineage import CONFLICT
from cloud_ingest.proving import ASK_AGAIN_NS, FORGOTTEN_NS, GAP_NS, LONGEST_NS, spans
from cloud_ingest.receipts import compact
from cloud_ingest.records.models import DeadLetter, FrameRow
from cloud_ingest.stores import MemoryStore
from hearthward.core.clock import SECOND
from hearthward.core.errors import StoreUnavailable
from hearthward.core.wire import Block, Frame, Gap, encode_decisions
from rules.model import subject_key
from tests.unit.cloud_ingest.stores.test_spool import Bench
from tests.unit.cloud_ingest.ward import T0, TENANT, HandClock, Ward, block, live, reading
from tests.unit.cloud_ingest.ward import spans as named

SOURCE = ("gw-1", "boot-1")


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db", clock=HandClock(T0, frozen_monotonic=True)).start()
    yield made
    await made.close()


async def forget_in(ward: Ward, where: str) -> None:
    await (forget_all(ward) if where == "tables" else forget(ward))


def rows(first: int, n: int = 3, value: float = 97.0, device: str = "dev_1") -> Block:
    return block(first, *(reading(first + i, value, device) for i in range(n)))


def spoken(*blocks: Block, at: float = 20.0, **more: Any) -> Frame:
    return live(*blocks, at=at, **more)


async def forget(ward: Ward) -> None:
    """Memory has no digest any more."""
    ward.pipeline.ledger.of(*SOURCE).digests.clear()


async def forget_all(ward: Ward) -> None:
    """Nor have the tables."""
    await forget(ward)
    await ward.records.run(lambda s: compact(s, TENANT, SOURCE, 0))
    for row in await ward.rows(FrameRow):
        if row.blocks is not None:  # a single row is not worth merging
            await ward.records.run(lambda s, row=row: setattr(s.merge(row), "blocks", None))


async def letters(ward: Ward) -> list[DeadLetter]:
    return await ward.rows(DeadLetter)


def cloned(ward: Ward) -> bool:
    facts: Facts = ward.pipeline._frames._facts
    return facts._known.get((subject_key("gateway", "gw-1"), CONFLICT)) == 1.0


async def asked(ward: Ward, *blocks: Block, **more: Any) -> tuple[tuple[int, int], ...]:
    """What the receipt of these blocks names."""
    ward.published.clear()
    await ward.take(spoken(*blocks, **more))
    return tuple(span for receipt in ward.receipts() for span in named(receipt))


@pytest.mark.parametrize("where", ["memory", "tables"])
async def test_an_old_block_that_comes_again_is_receipted_and_nothing_else(
    ward: Ward, where: str, monkeypatch: pytest.MonkeyPatch
):
    await ward.take(spoken(rows(1), rows(4)))
    await forget_in(ward, where)
    stored, frames = await ward.stored(), len(await ward.rows(FrameRow))
    assert await asked(ward, rows(1), rows(4)) == ((1, 6),)
    assert await ward.stored() == stored
    assert len(await ward.rows(FrameRow)) == frames
    assert await letters(ward) == []
    assert not cloned(ward)
    assert ward.telemetry.value("readings_duplicate_total") == 6
    known = sorted(ward.pipeline.ledger.of(*SOURCE).digests)
    assert known == ([1, 4] if where == "memory" else [])
    monkeypatch.setattr(ward.pipeline._frames, "_proving", None)
    assert await asked(ward, rows(1), rows(4)) == ((1, 6),), "it is not looked up again"


@pytest.mark.parametrize("where", ["memory", "tables"])
async def test_other_content_under_forgotten_numbers_is_a_clone_s_and_kept(ward: Ward, where: str):
    await ward.take(spoken(rows(1), rows(4)))
    await forget_in(ward, where)
    other = block(4, *(reading(10 + i, 60.0) for i in range(3)))
    assert await asked(ward, rows(1), other) == ((1, 6),)
    (letter,) = await letters(ward)
    assert (letter.reason, letter.readings, letter.payload) == ("cloned_gateway", 3, other.payload)
    assert [r.value for r in await ward.stored()] == [97.0] * 6
    assert cloned(ward)
    assert await asked(ward, other) == ((4, 6),)
    await ward.restart()
    await forget(ward)
    assert await asked(ward, other) == ((4, 6),)
    assert len(await letters(ward)) == 1


async def test_a_clone_s_block_is_not_taken_for_what_the_numbers_stand_for(ward: Ward):
    await ward.take(spoken(rows(1)))
    await forget_all(ward)
    other = rows(1, value=60.0)
    await asked(ward, other)
    await ward.restart()
    assert await asked(ward, other) == ((1, 3),), "it is in the dead letters"
    assert await asked(ward, rows(1)) == ((1, 3),)
    assert len(await letters(ward)) == 1


async def test_one_new_reading_among_known_ones_is_kept(ward: Ward):
    await ward.take(spoken(rows(1)))
    await forget_all(ward)
    mixed = block(1, reading(1), reading(2), reading(9, 55.0))
    assert await asked(ward, mixed) == ((1, 3),)
    (letter,) = await letters(ward)
    assert letter.payload == mixed.payload
    assert cloned(ward)


async def test_another_value_under_the_same_key_is_kept(ward: Ward):
    first = reading(1, device_time=T0 + SECOND, record=7)
    await ward.take(spoken(block(1, first)))
    await forget_all(ward)
    other = block(1, replace(first, value=61.0))
    assert await asked(ward, other) == ((1, 1),)
    assert [letter.payload for letter in await letters(ward)] == [other.payload]


async def test_a_reading_that_is_stored_under_another_number_is_kept_well(ward: Ward):
    taken = reading(1, device_time=T0 + SECOND, record=7)
    again = replace(taken, received=T0 + 3 * SECOND)
    await ward.take(spoken(block(1, taken)), spoken(block(2, again)))
    await forget_all(ward)
    assert await asked(ward, block(2, again)) == ((2, 2),)
    assert await letters(ward) == []


async def test_what_was_refused_is_known_by_its_letter(ward: Ward):
    bad = block(1, reading(1), reading(2, 1e6))
    unreadable = Block(3, 2, b"\xff no block")
    await ward.take(spoken(bad, unreadable))
    reasons = [letter.reason for letter in await letters(ward)]
    assert reasons == ["implausible", "malformed"]
    await forget_all(ward)
    assert await asked(ward, bad, unreadable) == ((1, 4),)
    assert [letter.reason for letter in await letters(ward)] == reasons
    assert not cloned(ward)


async def test_what_proves_nothing_is_kept_and_accuses_nobody(ward: Ward):
    """Nobody can show any more that these are what was refused, or what a server has dropped for its age."""
    old = block(3, reading(-FORGOTTEN_NS / SECOND, 96.0))
    await ward.take(spoken(block(1, reading(1), reading(2, 1e6)), old))
    await forget_all(ward)
    ward.store._rows.clear()
    await ward.take(spoken(block(4, reading(1))))  # so that the first reading is there
    await ward.records.run(lambda s: s.query(DeadLetter).delete())
    assert await asked(ward, block(1, reading(1), reading(2, 1e6)), old) == ((1, 3),)
    assert [(x.reason, x.readings) for x in await letters(ward)] == [
        ("cloned_gateway", 2),
        ("cloned_gateway", 1),
    ]
    assert not cloned(ward)
    assert await asked(ward, old) == ((3, 3),)
    assert len(await letters(ward)) == 2


async def test_without_the_store_there_is_no_receipt_and_nothing_is_decided(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    await ward.take(spoken(rows(1)))
    await forget_all(ward)
    real = ward.store.read

    async def away(*_: object, **__: object) -> Any:
        msg = "away"
        raise StoreUnavailable(msg)

    monkeypatch.setattr(ward.store, "read", away)
    assert await asked(ward, rows(1), rows(4)) == ((4, 6),), "what is new is not held up"
    assert await asked(ward, rows(1)) == ()
    assert await letters(ward) == []
    monkeypatch.setattr(ward.store, "read", real)
    assert await asked(ward, rows(1)) == (), "it is left alone for a while: all frames wait meanwhile"
    ward.clock.advance(ASK_AGAIN_NS / SECOND)
    assert await asked(ward, rows(1)) == ((1, 3),)
    assert await letters(ward) == []


async def test_blocks_that_are_cut_otherwise_are_a_clone_s(ward: Ward):
    await ward.take(spoken(rows(1), rows(4)))
    cut = block(2, reading(2), reading(3))
    assert await asked(ward, cut) == ((2, 3),)
    assert [x.payload for x in await letters(ward)] == [cut.payload]
    assert cloned(ward)


async def test_decisions_are_known_by_their_digest_or_kept(ward: Ward):
    said = Block(1, 1, encode_decisions([b"a word"]))
    await ward.take(spoken(said))
    await forget(ward)
    before = len(await letters(ward))
    assert await asked(ward, said) == ((1, 1),)
    assert len(await letters(ward)) == before
    await forget_all(ward)
    await ward.records.run(lambda s: s.query(DeadLetter).delete())
    assert await asked(ward, said) == ((1, 1),)
    assert [x.payload for x in await letters(ward)] == [said.payload]
    assert not cloned(ward), "that proves nothing"


async def test_a_letter_of_a_whole_frame_is_let_in_only_with_what_can_be_decided(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    await ward.take(spoken(rows(1)))
    await forget_all(ward)
    intake = Intake()
    inspector = ward.pipeline._frames.inspector
    inspector.take(spoken(rows(1)), "t", ward.clock.now_ns(), intake)
    assert (intake.receipts, len(intake.unsure)) == ({}, 1)

    async def away(*_: object, **__: object) -> Any:
        msg = "away"
        raise StoreUnavailable(msg)

    monkeypatch.setattr(ward.store, "read", away)
    with pytest.raises(StoreUnavailable):
        await ward.pipeline._frames.prove(intake)
    assert (intake.receipts, len(intake.unsure)) == ({}, 1)


async def test_what_only_a_server_has_is_asked_of_it(tmp_path: Path):
    """Behind a spool: shipped, and gone from its file; the server is away, and comes back."""
    bench = Bench(tmp_path)
    clock = HandClock(T0, frozen_monotonic=True)
    ward = await Ward(tmp_path / "records.db", clock=clock, store=cast("MemoryStore", bench.store)).start()
    try:
        await ward.take(spoken(rows(1), rows(4)))
        await bench.settle()
        assert await bench.prune() > 0
        await forget_all(ward)
        bench.server.away = True
        assert await asked(ward, rows(1)) == ()
        bench.server.away = False
        ward.clock.advance(ASK_AGAIN_NS / SECOND)
        assert await asked(ward, rows(1)) == ((1, 3),)
        assert await letters(ward) == []
        other = rows(4, value=50.0)
        assert await asked(ward, other) == ((4, 6),)
        assert [x.payload for x in await letters(ward)] == [other.payload]
        assert len(await ward.stored()) == 6
    finally:
        await bench.store.close()
        await ward.close()


async def test_times_that_were_corrected_otherwise_are_found(ward: Ward):
    """Its clock was an hour behind; the readings were stored with corrected times."""
    behind = spoken(block(1, *(reading(n - 3600) for n in range(3))), at=-3590.0, synchronised=False)
    await ward.take(behind)
    assert [r.corrected - r.received for r in await ward.stored()] == [3590 * SECOND] * 3
    await forget_all(ward)
    ward.published.clear()
    await ward.take(behind)
    assert [named(r) for r in ward.receipts()] == [((1, 3),)]
    assert await letters(ward) == []


async def test_a_gap_in_the_same_frame_is_receipted_meanwhile(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    await ward.take(spoken(rows(1)))
    await forget_all(ward)

    async def away(*_: object, **__: object) -> Any:
        msg = "away"
        raise StoreUnavailable(msg)

    monkeypatch.setattr(ward.store, "read", away)
    assert await asked(ward, rows(1), gaps=(Gap(9, 9, "full"),)) == ((9, 9),)


async def test_a_put_back_image_loses_nothing(ward: Ward):
    """The finding: more blocks than are remembered, then other readings under the first numbers."""
    account = ward.pipeline.ledger.of(*SOURCE)
    for n in range(1, 40):
        await ward.take(spoken(block(n, reading(n)), at=n + 1))
    await forget_all(ward)
    assert account is ward.pipeline.ledger.of(*SOURCE)
    fresh = [block(n, reading(100 + n, 55.0)) for n in range(1, 40)]
    assert await asked(ward, *fresh, at=150.0) == ((1, 39),)
    assert {x.payload for x in await letters(ward)} == {b.payload for b in fresh}
    assert len(await letters(ward)) == 39


def test_periods_have_all_times_and_are_not_long():
    minute = 60 * SECOND
    times = [*range(0, 3 * LONGEST_NS, minute), 5 * LONGEST_NS]
    found = list(spans(times))
    assert all(last - first <= LONGEST_NS for first, last in found)
    assert all(any(first <= t <= last for first, last in found) for t in times)
    assert found[-1] == (5 * LONGEST_NS, 5 * LONGEST_NS)
    assert list(spans([0, GAP_NS + 1])) == [(0, 0), (GAP_NS + 1, GAP_NS + 1)]
    assert list(spans([])) == []
