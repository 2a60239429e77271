"""What people and configurations do to alarms: accepting, rules that change, stays that end."""

from __future__ import annotations

import pytest

from hearthward.core.errors import RuleError
from hearthward.core.ids import stable_id
from rules import State
from tests.unit.rules.made import Play
from tests.unit.rules.stepped import BP, SPO2, S, spo2


def test_accepting_takes_responsibility_and_silences_nothing():
    play = Play(SPO2)
    play.read(0, spo2=84)
    (start,) = play.tick(10)
    (accept,) = play.accept(start.alarm, "nurse-1", "on my way")
    assert (accept.kind, accept.condition, accept.actor, accept.note) == (
        "accept",
        "active",
        "nurse-1",
        "on my way",
    )
    assert (accept.at, accept.onset, accept.text) == (99 * S, 0, start.text)
    alarm = play.state.alarm(start.alarm)
    assert (alarm.accepted_by, alarm.accepted_at) == ("nurse-1", 99 * S)
    assert play.accept(start.alarm, "nurse-1") == []
    with pytest.raises(RuleError, match="already accepted by somebody else"):
        play.accept(start.alarm, "nurse-2")
    assert play.state.alarm(start.alarm).accepted_by == "nurse-1"
    assert [t.kind for t in play.read(80, spo2=70)] == ["update"]
    assert [t.kind for t in play.read(90, spo2=97)] == ["end"]


def test_a_command_on_what_nobody_may_see_is_refused():
    play = Play(SPO2)
    play.read(0, spo2=84)
    hidden = stable_id("alm", "node", "low", "p", 0, 1)
    before = play.state
    for alarm in (hidden, "alm_none", ""):
        with pytest.raises(RuleError, match="no active alarm"):
            play.accept(alarm, "nurse-1")
    with pytest.raises(RuleError, match="unknown command 'silence'"):
        play.command("silence", "alm_none", "nurse-1")
    assert play.state is before


def test_an_ended_alarm_can_no_longer_be_accepted():
    play = Play(SPO2)
    play.read(0, spo2=84)
    (start,) = play.tick(10)
    play.read(20, spo2=97)
    with pytest.raises(RuleError, match="no active alarm"):
        play.accept(start.alarm, "nurse-1")


def test_a_new_episode_is_a_new_alarm_and_needs_accepting_again():
    play = Play(SPO2)
    play.read(0, spo2=84)
    (first,) = play.tick(10)
    play.accept(first.alarm, "nurse-1")
    play.read(20, spo2=97)
    play.read(100, spo2=84)
    (second,) = play.tick(110)
    assert second.alarm != first.alarm
    assert play.state.alarm(second.alarm).accepted_by is None


def test_accepting_one_accepts_no_other():
    play = Play(spo2(delay_s=0.0), BP)
    (first,) = play.read(0, spo2=84)
    (second,) = play.read(0, nibp_systolic=190)
    play.accept(first.alarm, "nurse-1")
    assert play.state.alarm(second.alarm).accepted_by is None


def test_without_a_rule_in_force_nothing_is_decided_or_kept():
    play = Play()
    play.read(0, spo2=10)
    assert play.state.subjects == {}
    play.configure(SPO2)
    play.read(1, spo2=10)
    assert [t.kind for t in play.tick(11)] == ["start"]


def test_a_rule_that_goes_resets_its_alarm_and_drops_what_is_pending():
    play = Play(SPO2, BP)
    play.read(0, spo2=84)
    play.read(0, nibp_systolic=190)
    (reset,) = play.configure(SPO2, now=5)
    assert (reset.kind, reset.rule, reset.rule_hash, reset.at) == ("reset", "bp", BP.hash, 5 * S)
    assert reset.condition == "inactive"
    assert "rule" in reset.text["en"]
    assert play.state.active() == []
    assert "nibp_systolic" not in play.state.subjects["p"].series
    assert play.configure(now=6) == []
    assert play.tick(100) == []


def test_a_changed_rule_keeps_its_alarm_and_decides_at_once():
    play = Play(spo2(delay_s=0.0))
    (start,) = play.read(0, spo2=88)
    milder = spo2(89, delay_s=0.0)
    assert play.configure(milder, now=5) == []  # within the hysteresis of the new limit
    assert [a.id for a in play.state.active()] == [start.alarm]
    (end,) = play.configure(spo2(85, delay_s=0.0), now=10)
    assert (end.kind, end.alarm, end.limit, end.at) == ("end", start.alarm, "< 85", 10 * S)


def test_a_stricter_rule_finds_the_breach_in_what_was_measured_before():
    play = Play(spo2(85))
    play.read(0, spo2=88)
    assert play.configure(SPO2, now=5) == []
    (start,) = play.tick(20)
    assert (start.onset, start.at) == (0, 10 * S)


def test_a_stricter_rule_finds_nothing_in_what_is_too_old():
    play = Play(spo2(85))
    play.read(0, spo2=88)
    play.configure(SPO2, now=121)
    assert play.tick(1000) == []


def test_a_changed_delay_counts_anew_for_what_is_pending():
    play = Play(SPO2)
    play.read(0, spo2=84)
    play.configure(spo2(delay_s=30.0), now=5)
    assert play.tick(29) == []
    assert [(t.kind, t.at) for t in play.tick(31)] == [("start", 30 * S)]


@pytest.mark.parametrize(
    ("before", "after", "kind"), [("low", "high", "escalate"), ("high", "medium", "de-escalate")]
)
def test_a_changed_priority_is_told(before: str, after: str, kind: str):
    play = Play(spo2(priority=before))
    play.read(0, spo2=84)
    play.tick(10)
    (told,) = play.configure(spo2(priority=after), now=20)
    assert (told.kind, told.priority, told.at, told.condition) == (kind, after, 20 * S, "active")
    assert play.state.active()[0].priority == after


def test_a_closed_stay_resets_the_patients_alarms_and_forgets_the_patient():
    play = Play(SPO2)
    for patient in "pq":
        play.read(0, spo2=84, patient=patient)
    play.tick(10)
    (reset,) = play.configure(SPO2, closed=["q", "never-seen"], now=30)
    assert (reset.kind, reset.patient, reset.at) == ("reset", "q", 30 * S)
    assert set(play.state.subjects) == {"p"}
    assert [a.patient for a in play.state.active()] == ["p"]
    again = State.from_bytes(play.state.to_bytes())
    assert [a.patient for a in again.active()] == ["p"]


def test_a_device_that_went_silent_for_good_is_forgotten():
    play = Play(SPO2)
    for i in range(50):
        play.read(i * 7200, device=f"d{i}", spo2=97)
    assert len(play.state.subjects["p"].series["spo2"]) == 1
