"""Watermarks, what signals ahead of them, timers, the future, and what is not kept for ever."""

from __future__ import annotations

import random

import pytest

from hearthward.core.model import Quality
from rules import Configuration, Context, Engine, Input, Readings, Rows, RuleSet, State, Tick
from rules.conditions import All, DeviceFlag, Missing, Repeat
from rules.work import SOURCES_KEPT
from tests.unit.rules.made import Play, at, episodes, make, play, threshold

NOW = make("now", threshold("spo2", "below", 90, 1))
LATER = make("later", threshold("spo2", "below", 90, 1), delay_s=10.0)
SLOW = make("slow", threshold("heart_rate", "above", 130, 5), delay_s=10.0)
SILENT = make("silent", Missing("spo2", 60))


# -- watermarks


def test_what_lies_beyond_what_the_source_has_told_waits():
    it = Play(LATER)
    it.rows(("p", "d", "spo2", 95.0, 20), now=20, wall=5)
    assert len(it.state.subjects["p"].waiting) == 1
    it.rows(("p", "d", "spo2", 84.0, 4), now=21, wall=5)  # comes after it and is judged before it
    out = it.rows(now=22, wall=30)
    assert out == []  # without rows nobody's turn has come yet
    assert [(t.kind, t.at) for t in it.tick(22)] == [("start", at(14)), ("end", at(20))]
    assert it.state.subjects["p"].waiting == []


def test_of_two_gateways_the_lagging_one_holds_the_watermark():
    it = Play(SLOW)
    it.rows(("p", "a", "heart_rate", 80.0, 10), now=10, source="gw-1", wall=10)
    it.rows(("p", "b", "heart_rate", 80.0, 5), now=12, source="gw-2", wall=5)
    it.rows(("p", "a", "heart_rate", 150.0, 13), now=13, source="gw-1", wall=13)
    it.rows(now=15, source="gw-2", wall=6)
    it.rows(now=15, source="gw-1", wall=15)
    assert it.tick(15) == []
    assert len(it.state.subjects["p"].waiting) == 1
    it.rows(now=16, source="gw-2", wall=14)
    it.tick(16)
    assert it.state.subjects["p"].waiting == []
    assert it.state.subjects["p"].episodes["slow"].onset == at(13)


def test_a_source_idle_for_five_seconds_holds_nobody_back():
    it = Play(SLOW)
    it.rows(("p", "b", "heart_rate", 80.0, 5), now=12, source="gw-2", wall=5)
    it.rows(("p", "a", "heart_rate", 150.0, 13), now=13, source="gw-1", wall=13)
    it.rows(now=16.9, source="gw-1", wall=16.9)
    assert it.tick(16.9) == []
    assert len(it.state.subjects["p"].waiting) == 1
    it.rows(now=17, source="gw-1", wall=17)
    it.tick(17)
    assert it.state.subjects["p"].waiting == []


def test_a_source_of_other_patients_holds_nobody_back():
    it = Play(SLOW)
    it.rows(("q", "b", "heart_rate", 80.0, 5), now=12, source="gw-2", wall=5)
    it.rows(("p", "a", "heart_rate", 150.0, 13), now=13, source="gw-1", wall=13)
    assert it.state.subjects["p"].waiting == []


def test_a_source_cannot_tell_further_than_a_minute_ahead():
    it = Play(make("silent", Missing("spo2", 61)))
    it.rows(("p", "d", "spo2", 95.0, 100), now=100, wall=10**6)
    assert it.state.sources["gw"] == (at(160), at(100))
    assert it.tick(101) == []
    assert [t.at for t in it.tick(161)] == [at(161)]


def test_without_a_word_on_its_time_a_source_has_told_all():
    it = Play(NOW)
    out = it.take(Readings(1, at(50), Rows.of([("p", "d", "spo2", 84.0, at(49), at(49), 0)])))
    assert [t.kind for t in out] == ["start"]


# -- ahead of the watermark


def test_a_limit_without_delay_signals_before_its_turn_and_is_known_when_that_comes():
    it = Play(NOW, LATER)
    it.rows(("p", "b", "spo2", 96.0, 2), now=12, source="gw-2", wall=2)
    (start,) = it.rows(("p", "a", "spo2", 84.0, 12), now=12, source="gw-1", wall=12)
    assert (start.rule, start.at, start.onset) == ("now", at(12), at(12))
    assert it.rows(("p", "b", "spo2", 96.0, 11), now=13, source="gw-2", wall=11) == []  # earlier, and good
    assert it.active == ["now"]
    it.rows(now=14, source="gw-2", wall=14)
    assert it.tick(14) == []
    assert it.active == ["now"]
    assert it.state.subjects["p"].episodes["now"].early is False
    assert [t.kind for t in it.rows(("p", "a", "spo2", 95.0, 15), now=15, source="gw-1", wall=15)] == []
    it.rows(now=16, source="gw-2", wall=16)
    ended = [t for t in it.tick(16) if t.rule == "now"]
    assert [(t.kind, t.alarm, t.at) for t in ended] == [("end", start.alarm, at(15))]


def test_an_earlier_breach_that_comes_later_gives_the_alarm_its_onset():
    it = Play(NOW)
    it.rows(("p", "b", "spo2", 96.0, 2), now=12, source="gw-2", wall=2)
    (start,) = it.rows(("p", "a", "spo2", 84.0, 12), now=12, source="gw-1", wall=12)
    (update,) = it.rows(("p", "b", "spo2", 80.0, 5), now=13, source="gw-2", wall=6)
    assert (update.kind, update.alarm, update.onset) == ("update", start.alarm, at(5))
    assert len(it.state.active()) == 1


def test_the_same_reading_signals_ahead_only_once():
    it = Play(NOW)
    it.rows(("p", "b", "spo2", 96.0, 2), now=12, source="gw-2", wall=2)
    assert len(it.rows(("p", "a", "spo2", 84.0, 12), now=12, source="gw-1", wall=12)) == 1
    assert it.rows(("p", "a", "spo2", 84.0, 12), now=13, source="gw-1", wall=13) == []
    assert it.rows(("p", "a", "spo2", 82.0, 13), now=13, source="gw-1", wall=13) == []
    assert len(it.state.subjects["p"].waiting) == 2


def test_a_waiting_reading_unfit_or_superseded_signals_nothing():
    it = Play(NOW)
    it.rows(("p", "b", "spo2", 96.0, 2), now=12, source="gw-2", wall=2)
    out = it.read(12, wall=12, source="gw-1", device="a", quality=Quality.SENSOR_OFF, spo2=50)
    assert out == []
    it.tick(20)
    it.rows(("p", "b", "spo2", 96.0, 2), now=30, source="gw-2", wall=2)
    it.rows(("p", "a", "spo2", 96.0, 1.5), now=30, source="gw-1", wall=30)
    assert it.active == []


# -- arrival


@pytest.mark.parametrize("seed", range(20))
def test_any_arrival_within_the_watermark_gives_the_same_episodes(seed: int):
    chance = random.Random(seed)
    rules = [NOW, LATER, SLOW, SILENT]
    time, rows = 1000.0, []
    for _ in range(30):
        time += chance.choice([1, 2, 5, 11, 61])
        metric = chance.choice(["spo2", "heart_rate"])
        rows.append(
            ("p", chance.choice("ab"), metric, float(chance.choice([84, 90, 95, 140])), at(time), at(time), 0)
        )
    end = at(time + 1)
    _, straight = play(rules, [Readings(1, end, Rows.of(rows), "gw", end), Tick(2, end)])
    chance.shuffle(rows)
    events: list[Input] = [
        Readings(i, end, Rows.of(rows[i : i + 7]), "gw", at(900)) for i in range(0, len(rows), 7)
    ]
    events += [Readings(98, end, Rows(), "gw", end), Tick(99, end)]
    _, shuffled = play(rules, events)
    assert episodes(shuffled) == episodes(straight)


# -- timers


def test_timers_run_though_no_message_comes():
    it = Play(LATER, SILENT)
    it.read(0, spo2=84)
    out = it.tick(10_000)
    assert [(t.rule, t.kind, t.at) for t in out] == [("later", "start", at(10)), ("silent", "start", at(60))]


def test_all_that_falls_silent_at_one_time_is_told():
    """One timer's end must not hide another that ends at the same moment."""
    it = Play(
        make("a", Missing("spo2", 30)),
        make("b", Missing("spo2", 30)),
        make("c", threshold("heart_rate", "below", 40), delay_s=30.0),
        make("d", Missing("heart_rate", 30)),
    )
    it.rows(("p", "d", "spo2", 95.0, 0), ("p", "d", "heart_rate", 30.0, 0), now=0)
    out = it.tick(100)
    assert sorted((t.rule, t.at) for t in out) == [(r, at(30)) for r in "abcd"]


def test_timers_go_only_as_far_as_talking_sources_have_told():
    it = Play(LATER)
    it.read(0, spo2=84)
    it.rows(now=20, wall=8)  # an upload of what was measured while the line was down
    assert it.tick(21) == []
    it.rows(("p", "d", "spo2", 95.0, 9), now=22, wall=9)
    it.rows(now=23, wall=23)
    assert it.tick(23) == []
    assert it.told == []


def test_a_timer_in_the_past_ends_at_its_own_time():
    it = Play(LATER)
    (start,) = it.read(0, received=1000, now=1000, spo2=84) or it.tick(1006)
    assert (start.kind, start.at, start.late) == ("start", at(10), True)


def test_due_says_whether_a_tick_would_do_anything():
    engine = Engine(State.empty("node", RuleSet([LATER])))
    engine.step(Readings(1, 0, Rows.of([("p", "d", "spo2", 84.0, 0, 0, 0)]), "gw", 0))
    assert not engine.due(at(9))
    assert engine.due(at(10))
    before = engine.state.to_bytes()
    engine.due(at(100))
    assert engine.state.to_bytes() == before
    assert [t.kind for t in engine.step(Tick(2, at(10)))] == ["start"]
    assert not engine.due(at(10**6))


@pytest.mark.parametrize("subject", ["gateway:gw-1", "component:broker"])
def test_a_gateway_or_component_that_was_never_heard_of_is_silent(subject: str):
    kind = subject.partition(":")[0]
    it = Play(make("dead", Missing("heartbeat", 60), subject=kind, kind="technical"))
    it.context(100, Context(expected={"heartbeat": at(100)}), patient=subject)
    assert it.tick(159) == []
    (start,) = it.tick(160)
    assert (start.patient, start.at) == (subject, at(160))
    assert [t.kind for t in it.read(170, patient=subject, heartbeat=1)] == ["end"]


# -- a configuration while a source lags


def test_a_changed_limit_does_not_make_silence_of_what_is_still_being_sent():
    it = Play(SILENT, NOW)
    it.read(0, spo2=95)
    it.rows(("p", "d", "spo2", 95.0, 1), now=100, wall=1)
    assert it.context(101, Context("home")) == []
    rows = [("p", "d", "spo2", 95.0, float(t)) for t in range(2, 99)]
    assert it.rows(*rows, now=102, wall=99) == []


# -- the future


def test_a_reading_dated_tomorrow_mutes_nobody():
    it = Play(NOW, LATER, SILENT)
    it.read(1000, spo2=95)
    assert it.read(1000 + 86_400, received=1001, now=1001, spo2=97) == []
    assert "now" in [t.rule for t in it.read(1002, spo2=84)]
    assert [t.rule for t in it.tick(1020)] == ["later"]
    assert [t.rule for t in it.tick(1100)] == ["silent"]


def test_a_reading_dated_tomorrow_decides_nothing_and_is_a_fault_of_its_device():
    it = Play(NOW, make("clock", DeviceFlag("future", "spo2"), kind="technical"))
    (start,) = it.read(90_000, received=1000, now=1000, spo2=50)
    assert (start.rule, start.at) == ("clock", at(1000))
    assert [t.rule for t in it.read(1001, spo2=95)] == ["clock"]
    assert it.active == []


def test_what_the_pipeline_quarantined_comes_as_a_word_without_value():
    it = Play(NOW, make("clock", DeviceFlag("future", "spo2"), kind="technical"))
    assert [t.rule for t in it.read(1000, spo2=None, quality=Quality.FUTURE)] == ["clock"]


def test_up_to_a_minute_ahead_is_believed_when_its_time_has_come():
    it = Play(LATER)
    it.read(1060, received=1000, now=1000, wall=1000, spo2=84)
    assert len(it.state.subjects["p"].waiting) == 1
    assert it.tick(1059) == []
    assert [(t.kind, t.at) for t in it.tick(1075)] == [("start", at(1070))]


# -- about devices and others


def test_a_rule_about_a_device_looks_at_it_with_or_without_a_patient():
    it = Play(make("battery", threshold("battery_level", "below", 20), subject="device", kind="technical"))
    it.read(0, patient="device:d-1", battery_level=10)
    it.read(0, patient="p", battery_level=10)
    assert sorted(a.patient for a in it.state.active()) == ["device:d-1", "p"]


def test_a_rule_about_patients_looks_at_nobody_else():
    it = Play(NOW)
    it.read(0, patient="device:d-1", spo2=50)
    it.read(0, patient="gateway:gw-1", spo2=50)
    assert it.active == []


# -- bounds


def test_sources_of_one_patient_are_not_kept_without_end():
    it = Play(NOW)
    for i in range(50):
        it.read(i, source=f"gw-{i}", spo2=95)
    assert len(it.state.subjects["p"].sources) == SOURCES_KEPT
    assert it.state.subjects["p"].sources[-1] == "gw-49"


def test_devices_that_come_and_go_leave_a_state_of_one_size():
    it = Play(NOW, LATER, SILENT)
    sizes = []
    for i in range(90):
        it.read(i * 7200, device=f"d{i:03}", spo2=95)
        sizes.append(len(it.state.to_bytes()))
    assert max(sizes[40:]) <= sizes[40] + 64


def test_a_long_stay_leaves_a_state_of_one_size():
    it = Play(NOW, LATER, SLOW, SILENT)
    sizes = []
    for i in range(600):
        it.read(i * 10, spo2=84 if i % 7 == 0 else 95, heart_rate=80)
        sizes.append(len(it.state.to_bytes()))
    assert max(sizes[550:]) <= max(sizes[300:400]) + 64


# -- order within one input


def test_a_configuration_counts_from_its_place_in_the_journal_on():
    rules = RuleSet([NOW])
    events: list[Input] = [
        Readings(1, at(1), Rows.of([("p", "d", "spo2", 84.0, at(1), at(1), 0)]), "gw", at(1)),
        Configuration(2, at(2), RuleSet(), frozenset()),
        Configuration(3, at(3), rules, frozenset()),
    ]
    _, out = play([NOW], events)
    assert [(t.kind, t.seq) for t in out] == [("start", 1), ("reset", 2)]


def test_several_conditions_that_must_all_hold_wait_their_turn():
    both = make("both", All((threshold("spo2", "below", 90), threshold("heart_rate", "above", 130))))
    asked = make("asked", Repeat(threshold("spo2", "below", 90), 10, 60))
    it = Play(both, asked)
    it.rows(("p", "b", "spo2", 96.0, 2), now=12, source="gw-2", wall=2)
    out = it.rows(
        ("p", "a", "spo2", 84.0, 12), ("p", "a", "heart_rate", 140.0, 12), now=12, source="gw-1", wall=12
    )
    assert out == []
    it.rows(now=13, source="gw-2", wall=13)
    assert sorted((t.rule, t.kind) for t in it.tick(13)) == [("asked", "ask"), ("both", "start")]
