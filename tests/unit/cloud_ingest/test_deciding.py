"""What is decided and not committed is taken back; whatever fails, the state is what the journal says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloud_ingest import frames as frames_module
from cloud_ingest import turns
from cloud_ingest.feed import TechnicalEvent
from cloud_ingest.records.models import Alarm, DeadLetter, JournalRow, Snapshot, TransitionRow
from hearthward.core.errors import StoreUnavailable
from rules import Engine, RuleSet, Tick, Transition
from rules.model import Command
from tests.unit.cloud_ingest.replaying import by_engine, by_reference, inputs_of, told, told_of
from tests.unit.cloud_ingest.test_pipeline import fails_on
from tests.unit.cloud_ingest.ward import T0, Ward, block, frame, reading, rule, spans


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db", rules=RuleSet((rule(delay_s=3),))).start()
    yield made
    await made.close()


async def agrees(ward: Ward) -> None:
    """State and records are exactly what the journal's inputs make of them."""
    inputs = await ward.records.read(inputs_of)
    for replay in (by_reference, by_engine):
        state, transitions = replay(inputs)
        assert state.digest() == ward.pipeline.state.digest()
        assert told(transitions) == await ward.records.read(told_of)


def broken_commit(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int = 10**6) -> None:
    """The next so many transactions fail in the middle."""
    real = turns.write_decisions
    left = [times]

    def fails(*args: Any, **more: Any) -> Any:
        done = real(*args, **more)
        if left[0] > 0:
            left[0] -= 1
            raise error
        return done

    monkeypatch.setattr(turns, "write_decisions", fails)


async def test_a_commit_that_fails_for_ever_takes_its_decisions_back(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    await ward.take(frame(block(1, reading(0, 84)), at=0))
    before = ward.pipeline.state.digest()
    with monkeypatch.context() as patch:
        broken_commit(patch, ZeroDivisionError("a bug"))
        await ward.take(frame(block(2, reading(5, 83)), at=5))
        assert (len(ward.receipts()), await ward.rows(Alarm)) == (1, [])
    assert [d.reason for d in await ward.rows(DeadLetter)] == ["internal_error"]
    assert (ward.pipeline.state.digest(), ward.pipeline.seq) == (before, 2)
    await agrees(ward)
    await ward.take(frame(block(2, reading(5, 83)), at=5))
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]
    assert len(ward.receipts()) == 2
    await agrees(ward)


async def test_one_bad_frame_is_given_up_and_its_neighbours_are_decided_once(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    real = frames_module.write_blocks

    def fails(session: Any, tenant: str, source: Any, blocks: Any) -> None:
        real(session, tenant, source, blocks)
        if source[0] == "gw-2":
            msg = "a bug"
            raise OSError(msg)

    monkeypatch.setattr(frames_module, "write_blocks", fails)
    await ward.take(
        frame(block(1, reading(0, 84)), at=4),
        frame(block(1, reading(0, 84, device="dev_2")), at=4, gateway="gw-2"),
        frame(block(2, reading(4, 83)), at=4),
    )
    assert [a.patient for a in await ward.rows(Alarm)] == ["pat_1"]
    assert [(r.gateway, spans(r)) for r in ward.receipts()] == [("gw-1", ((1, 1),)), ("gw-1", ((2, 2),))]
    assert "pat_2" not in ward.pipeline.state.subjects
    await agrees(ward)


async def test_a_command_that_cannot_be_written_is_refused_and_forgotten(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    await ward.take(frame(block(1, reading(0, 84), reading(4, 84)), at=4))
    (alarm,) = await ward.rows(Alarm)
    with monkeypatch.context() as patch:
        broken_commit(patch, StoreUnavailable("disk full"), 1)
        with pytest.raises(StoreUnavailable):
            await ward.pipeline.act(Command(0, 0, "accept", alarm.id, "usr_1"))
    await ward.take(frame(block(3, reading(5, 85)), at=5))
    (active,) = ward.pipeline.state.active()
    assert active.accepted_by is None
    await agrees(ward)
    await ward.pipeline.act(Command(0, 0, "accept", alarm.id, "usr_2"))
    await agrees(ward)


async def test_a_caller_cancelled_in_a_commit_leaves_a_state_that_is_not_kept(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    """The process is stopping: what was under way is decided again at the next start."""
    await ward.take(frame(block(1, reading(0, 84)), at=0))
    ward.snapshot_later()
    reached, real = asyncio.Event(), ward.records.run

    async def never(_: Callable[..., Any]) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ward.records, "run", never)
    task = asyncio.create_task(ward.take(frame(block(2, reading(5, 83)), at=5)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.setattr(ward.records, "run", real)
    await ward.pipeline.close()
    assert all(s.seq <= 2 for s in await ward.rows(Snapshot))
    await ward.restart()
    await agrees(ward)
    await ward.take(frame(block(2, reading(5, 83)), at=5))
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]
    await agrees(ward)


async def test_whoever_comes_after_a_cancelled_commit_finds_what_is_committed(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    real = ward.records.run
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(fn: Any) -> Any:
        reached.set()
        await go_on.wait()
        return await real(fn)

    monkeypatch.setattr(ward.records, "run", slow)
    task = asyncio.create_task(ward.take(frame(block(1, reading(0, 84), reading(4, 84)), at=4)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.setattr(ward.records, "run", real)
    await ward.pipeline.configure(RuleSet((rule(delay_s=9),)))
    assert await ward.rows(Alarm) == []
    await agrees(ward)
    assert ward.telemetry.value("decisions_taken_back_total") == 1


async def test_rules_that_fail_leave_the_others_decisions_as_if_nothing_had_been(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    await ward.take(frame(block(1, reading(0, 84)), at=0))
    with monkeypatch.context() as patch:
        fails_on(patch, "pat_1")
        await ward.take(
            frame(block(2, reading(4, 80)), at=4),
            frame(block(1, reading(0, 80, device="dev_2")), at=4, gateway="gw-2"),
            frame(block(2, reading(4, 80, device="dev_2")), at=4, gateway="gw-2"),
        )
    assert [a.patient for a in await ward.rows(Alarm)] == ["pat_2"]
    assert [d.reason for d in await ward.rows(DeadLetter)] == ["undecided"]
    assert len(ward.receipts()) == 3
    await agrees(ward)
    await ward.restart()
    await agrees(ward)


async def test_timers_that_fail_are_told_of_and_readings_go_on(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    await ward.take(frame(block(1, reading(0, 84)), at=0))
    ward.clock.advance(20)
    real = Engine.step

    def broken(self: Engine, event: Any) -> tuple[Transition, ...]:
        if isinstance(event, Tick):
            msg = "a bug"
            raise KeyError(msg)
        return real(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", broken)
        with pytest.raises(KeyError):
            await ward.pipeline.tick()
        await ward.take(frame(block(2, reading(20, 84)), at=20))
    assert "rules_failed" in {e.kind for e in ward.events() if isinstance(e, TechnicalEvent)}
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]
    await agrees(ward)


async def test_a_data_folder_of_the_first_release_starts_and_says_what_it_lost(tmp_path: Path):
    """Its rules' state and journal cannot be read: alarms end with a reason, and start anew if they hold."""
    import msgpack

    ward = await Ward(tmp_path / "records.db").start()
    await ward.take(frame(block(1, reading(0, 84)), at=0))

    def as_of_then(session: Any) -> None:
        for row in session.scalars(select(JournalRow)):
            _, now, body = msgpack.unpackb(row.payload)
            old = [[["spo2-low", 1]], []] if row.kind == "configuration" else body[:1][0]
            row.payload = msgpack.packb([1, now, old])
        for kept in session.scalars(select(Snapshot)):
            kept.state = msgpack.packb([1, "cloud", kept.seq, [{"id": "spo2-low"}], []])

    await ward.records.run(as_of_then)
    await ward.restart()
    assert [(a.condition, a.last_transition) for a in await ward.rows(Alarm)] == [("inactive", "reset")]
    (reset,) = [t for t in await ward.rows(TransitionRow) if t.kind == "reset"]
    assert reset.note == "state lost"
    assert ward.telemetry.value("journal_replay_failed_total") == 0
    assert "state_lost" in {e.kind for e in ward.events() if isinstance(e, TechnicalEvent)}
    assert ward.clock.now_ns() == T0
    await ward.take(frame(block(2, reading(2, 83)), at=2))
    assert [a.patient for a in ward.pipeline.state.active()] == ["pat_1"]
    digest = ward.pipeline.state.digest()
    await ward.restart()
    assert ward.pipeline.state.digest() == digest
    assert len(await ward.rows(Alarm)) == 2
    await ward.close()


async def test_a_row_that_the_engine_cannot_step_is_left_out_and_the_rest_goes_on(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    ward.snapshot_later()
    await ward.take(frame(block(1, reading(0, 84)), at=0))
    await ward.take(frame(block(2, reading(0, 84, device="dev_2")), at=4))
    from cloud_ingest import recovery

    real = recovery.step

    def careful(state: Any, event: Any) -> Any:
        if event.seq == 2:
            msg = "a bug"
            raise KeyError(msg)
        return real(state, event)

    fails_on(monkeypatch, "pat_1")
    monkeypatch.setattr(recovery, "step", careful)
    await ward.restart()
    assert ward.telemetry.value("journal_replay_failed_total") == 1
    assert list(ward.pipeline.state.subjects) == ["pat_2"]
    assert ward.pipeline.seq == 3
