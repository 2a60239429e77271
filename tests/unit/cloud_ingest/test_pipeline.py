from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.orm import Session

from cloud_ingest import frames as frames_module
from cloud_ingest import patience
from cloud_ingest.feed import AlarmChanged, ClockMoved, ReadingsStored, TechnicalEvent
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.records.models import (
    Alarm,
    DeadLetter,
    FrameRow,
    GapRow,
    JournalRow,
    Notification,
    TransitionRow,
)
from cloud_ingest.sources import Message
from cloud_ingest.stores import MemoryStore
from cloud_ingest.waiting import Waiting
from hearthward.core.clock import SECOND, EventClock, SystemClock
from hearthward.core.errors import RuleError, StoreRejected, StoreUnavailable
from hearthward.core.wire import Block, Frame, decode_block
from rules import Engine, Input, Readings, RuleSet, Transition
from rules.model import Command
from tests.unit.cloud_ingest.ward import T0, Gap, Ward, block, frame, message, reading, rule, spans


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db").start()
    yield made
    await made.close()


async def reasons(ward: Ward) -> list[str]:
    return [row.reason for row in await ward.rows(DeadLetter)]


async def test_stores_decides_and_only_then_receipts(ward: Ward):
    await ward.take(frame(block(1, reading(0, 97), reading(1, 84))))
    assert [r.value for r in await ward.stored()] == [97, 84]
    assert [(r.gateway, r.boot, spans(r)) for r in ward.receipts()] == [("gw-1", "boot-1", ((1, 2),))]
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.patient, alarm.condition, alarm.text_en) == ("pat_1", "active", "SpO2 84 < 90")
    assert alarm.onset == T0 + SECOND
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]
    assert [n.alarm for n in await ward.rows(Notification)] == [alarm.id]
    assert [j.kind for j in await ward.rows(JournalRow)] == ["configuration", "readings"]
    kinds = [type(e) for e in ward.events()]
    assert kinds == [ReadingsStored, AlarmChanged]
    assert ward.telemetry.value("readings_stored_total") == 2
    assert ward.telemetry.value("receipts_sent_total") == 1


async def test_a_resend_is_receipted_again_and_nothing_else(ward: Ward):
    sent = frame(block(1, reading(0, 84)))
    await ward.take(sent)
    ward.events()
    await ward.take(sent, sent)
    assert len(await ward.stored()) == 1
    assert [spans(r) for r in ward.receipts()] == [((1, 1),), ((1, 1),)]
    assert len(await ward.rows(TransitionRow)) == 1
    assert ward.telemetry.value("readings_duplicate_total") == 2
    assert ward.events() == []


async def test_blocks_out_of_order_in_one_batch_are_decided_in_order(ward: Ward):
    later, earlier = block(2, reading(1, 95)), block(1, reading(0, 84))
    await ward.take(frame(later, at=1), frame(earlier, at=1))
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start", "end"]
    assert [spans(r) for r in ward.receipts()] == [((1, 2),)]


async def test_readings_of_an_unassigned_device_are_kept_but_not_judged(ward: Ward):
    await ward.take(frame(block(1, reading(0, 80, device="dev_9"))))
    assert len(await ward.stored("dev_9")) == 1
    assert await ward.rows(Alarm) == []
    (event,) = ward.events()
    assert isinstance(event, ReadingsStored)
    assert event.patient == [None]


async def test_attribution_goes_by_the_reading_s_own_time(ward: Ward):
    before = T0 - 7200 * SECOND
    await ward.take(frame(block(1, reading(0, 80, corrected=before, device_time=before))))
    assert await ward.rows(Alarm) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"metric": "mood"}, "unknown_metric"),
        ({"value": 101.0}, "implausible"),
        ({"value": float("nan")}, "implausible"),
        ({"value": None}, "empty"),
        ({"corrected": T0 + 61 * SECOND}, "future"),
    ],
)
async def test_a_bad_reading_is_dead_lettered_and_its_neighbours_are_not(
    ward: Ward, bad: dict[str, Any], reason: str
):
    await ward.take(frame(block(1, reading(0), replace(reading(1), **bad), reading(2))))
    assert [r.corrected for r in await ward.stored()] == [T0, T0 + 2 * SECOND]
    (dead,) = await ward.rows(DeadLetter)
    assert (dead.reason, dead.gateway, dead.tenant) == (reason, "gw-1", "main")
    assert len(decode_block(dead.payload)) == 1
    assert [spans(r) for r in ward.receipts()] == [((1, 3),)]
    assert ward.telemetry.value("readings_rejected_total", reason=reason) == 1
    assert ward.telemetry.value("dead_letters_total", reason=reason) == 1
    technical = [e.kind for e in ward.events() if isinstance(e, TechnicalEvent)]
    assert technical == (["future"] if reason == "future" else [])


async def test_a_reading_within_the_skew_is_not_from_the_future(ward: Ward):
    await ward.take(frame(block(1, reading(0, corrected=T0 + 60 * SECOND))))
    assert len(await ward.stored()) == 1


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        (b"", 1),
        (b"\xc1 nonsense", 3),
        (block(1, reading(0)).payload[:-4], 1),
        (block(1, reading(0)).payload, 2),
    ],
)
async def test_a_poisonous_block_is_kept_aside_and_does_not_come_for_ever(
    ward: Ward, payload: bytes, count: int
):
    good = block(10, reading(5))
    await ward.take(frame(Block(1, count, payload), good))
    assert await reasons(ward) == ["malformed"]
    assert [spans(r) for r in ward.receipts()] == [((1, count), (10, 10))]
    assert len(await ward.stored()) == 1
    await ward.take(frame(Block(1, count, payload)))
    assert await reasons(ward) == ["malformed"]


async def test_numbers_that_no_store_holds_make_a_block_malformed(ward: Ward):
    payload = block(1, reading(0, record=-5)).payload
    await ward.take(frame(Block(1, 1, payload)), frame(block(2, reading(1))))
    assert await reasons(ward) == ["malformed"]
    assert len(await ward.stored()) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Message("hw/1/main/gw-1/frame", b"\xff\xff"), "malformed"),
        (Message("hw/1/main/gw-1/frame", b"\x00" * ((1 << 20) + 1)), "oversized"),
        (Message("hw/1/main/g w/frame", b""), "topic"),
        (message(frame(block(1, reading(0))), "hw/1/main/gw-2/frame"), "identity"),
        (message(frame(block(1, reading(0))), "hw/1/other/gw-1/frame"), "tenant"),
        (message(frame(Block(2**63 - 1, 9, b"x"))), "malformed"),
    ],
)
async def test_a_frame_that_cannot_be_believed_gets_no_receipt(ward: Ward, bad: Message, reason: str):
    await ward.take(bad)
    assert await reasons(ward) == [reason]
    assert ward.published == []
    assert await ward.stored() == []
    (row,) = await ward.rows(DeadLetter)
    assert len(row.payload) <= 1 << 16


async def test_gaps_are_recorded_counted_and_receipted_once(ward: Ward):
    lost = frame(block(1, reading(0)), gaps=(Gap(2, 9, "full"), Gap(12, 12, "corrupt")))
    await ward.take(lost, lost)
    assert [(g.first, g.last, g.reason) for g in await ward.rows(GapRow)] == [
        (2, 9, "full"),
        (12, 12, "corrupt"),
    ]
    assert [spans(r) for r in ward.receipts()] == [((1, 9), (12, 12))]
    assert ward.telemetry.by_label("readings_lost_total", "reason") == {"full": 8, "corrupt": 1}
    await ward.take(frame(gaps=(Gap(2, 10, "full"),)))
    assert ward.telemetry.value("readings_lost_total", reason="full") == 9


async def test_what_was_declared_lost_is_stored_when_it_comes_after_all(ward: Ward):
    await ward.take(frame(gaps=(Gap(1, 1, "full"),)))
    await ward.take(frame(block(1, reading(0))))
    assert len(await ward.stored()) == 1


async def test_a_cloned_gateway_is_noticed_once_and_its_readings_kept(ward: Ward):
    await ward.take(frame(block(1, reading(0, 97), reading(1, 97))))
    clone = frame(block(1, reading(0, 50), reading(1, 51)))
    await ward.take(clone)
    await ward.take(clone, frame(block(2, reading(7, 52))))
    assert await reasons(ward) == ["cloned_gateway", "cloned_gateway"]
    assert [r.value for r in await ward.stored()] == [97, 97]
    events = [e for e in ward.events() if isinstance(e, TechnicalEvent)]
    assert [(e.kind, e.gateway) for e in events] == [("cloned_gateway", "gw-1")] * 2
    await ward.restart()
    await ward.take(frame(block(1, reading(0, 97), reading(1, 97))))
    assert ward.telemetry.value("dead_letters_total", reason="cloned_gateway") == 2


async def test_another_boot_is_no_clone(ward: Ward):
    await ward.take(frame(block(1, reading(0))), frame(block(1, reading(1)), boot="boot-2"))
    assert len(await ward.stored()) == 2
    assert await reasons(ward) == []


async def test_a_reading_sent_again_under_another_number_is_not_judged_twice(ward: Ward):
    taken = reading(0, 84, device_time=T0, record=3)
    await ward.take(frame(block(1, taken)))
    await ward.take(frame(block(2, replace(taken, received=T0 + 5 * SECOND))))
    assert len(await ward.stored()) == 1
    assert len(await ward.rows(JournalRow)) == 2
    assert [spans(r) for r in ward.receipts()] == [((1, 1),), ((2, 2),)]


async def test_a_crash_between_store_and_records_loses_and_doubles_nothing(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        pass

    async def killed(*_: object) -> None:
        raise Killed

    sent = frame(block(1, reading(0, 84)))
    with monkeypatch.context() as patch:
        patch.setattr(ward.records, "run", killed)
        with pytest.raises(Killed):
            await ward.take(sent)
    assert len(await ward.stored()) == 1
    assert ward.published == []
    await ward.restart()
    assert await ward.rows(Alarm) == []
    await ward.take(sent)
    assert len(await ward.stored()) == 1
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]
    assert [spans(r) for r in ward.receipts()] == [((1, 1),)]


async def test_waits_out_records_that_cannot_be_written_now(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(patience, "FIRST_BACKOFF_S", 0.001)
    real, failures = ward.records.run, [StoreUnavailable("disk full"), StoreUnavailable("disk full")]

    async def run(fn: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(fn)

    monkeypatch.setattr(ward.records, "run", run)
    await ward.take(frame(block(1, reading(0, 84))))
    assert len(await ward.stored()) == 1
    assert len(await ward.rows(Alarm)) == 1
    assert len(ward.receipts()) == 1
    assert ward.telemetry.value("store_retries_total") == 2


async def test_what_the_store_refuses_for_ever_does_not_hold_up_the_rest(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    real = ward.store.append_many

    async def picky(tenant: str, deliveries: Any) -> Any:
        if any(13.0 in d.batch.value for d in deliveries):
            msg = "thirteen"
            raise StoreRejected(msg)
        return await real(tenant, deliveries)

    monkeypatch.setattr(ward.store, "append_many", picky)
    await ward.take(frame(block(1, reading(0)), block(2, reading(1, 13.0)), block(3, reading(2))))
    assert [r.value for r in await ward.stored()] == [97, 97]
    assert await reasons(ward) == ["store_refused"]
    assert [spans(r) for r in ward.receipts()] == [((1, 3),)]


def fails_on(monkeypatch: pytest.MonkeyPatch, patient: str) -> None:
    """Rules with a bug that shows with this patient's readings, in the middle of a step."""
    real = Engine.step

    def broken(self: Engine, event: Input) -> tuple[Transition, ...]:
        found = real(self, event)
        if isinstance(event, Readings) and patient in event.rows.patient:
            msg = "a bug"
            raise ZeroDivisionError(msg)
        return found

    monkeypatch.setattr(Engine, "step", broken)


async def test_rules_that_fail_on_one_gateway_do_not_silence_the_others(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    fails_on(monkeypatch, "pat_1")
    await ward.take(
        frame(block(1, reading(0, 80))), frame(block(1, reading(0, 80, device="dev_2")), gateway="gw-2")
    )
    assert [a.patient for a in await ward.rows(Alarm)] == ["pat_2"]
    assert await reasons(ward) == ["undecided"]
    assert len(await ward.stored()) == 2
    assert len(ward.receipts()) == 2
    assert [e.kind for e in ward.events() if isinstance(e, TechnicalEvent)] == ["rules_failed"]


async def test_a_frame_that_our_own_code_fails_on_is_set_aside_without_receipt(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    from cloud_ingest import intake

    real = intake.screen

    def broken(batch: Any, latest: int) -> Any:
        if batch.value == [13.0]:
            msg = "a bug"
            raise KeyError(msg)
        return real(batch, latest)

    monkeypatch.setattr(intake, "screen", broken)
    bad, good = frame(block(1, reading(0, 13.0))), frame(block(2, reading(1)))
    await ward.take(good, bad)
    await ward.take(bad)
    assert await reasons(ward) == ["internal_error"]
    assert [spans(r) for r in ward.receipts()] == [((2, 2),)]
    monkeypatch.setattr(intake, "screen", real)
    await ward.take(bad)
    assert [spans(r) for r in ward.receipts()] == [((2, 2),), ((1, 1),)]
    assert len(await ward.stored()) == 2


async def test_a_lost_receipt_is_sent_when_the_frame_comes_again(ward: Ward):
    sent = frame(block(1, reading(0)))
    ward.cut = True
    await ward.take(sent)
    assert ward.telemetry.value("receipts_failed_total") == 1
    ward.cut = False
    await ward.take(sent)
    assert len(ward.receipts()) == 1
    assert len(await ward.stored()) == 1


async def test_drops_frames_when_full_and_counts_them(ward: Ward):
    sent = message(frame(block(1, reading(0))))
    ward.pipeline._waiting = Waiting(max_messages=2)
    assert [ward.pipeline.offer(sent) for _ in range(3)] == [True, True, False]
    ward.pipeline._waiting = Waiting(max_bytes=2 * len(sent.payload) + 1)
    assert [ward.pipeline.offer(sent) for _ in range(3)] == [True, True, False]
    ward.pipeline._waiting.batch()
    assert ward.pipeline.offer(sent)
    assert ward.telemetry.value("frames_dropped_total", reason="queue_full") == 2
    assert ward.telemetry.value("frames_received_total") == 7


async def test_the_event_clock_follows_frames_that_carry_a_recording_s_time(ward: Ward):
    await ward.take(frame(block(1, reading(5)), at=5))
    assert ward.clock.now_ns() == T0 + 5 * SECOND
    assert [e.now for e in ward.events() if isinstance(e, ClockMoved)] == [T0 + 5 * SECOND]
    await ward.take(frame(block(2, reading(3, 84)), at=3))
    assert ward.clock.now_ns() == T0 + 5 * SECOND, "it never goes back"
    assert not [e for e in ward.events() if isinstance(e, ClockMoved)]
    assert [r.value for r in await ward.stored()] == [84, 97]
    assert [spans(r) for r in ward.receipts()] == [((1, 1),), ((2, 2),)]


@pytest.mark.parametrize("played", [True, False])
async def test_a_frame_that_goes_by_another_time_is_refused_and_stays_at_its_gateway(
    tmp_path: Path, *, played: bool
):
    """Neither are played values stored as a patient's of today, nor real ones lost to a demonstration."""
    ward = Ward(tmp_path / "records.db")
    if played:
        ward.clock = cast(EventClock, SystemClock())
        ward.pipeline = ward.build()
    await ward.start()
    for n in (1, 2, 2):
        await ward.take(frame(block(n, reading(n, 84)), at=500, event_time=played))
    assert (await ward.stored(), ward.receipts(), await ward.rows(Alarm)) == ([], [], [])
    (letter,) = await ward.rows(DeadLetter)
    assert (letter.reason, letter.gateway) == ("other_time", "gw-1")
    assert "--event-clock" in letter.detail
    assert Frame.decode(letter.payload).blocks[0].first == 1
    assert ward.telemetry.value("frames_refused_total", reason="other_time") == 3
    assert ward.telemetry.value("readings_rejected_total", reason="other_time") == 0
    assert [e.kind for e in ward.events() if isinstance(e, TechnicalEvent)] == ["other_time"]
    assert played or ward.clock.now_ns() == T0
    await ward.take(frame(block(1, reading(1, 95)), at=1, gateway="gw-2", event_time=not played))
    assert len(ward.receipts()) == 1
    await ward.close()


async def test_accepting_is_an_input_and_is_committed(ward: Ward):
    await ward.take(frame(block(1, reading(0, 84))))
    (alarm,) = await ward.rows(Alarm)
    ward.events()
    await ward.pipeline.act(Command(0, 0, "accept", alarm.id, "usr_1", "on my way"))
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.accepted_by, alarm.condition) == ("usr_1", "active")
    assert [(t.kind, t.actor, t.note) for t in await ward.rows(TransitionRow)][-1] == (
        "accept",
        "usr_1",
        "on my way",
    )
    (event,) = ward.events()
    assert isinstance(event, AlarmChanged)
    assert event.kind == "accept"
    journaled = len(await ward.rows(JournalRow))
    await ward.pipeline.act(Command(0, 0, "accept", alarm.id, "usr_1"))
    for known, actor in ((alarm.id, "usr_2"), ("alm_none", "usr_1")):
        with pytest.raises(RuleError):
            await ward.pipeline.act(Command(0, 0, "accept", known, actor))
    assert len(await ward.rows(JournalRow)) == journaled
    await ward.restart()
    (active,) = ward.pipeline.state.active()
    assert active.accepted_by == "usr_1"


async def test_only_ticks_that_end_a_timer_are_journaled(ward: Ward):
    await ward.pipeline.configure(RuleSet((rule(delay_s=10),)))
    await ward.take(frame(block(1, reading(0, 84))))
    await ward.pipeline.tick()
    ward.clock.advance(9)
    await ward.pipeline.tick()
    before = len(await ward.rows(JournalRow))
    assert await ward.rows(Alarm) == []
    await ward.take(frame(at=10))  # the gateway, too, has come so far
    await ward.pipeline.tick()
    await ward.pipeline.tick()
    assert len(await ward.rows(JournalRow)) == before + 1
    (alarm,) = await ward.rows(Alarm)
    assert alarm.onset == T0


async def test_a_gateway_that_lags_holds_timers_back_but_not_for_long(ward: Ward):
    await ward.pipeline.configure(RuleSet((rule(delay_s=10),)))
    await ward.take(frame(block(1, reading(0, 84)), at=0))
    await ward.take(frame(block(1, reading(11, 97, device="dev_2")), at=11, gateway="gw-2"))
    await ward.take(frame(block(2, reading(3, 84)), at=3))
    await ward.pipeline.tick()
    assert await ward.rows(Alarm) == []
    ward.clock.follow(T0 + 17 * SECOND)
    await ward.pipeline.tick()
    assert len(await ward.rows(Alarm)) == 1


async def test_hooks_see_what_was_committed(ward: Ward):
    stored: list[tuple[list[float | None], list[str | None]]] = []
    transitions: list[Transition] = []
    ward.pipeline.hooks.on_stored = lambda batch, patients: stored.append((batch.value, patients))
    ward.pipeline.hooks.on_transitions = transitions.extend
    await ward.take(frame(block(1, reading(0, 84), reading(0, 97, device="dev_9"))))
    assert stored == [([84, 97], ["pat_1", None])]
    assert [t.kind for t in transitions] == ["start"]


async def test_frames_rows_hold_runs_of_adjoining_blocks(ward: Ward):
    await ward.take(frame(block(1, reading(0)), block(2, reading(1)), block(9, reading(2))))
    assert [(f.first, f.last) for f in await ward.rows(FrameRow)] == [(1, 2), (9, 9)]


async def test_refuses_a_store_that_acknowledges_too_early(ward: Ward):
    store = MemoryStore()
    store.durable_ack = False
    with pytest.raises(StoreRejected, match="receipt"):
        Pipeline(
            "main",
            ward.records,
            store,
            ward.publish,
            feed=ward.feed,
            clock=ward.clock,
            telemetry=ward.telemetry,
        )


async def test_nothing_of_a_failed_transaction_stays(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    real = frames_module.write_blocks

    def fails_once(session: Session, *_rest: Any) -> None:
        session.flush()
        monkeypatch.setattr(frames_module, "write_blocks", real)
        msg = "in the middle"
        raise OSError(msg)

    monkeypatch.setattr(frames_module, "write_blocks", fails_once)
    await ward.take(frame(block(1, reading(0, 84))))
    assert len(await ward.rows(Alarm)) == 1
    assert len(await ward.rows(TransitionRow)) == 1
    assert [j.seq for j in await ward.rows(JournalRow)] == [1, 2]
    assert len(ward.receipts()) == 1
