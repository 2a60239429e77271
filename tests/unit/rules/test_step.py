"""The life of one alarm: begun, delayed, told, worsened, ended; and what is never told."""

from __future__ import annotations

import pytest

from hearthward.core.ids import stable_id
from hearthward.core.model import Quality
from rules import Readings, Rows
from tests.unit.rules.made import Play, make, threshold
from tests.unit.rules.stepped import BP, SPO2, H, S, spo2


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
