"""Signals, responsibility, escalation: each by a scene of its own. (Random ones: test_react_machine.py.)"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hearthward.core.errors import RuleError
from rules import Rule
from rules.response.duty import Assignment, Person
from rules.response.model import NEVER, Inactivation, Responses
from rules.response.orders import COMMANDS
from rules.response.policy import Step, Target, Timetable
from tests.unit.rules.made import at, make, threshold
from tests.unit.rules.response.scenes import DUTY, LOW, TABLE, TABLES, WAYS, Scene, told


def test_a_timetable_runs_by_its_own_times_however_late_somebody_looks():
    scene = Scene()
    scene.begin()
    expected = [
        ("start", 10, {"in_app:wall", "in_app:ann"}),
        ("tell", 70, {"sms:ann"}),
        ("tell", 190, {"voice:doc", "sms:doc"}),
        ("tell", 490, {"voice:doc", "sms:doc"}),
    ]
    scene.tick(500)
    assert told(scene.told) == expected
    often = Scene()
    often.begin()
    for now in range(11, 501, 3):
        often.tick(now)
    assert told(often.told) == expected


def test_of_the_repetitions_missed_while_away_only_the_last_is_told():
    scene = Scene()
    scene.begin()
    found = scene.tick(190 + 300 * 10 + 7)
    assert [t.at / 1e9 for t in found] == [70, 190, 190 + 300 * 10]
    assert found[-1].detail["why"] == "repeated"


def test_lost_walls_hasten_what_only_a_wall_has_heard_of():
    scene = Scene()
    first = scene.begin()
    scene.begin(20, "component:wall-west", walls_audible=0)
    (hastened,) = [t for t in scene.told if t.alarm == first and t.kind == "tell"]
    assert (hastened.at, hastened.detail["why"], hastened.detail["step"]) == (at(20), "no_wall", 1)
    assert told([hastened]) == [("tell", 20, {"sms:ann"})]
    assert scene.answer(first).due == at(190), "the rest of the timetable stays"


def test_lost_walls_change_nothing_for_who_was_told_elsewhere():
    scene = Scene()
    first = scene.begin()
    scene.tick(100)
    found = scene.begin(120, "component:wall-west", walls_audible=0)
    assert not [t for t in scene.told if t.alarm == first and t.at >= at(101)]
    assert {":".join(hop) for hop in scene.answer(found).told} == {"in_app:ann", "in_app:bea"}


def test_a_dead_channel_hastens_what_waits_for_it_and_is_not_used():
    scene = Scene()
    first = scene.begin()
    scene.tick(70)  # ann by SMS only
    scene.begin(80, "component:channel-sms", delivery_failing=1)
    (hastened,) = [t for t in scene.told if t.alarm == first and t.at == at(80)]
    assert told([hastened]) == [("tell", 80, {"voice:doc"})]
    assert hastened.detail["why"] == "undelivered"


def test_a_step_of_which_nothing_arrived_is_followed_by_the_next_at_once():
    scene = Scene()
    alarm = scene.begin()
    scene.tick(70)
    found = scene.do("undelivered", 75, alarm, "@notifier", to="sms:ann", note="30003")
    assert [t.kind for t in found] == ["undelivered", "tell"]
    assert found[0].detail["hop"] == ["sms", "ann"]
    assert found[1].detail["why"] == "undelivered"
    assert told(found) == [("tell", 75, {"voice:doc", "sms:doc"})]
    assert scene.do("undelivered", 76, alarm, "@notifier", to="sms:doc") != []
    assert scene.answer(alarm).due == at(75 + 300), "the call is still on its way"
    assert scene.do("undelivered", 77, alarm, "@notifier", to="sms:ann") == [], "that was the step before"


def test_a_last_step_of_which_nothing_arrives_is_repeated_at_its_time_and_no_sooner():
    scene = Scene()
    alarm = scene.begin()
    scene.tick(190)
    for now in (191, 491):
        for hop in ("voice:doc", "sms:doc"):
            found = scene.do("undelivered", now, alarm, "@notifier", to=hop, note="21211")
            assert told(found) == [], "a wrong number would be called again and again without a pause"
        (again,) = told(scene.tick(now + 299))
        assert again == ("tell", now + 299, {"voice:doc", "sms:doc"})
    scene.do("redirect", 795, alarm, "ann", to="bea")
    for hop in ("in_app:bea", "sms:bea", "voice:bea"):
        found = scene.do("undelivered", 800, alarm, "@notifier", to=hop)
    assert told(found) == [("tell", 800, {"voice:doc", "sms:doc"})], "who was asked is not reached"


def test_a_rejection_asks_the_next_and_who_rejected_only_in_the_next_round():
    scene = Scene()
    alarm = scene.begin()
    found = scene.do("reject", 20, alarm, "ann", note="at another bed")
    assert [(t.kind, t.note) for t in found] == [("reject", "at another bed"), ("tell", ""), ("tell", "")]
    assert [t.detail["why"] for t in found[1:]] == ["rejected", "nobody"]
    assert told(found) == [("tell", 20, {"voice:doc", "sms:doc"})]
    assert scene.answer(alarm).rejected == ("ann",)
    assert scene.do("reject", 25, alarm, "ann") == [], "who says so twice brings nothing forward"


def test_a_redirection_waits_for_its_answer_and_then_goes_on():
    scene = Scene()
    alarm = scene.begin()
    found = scene.do("redirect", 20, alarm, "ann", to="bea", note="yours")
    assert told(found) == [("redirect", 20, {"in_app:bea", "sms:bea", "voice:bea"})]
    assert scene.answer(alarm).due == at(65)
    (step,) = scene.tick(65)
    assert (step.at, step.detail["why"], step.detail["step"]) == (at(65), "redirected", 1)
    with pytest.raises(RuleError) as caught:
        scene.do("redirect", 66, alarm, "ann", to="stranger")
    assert caught.value.details["code"] == "unknown_user"


def test_who_has_accepted_is_reminded_and_not_told_again():
    scene = Scene()
    alarm = scene.begin()
    (accepted,) = scene.do("accept", 30, alarm)
    assert (accepted.actor, accepted.detail["axes"]["owner"]) == ("ann", "ann")
    assert told(scene.tick(1300)) == [
        ("continue", 630, {"in_app:wall", "in_app:ann"}),
        ("continue", 1230, {"in_app:wall", "in_app:ann"}),
    ]
    assert scene.do("accept", 1301, alarm) == [], "accepting twice changes nothing"
    with pytest.raises(RuleError) as caught:
        scene.do("accept", 1302, alarm, "bea")
    assert caught.value.details["code"] == "taken"
    assert caught.value.details["by"] == "ann"


def test_giving_back_begins_the_timetable_anew():
    scene = Scene()
    alarm = scene.begin()
    scene.do("accept", 30, alarm)
    found = scene.do("release", 400, alarm, note="called away")
    assert [t.kind for t in found] == ["release", "tell"]
    assert found[1].detail["why"] == "released"
    assert scene.answer(alarm).due == at(460)


def test_who_has_no_login_any_more_has_no_alarm_and_it_is_told_anew():
    scene = Scene()
    alarm = scene.begin()
    scene.do("accept", 20, alarm, "bea")
    without = {name: person for name, person in DUTY.people.items() if name != "bea"}
    found = scene.staff(replace(DUTY, people=without), 30)
    assert [(t.kind, t.actor, t.detail["why"]) for t in found] == [
        ("release", None, "gone"),
        ("tell", None, "released"),
    ]
    assert told(found) == [("tell", 30, {"in_app:wall", "in_app:ann"})]
    assert (scene.answer(alarm).owner, scene.answer(alarm).remind) == (None, NEVER)
    assert told(scene.tick(90)) == [("tell", 90, {"sms:ann"})]


def test_audio_pauses_end_at_their_time_and_what_is_still_there_signals_again():
    scene = Scene()
    alarm = scene.begin()
    (paused,) = scene.do("pause_audio", 20, alarm, until=80)
    assert (paused.kind, paused.detail["axes"]["signal"]) == ("signal", "audio_paused")
    assert scene.answer(alarm).until == at(80)
    again = [t for t in scene.tick(100) if t.kind == "continue"]
    assert [(t.at, t.detail["why"], t.detail["axes"]["signal"]) for t in again] == [(at(80), "resumed", "on")]
    for until, code in ((221, "too_long"), (100, "past")):
        with pytest.raises(RuleError) as caught:
            scene.do("pause_audio", 100, alarm, until=until)
        assert caught.value.details["code"] == code
    assert scene.do("pause_audio", 100, alarm, until=220)


def test_a_new_condition_breaks_through_an_audio_pause():
    scene = Scene()
    scene.begin()
    scene.do("pause_audio", 20, subject="p", until=140)
    second = scene.begin(30, heart_rate=150)
    assert scene.answer(second).signal == "on"


def test_a_pause_for_a_patient_says_why_and_until_when_and_then_all_is_told_anew():
    scene = Scene()
    alarm = scene.begin()
    paused, signal = scene.do("pause_alarms", 20, actor="bea", subject="p", note="washing", until=620)
    assert (paused.kind, paused.alarm, paused.patient, paused.note) == ("pause", "", "p", "washing")
    assert signal.detail["axes"]["signal"] == "alarm_paused"
    second = scene.begin(30, heart_rate=150)
    assert told(scene.told) == [("start", 10, {"in_app:wall", "in_app:ann"})]
    found = scene.tick(700)
    assert found[0].kind == "resume"
    assert found[0].at == at(620)
    assert {(t.alarm, t.kind) for t in found if t.detail.get("why") == "resumed" and t.at == at(620)} == {
        (a, kind) for a in (alarm, second) for kind in ("continue", "tell")
    }
    assert scene.answer(alarm).armed == at(620), "the timetable counts from the end of the pause"


@pytest.mark.parametrize(
    ("kind", "subject", "longest"),
    [
        ("pause_alarms", "p", 4 * 3600),
        ("audio_off", "p", 86_400),
        ("alarms_off", "p", 7 * 86_400),
        ("maintenance", "gateway:gw", 30 * 86_400),
    ],
)
def test_nothing_is_switched_off_without_a_reason_and_an_end(kind: str, subject: str, longest: int):
    scene = Scene()
    for note, until, code in (
        ("", 100, "reason"),
        ("x", 10, "past"),
        ("x", 11 + longest, "too_long"),
    ):
        with pytest.raises(RuleError) as caught:
            scene.do(kind, 10, subject=subject, note=note, until=until)
        assert caught.value.details["code"] == code
    with pytest.raises(RuleError):
        scene.do(kind, 10, subject="p" if kind == "maintenance" else "gateway:gw", note="x", until=20)
    assert scene.do(kind, 10, subject=subject, note="x", until=10 + longest)


def test_a_latched_alarm_stays_until_it_is_acknowledged():
    scene = Scene()
    alarm = scene.begin(heart_rate=150)
    (ended,) = scene.read(20, heart_rate=80)
    assert (ended.kind, ended.condition) == ("end", "latched")
    assert told([ended]) == [("end", 20, {"in_app:wall", "in_app:ann"})]
    assert scene.tick(50_000) == [], "nobody is called for what is over"
    for kind in ("accept", "reject", "release", "redirect", "take_over"):
        with pytest.raises(RuleError) as caught:
            scene.do(kind, 50_001, alarm, to="bea")
        assert caught.value.details["code"] == "ended"
    (done,) = scene.do("acknowledge", 50_002, alarm, "bea")
    assert (done.kind, done.condition, done.actor) == ("reset", "inactive", "bea")
    assert scene.state.responses.open == {}


def test_an_acknowledged_alarm_is_quiet_until_it_gets_worse():
    scene = Scene()
    alarm = scene.begin()
    with pytest.raises(RuleError) as caught:
        scene.do("acknowledge", 20, alarm)
    assert caught.value.details["code"] == "not_owner"
    scene.do("accept", 20, alarm)
    (quiet,) = scene.do("acknowledge", 21, alarm)
    assert quiet.detail["axes"]["signal"] == "acknowledged"
    scene.read(100, spo2=85)
    assert scene.answer(alarm).signal == "acknowledged"
    scene.read(200, spo2=70)
    assert scene.answer(alarm).signal == "on"


def test_all_kinds_of_command_on_nothing_are_refused_and_change_nothing():
    scene = Scene()
    scene.begin()
    before = scene.state.to_bytes()
    for kind in sorted({*COMMANDS, "dance"}):
        with pytest.raises(RuleError) as caught:
            scene.do(kind, 20, "gone", subject="nobody", until=10)
        assert caught.value.details["code"]
        assert scene.state.to_bytes() == before


def test_who_comes_on_duty_is_who_is_told_next():
    scene = Scene()
    alarm = scene.begin()
    assert scene.answer(alarm).next_to == ("ann",)
    found = scene.staff(replace(DUTY, assignments=(Assignment("p", "bea", None, 0, NEVER),)), 30)
    assert found == []
    assert scene.answer(alarm).next_to == ("bea",)
    assert told(scene.tick(70)) == [("tell", 70, {"sms:bea"})]


def test_with_nobody_there_at_all_the_walls_are_told_and_it_is_said():
    scene = Scene(duty=replace(DUTY, people={}, assignments=()))
    scene.begin()
    found = scene.tick(1000)
    assert told(scene.told) == [("start", 10, {"in_app:wall"})]
    assert [(t.detail["step"], t.detail["why"]) for t in found] == [
        (1, "timetable"),
        (2, "nobody"),
        (2, "repeated"),
    ], "once each; it is not repeated for nobody"


def test_responses_go_through_plain_data_and_back():
    scene = Scene()
    scene.do("pause_audio", 20, scene.begin(), until=80)
    scene.do("pause_alarms", 21, subject="q", note="x", until=99)
    responses = scene.state.responses
    again = Responses.of(responses.content())
    assert again == responses
    assert again.wake <= at(80)
    assert Responses.of(Responses().content()) == Responses()
    switched = Inactivation("q", "alarm_paused", "ann", "x", at(21), at(99))
    assert list(again.inactivations.values()) == [switched]


def quiet(scene: Scene) -> str:
    """An alarm that ann has accepted and acknowledged at 21 s."""
    alarm = scene.begin()
    scene.do("accept", 20, alarm)
    scene.do("acknowledge", 21, alarm)
    return alarm


@pytest.mark.parametrize("kind", ["release", "reject", "redirect"])
def test_an_alarm_that_nobody_has_any_more_is_heard_again(kind: str):
    scene = Scene()
    alarm = quiet(scene)
    scene.do(kind, 30, alarm, to="bea")
    assert (scene.answer(alarm).owner, scene.answer(alarm).signal) == (None, "on")


def test_a_pause_of_all_sounds_does_not_raise_an_acknowledged_alarm_again():
    scene = Scene()
    alarm = quiet(scene)
    scene.begin(25, heart_rate=150)
    scene.do("pause_audio", 30, subject="p", until=90)
    scene.tick(100)
    assert scene.answer(alarm).signal == "acknowledged"


def test_nobody_is_reminded_of_what_is_switched_off():
    scene = Scene()
    scene.do("accept", 20, scene.begin())
    scene.do("alarms_off", 30, subject="p", note="surgery", until=3000)
    assert told(scene.tick(2900)) == []
    reminders = [t.at for t in scene.tick(4000) if t.detail.get("why") == "reminder"]
    assert reminders
    assert min(reminders) >= at(3000)


def test_nobody_is_reminded_of_what_is_shown_under_its_root():
    from rules.conditions import Any_, Missing

    def silence(name: str, metric: str, subject: Any) -> Rule:
        condition = Any_((threshold(metric, "below", 10), Missing("heartbeat", 1e6)))
        return make(name, condition, subject=subject, kind="technical", max_age_s=1e6)

    scene = Scene(silence("quiet", "spo2", "patient"), silence("dead", "etco2", "gateway"))
    child = scene.begin(spo2=5)
    scene.do("accept", 20, child)
    root = scene.begin(30, "gateway:gw", etco2=5)
    assert scene.answer(child).root == root
    assert [t.alarm for t in scene.tick(1300) if t.detail.get("told") and t.alarm == child] == []


def test_a_lower_priority_does_not_raise_an_acknowledged_alarm_again():
    scene = Scene()
    alarm = quiet(scene)
    scene.configure(replace(LOW, priority="medium"), now=30)
    assert scene.answer(alarm).signal == "acknowledged"


def test_a_higher_priority_is_reminded_of_by_its_own_timetable():
    tables = {**TABLES, "physiological.medium": replace(TABLE, remind_s=0)}
    policies = {"default": replace(DUTY.policies["default"], timetables=tables)}
    scene = Scene(replace(LOW, priority="medium"), duty=replace(DUTY, policies=policies))
    alarm = scene.begin()
    scene.do("accept", 20, alarm)
    scene.configure(LOW, now=30)
    assert scene.answer(alarm).remind < NEVER


def test_a_redirection_that_did_not_arrive_is_followed_by_the_next_step():
    scene = Scene()
    alarm = scene.begin()
    scene.do("redirect", 20, alarm, "ann", to="bea")
    scene.do("undelivered", 22, alarm, "@notifier", to="sms:bea")
    found = scene.do("undelivered", 23, alarm, "@notifier", to="voice:bea")
    assert [t.kind for t in found] == ["undelivered", "tell"]


def test_a_lower_priority_whose_timetable_has_ended_is_not_told_once_more():
    short = Timetable((TABLE.steps[0],))
    policies = {
        "default": replace(DUTY.policies["default"], timetables={**TABLES, "physiological.low": short})
    }
    scene = Scene(LOW, duty=replace(DUTY, policies=policies))
    alarm = scene.begin()
    scene.tick(100)
    scene.configure(replace(LOW, priority="low"), now=110)
    assert scene.answer(alarm).due == NEVER


def test_a_channel_that_works_again_tells_what_it_could_not():
    scene = Scene()
    alarm = scene.begin(10)
    accepted = scene.begin(10, "q")
    scene.do("accept", 11, accepted)
    scene.begin(20, "component:channel-sms", delivery_failing=1)
    steps = [t for t in scene.tick(100) if t.alarm == alarm]
    assert told(steps) == [("tell", 70, {"voice:doc"})], "nobody by SMS, so the doctor at once"
    again = [
        t for t in scene.read(120, patient="component:channel-sms", delivery_failing=0) if t.alarm == alarm
    ]
    assert told(again) == [("continue", 120, {"sms:ann", "sms:doc"})]
    assert again[0].detail["why"] == "reconnected"
    assert ("sms", "ann") in scene.answer(alarm).told
    assert scene.read(130, patient="component:channel-sms", delivery_failing=0) == [], "once"


def test_who_cannot_come_at_the_last_step_is_not_called_again_at_once():
    scene = Scene()
    alarm = scene.begin(10)
    scene.tick(200)
    found = scene.do("reject", 210, alarm, "doc")
    assert [t for t in told(found) if "doc" in str(t[2])] == []
    assert told(scene.tick(520)) == [("tell", 510, {"voice:doc", "sms:doc"})], "but with the next repetition"


def test_engineers_hear_of_equipment_and_of_no_patient():
    step = Step(0, (Target("on_duty", "engineer"), Target("on_duty", "nurse")), ("sms",))
    engineer = Person("eng", "Eng", ("engineer",), None, WAYS)
    away = Person("far", "Far", ("nurse",), ("east",), WAYS)
    duty = replace(
        DUTY, people=DUTY.people | {"eng": engineer, "far": away}, patients={"p": "west", "x": None}
    )

    def who(subject: str) -> set[str]:
        return {user for _, user in duty.recipients(step, subject, 0)}

    assert who("p") == {"ann", "bea"}
    assert who("gateway:gw") == {"ann", "bea", "eng"}
    assert who("x") == {"ann", "bea"}, "who sees all wards sees a patient in none"


def test_a_command_of_which_nothing_comes_leaves_no_trace():
    """It is not journaled, so the state must be what the journal gives without it."""
    scene = Scene(duty=replace(DUTY, people={}))
    alarm = scene.begin(10)
    scene.tick(500)
    before = scene.state.digest()
    found = scene.do("undelivered", 2000, alarm, "@notifier", to="sms:ann")  # repetitions to nobody were due
    assert (found, scene.state.digest()) == ([], before)
    scene.tick(2000)
    assert scene.state.digest() != before, "they come with the next tick"
