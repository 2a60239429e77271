"""The life of one alarm: begun, delayed, told, worsened, ended; and what is never told."""

from __future__ import annotations

from typing import Any

import pytest

from hearthward.core.errors import RuleError
from hearthward.core.ids import stable_id
from hearthward.core.model import Quality
from rules import Readings, Rows, State
from rules.conditions import DeviceFlag
from rules.rule import SECOND, Rule
from tests.unit.rules.made import Play, make, threshold

S = SECOND
H = 3600.0


def spo2(value: float = 90, **more: Any) -> Rule:
    return make(
        "low",
        threshold("spo2", "below", value, 1),
        **{
            "delay_s": 10.0,
            "explanation": {"en": "{spo2} {limit}", "zh": "{limit}"},
            "cleared": {"en": "ended {limit}", "zh": "{limit}"},
            **more,
        },
    )


SPO2 = spo2()
BP = make(
    "bp",
    threshold("nibp_systolic", "at_or_above", 180, 5),
    threshold("nibp_diastolic", "at_or_above", 110, 5),
    max_lateness_s=86_400.0,
    max_age_s=4 * H,
    explanation={"en": "BP {nibp_systolic}/{nibp_diastolic} {limit}", "zh": "{limit}"},
)


def test_a_breach_is_told_after_the_delay_with_its_onset_values_and_rule():
    play = Play(SPO2)
    assert play.read(5, spo2=84) == []
    assert play.state.active() == []
    assert play.tick(14.9) == []
    (start,) = play.tick(15.25)
    assert start.alarm == stable_id("alm", "node", "low", "p", 5 * S, 1)
    assert (start.kind, start.condition, start.onset, start.at) == ("start", "active", 5 * S, 15 * S)
    assert (start.values, start.limit, start.text["en"]) == ({"spo2": 84.0}, "< 90", "84 < 90")
    assert (start.rule_hash, start.shadow) == (SPO2.hash, False)
    assert start.inputs == (
        {"metric": "spo2", "value": 84.0, "time": 5 * S, "received": 5 * S, "device": "d"},
    )
    assert start.detail["delay_s"] == 10.0
    assert start.detail["told"] == [["in_app", "wall"]]
    assert (start.seq, start.decided, start.late) == (3, 15_250_000_000, False)
    (alarm,) = play.state.active()
    assert (alarm.id, alarm.text, alarm.started, alarm.priority) == (
        start.alarm,
        start.text,
        15 * S,
        "high",
    )


def test_the_next_reading_ends_the_delay_even_if_it_is_good():
    play = Play(SPO2)
    play.read(0, spo2=84)
    out = play.read(60, spo2=97)
    assert [(t.kind, t.at) for t in out] == [("start", 10 * S), ("end", 60 * S)]
    assert out[1].values == {"spo2": 97.0}
    assert out[1].condition == "inactive"
    assert out[1].text["en"] == "ended < 90"


def test_a_breach_that_passes_within_the_delay_is_never_seen():
    play = Play(SPO2)
    play.read(0, spo2=84)
    play.read(9, spo2=90)  # not breaching; the hysteresis is for ending what was told
    play.tick(1000)
    assert play.told == []


def test_an_alarm_ends_only_beyond_the_hysteresis():
    play = Play(SPO2)
    play.read(0, spo2=84)
    play.tick(10)
    assert play.read(20, spo2=90) == []
    assert play.read(21, spo2=90.9) == []
    assert [t.kind for t in play.read(22, spo2=91)] == ["end"]


def test_no_data_never_ends_an_alarm():
    play = Play(SPO2)
    play.read(0, spo2=84)
    play.tick(10)
    play.tick(10**9)
    assert [a.patient for a in play.state.active()] == ["p"]


def test_a_worsening_is_told_once_a_minute_with_the_extreme_of_the_time_between():
    play = Play(SPO2)
    play.read(0, spo2=86)
    play.tick(10)
    for at, value in ((20, 85), (30, 79), (40, 84), (69, 84)):
        assert play.read(at, spo2=value) == []
    (update,) = play.read(70, spo2=84)
    assert (update.kind, update.at, update.values, update.text["en"]) == (
        "update",
        70 * S,
        {"spo2": 79.0},
        "79 < 90",
    )
    assert update.inputs[0]["time"] == 30 * S
    assert play.read(300, spo2=79) == []
    assert play.state.active()[0].values == {"spo2": 79.0}
    assert [t.kind for t in play.read(301, spo2=78)] == ["update"]


def test_both_values_of_a_measurement_are_judged_and_shown_together():
    play = Play(BP)
    (start,) = play.read(0, nibp_systolic=186, nibp_diastolic=112)
    assert (start.rule, start.priority, start.at) == ("bp", "high", 0)
    assert start.text["en"] == "BP 186/112 ≥ 180/110"


def test_what_was_not_measured_shows_as_a_dash():
    play = Play(BP)
    (start,) = play.read(60, nibp_systolic=190)
    assert start.text["en"] == "BP 190/-- ≥ 180/110"


def test_an_alarm_on_either_ends_when_both_are_clear():
    play = Play(BP)
    play.read(0, nibp_systolic=190, nibp_diastolic=100)
    assert play.read(60, nibp_systolic=150, nibp_diastolic=106) == []
    assert [t.kind for t in play.read(120, nibp_systolic=150, nibp_diastolic=90)] == ["end"]


def test_what_breached_must_itself_be_seen_clear():
    play = Play(BP)
    play.read(0, nibp_systolic=190)
    assert play.read(5 * H, nibp_diastolic=70) == []  # the systolic is too old to count: unknown, not good
    assert [t.kind for t in play.read(5 * H + 60, nibp_systolic=130)] == ["end"]


def test_another_device_does_not_clear_a_breach_while_it_is_fresh():
    play = Play(SPO2)
    play.read(0, device="d", spo2=84)
    play.read(5, device="e", spo2=97)
    assert [t.kind for t in play.tick(10)] == ["start"]
    assert play.read(60, device="e", spo2=97) == []
    assert play.read(120, device="e", spo2=97) == []  # a value of just its maximum age still counts
    assert [t.kind for t in play.read(121, device="e", spo2=97)] == ["end"]


def test_the_worst_of_several_devices_is_told():
    play = Play(spo2(delay_s=0.0))
    play.read(0, device="d", spo2=95)
    (start,) = play.read(1, device="e", spo2=88)
    assert start.inputs[0]["device"] == "e"
    play.read(2, device="d", spo2=85)
    (update,) = play.read(61, device="e", spo2=88)
    assert (update.kind, update.values, update.inputs[0]["device"]) == ("update", {"spo2": 85.0}, "d")


def test_a_late_breach_signals_and_says_so():
    play = Play(BP)
    (start,) = play.read(7800, received=19_860, nibp_systolic=186, nibp_diastolic=95)
    assert (start.kind, start.late, start.at, start.onset) == ("start", True, 7800 * S, 7800 * S)
    assert start.inputs[0]["received"] == 19_860 * S
    assert play.state.active()[0].late


def test_a_pressure_of_200_that_arrives_three_hours_late_signals():
    play = Play(BP)
    (start,) = play.read(0, received=3 * H, nibp_systolic=200, nibp_diastolic=120)
    assert (start.kind, start.late, start.text["en"]) == ("start", True, "BP 200/120 ≥ 180/110")


def test_up_to_a_minute_is_not_late():
    play = Play(BP)
    (start,) = play.read(0, received=60, nibp_systolic=186)
    assert not start.late


def test_beyond_its_lateness_a_breach_goes_to_the_worklist():
    play = Play(BP)
    assert [t.kind for t in play.read(0, received=86_400, nibp_systolic=186)] == ["start"]
    play = Play(BP)
    (late,) = play.read(0, received=86_401, nibp_systolic=186, nibp_diastolic=90)
    assert (late.kind, late.condition, late.late, late.at) == ("late", "inactive", True, 0)
    assert late.values == {"nibp_systolic": 186.0, "nibp_diastolic": 90.0}
    assert late.alarm.startswith("late_")
    assert play.state.active() == []
    # nor may it hold or clear anything later
    assert play.read(60, received=86_402, nibp_diastolic=80) == []


def test_a_reading_that_comes_too_late_ends_nothing():
    play = Play(SPO2)
    play.read(0, spo2=84)
    play.tick(10)
    assert play.read(100, received=4000, spo2=97) == []
    assert [t.kind for t in play.read(4010, spo2=97)] == ["end"]


def test_a_superseded_reading_changes_nothing_but_is_not_silent():
    play = Play(SPO2)
    play.read(1000, spo2=97)
    (late,) = play.read(900, received=1001, spo2=80)
    assert (late.kind, late.at, late.text["en"]) == ("late", 900 * S, "80 < 90")
    assert play.tick(5000) == []
    play = Play(SPO2)
    play.read(1000, spo2=84)
    play.tick(1010)
    assert play.read(900, received=1011, spo2=97) == []
    assert len(play.state.active()) == 1


def test_a_superseded_breach_beside_an_alarm_says_that_it_is_active():
    play = Play(SPO2)
    play.read(1000, spo2=84)
    play.tick(1010)
    (late,) = play.read(900, received=1011, spo2=80)
    assert (late.kind, late.condition) == ("late", "active")
    assert play.state.active()[0].values == {"spo2": 84.0}


def test_late_breaches_close_together_are_one_entry_of_the_worklist():
    play = Play(SPO2)
    play.read(10_000, spo2=97)
    for at in range(5000, 6000, 10):
        play.read(at, received=10_001, spo2=80)
    for at in (4500, 7000, 7100):
        play.read(at, received=10_001, spo2=80)
    assert [(t.kind, t.at) for t in play.told] == [("late", 5000 * S), ("late", 7000 * S)]


MEMORY = Quality.FROM_STORE | Quality.TIME_UNKNOWN


def test_what_a_device_remembers_without_a_time_is_no_alarm_but_seen_by_somebody():
    play = Play(SPO2)
    (entry,) = play.read(1000, quality=MEMORY, spo2=70)
    assert (entry.kind, entry.condition, entry.late) == ("late", "inactive", False)
    assert entry.text["en"] == "70 < 90 (from the device's memory, time unknown)"
    assert "测量时间未知" in entry.text["zh"]
    assert play.read(1001, quality=MEMORY, spo2=96) == []
    assert play.tick(5000) == []
    assert play.state.active() == []


def test_what_a_device_calls_not_valid_is_no_alarm_but_seen_by_somebody():
    play = Play(SPO2, make("off", DeviceFlag("sensor_off", "spo2"), kind="technical", delay_s=0.0))
    assert [t.rule for t in play.read(999, quality=Quality.SENSOR_OFF, spo2=97)] == ["off"]
    entry, ended = play.read(1000, quality=Quality.INVALID, spo2=70)
    assert (ended.kind, ended.rule) == ("end", "off")
    assert (entry.kind, entry.rule, entry.text["en"]) == (
        "late",
        "low",
        "70 < 90 (not valid, says the device)",
    )
    assert play.tick(5000) == []
    assert play.state.active() == []


def test_what_a_device_remembers_without_a_time_ends_no_alarm_and_is_no_newest_value():
    play = Play(SPO2)
    play.read(1000, spo2=84)
    play.tick(1010)
    assert play.read(1020, quality=MEMORY, spo2=97) == []
    assert play.tick(5000) == []
    assert [t.kind for t in play.state.active()] == ["physiological"]
    own = play.state.subjects["p"].series["spo2"]["d"]
    assert (own.time, own.value, own.quality) == (1000 * S, 84.0, 0)


def test_what_a_device_remembers_twice_is_one_entry_and_demonstration_data_none():
    play = Play(SPO2)
    assert len(play.read(1000, quality=MEMORY, spo2=70)) == 1
    assert play.read(1000, quality=MEMORY, spo2=70) == []
    play = Play(SPO2)
    assert play.read(1000, quality=MEMORY | Quality.DEMO, spo2=70) == []
    assert play.read(1000, quality=MEMORY | Quality.SENSOR_OFF, spo2=70) == []


def test_a_memory_says_that_the_clock_is_not_set_and_nothing_else_of_now():
    unset = make("unset", DeviceFlag("clock_unset", "spo2"), kind="technical", delay_s=0.0)
    off = make("off", DeviceFlag("sensor_off", "spo2"), kind="technical", delay_s=0.0)
    play = Play(unset, off)
    assert [t.rule for t in play.read(0, quality=Quality.SENSOR_OFF, spo2=97)] == ["off"]
    out = play.read(1, quality=MEMORY | Quality.CLOCK_UNSET, spo2=70)
    assert [(t.kind, t.rule) for t in out] == [("start", "unset")]
    assert sorted(a.rule for a in play.state.active()) == ["off", "unset"]


def test_a_late_reading_is_superseded_by_any_device_but_a_prompt_one_only_by_its_own():
    play = Play(SPO2)
    play.read(100, device="d", spo2=97)
    assert play.read(99, received=100, device="e", spo2=84) == []
    assert [t.kind for t in play.tick(109)] == ["start"]
    play = Play(SPO2)
    play.read(100, device="d", spo2=97)
    assert [t.kind for t in play.read(30, received=101, device="e", spo2=84)] == ["late"]
    assert play.tick(1000) == []


def test_rows_of_one_batch_are_judged_in_order_of_time():
    play = Play(SPO2)
    out = play.rows(
        ("p", "d", "spo2", 97.0, 60),
        ("q", "e", "spo2", 84.0, 5),
        ("p", "d", "spo2", 84.0, 0),
        now=61,
        received=61,
    )
    assert [(t.patient, t.kind, t.at) for t in out] == [("p", "start", 10 * S), ("p", "end", 60 * S)]
    assert [(t.patient, t.at) for t in play.tick(66)] == [("q", 15 * S)]


def test_a_repeated_reading_is_ignored():
    play = Play(BP)
    play.read(0, nibp_systolic=190)
    before = play.state.digest()
    play.seq -= 1
    assert play.read(0, nibp_systolic=190) == []
    assert play.state.digest() == before


def test_rows_without_patient_or_use_leave_no_trace():
    play = Play(SPO2)
    rows = Rows.of([("", "d", "spo2", 50.0, 0, 0, 0), ("p", "d", "body_weight", 500.0, 0, 0, 0)])
    assert play.take(Readings(1, 0, rows)) == []
    assert play.state.subjects == {}


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_is_no_number_decides_nothing(value: float | None):
    play = Play(spo2(delay_s=0.0))
    assert play.read(0, spo2=value) == []
    play.read(1, spo2=84)
    assert play.read(2, spo2=value) == []
    assert play.active == ["low"]


@pytest.mark.parametrize("flag", [Quality.DEMO, Quality.TEST, Quality.SENSOR_OFF, Quality.FUTURE])
def test_what_is_not_clinical_neither_begins_nor_ends(flag: Quality):
    play = Play(spo2(delay_s=0.0))
    assert play.read(0, spo2=50, quality=flag) == []
    play.read(1, spo2=84)
    assert play.read(2, spo2=97, quality=flag) == []
    assert play.active == ["low"]


@pytest.mark.parametrize("flag", [Quality.CLOCK_UNSET, Quality.POOR_SIGNAL, Quality.MOTION, Quality.ONGOING])
def test_what_is_only_doubtful_counts(flag: Quality):
    play = Play(spo2(delay_s=0.0))
    assert [t.kind for t in play.read(0, spo2=50, quality=flag)] == ["start"]


def test_alarms_of_one_time_have_ids_of_their_own():
    play = Play(BP)
    values = (190.0, 120.0, 195.0)
    rows = Rows.of([("p", "d", "nibp_systolic", v, 0, i, 0) for i, v in enumerate(values)])
    out = play.take(Readings(1, 2, rows, "gw", 2))
    assert [t.kind for t in out] == ["start", "end", "start"]
    assert len({t.alarm for t in out}) == 2
    assert play.state.active()[0].id == out[2].alarm


def test_changing_a_transition_does_not_change_the_state():
    play = Play(SPO2)
    play.read(0, spo2=84)
    (start,) = play.tick(10)
    digest = play.state.digest()
    start.values["spo2"] = 1.0
    start.text["en"] = ""
    start.inputs[0]["value"] = 1.0
    start.detail["delay_s"] = 1.0
    assert play.state.digest() == digest


def test_a_falling_and_a_rising_limit_on_one_metric_in_one_rule():
    play = Play(make("hr", threshold("heart_rate", "below", 40, 2), threshold("heart_rate", "above", 130, 5)))
    (start,) = play.read(0, heart_rate=150)
    assert start.limit == "< 40 / > 130"
    assert [t.kind for t in play.read(5, heart_rate=30)] == []
    assert [t.values for t in play.read(60, heart_rate=30)] == [{"heart_rate": 30.0}]
    assert play.read(70, heart_rate=128) == []
    assert [t.kind for t in play.read(80, heart_rate=100)] == ["end"]


# -- taking responsibility


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


# -- other rules


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
