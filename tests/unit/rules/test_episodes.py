"""From asked or pending to active to ended, under limits, rules and people that change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hearthward.core.errors import RuleError
from rules import Context, Limit
from rules.conditions import Any_, Missing, Repeat
from rules.rule import Parameter, Rule
from tests.unit.rules.made import Play, at, make, threshold

REPEAT = make(
    "bp",
    Repeat(
        Any_(
            (
                threshold("nibp_systolic", "at_or_above", 180, 5),
                threshold("nibp_diastolic", "at_or_above", 110, 5),
            )
        ),
        60,
        600,
        threshold("nibp_systolic", "at_or_above", 220),
    ),
    max_age_s=3600,
)
LOW = make(
    "low",
    threshold("spo2", "below", "limit", 1),
    parameters={"limit": Parameter(90, 80, 95)},
    explanation={"en": "{spo2} {limit}", "zh": "{limit}"},
)
WARD = replace(LOW, id="ward", setting="ward", parameters={}, condition=threshold("spo2", "below", 90, 1))


def limit(value: float, start: float = 0, **more: Any) -> Limit:
    return Limit("low", "limit", value, "Dr Li", at(start), "COPD", **more)


def told(play: Play) -> list[tuple[str, str, Any]]:
    return [(t.kind, t.condition, t.detail.get("why")) for t in play.told]


# -- ask again, then decide


def test_a_breach_asks_and_is_no_alarm_yet():
    play = Play(REPEAT)
    (ask,) = play.read(0, nibp_systolic=190, nibp_diastolic=95)
    assert (ask.kind, ask.condition, ask.at) == ("ask", "asked", 0)
    assert play.state.active() == []
    with pytest.raises(RuleError, match="no active alarm"):
        play.accept(ask.alarm, "nurse-1")


def test_a_second_breach_confirms_under_the_same_id():
    play = Play(REPEAT)
    (ask,) = play.read(0, nibp_systolic=190, nibp_diastolic=95)
    (start,) = play.read(60, nibp_systolic=185, nibp_diastolic=95)
    assert (start.alarm, start.onset, start.at) == (ask.alarm, 0, at(60))
    assert told(play) == [("ask", "asked", None), ("start", "active", "confirmed")]
    assert [t.kind for t in play.read(700, nibp_systolic=150, nibp_diastolic=80)] == ["end"]


def test_a_good_second_one_refutes_and_nobody_is_called():
    play = Play(REPEAT)
    play.read(0, nibp_systolic=190, nibp_diastolic=95)
    play.read(61, nibp_systolic=150, nibp_diastolic=80)
    assert told(play) == [("ask", "asked", None), ("end", "inactive", "refuted")]
    assert play.tick(10_000) == []
    assert play.read(10_000, nibp_systolic=190)[0].kind == "ask"


def test_a_second_one_that_comes_too_soon_is_none():
    play = Play(REPEAT)
    play.read(0, nibp_systolic=190, nibp_diastolic=95)
    assert play.read(59, nibp_systolic=120, nibp_diastolic=80) == []
    assert [t.kind for t in play.read(61, nibp_systolic=120, nibp_diastolic=80)] == ["end"]


def test_without_a_second_one_the_first_decides_in_time():
    play = Play(REPEAT)
    play.read(0, nibp_systolic=190, nibp_diastolic=95)
    assert play.tick(599) == []
    (start,) = play.tick(606)
    assert (start.at, start.values["nibp_systolic"]) == (at(600), 190.0)
    assert told(play)[-1] == ("start", "active", "timeout")


def test_a_critical_value_never_waits():
    play = Play(REPEAT)
    play.read(0, nibp_systolic=220, nibp_diastolic=95)
    assert told(play) == [("start", "active", "critical")]


def test_a_critical_second_one_does_not_wait_for_its_time():
    play = Play(REPEAT)
    play.read(0, nibp_systolic=190, nibp_diastolic=95)
    play.read(5, nibp_systolic=230, nibp_diastolic=95)
    assert told(play)[1:] == [("start", "active", "critical")]


def test_the_second_one_must_be_of_what_was_wrong():
    play = Play(REPEAT)
    play.read(0, nibp_systolic=190)
    assert play.read(100, nibp_diastolic=80) == []
    assert [t.detail["why"] for t in play.read(110, nibp_systolic=150)] == ["refuted"]


def test_another_device_may_measure_the_second_one():
    """The first one is still fresh, but it is just what was doubted."""
    play = Play(REPEAT)
    play.read(0, device="d", nibp_systolic=190, nibp_diastolic=95)
    assert [t.detail["why"] for t in play.read(90, device="e", nibp_systolic=130, nibp_diastolic=80)] == [
        "refuted"
    ]


def test_a_first_one_that_comes_after_its_time_has_decided():
    play = Play(REPEAT)
    out = play.read(0, received=3600, now=3600, nibp_systolic=190)
    assert [(t.kind, t.late) for t in out] in ([("ask", True)], [("start", True)])
    play.tick(3606)
    assert [t.kind for t in play.told][-1] == "start"
    assert play.told[-1].detail["why"] == "timeout"


# -- clear for a time


SURE = make("sure", threshold("spo2", "below", 90, 1), clear_after_s=60.0, max_age_s=50)


def test_it_ends_when_it_was_clear_for_long_enough():
    play = Play(SURE)
    play.read(0, spo2=85)
    for t in (10, 40, 69):
        assert play.read(t, spo2=95) == []
    (end,) = play.tick(76)
    assert (end.kind, end.at, end.values) == ("end", at(70), {"spo2": 95.0})


def test_a_relapse_counts_anew():
    play = Play(SURE)
    play.read(0, spo2=85)
    for t, value in ((10, 95), (40, 90.5), (60, 95), (90, 95), (119, 95)):  # within the hysteresis: not clear
        assert play.read(t, spo2=value) == []
    assert [t.at for t in play.tick(126)] == [at(120)]


def test_silence_does_not_make_it_clear():
    play = Play(SURE)
    play.read(0, spo2=85)
    play.read(10, spo2=95)
    assert play.tick(1000) == []
    assert play.active == ["sure"]
    assert play.read(1001, spo2=95) == []
    assert play.read(1041, spo2=95) == []
    assert [t.at for t in play.tick(1070)] == [at(1061)]


# -- limits of one patient


def test_a_limit_set_for_a_patient_acts_at_once_and_says_by_whom():
    play = Play(LOW)
    play.read(0, spo2=91)
    (start,) = play.context(10, Context(limits=(limit(93, 10, expires=at(100)),)))
    assert (start.kind, start.onset, start.limit, start.text["en"]) == ("start", 0, "< 93", "91 < 93")
    assert start.rule_hash == LOW.hash
    assert start.detail["parameters"] == {
        "limit": {
            "default": 90,
            "value": 93,
            "by": "Dr Li",
            "start": at(10),
            "reason": "COPD",
            "expires": at(100),
        }
    }
    (end,) = play.context(20, None)
    assert (end.kind, end.limit, end.text["en"]) == ("end", "< 90", "< 90")


def test_it_is_for_that_patient_only():
    play = Play(LOW)
    for patient in "pq":
        play.read(0, patient=patient, spo2=91)
    play.context(10, Context(limits=(limit(93),)))
    assert [a.patient for a in play.state.active()] == ["p"]


def test_it_expires_though_nothing_is_measured():
    play = Play(LOW)
    play.read(0, spo2=88)
    assert [t.kind for t in play.context(1, Context(limits=(limit(85, expires=at(100)),)))] == ["end"]
    assert play.tick(99) == []
    (start,) = play.tick(106)
    assert (start.kind, start.at, start.limit) == ("start", at(100), "< 90")


def test_it_expires_by_the_time_of_what_is_measured():
    play = Play(LOW)
    play.context(0, Context(limits=(limit(85, expires=at(100)),)))
    play.read(50, spo2=88)
    out = play.rows(("p", "d", "spo2", 88.0, 99), ("p", "d", "spo2", 88.0, 101), now=102)
    assert [(t.kind, t.at) for t in out] == [("start", at(100))]


def test_it_begins_when_it_is_set_to():
    play = Play(LOW)
    play.read(0, spo2=91)
    assert play.context(1, Context(limits=(limit(93, 50),))) == []
    assert [(t.kind, t.at) for t in play.tick(60)] == [("start", at(50))]


def test_by_night_another_limit():
    night = limit(85, daily=(22 * 60, 6 * 60), timezone="Europe/Berlin")
    play = Play(replace(LOW, inputs={"spo2": 40_000.0}))
    evening = 1_736_974_800  # 2025-01-15 22:00 in Berlin
    play.context(evening - 7200, Context(limits=(night,)))
    play.read(evening - 3600, spo2=88)
    assert play.active == ["low"]
    assert [(t.kind, t.at) for t in play.tick(evening + 60)] == [("end", at(evening))]
    assert [(t.kind, t.at) for t in play.tick(evening + 8 * 3600 + 60)] == [("start", at(evening + 8 * 3600))]


def test_a_limit_out_of_the_rules_bounds_is_not_in_force_and_not_told():
    play = Play(LOW)
    play.context(0, Context(limits=(limit(99),)))
    assert play.read(1, spo2=93) == []
    (start,) = play.read(2, spo2=85)
    assert start.limit == "< 90"
    assert start.detail["parameters"] == {"limit": {"default": 90}}


# -- whom it is for


def test_a_patient_who_goes_home_leaves_the_rules_of_the_ward():
    play = Play(WARD)
    play.context(0, Context("ward"))
    play.read(0, spo2=84)
    (reset,) = play.context(10, Context("home"))
    assert (reset.kind, reset.condition, reset.at) == ("reset", "inactive", at(10))
    assert "apply" in reset.text["en"]
    assert play.read(20, spo2=84) == []
    assert [
        t.kind for t in play.context(30, Context("ward"))
    ] == []  # measured meanwhile: of no use to any rule
    assert [t.kind for t in play.read(31, spo2=84)] == ["start"]


@pytest.mark.parametrize("context", [Context(adult=False), Context(adult=True, pregnant=True)])
def test_a_rule_for_adults_ends_when_it_turns_out_that_they_are_none(context: Context):
    play = Play(make("x", threshold("spo2", "below", 90), adults=True))
    play.read(0, spo2=84)
    assert [t.kind for t in play.context(1, context)] == ["reset"]


def test_a_limit_changes_while_it_is_asked_for_again():
    bp = make(
        "low",
        Repeat(threshold("nibp_systolic", "at_or_above", "limit"), 60, 600),
        parameters={"limit": Parameter(180, 150, 200)},
    )
    play = Play(bp)
    play.read(0, nibp_systolic=185)
    assert play.context(10, Context(limits=(limit(190),))) == []
    assert [t.detail["why"] for t in play.read(70, nibp_systolic=185)] == ["refuted"]


# -- other rules


def test_a_rule_may_change_its_shape_and_its_setting_under_an_alarm():
    play = Play(WARD)
    play.context(0, Context("ward"))
    (start,) = play.read(0, spo2=84)
    wider = make("ward", threshold("spo2", "below", 90, 1), threshold("heart_rate", "below", 40), version=2)
    assert play.configure(wider, now=1, contexts={"p": Context("home")}) == []
    assert [a.id for a in play.state.active()] == [start.alarm]
    assert play.read(300, heart_rate=80) == []  # the saturation is not known: it goes on
    assert [t.kind for t in play.read(301, spo2=95)] == ["end"]


def test_a_changed_rule_keeps_what_had_a_part_though_it_is_too_old_now():
    play = Play(REPEAT)
    play.read(0, nibp_systolic=190)
    play.tick(610)
    later = 5000
    changed = replace(REPEAT, version=2)
    assert play.configure(changed, now=later) == []
    assert play.read(later + 1, nibp_diastolic=80) == []
    assert [t.kind for t in play.read(later + 2, nibp_systolic=150)] == ["end"]


def test_another_rule_of_the_set_changes_and_this_one_goes_on():
    other = make("other", threshold("heart_rate", "below", 40))
    play = Play(replace(LOW, delay_s=30.0), other)
    play.read(0, spo2=84)
    play.configure(replace(LOW, delay_s=30.0), replace(other, version=2), now=20)
    assert [(t.kind, t.at) for t in play.tick(40)] == [("start", at(30))]


def test_what_a_rule_newly_looks_at_begins_with_what_is_measured_next():
    play = Play(LOW)
    play.read(0, heart_rate=30)
    play.configure(LOW, make("hr", threshold("heart_rate", "below", 40)), now=1)
    assert play.active == []
    play.read(2, heart_rate=30)
    assert play.active == ["hr"]


# -- shadow


def shadow(rule: Rule) -> Rule:
    return replace(rule, shadow=True, version=2, condition=threshold("spo2", "below", 94, 1), parameters={})


def test_a_rule_in_shadow_decides_beside_the_active_one_and_shows_nothing():
    play = Play(LOW, shadow(LOW))
    out = play.read(0, spo2=84)
    assert sorted((t.rule, t.kind, t.shadow) for t in out) == [
        ("low", "start", False),
        ("low", "start", True),
    ]
    assert len({t.alarm for t in out}) == 2
    assert [t.limit for t in out if t.shadow] == ["< 94"]
    assert [a.limit for a in play.state.active()] == ["< 90"]
    assert [a.limit for a in play.state.active(shadow=True)] == ["< 94"]
    (end,) = play.read(1, spo2=92)
    assert (end.kind, end.shadow) == ("end", False)
    assert play.state.active() == []


def test_nobody_takes_responsibility_for_what_nobody_sees():
    play = Play(shadow(LOW))
    (start,) = play.read(0, spo2=84)
    with pytest.raises(RuleError, match="no active alarm"):
        play.accept(start.alarm, "nurse-1")


def test_a_shadow_that_goes_resets_in_shadow():
    play = Play(LOW, shadow(LOW))
    play.read(0, spo2=84)
    out = play.configure(LOW, now=1)
    assert [(t.kind, t.shadow) for t in out] == [("reset", True)]
    assert play.active == ["low"]


# -- a closed stay


def test_a_closed_stay_resets_what_is_asked_and_forgets_limits():
    play = Play(REPEAT, LOW)
    play.read(0, nibp_systolic=190)
    play.context(1, Context(limits=(limit(93),)))
    (reset,) = play.configure(now=2, closed=["p"], same_rules=True)
    assert (reset.kind, reset.condition) == ("reset", "inactive")
    assert play.state.subjects == {}
    assert play.state.contexts == {}
    assert play.state.alarms == {}
    assert play.read(3, spo2=91) == []


def test_a_closed_stay_of_somebody_never_measured_leaves_no_context():
    play = Play(LOW)
    play.context(1, Context("home"), patient="q")
    play.configure(now=2, closed=["q"], same_rules=True)
    assert play.state.contexts == {}


def test_what_is_expected_of_somebody_is_so_though_the_rules_come_with_it():
    play = Play()
    silent = make("silent", Missing("spo2", 60))
    play.configure(silent, now=0, contexts={"p": Context(expected={"spo2": 0})})
    assert [(t.kind, t.patient, t.at) for t in play.tick(61)] == [("start", "p", at(60))]
