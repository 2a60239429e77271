"""Waveforms on their way in: stored before they are receipted, once, and what cannot be is put aside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_ingest.balance import AskedLedger
from cloud_ingest.dead_letter_view import blocks_of
from cloud_ingest.records.models import DeadLetter, FrameRow
from cloud_ingest.stores.base import FOREVER
from cloud_ingest.waves import MemoryWaves, NoWaves, RenewingWaves, SqliteWaves, WaveParcel
from dashboards.dead_letter_models import DeadLetterDetail
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.wire import Block
from tests.unit.cloud_ingest.ward import SCOPE, T0, HandClock, Ward, block, frame, live, reading, spans
from tests.unit.cloud_ingest.waves.made import chunk, wave_block


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    clock = EventClock(T0, frozen_monotonic=True)
    made = await Ward(tmp_path / "records.db", clock=clock).start()
    made.clock.follow(T0 + 60 * SECOND)
    yield made
    await made.close()


async def kept(ward: Ward, device: str = "dev_1") -> list[int]:
    """The seconds of which there is a chunk."""
    found = await ward.waves.read("main", device, "pleth", 0, FOREVER)
    return [c.first // 75 for c in found]


async def test_chunks_are_stored_receipted_and_balanced_beside_readings(ward: Ward):
    await ward.take(frame(block(1, reading(0)), wave_block(2, chunk(0), chunk(1)), at=60))
    assert await kept(ward) == [0, 1]
    assert len(await ward.stored()) == 1
    assert spans(ward.receipts()[0]) == ((1, 3),)
    assert [(f.first, f.last) for f in await ward.rows(FrameRow)] == [(1, 3)]
    assert await ward.rows(DeadLetter) == []


async def test_the_same_block_again_is_receipted_and_stored_once(ward: Ward):
    sent = frame(wave_block(1, chunk(0), chunk(1)), at=60)
    await ward.take(sent, sent)
    await ward.take(sent)
    assert [spans(r) for r in ward.receipts()] == [((1, 2),)] * 2
    assert await kept(ward) == [0, 1]
    again = frame(wave_block(1, chunk(0), chunk(1)), boot="boot-2", at=60)
    await ward.take(again)
    assert await kept(ward) == [0, 1], "under other numbers they are the same chunks"


async def test_killed_between_store_and_receipt_nothing_is_doubled_or_lost(ward: Ward):
    sent = frame(wave_block(1, chunk(0), chunk(1)), block(3, reading(0)), at=60)

    async def killed(*_: object, **__: object) -> None:
        msg = "killed"
        raise KeyboardInterrupt(msg)

    ward.pipeline._frames.commit = killed  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        await ward.take(sent)
    assert await kept(ward) == [0, 1]
    assert ward.receipts() == []
    await ward.restart()
    await ward.take(sent)
    assert spans(ward.receipts()[0]) == ((1, 3),)
    assert await kept(ward) == [0, 1]
    assert len(ward.waves) == 2


async def test_a_store_that_is_away_holds_up_no_reading(ward: Ward):
    ward.waves.failing = 1
    await ward.take(frame(wave_block(1, chunk(0)), block(2, reading(0, 80.0)), at=60))
    assert [spans(r) for r in ward.receipts()] == [((2, 2),)], "the waveform comes again"
    assert len(await ward.stored()) == 1
    await ward.take(frame(wave_block(1, chunk(0)), at=60))
    assert len(ward.receipts()) == 1, "the store is left alone for a moment"
    ward.clock.follow(T0 + 61 * SECOND)
    await ward.take(frame(wave_block(1, chunk(0)), at=61))
    assert spans(ward.receipts()[-1]) == ((1, 1),)
    assert await kept(ward) == [0]


async def test_readings_whose_store_is_away_hold_up_no_waveform(ward: Ward):
    ward.store.failing = 1
    await ward.take(frame(wave_block(1, chunk(0)), block(2, reading(0)), at=60))
    assert [spans(r) for r in ward.receipts()] == [((1, 1),)]
    assert await kept(ward) == [0]


async def test_what_cannot_be_read_or_be_true_is_put_aside_and_counted_but_no_reading_is_lost(ward: Ward):
    good = chunk(0)
    bad = [
        replace(chunk(1), metric="spo2"),
        replace(chunk(2), samples=(-5,)),
        chunk(3, begins=T0 + 3600 * SECOND),
        replace(chunk(4), samples=(1,) * 200, rate_hz=0.5),
        replace(chunk(5), device="manual:pat_1"),
        replace(chunk(6), device=""),
        replace(chunk(7), metric="ecg", unit="V", scale=0.001),
    ]
    damaged = Block(9, 3, wave_block(9, chunk(7)).payload[:-4])
    short = Block(12, 5, wave_block(12, chunk(7)).payload)
    await ward.take(frame(wave_block(1, good, *bad), damaged, short, at=60))
    assert await kept(ward) == [0]
    assert spans(ward.receipts()[0]) == ((1, 16),), "all of it is receipted: it would come again for ever"
    letters = await ward.rows(DeadLetter)
    assert sorted((x.reason, x.readings) for x in letters) == [
        ("future", 1),
        ("implausible", 3),
        ("malformed", 1),
        ("malformed", 3),
        ("malformed", 5),
        ("reserved", 1),
        ("unknown_metric", 1),
    ]
    assert set(ward.telemetry.by_label("readings_rejected_total", "reason").values()) <= {0}
    assert sum(ward.telemetry.by_label("dead_letters_total", "reason").values()) == 7
    assert all("waveform" in x.detail for x in letters)


async def test_flat_lines_without_end_are_taken_piece_by_piece(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cloud_ingest.intake.MOST_SAMPLES", 4096 * 4)
    flat = [chunk(samples=(5,) * 4096, first=n * 4096, begins=T0 + n * SECOND // 2) for n in range(12)]
    flat = [replace(c, rate_hz=4096.0) for c in flat]
    sent = frame(
        *(wave_block(1 + n, *flat[n : n + 2]) for n in range(0, 12, 2)), block(13, reading(0)), at=60
    )
    taken = []
    for _ in range(3):
        await ward.take(sent)
        taken.append(len(ward.waves))
    assert taken == [4, 8, 12], "no more at once, and the rest when it comes again"
    assert len(await ward.stored()) == 1
    assert spans(ward.receipts()[0]) == ((1, 4), (13, 13))


async def test_a_sample_is_no_reading(ward: Ward):
    await ward.take(frame(block(1, reading(0, 97.0, metric="pleth"), reading(0)), at=60))
    assert [x.reason for x in await ward.rows(DeadLetter)] == ["unknown_metric"]
    assert len(await ward.stored()) == 1


async def test_what_is_in_a_letter_can_be_seen(ward: Ward):
    late = [chunk(n, begins=T0 + 3600 * SECOND) for n in (1, 2)]
    damaged = Block(8, 3, wave_block(8, chunk(7)).payload[:-4])
    await ward.take(frame(wave_block(1, chunk(0), *late), damaged, at=60))
    seen = [DeadLetterDetail.of(row) for row in await ward.rows(DeadLetter)]
    assert [[(w.number, w.device, w.metric, w.samples, w.rate_hz) for w in x.waves] for x in seen] == [
        [(2, "dev_1", "pleth", 75, 75.0), (3, "dev_1", "pleth", 75, 75.0)],
        [],
    ]
    assert [x.rows for x in seen] == [[], []]
    whole = DeadLetter(id=9, at=T0, topic="t", reason="x", detail="", payload=frame(damaged).encode(), size=1)
    assert [(b.first, b.waves) for b in blocks_of(whole)] == [(8, True)]


async def test_a_letter_is_let_in_when_what_was_wrong_with_it_is_over(ward: Ward):
    await ward.take(frame(wave_block(1, chunk(0), chunk(1, begins=T0 + 3600 * SECOND)), at=60))
    (letter,) = await ward.rows(DeadLetter)
    replayer = ward.pipeline.replayer
    tried = await replayer.replay(letter.id, "usr_1", dry_run=True)
    assert tried is not None
    assert tried.outcome == "refused:future=1"
    ward.clock.follow(T0 + 7200 * SECOND)
    tried = await replayer.replay(letter.id, "usr_1", dry_run=True)
    assert tried is not None
    assert (tried.state, tried.outcome) == ("replayed", "waves=1")
    done = await replayer.replay(letter.id, "usr_1")
    assert done is not None
    assert (done.state, done.outcome) == ("replayed", "waves=1")
    assert await kept(ward) == [0, 1]
    again = await replayer.replay(letter.id, "usr_1")
    assert again is not None
    assert not again.changed


async def test_the_clock_of_a_gateway_that_is_wrong_is_corrected(tmp_path: Path):
    made = await Ward(tmp_path / "records.db", clock=HandClock(T0, frozen_monotonic=True)).start()
    made.clock.follow(T0 + 60 * SECOND)
    wrong = chunk(0, begins=T0 - 600 * SECOND)
    await made.take(live(wave_block(1, wrong), at=-599, session="s"))
    (found,) = await made.waves.read("main", "dev_1", "pleth", 0, FOREVER)
    assert found.corrected - wrong.corrected == 659 * SECOND
    assert found.received == wrong.received
    await made.close()


async def test_what_a_wrong_clock_refused_is_let_in_at_its_right_time(tmp_path: Path):
    made = await Ward(tmp_path / "records.db", clock=HandClock(T0, frozen_monotonic=True)).start()
    made.clock.follow(T0 + 60 * SECOND)
    ahead = chunk(0, begins=T0)
    await made.take(live(wave_block(1, ahead), at=-599, session="s"))
    (letter,) = await made.rows(DeadLetter)
    assert letter.reason == "future"
    made.clock.follow(T0 + 3600 * SECOND)
    assert await made.pipeline.replayer.replay(letter.id, "usr_1") is not None
    (found,) = await made.waves.read("main", "dev_1", "pleth", 0, FOREVER)
    assert found.corrected - ahead.corrected == 659 * SECOND
    await made.close()


async def test_a_cloud_without_a_place_for_waveforms_keeps_them_as_dead_letters(ward: Ward):
    ward.waves = NoWaves()  # type: ignore[assignment]
    await ward.restart()
    await ward.take(frame(wave_block(1, chunk(0), chunk(1)), at=60))
    assert [x.reason for x in await ward.rows(DeadLetter)] == ["store_refused"] * 2
    assert spans(ward.receipts()[0]) == ((1, 2),)
    ward.waves = MemoryWaves()
    await ward.restart()
    for letter in await ward.rows(DeadLetter):
        assert (await ward.pipeline.replayer.replay(letter.id, "usr_1")) is not None
    assert await kept(ward) == [0, 1]


async def test_a_file_that_is_damaged_within_holds_no_block_back(tmp_path: Path, ward: Ward):
    path = tmp_path / "waves.db"
    before = SqliteWaves(path)
    await before.append("main", [WaveParcel("gw-1", [chunk(n) for n in range(300)])])
    await before.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    ward.waves = await RenewingWaves.open(  # type: ignore[assignment]
        path, clock=ward.clock, telemetry=ward.telemetry
    )
    await ward.restart()
    await ward.take(frame(wave_block(1, chunk(5)), block(2, reading(0)), at=60))
    assert spans(ward.receipts()[0]) == ((1, 2),)
    assert len(await ward.stored()) == 1
    assert await kept(ward) == [5]
    assert await ward.rows(DeadLetter) == []
    assert ward.telemetry.value("wave_store_garbled_total") == 1
    await ward.waves.close()


async def test_other_waveforms_under_taken_numbers_are_a_clones(ward: Ward):
    await ward.take(frame(wave_block(1, chunk(0)), at=60))
    await ward.take(frame(wave_block(1, chunk(9)), at=60))
    assert [x.reason for x in await ward.rows(DeadLetter)] == ["cloned_gateway"]
    assert await kept(ward) == [0]


async def test_numbers_of_old_blocks_that_nobody_remembers_go_by_what_the_store_has(ward: Ward):
    await ward.take(frame(wave_block(1, chunk(0)), at=60))
    account = ward.pipeline.ledger.of("gw-1", "boot-1")
    account.digests.clear()
    await ward.take(frame(wave_block(1, chunk(0)), at=60))
    assert [spans(r) for r in ward.receipts()] == [((1, 1),)] * 2
    assert await kept(ward) == [0]
    assert await ward.rows(DeadLetter) == []


async def test_the_books_balance_by_numbers_and_count_no_chunk_as_a_reading(ward: Ward):
    await ward.take(frame(block(1, reading(0)), wave_block(2, chunk(0), chunk(1)), at=60))
    report = await ward.records.read(lambda s: ward.records.ledger(s).report(SCOPE, AskedLedger(0, 10**9)))
    assert report.total.stored == 1
    assert report.total.arrived == 1
    (book,) = report.books
    assert book.committed == 3


async def test_memory_waves_fail_when_told():
    store = MemoryWaves()
    store.failing = 1
    with pytest.raises(StoreUnavailable):
        await store.append("main", [WaveParcel("gw-1", [chunk(0)])])
