"""Dead letters let in: stored and judged once, under their own numbers, without a receipt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest import screening
from cloud_ingest.dead_letters import numbers_of
from cloud_ingest.entry import manual_device
from cloud_ingest.records.ledger_models import LedgerCount
from cloud_ingest.records.models import Alarm, DeadLetter, FrameRow, TransitionRow
from cloud_ingest.replaying import Came, Replayed, outcome_of
from cloud_ingest.sources import Message
from hearthward.core import codes
from hearthward.core.clock import SECOND
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import Block, encode_block
from rules import Engine
from tests.unit.cloud_ingest.test_pipeline import fails_on
from tests.unit.cloud_ingest.ward import T0, Ward, block, frame, message, reading


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db").start()
    yield made
    await made.close()


async def replay(ward: Ward, ident: int = 1, *, dry_run: bool = False) -> Replayed:
    found = await ward.pipeline.replayer.replay(ident, "usr_1", dry_run=dry_run)
    assert found is not None
    return found


async def letter(ward: Ward, ident: int = 1) -> DeadLetter:
    return next(row for row in await ward.rows(DeadLetter) if row.id == ident)


async def counted(ward: Ward) -> dict[str, int]:
    """The loss ledger by kind."""
    out: dict[str, int] = {}
    for row in await ward.rows(LedgerCount):
        out[row.kind] = out.get(row.kind, 0) + row.n
    return {kind: n for kind, n in out.items() if n}


async def test_future_readings_are_stored_and_judged_once_their_time_has_come(ward: Ward):
    sent = frame(block(1, reading(0, 97), reading(3600, 84), reading(3601, 83)))
    await ward.take(sent)
    receipts = len(ward.receipts())
    before = await replay(ward)
    assert (before.state, before.outcome) == ("refused", "refused:future=2")
    ward.clock.advance(3700)
    foreseen = await replay(ward, dry_run=True)
    assert (foreseen.outcome, len(await ward.stored())) == ("stored=2", 1)
    done = await replay(ward)
    assert (done.state, done.outcome, done.changed) == ("replayed", "stored=2", True)
    assert [r.value for r in await ward.stored()] == [97, 84, 83]
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.patient, alarm.onset) == ("pat_1", T0 + 3600 * SECOND)
    row = await letter(ward)
    assert (row.state, row.replayed_by, row.outcome) == ("replayed", "usr_1", "stored=2")
    again = await replay(ward)
    assert (again.state, again.changed) == ("replayed", False)
    await ward.take(sent)
    assert len(await ward.stored()) == 3
    assert len(await ward.rows(TransitionRow)) == 1
    assert len(ward.receipts()) == receipts + 1  # the resend's
    assert (await counted(ward)).get("refused:future") is None
    assert (await counted(ward))["stored"] == 3


async def test_a_metric_that_is_known_by_now(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    await ward.take(frame(block(1, reading(0, 97), reading(1, 5.0, metric="mood"), reading(2, 101.0))))
    assert [d.reason for d in await ward.rows(DeadLetter)] == ["unknown_metric", "implausible"]
    monkeypatch.setitem(codes.METRICS, "mood", codes.METRICS["pain"])
    assert (await replay(ward, 1)).outcome == "stored=1"
    assert (await replay(ward, 2)).outcome == "refused:implausible=1"
    assert [(r.metric, r.value) for r in await ward.stored()] == [("spo2", 97), ("mood", 5.0)]
    assert (await letter(ward, 2)).state == "refused"
    assert len(await ward.rows(DeadLetter)) == 2


async def test_good_rows_are_let_in_and_bad_ones_stay_in_the_letter(ward: Ward):
    await ward.take(frame(block(1, reading(600, 84), reading(7200, 83))))
    ward.clock.advance(1200)
    assert (await replay(ward)).outcome == "stored=1 refused:future=1"
    ward.clock.advance(7200)
    assert (await replay(ward)).outcome == "stored=1"
    assert [r.value for r in await ward.stored()] == [84, 83]
    assert (await replay(ward)).changed is False
    assert (await counted(ward))["stored"] == 2
    assert "refused:future" not in await counted(ward)


async def test_a_crash_between_store_and_records_doubles_nothing(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    await ward.take(frame(block(1, reading(600, 84))))
    ward.clock.advance(601)
    frames: Any = ward.pipeline._frames

    async def crashes(*_args: Any) -> None:
        msg = "killed"
        raise StoreUnavailable(msg)

    with monkeypatch.context() as patch:
        patch.setattr(frames, "commit", crashes)
        with pytest.raises(StoreUnavailable):
            await replay(ward)
    assert len(await ward.stored()) == 1
    assert (await letter(ward)).state == "kept"
    await ward.restart()
    assert (await replay(ward)).outcome == "stored=1"
    assert len(await ward.stored()) == 1
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]


async def test_a_reading_that_came_another_way_is_known(ward: Ward):
    early = reading(600, 84)
    await ward.take(frame(block(1, early)))
    ward.clock.advance(601)
    await ward.take(frame(block(1, early), boot="boot-2", at=601))
    assert (await replay(ward)).outcome == "known=1"
    assert len(await ward.stored()) == 1
    assert len(await ward.rows(TransitionRow)) == 1


async def test_undecided_readings_are_judged_and_not_stored_again(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        fails_on(patch, "pat_1")
        await ward.take(frame(block(1, reading(0, 84))))
        assert (await replay(ward)).outcome == "refused:undecided=1"
        assert len(await ward.rows(DeadLetter)) == 1
    stored = ward.telemetry.value("readings_stored_total")
    assert (await replay(ward, dry_run=True)).outcome == "judged=1"
    assert (await replay(ward)).outcome == "judged=1"
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]
    assert ward.telemetry.value("readings_stored_total") == stored
    assert (await replay(ward)).changed is False


async def test_a_block_that_can_be_read_by_now(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    good = block(1, reading(0, 84), reading(1, 101.0))
    with monkeypatch.context() as patch:
        patch.setattr(screening, "_MAX_TEXT", 3)
        await ward.take(frame(good))
        assert (await replay(ward)).outcome == "refused:malformed=2"
    done = await replay(ward)
    assert (done.state, done.outcome) == ("replayed", "stored=1 refused:implausible=1")
    assert [(d.reason, d.state) for d in await ward.rows(DeadLetter)] == [
        ("malformed", "replayed"),
        ("implausible", "kept"),
    ]
    assert (await letter(ward, 2)).boot == "boot-1"
    assert await counted(ward) == {"stored": 1, "refused:implausible": 1}


async def test_a_frame_that_our_code_failed_on(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    sent = frame(block(1, reading(0, 84)))
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", lambda *_: 1 / 0)
        patch.setattr(ward.pipeline._frames, "_decide", lambda *_: 1 / 0)
        await ward.take(sent)
        assert [d.reason for d in await ward.rows(DeadLetter)] == ["internal_error"]
        assert (await replay(ward)).outcome == "refused:internal_error=1"
    assert ward.receipts() == []
    assert (await replay(ward, dry_run=True)).outcome == "stored=1"
    assert (await replay(ward)).outcome == "stored=1"
    assert ward.receipts() == []
    assert [(f.first, f.last) for f in await ward.rows(FrameRow)] == [(1, 1)]
    await ward.take(sent)
    assert len(ward.receipts()) == 1
    assert len(await ward.stored()) == 1
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]


async def test_a_frame_that_came_again_meanwhile_is_known(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    sent = frame(block(1, reading(0, 84)))
    with monkeypatch.context() as patch:
        patch.setattr(ward.pipeline._frames, "_decide", lambda *_: 1 / 0)
        await ward.take(sent)
    await ward.take(sent)
    assert (await replay(ward)).outcome == "known=1"
    assert len(await ward.rows(TransitionRow)) == 1


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("nonsense", b"x", "topic"),
        ("hw/1/main/gw-1/frame", b"x", "malformed"),
        ("hw/1/other/gw-1/frame", frame(block(1, reading(0))).encode(), "tenant"),
        ("hw/1/main/gw-2/frame", frame(block(1, reading(0))).encode(), "identity"),
    ],
)
async def test_what_never_was_a_frame_of_ours_is_refused_for_ever(
    ward: Ward, topic: str, payload: bytes, reason: str
):
    await ward.take(Message(topic, payload))
    for _ in range(2):
        assert (await replay(ward)).outcome == f"refused:{reason}=1"
        assert (await replay(ward, dry_run=True)).outcome == f"refused:{reason}=1"
    assert len(await ward.rows(DeadLetter)) == 1
    assert await ward.stored() == []


async def test_a_clone_s_readings_never_get_in(ward: Ward):
    await ward.take(frame(block(1, reading(0, 97))))
    await ward.take(frame(block(1, reading(0, 42.0))))
    assert (await replay(ward)).outcome == "refused:cloned_gateway=1"
    assert [r.value for r in await ward.stored()] == [97]


async def test_an_entry_by_hand_that_was_not_judged(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    batch = ReadingBatch.of([reading(0, 84, device=manual_device("pat_1"))])
    with monkeypatch.context() as patch:
        fails_on(patch, "pat_1")
        with pytest.raises(Exception, match="rules failed"):
            await ward.pipeline.enter(batch, ["pat_1"])
        assert (await replay(ward)).outcome == "refused:undecided=1"
    assert (await replay(ward)).outcome == "judged=1"
    assert [a.patient for a in await ward.rows(Alarm)] == ["pat_1"]
    await ward.pipeline.enter(batch, ["pat_1"])
    assert len(await ward.rows(TransitionRow)) == 1


async def test_there_is_none_of_that_number(ward: Ward):
    assert await ward.pipeline.replayer.replay(7, "usr_1") is None


async def test_the_store_away_leaves_the_letter_as_it_was(ward: Ward):
    await ward.take(frame(block(1, reading(600, 84))))
    ward.clock.advance(601)
    ward.store.failing = 1
    with pytest.raises(StoreUnavailable):
        await replay(ward)
    assert (await letter(ward)).state == "kept"
    assert (await replay(ward)).outcome == "stored=1"


async def test_the_waiting_of_a_reason_in_order(ward: Ward):
    await ward.take(*(frame(block(n, reading(n, 101.0)), at=n) for n in range(1, 4)))
    assert await ward.pipeline.replayer.waiting("implausible") == [1, 2, 3]
    assert await ward.pipeline.replayer.waiting("implausible", after=1) == [2, 3]
    assert await ward.pipeline.replayer.waiting("future") == []


async def test_rows_keep_their_numbers(ward: Ward):
    await ward.take(frame(block(5, reading(0, 97), reading(1, 101.0), reading(2, 97), reading(3, 102.0))))
    row = await letter(ward)
    assert (row.boot, row.readings, row.size) == ("boot-1", 2, len(row.payload))
    assert numbers_of(row.seqs) == [6, 8]


def test_an_outcome_says_what_it_came_to() -> None:
    came = Came(stored=2, known=1)
    came.refused["future"] = 3
    assert outcome_of(str(came)) == {"stored": 2, "known": 1, "refused:future": 3}
    assert str(Came()) == "nothing"
    assert outcome_of("nothing") == {}


async def test_a_damaged_row_is_refused_and_stops_nobody(ward: Ward):
    await ward.take(message(frame(block(1, reading(0, 101.0)))))

    def damage(session: Any) -> None:
        session.get(DeadLetter, 1).payload = b"\x93"

    await ward.records.run(damage)
    assert (await replay(ward)).outcome == "refused:internal_error=1"
    await ward.take(frame(Block(2, 1, encode_block(ReadingBatch.of([reading(1, 84)])))))
    assert len(await ward.stored()) == 1
