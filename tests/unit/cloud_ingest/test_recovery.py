"""Kills, resends, repeats and reorders: the same readings once, and the same state to the byte."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from cloud_ingest import journal
from cloud_ingest.feed import TechnicalEvent
from cloud_ingest.records.models import Alarm, JournalRow, Notification, Snapshot, TransitionRow
from cloud_ingest.recovery import recover
from hearthward.core.clock import SECOND
from hearthward.core.wire import Frame
from rules import RuleSet, State
from rules.model import Command
from rules.response.duty import Duty, Person
from rules.response.policy import Policy, Step, Target, Timetable
from tests.unit.cloud_ingest.before import as_before
from tests.unit.cloud_ingest.ward import T0, Ward, block, frame, message, reading, rule, spans

DELAYED = RuleSet((rule(delay_s=3),))


def history(values: list[int]) -> list[Frame]:
    """One frame a second, each with one reading of patient 1 and one of patient 2."""
    return [
        frame(
            block(2 * i + 1, reading(i, float(v)), reading(i, float(180 - v), device="dev_2")),
            at=float(i),
        )
        for i, v in enumerate(values)
    ]


async def play(ward: Ward, frames: list[Frame], kills: set[int], snapshots: set[int]) -> bytes:
    for i, sent in enumerate(frames):
        if i in snapshots:
            ward.snapshot_now()
        await ward.take(sent)
        await ward.pipeline.tick()
        if i in kills:
            await ward.restart()
    return ward.pipeline.state.to_bytes()


@settings(max_examples=20)
@given(
    st.lists(st.integers(80, 100), min_size=1, max_size=12),
    st.sets(st.integers(0, 11)),
    st.sets(st.integers(0, 11)),
)
def test_the_state_after_kills_is_the_same_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], kills: set[int], snapshots: set[int]
):
    async def compare() -> None:
        folder = tmp_path_factory.mktemp("recovery")
        steady = await Ward(folder / "steady.db", rules=DELAYED).start()
        killed = await Ward(folder / "killed.db", rules=DELAYED).start()
        try:
            expected = await play(steady, history(values), set(), set())
            assert await play(killed, history(values), kills, snapshots) == expected
            told = [(t.alarm, t.kind, t.at) for t in await steady.rows(TransitionRow)]
            assert [(t.alarm, t.kind, t.at) for t in await killed.rows(TransitionRow)] == told
            assert len(await killed.rows(Notification)) == len(await steady.rows(Notification))
        finally:
            await steady.close()
            await killed.close()

    asyncio.run(compare())


@settings(max_examples=25)
@given(st.data())
def test_any_interleaving_of_resends_repeats_and_reorders_stores_each_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    count = data.draw(st.integers(1, 8))
    blocks = [block(1 + 3 * i, *(reading(3 * i + j) for j in range(3))) for i in range(count)]
    frames = data.draw(
        st.lists(
            st.lists(st.sampled_from(blocks), min_size=1, max_size=4, unique_by=lambda b: b.first), max_size=8
        )
    )
    # at last the edge sends again whatever has no receipt: here simply everything
    arrivals = [frame(*chosen) for chosen in frames] + [frame(b) for b in data.draw(st.permutations(blocks))]
    kills = data.draw(st.sets(st.integers(0, len(arrivals))))
    crashes = data.draw(st.sets(st.integers(0, len(arrivals))))
    group = data.draw(st.integers(1, 3))

    async def play_all() -> None:
        ward = await Ward(tmp_path_factory.mktemp("orders") / "records.db").start()
        ward.clock.advance(60)
        try:
            for i in range(0, len(arrivals), group):
                batch = arrivals[i : i + group]
                if i in crashes:
                    # killed after the store's commit and before the records': nothing was receipted
                    inner = ward.pipeline._frames
                    arrived = [a for sent in batch for a in await inner._open(message(sent), [])]
                    await inner.append(inner._sort(arrived, [], readings=True, waves=True)[0])
                    await ward.restart()
                await ward.take(*batch)
                if i in kills:
                    await ward.restart()
            stored = await ward.stored()
            assert [r.corrected for r in stored] == [T0 + i * SECOND for i in range(3 * count)]
            receipted = {
                n for r in ward.receipts() for first, last in spans(r) for n in range(first, last + 1)
            }
            assert receipted == set(range(1, 3 * count + 1))
            assert ward.telemetry.value("dead_letters_total", reason="cloned_gateway") == 0
        finally:
            await ward.close()

    asyncio.run(play_all())


async def test_recovery_is_silent(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    await ward.take(frame(block(1, reading(0, 84)), at=7))
    await ward.restart()
    assert ward.events() == []
    assert len(await ward.rows(Notification)) == 1
    assert ward.clock.now_ns() == T0 + 7 * SECOND
    await ward.close()


async def test_snapshots_are_few_and_a_clean_stop_leaves_nothing_to_step(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    for i in range(5):
        ward.snapshot_now()
        await ward.take(frame(block(i + 1, reading(i, 84))))
    assert [s.seq for s in await ward.rows(Snapshot)] == [5, 6]
    await ward.pipeline.act(Command(0, 0, "accept", (await ward.rows(Alarm))[0].id, "usr_1"))
    await ward.pipeline.close()
    found = await recover(ward.records, "main", ward.telemetry)
    assert (found.replayed, found.seq) == (0, 7)
    assert found.state.to_bytes() == ward.pipeline.state.to_bytes()
    await ward.close()


async def test_a_damaged_snapshot_is_passed_over(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    for i in range(4):
        ward.snapshot_now()
        await ward.take(frame(block(i + 1, reading(i, 84))))
    expected = ward.pipeline.state.to_bytes()
    await ward.records.run(lambda s: s.execute(update(Snapshot).where(Snapshot.seq == 5).values(state=b"?")))
    await ward.restart()
    assert ward.pipeline.state.to_bytes() == expected
    await ward.records.run(lambda s: s.execute(update(Snapshot).values(state=b"?")))
    await ward.restart()
    assert ward.pipeline.state.to_bytes() == expected
    await ward.close()


async def test_what_is_learned_anew_after_a_release_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ward = await Ward(tmp_path / "records.db").start()
    ward.snapshot_now()
    await ward.take(frame(block(1, reading(0, 84))))
    read = State.from_bytes

    def anew(payload: bytes) -> State:
        state = read(payload)
        state.anew = 3
        return state

    await recover(ward.records, "main", ward.telemetry)
    assert ward.telemetry.value("derived_begun_anew_total") == 0
    monkeypatch.setattr(State, "from_bytes", anew)
    await recover(ward.records, "main", ward.telemetry)
    assert ward.telemetry.value("derived_begun_anew_total") == 3
    await ward.close()


async def test_alarms_of_a_lost_state_end_with_a_reason_and_start_anew(tmp_path: Path):
    """Neither a dead alarm on the wall for ever, nor silence while the patient is still ill."""
    ward = await Ward(tmp_path / "records.db").start()
    ward.snapshot_later()
    await ward.take(frame(block(1, reading(0, 84)), at=0))
    await ward.take(frame(block(2, reading(1, 84, device="dev_2")), at=1))
    await ward.pipeline.act(Command(0, 0, "accept", (await ward.rows(Alarm))[1].id, "usr_1"))
    await ward.records.run(
        lambda s: (s.execute(delete(JournalRow).where(JournalRow.seq < 4)), s.execute(delete(Snapshot)))
    )
    await ward.restart()
    rows = await ward.rows(Alarm)
    assert [(a.condition, a.last_transition) for a in rows] == [("inactive", "reset")] * 2
    resets = [t for t in await ward.rows(TransitionRow) if t.kind == "reset"]
    assert {(t.note, t.at, t.seq) for t in resets} == {("state lost", T0 + SECOND, ward.pipeline.seq)}
    assert sum(n.kind == "reset" for n in await ward.rows(Notification)) == 2
    assert ward.telemetry.value("alarms_reset_total") == 2
    assert {e.kind for e in ward.events() if isinstance(e, TechnicalEvent)} == {"state_lost"}
    await ward.take(frame(block(3, reading(2, 83)), at=2))
    assert [a.patient for a in ward.pipeline.state.active()] == ["pat_1"]
    again = ward.pipeline.state.to_bytes()
    await ward.restart()
    assert ward.pipeline.state.to_bytes() == again
    assert ward.telemetry.value("alarms_reset_total") == 2
    assert len(await ward.rows(Alarm)) == 3
    await ward.close()


async def test_a_damaged_journal_row_is_counted_and_the_next_ones_go_on(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    ward.snapshot_later()
    await ward.take(frame(block(1, reading(0, 84))))
    await ward.take(frame(block(2, reading(1, 84, device="dev_2"))))
    await ward.records.run(
        lambda s: s.execute(update(JournalRow).where(JournalRow.seq == 2).values(payload=b"?"))
    )
    await ward.restart()
    assert ward.telemetry.value("journal_replay_failed_total") == 1
    assert [a.patient for a in ward.pipeline.state.active()] == ["pat_2"]
    shown = {a.patient: a.condition for a in await ward.rows(Alarm)}
    assert shown == {"pat_1": "inactive", "pat_2": "active"}
    assert ward.pipeline.seq == 4
    await ward.close()


async def test_other_rules_at_the_next_start_are_an_input(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    await ward.take(frame(block(1, reading(0, 84))))
    ward.rules = RuleSet()
    await ward.restart()
    assert ward.pipeline.state.rules.hash == RuleSet().hash
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start", "reset"]
    assert [a.condition for a in await ward.rows(Alarm)] == ["inactive"]
    await ward.restart()
    assert len(await ward.rows(JournalRow)) == 3
    await ward.close()


async def test_pruning_keeps_what_the_snapshots_need(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    for i in range(6):
        (ward.snapshot_now if i in {2, 4} else ward.snapshot_later)()
        await ward.take(frame(block(i + 1, reading(i, 84))))
    expected = ward.pipeline.state.to_bytes()
    assert [s.seq for s in await ward.rows(Snapshot)] == [4, 6]
    assert await ward.records.run(lambda s: journal.prune(s, "main", T0)) == 0
    assert await ward.records.run(lambda s: journal.prune(s, "main", T0 + 9 * SECOND)) == 4
    assert [j.seq for j in await ward.rows(JournalRow)] == [5, 6, 7]
    await ward.restart()
    assert ward.pipeline.state.to_bytes() == expected
    await ward.close()


async def test_a_caller_who_goes_away_does_not_tear_a_command_in_two(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    await ward.take(frame(block(1, reading(0, 84))))
    (alarm,) = await ward.rows(Alarm)
    for _ in range(3):
        caller = asyncio.create_task(ward.pipeline.act(Command(0, 0, "accept", alarm.id, "usr_1")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    await ward.take(frame(block(2, reading(1, 95)), at=1))
    kinds = [t.kind for t in await ward.rows(TransitionRow)]
    assert sorted(kinds) == ["accept", "end", "start"]
    assert [j.seq for j in await ward.rows(JournalRow)] == list(range(1, len(kinds) + 2))
    await ward.close()


NURSE = Person("usr_1", "Nora", ("nurse",), None, ("in_app", "sms"))
STEPS = (
    Step(0.0, (Target("wall"),), ("in_app",)),
    Step(60.0, (Target("on_duty", role="nurse"),), ("sms",)),
    Step(120.0, (Target("on_duty", role="nurse"),), ("in_app", "sms")),
)
POLICY = Policy("default", 1, {}, {"physiological.high": Timetable(STEPS, repeat_s=300.0, remind_s=90.0)})
DUTY = Duty(people={"usr_1": NURSE}, policies={"default": POLICY}, channels=("in_app", "sms"))


@pytest.mark.parametrize("kept", ["all", "the first", "none"])
async def test_alarms_of_the_release_before_go_on_with_their_owner_and_a_timetable(tmp_path: Path, kept: str):
    """Of both alarms there is a snapshot, or of the first, or none: then the journal of then tells it."""
    ward = await Ward(tmp_path / "today.db").start()
    ward.snapshot_later()
    await ward.take(frame(block(1, reading(0, 84)), at=0))
    accepted = (await ward.rows(Alarm))[0].id
    if kept == "the first":
        ward.snapshot_now()
    await ward.pipeline.act(Command(0, 0, "accept", accepted, "Nora"))
    ward.snapshot_later()
    await ward.take(frame(block(2, reading(10, 84, device="dev_2")), at=10))
    if kept == "all":
        await ward.pipeline.close()
    (other,) = {a.id for a in await ward.rows(Alarm)} - {accepted}
    assert max(s.seq for s in await ward.rows(Snapshot)) == {"all": 4, "the first": 3, "none": 1}[kept]
    await ward.close()
    as_before(tmp_path / "today.db", tmp_path / "records.db")

    now = await Ward(tmp_path / "records.db", enrolled=True).start()
    assert now.telemetry.value("alarms_reset_total") == 0
    assert now.telemetry.value("journal_replay_failed_total") == 0
    assert [(a.id, a.accepted_by) for a in now.pipeline.state.active()] == [(accepted, "Nora"), (other, None)]
    now.clock.advance(40)  # by 50 s after the first
    await now.pipeline.know({}, DUTY)
    await now.pipeline.tick()
    now.clock.advance(90)
    await now.pipeline.tick()
    rows = {a.id: a for a in await now.rows(Alarm)}
    assert {a.condition for a in rows.values()} == {"active"}
    assert (rows[accepted].accepted_by, rows[accepted].accepted_at) == ("Nora", T0)
    assert rows[accepted].next_at is None
    assert now.pipeline.state.responses.open[accepted].remind == T0 + 230 * SECOND, "reminded at 140 s"
    assert rows[other].next_at == T0 + 430 * SECOND
    assert rows[other].next_to == ["usr_1"]
    told = [t for t in await now.rows(TransitionRow) if t.alarm == other and t.kind == "tell"]
    steps = [(t.detail["step"], t.at) for t in told if t.detail["step"] > 0]
    assert steps == [(1, T0 + 70 * SECOND), (2, T0 + 130 * SECOND)]
    await now.take(frame(block(3, reading(145, 97), reading(145, 97, device="dev_2")), at=145))
    assert {a.condition for a in await now.rows(Alarm)} == {"inactive"}
    expected = now.pipeline.state.to_bytes()
    await now.restart()
    assert now.pipeline.state.to_bytes() == expected
    await now.close()
