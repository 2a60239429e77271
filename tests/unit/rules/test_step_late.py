"""What comes late, out of order, from a memory, or is no measurement."""

from __future__ import annotations

from hearthward.core.model import Quality
from rules.conditions import DeviceFlag
from tests.unit.rules.made import Play, make
from tests.unit.rules.stepped import BP, SPO2, H, S


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
