"""A graver stage of a condition raises the alarm that there is, as loudly as a new one, never quieter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hearthward.core.errors import RuleError
from rules import Configuration, Engine, Rule, RuleSet, State, Transition
from rules.conditions import Repeat
from rules.model import Adopt
from rules.response.answers import JOINED_KEPT
from rules.response.model import NEVER, Responses
from rules.response.policy import Target
from tests.unit.rules.made import at, make, threshold
from tests.unit.rules.response.scenes import DUTY, TABLE, TABLES, Scene, told

LOW = make(
    "low", threshold("spo2", "below", 90), priority="medium", max_age_s=1e6, audience=("nurse", "patient")
)
DEEP = make("deep", threshold("spo2", "below", 80), max_age_s=1e6, raises="low")
LATCHED = replace(DEEP, latching=True)
OTHER = make("other", threshold("heart_rate", "above", 120), max_age_s=1e6)
SLOW = replace(TABLE, steps=(replace(TABLE.steps[0]), replace(TABLE.steps[1], after_s=900)))
STAFF = replace(
    DUTY,
    policies={
        "default": replace(DUTY.policies["default"], timetables={**TABLES, "physiological.medium": SLOW})
    },
)
FIRST = {"in_app:wall", "in_app:ann"}


def scene(deep: Rule = DEEP) -> Scene:
    return Scene(LOW, deep, OTHER, duty=STAFF)


def test_the_graver_stage_raises_the_alarm_that_there_is():
    play = scene()
    alarm = play.begin(spo2=85)
    (risen,) = play.read(20, patient="p", spo2=75)
    assert (risen.alarm, risen.kind, risen.priority, risen.rule) == (alarm, "escalate", "high", "deep")
    assert (risen.limit, risen.condition, risen.onset) == ("< 80", "active", at(10))
    assert risen.detail["why"] == "raised"
    assert risen.detail["part"]["rule"] == "deep"
    assert told([risen]) == [("escalate", 20, FIRST)], "as loudly as a new one"
    (shown,) = play.state.active()
    assert (shown.id, shown.priority, shown.rule, shown.values) == (alarm, "high", "deep", {"spo2": 75.0})
    assert set(play.state.responses.open) == {alarm}


def test_a_rise_opens_what_was_accepted_and_starts_the_timetable_of_its_priority():
    play = scene()
    alarm = play.begin(spo2=85)
    play.do("accept", 12, alarm)
    play.do("acknowledge", 13, alarm)
    (risen,) = play.read(20, patient="p", spo2=75)
    assert risen.detail["owner_before"] == "ann"
    assert risen.detail["axes"]["owner"] is None
    assert risen.detail["axes"]["signal"] == "on"
    assert told(play.tick(200))[:2] == [("tell", 80, {"sms:ann"}), ("tell", 200, {"voice:doc", "sms:doc"})]


def test_a_rise_breaks_through_a_pause_of_the_sound_and_through_a_rejection():
    play = scene()
    alarm = play.begin(spo2=85)
    play.do("reject", 11, alarm)
    play.do("pause_audio", 12, alarm, until=100)
    (risen,) = play.read(20, patient="p", spo2=75)
    assert risen.detail["axes"]["signal"] == "on"
    assert told([risen]) == [("escalate", 20, FIRST)]


def test_what_is_switched_off_for_the_patient_stays_off_as_of_a_new_alarm():
    play = scene()
    play.begin(spo2=85)
    play.do("alarms_off", 12, actor="doc", subject="p", note="dying", until=4000)
    (risen,) = play.read(20, patient="p", spo2=75)
    assert not risen.detail.get("told")
    assert risen.detail["axes"]["signal"] == "alarm_off"
    back = play.do("resume", 30, subject="p")
    assert ("tell", 30, FIRST) in told(back), "and is told from the beginning when that ends"


def test_the_graver_stage_alone_opens_its_own_alarm_and_the_lower_never_opens_beside_it():
    play = scene()
    found = play.read(10, patient="p", spo2=75)
    assert [(t.kind, t.rule) for t in found] == [("start", "deep"), ("update", "deep")]
    assert told(found) == [("start", 10, FIRST)], "what begins at one moment is told once"
    assert found[1].detail["part"]["rule"] == "low"
    assert len(play.state.responses.open) == 1


def test_the_lower_stage_joins_without_a_word_and_leaves_what_is_shown():
    slow = replace(LOW, delay_s=30.0)
    play = Scene(slow, DEEP, duty=STAFF)
    alarm = play.begin(spo2=75)
    play.do("accept", 12, alarm)
    (joined,) = play.tick(40)
    assert (joined.kind, joined.detail["why"], joined.alarm) == ("update", "joined", alarm)
    assert (joined.rule, joined.priority, joined.limit) == ("deep", "high", "< 80")
    assert not joined.detail.get("told")
    assert play.answer(alarm).owner == "ann"


def test_it_falls_to_the_stage_that_is_left_and_rises_anew():
    play = scene()
    alarm = play.begin(spo2=85)
    play.read(20, patient="p", spo2=75)
    (fell,) = play.read(30, patient="p", spo2=85)
    assert (fell.alarm, fell.kind, fell.priority, fell.rule) == (alarm, "de-escalate", "medium", "low")
    assert (fell.condition, fell.limit, fell.values) == ("active", "< 90", {"spo2": 85.0})
    assert fell.detail["why"] == "part_over"
    assert told([fell]) == [("de-escalate", 30, FIRST)], "who was told of it learns that it is less"
    play.do("accept", 35, alarm)
    (again,) = play.read(40, patient="p", spo2=70)
    assert (again.alarm, again.kind, again.priority) == (alarm, "escalate", "high")
    assert told([again]) == [("escalate", 40, FIRST)]
    play.read(50, patient="p", spo2=97)
    assert [(t.kind, t.alarm, t.condition) for t in play.told[-2:]] == [
        ("de-escalate", alarm, "active"),
        ("end", alarm, "inactive"),
    ]
    assert not play.state.responses.open


def test_the_lower_stage_may_end_first():
    quick = make(
        "quick",
        threshold("spo2", "below", 90),
        threshold("heart_rate", "above", 120),
        priority="medium",
        max_age_s=1e6,
    )
    deep = replace(DEEP, raises="quick", clear_after_s=100.0)
    play = Scene(quick, deep, duty=STAFF)
    alarm = play.begin(spo2=85)
    play.read(20, patient="p", spo2=75)
    (over,) = play.read(30, patient="p", spo2=95)
    assert (over.kind, over.detail["why"], over.priority, over.condition) == (
        "update",
        "part_over",
        "high",
        "active",
    )
    assert not over.detail.get("told")
    assert play.answer(alarm).rule == "deep"
    *_, end = play.tick(130)
    assert (end.kind, end.alarm, end.condition, end.priority) == ("end", alarm, "inactive", "high")


def test_of_equal_priority_the_graver_is_told_anew_too():
    play = Scene(replace(LOW, priority="high"), DEEP, duty=STAFF)
    alarm = play.begin(spo2=85)
    play.do("accept", 12, alarm)
    (risen,) = play.read(20, patient="p", spo2=75)
    assert (risen.kind, risen.priority, risen.alarm) == ("escalate", "high", alarm)
    assert told([risen]) == [("escalate", 20, FIRST)]


def test_a_latching_stage_keeps_its_alarm_until_somebody_has_seen_it():
    play = scene(LATCHED)
    alarm = play.begin(spo2=85)
    play.read(20, patient="p", spo2=75)
    (over,) = play.read(30, patient="p", spo2=85)
    assert (over.kind, over.priority, over.rule, over.detail["part"]["state"]) == (
        "update",
        "high",
        "deep",
        "ended",
    )
    (again,) = play.read(40, patient="p", spo2=70)
    assert (again.kind, again.detail["axes"]["episodes"]) == ("escalate", 1)
    assert told([again]) == [("escalate", 40, FIRST)], "a second time is told a second time"
    play.read(50, patient="p", spo2=97)
    assert play.told[-1].condition == "latched"
    assert play.answer(alarm).key == "deep"
    second = play.begin(60, spo2=85)
    assert second != alarm
    assert set(play.state.responses.open) == {alarm, second}, "what was grave waits to be seen all the same"
    (gone, risen) = play.read(70, patient="p", spo2=75)
    assert (gone.alarm, gone.detail["succeeded_by"], risen.alarm) == (alarm, second, second)
    assert risen.detail["axes"]["episodes"] == 2
    assert set(play.state.responses.open) == {second}


def test_a_withdrawn_lower_rule_leaves_the_latched_rest():
    play = scene(LATCHED)
    alarm = play.begin(spo2=85)
    play.read(20, patient="p", spo2=75)
    play.read(30, patient="p", spo2=85)
    play.seq += 1
    (end,) = play.take(Configuration(play.seq, at(40), RuleSet((LATCHED, OTHER))))
    assert (end.alarm, end.kind, end.condition) == (alarm, "end", "latched")


def test_a_worse_value_of_the_lower_stage_is_heard_but_does_not_hide_the_graver():
    low = make(
        "low",
        threshold("spo2", "below", 90),
        threshold("heart_rate", "above", 120),
        priority="medium",
        max_age_s=1e6,
    )
    play = Scene(low, DEEP, duty=STAFF)
    alarm = play.begin(spo2=75)
    play.do("accept", 12, alarm)
    play.do("acknowledge", 13, alarm)
    (worse,) = play.read(100, patient="p", heart_rate=150)
    assert (worse.kind, worse.rule, worse.limit) == ("update", "deep", "< 80")
    assert worse.detail["part"]["rule"] == "low"
    assert worse.detail["axes"]["signal"] == "on"


def test_a_rule_that_becomes_more_urgent_raises_the_alarm_it_is_part_of():
    play = Scene(LOW, replace(DEEP, priority="medium"), duty=STAFF)
    alarm = play.begin(spo2=75)
    play.seq += 1
    found = play.take(Configuration(play.seq, at(40), RuleSet((LOW, DEEP))))
    assert [(t.kind, t.alarm, t.priority) for t in found] == [("escalate", alarm, "high")]
    assert told(found) == [("escalate", 40, FIRST)]


def test_other_conditions_and_other_patients_stay_apart():
    play = scene()
    play.begin(spo2=85)
    play.begin(20, heart_rate=150)
    play.begin(30, patient="q", spo2=75)
    assert len(play.state.responses.open) == 3


def test_what_asks_for_a_second_measurement_is_an_alarm_of_its_own():
    asking = replace(LOW, condition=Repeat(LOW.condition, 60.0, 120.0, None))
    play = Scene(asking, DEEP, duty=STAFF)
    play.read(10, patient="p", spo2=75)
    play.tick(200)
    assert sorted(r.rule for r in play.state.responses.open.values()) == ["deep", "low"]


def test_what_maintenance_may_silence_takes_in_no_stage_about_the_patient():
    """Nothing is checked of the other rule where a draft is released."""
    play = Scene(replace(LOW, kind="technical"), DEEP, duty=STAFF)
    play.begin(spo2=85)
    play.do("maintenance", 12, actor="doc", subject="device:d", note="new probe", until=4000)
    (start,) = play.read(20, patient="p", spo2=75)
    assert (start.kind, start.rule, told([start])) == ("start", "deep", [("start", 20, FIRST)])


def test_a_rule_on_trial_raises_nothing():
    play = Scene(LOW, replace(DEEP, shadow=True), duty=STAFF)
    play.begin(spo2=85)
    (start,) = play.read(20, patient="p", spo2=75)
    assert (start.kind, start.shadow, start.rule) == ("start", True, "deep")
    assert [r.rule for r in play.state.responses.open.values()] == ["low"]


# -- names


def test_people_may_call_it_by_any_of_its_names():
    play = scene()
    alarm = play.begin(spo2=85)
    (risen,) = play.read(20, patient="p", spo2=75)
    part = risen.detail["part"]["alarm"]
    assert part != alarm
    assert play.answer(part).alarm == alarm
    (taken,) = play.do("accept", 30, part)
    assert (taken.kind, taken.alarm) == ("accept", alarm)
    assert play.state.alarm(part).id == play.state.alarm(alarm).id == alarm
    play.read(40, patient="p", spo2=97)
    with pytest.raises(RuleError):
        play.do("accept", 50, part)


def word(play: Scene, now: float, alarm: str, rule: str = "deep", **more: object) -> list:
    play.seq += 1
    fields = {"values": {"spo2": 70.0}, "source": "gw", "onset": at(20), "at": at(20), **more}
    return play.take(Adopt(play.seq, at(now), alarm, "p", rule, **fields))


def test_what_a_gateway_decides_raises_the_alarm_under_its_name():
    play = scene()
    alarm = play.begin(spo2=85)
    (risen,) = word(play, 25, "edge-1")
    assert (risen.alarm, risen.kind, risen.detail["origin"]["alarm"]) == (alarm, "escalate", "edge-1")
    assert told([risen]) == [("escalate", 20, FIRST)]
    assert play.answer("edge-1").alarm == alarm
    second = word(play, 27, "edge-2", source="other")
    assert [(t.kind, t.alarm, t.detail["why"], t.condition) for t in second] == [
        ("update", alarm, "merged", "active")
    ]
    assert play.answer("edge-2").alarm == alarm


def test_what_was_over_at_a_gateway_before_is_told_late_by_itself():
    play = scene()
    alarm = play.begin(60, spo2=85)
    found = word(play, 70, "edge-1", onset=at(20), at=at(20), ended=at(40), last=at(40), told=False)
    assert [(t.kind, t.alarm) for t in found] == [("start", "edge-1"), ("end", "edge-1")]
    assert loud_as(found[0]) == FIRST, "nobody was told of it"
    assert play.answer(alarm).parts == ()
    assert play.answer(alarm).onset == at(60)
    low = word(play, 80, "edge-2", rule="low", onset=at(42), at=at(42), ended=at(50), last=at(50), told=False)
    assert [(t.kind, t.alarm) for t in low] == [("start", "edge-2"), ("end", "edge-2")]


def loud_as(transition: Transition) -> set[str]:
    return {":".join(hop) for hop in transition.detail["told"]}


def test_a_late_word_on_a_stage_that_is_over_makes_no_alarm_of_it():
    play = scene()
    alarm = play.begin(spo2=85)
    play.read(20, patient="p", spo2=75)
    play.read(40, patient="p", spo2=85)
    open_still = word(play, 50, "edge-1", ended=at(35), last=at(35))
    assert {(t.kind, t.alarm, t.condition) for t in open_still} == {("update", alarm, "active")}
    play.read(60, patient="p", spo2=97)
    over = word(play, 70, "edge-2", ended=at(35), last=at(35), source="other")
    assert {(t.kind, t.alarm, t.condition) for t in over} == {("update", alarm, "inactive")}


def test_snapshots_keep_the_parts_and_those_of_before_have_none():
    play = scene(LATCHED)
    play.begin(spo2=85)
    play.read(20, patient="p", spo2=75)
    again = State.from_bytes(play.state.to_bytes())
    assert again.digest() == play.state.digest()
    assert again.responses.content() == play.state.responses.content()
    assert Engine(again).step(Configuration(99, at(30), None, frozenset({"p"})))[-1].kind == "reset"
    older = play.state.responses.content()
    responses, *middle, _ = older
    before = Responses.of([[row[:-1] for row in responses], *middle])
    assert all(r.parts == () for r in before.open.values())
    assert before.joined == {}


def test_the_names_of_stages_that_are_over_are_forgotten_in_time():
    play = scene()
    play.begin(spo2=85)
    many = {f"old-{n}": "gone" for n in range(JOINED_KEPT + 50)}
    play.state.responses = replace(play.state.responses, joined=many)
    play.engine.state.responses = play.state.responses
    play.read(20, patient="p", spo2=75)
    kept = play.state.responses.joined
    assert len(kept) == JOINED_KEPT + 1
    assert "old-0" not in kept
    assert "old-4000" in kept


def test_an_owner_is_reminded_by_the_timetable_of_what_is_left():
    play = scene()
    alarm = play.begin(spo2=85)
    play.read(20, patient="p", spo2=75)
    play.do("accept", 25, alarm)
    play.read(100, patient="p", spo2=85)
    answer = play.answer(alarm)
    assert (answer.owner, answer.due, answer.remind) == ("ann", NEVER, at(100 + 600))


# -- nobody has answered


@pytest.mark.parametrize("latching", [False, True], ids=["falls", "latches"])
@pytest.mark.parametrize("priority", ["medium", "high"])
def test_values_around_the_limit_put_nothing_off(*, priority: str, latching: bool):
    """Risen every 40 s, the alarm that nobody accepts still goes through all its steps in time."""
    low = replace(LOW, priority=priority)
    play = Scene(low, replace(DEEP, latching=latching), duty=DUTY)
    alarm = play.begin(spo2=85)
    for now in range(30, 400, 40):
        (risen,) = [t for t in play.read(now, patient="p", spo2=75) if t.kind == "escalate"]
        assert told([risen]) == [("escalate", now, FIRST)], "each rise is told at once"
        play.read(now + 20, patient="p", spo2=85)
    found = [(t.detail["due"] // 10**9, t.detail["step"]) for t in play.told if t.kind == "tell"]
    start = at(0) // 10**9
    assert found[:2] == [(start + 70, 1), (start + 190, 2)], "as if it had not risen"
    assert all(step == 2 for _, step in found[2:])
    assert play.answer(alarm).armed == at(10)


def test_a_rise_late_in_the_timetable_calls_the_doctor_no_later():
    play = scene()
    alarm = play.begin(spo2=85)
    assert told(play.read(900, patient="p", spo2=75)) == [("escalate", 900, FIRST)]
    later = told(play.tick(960))
    assert later == [("tell", 910, {"sms:ann"}), ("tell", 910, {"voice:doc", "sms:doc"})]
    assert play.answer(alarm).step == 3


def test_a_step_that_was_passed_is_taken_where_it_would_tell_somebody_new():
    """The lower stage's second step tells others than that of the graver one."""
    steps = (TABLE.steps[0], replace(TABLE.steps[1], targets=(Target("user", user="bea"),)), TABLE.steps[2])
    tables = {**TABLES, "physiological.medium": replace(TABLE, steps=steps, repeat_s=0)}
    duty = replace(DUTY, policies={"default": replace(DUTY.policies["default"], timetables=tables)})
    play = Scene(LOW, DEEP, duty=duty)
    play.begin(spo2=85)
    play.tick(71)
    play.read(80, patient="p", spo2=75)
    assert told(play.tick(500))[:2] == [
        ("tell", 140, {"sms:ann"}),
        ("tell", 190, {"voice:doc", "sms:doc"}),
    ]


def test_a_rise_after_the_last_step_begins_anew():
    tables = {k: replace(t, repeat_s=0) for k, t in TABLES.items()}
    duty = replace(DUTY, policies={"default": replace(DUTY.policies["default"], timetables=tables)})
    play = Scene(LOW, DEEP, duty=duty)
    play.begin(spo2=85)
    play.tick(300)
    play.read(400, patient="p", spo2=75)
    assert told(play.tick(700)) == [("tell", 460, {"sms:ann"}), ("tell", 580, {"voice:doc", "sms:doc"})]
