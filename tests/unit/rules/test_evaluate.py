"""Every kind of leaf at its boundary, its staleness, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from hearthward.core.model import Quality
from rules import Context
from rules.compiled import Compiled
from rules.conditions import (
    All,
    Any_,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Flag,
    Missing,
    Node,
    Not,
    Score,
    ScoreName,
    Smoothing,
)
from rules.evaluate import Verdict, evaluate, judge_alone, worst_of
from rules.model import Measured
from rules.news2 import METRICS_OF
from rules.rule import Rule
from tests.unit.rules.made import Play, at, make, threshold

SCORED = {m: 600.0 for metrics in METRICS_OF.values() for m in metrics}
WELL = {
    "respiratory_rate": 16.0,
    "spo2": 97.0,
    "supplemental_oxygen": 0.0,
    "nibp_systolic": 120.0,
    "heart_rate": 70.0,
    "consciousness": 0.0,
    "body_temperature": 37.0,
}


def verdict(play: Play, rule: Rule, now: float) -> Verdict:
    subject, context = play.state.subjects["p"], play.state.context("p")
    compiled = play.state.planner.plan("p", context, at(now)).rules[rule.key]
    return evaluate(compiled, subject, context, at(now))


def news(value: float = 7, clear: float = 5, score: ScoreName = "news2", **more: Any) -> Rule:
    return make("news", Score(score, value, clear), **{"inputs": SCORED, **more})


# -- limits


@pytest.mark.parametrize(
    ("op", "opening", "holding"),
    [
        ("below", [True, False, False, False, False], [True, True, True, False, False]),
        ("at_or_below", [True, True, False, False, False], [True, True, True, False, False]),
    ],
)
def test_a_falling_limit_and_its_hysteresis(op: str, opening: list[bool], holding: list[bool]):
    for value, opens, holds in zip((89.9, 90, 90.9, 91, 92), opening, holding, strict=True):
        rule = make("x", threshold("spo2", op, 90, 1))
        play = Play(rule)
        play.read(0, spo2=value)
        (result,) = verdict(play, rule, 0).results
        assert (result.opens, result.holds) == (opens, holds)


@pytest.mark.parametrize(
    ("op", "opening"),
    [("above", [True, False, False, False, False]), ("at_or_above", [True, True, False, False, False])],
)
def test_a_rising_limit_and_its_hysteresis(op: str, opening: list[bool]):
    for value, opens, holds in zip((130.1, 130, 125.1, 125, 99), opening, [1, 1, 1, 0, 0], strict=True):
        rule = make("x", threshold("heart_rate", op, 130, 5))
        play = Play(rule)
        play.read(0, heart_rate=value)
        (result,) = verdict(play, rule, 0).results
        assert (result.opens, result.holds) == (opens, bool(holds))


def test_a_value_counts_up_to_its_maximum_age_and_then_is_not_known():
    rule = make("x", threshold("spo2", "below", 90, 1))
    play = Play(rule)
    play.read(0, spo2=84)
    assert verdict(play, rule, 120).opens
    after = verdict(play, rule, 120.000000001)
    assert after.results[0].opens is None
    assert not after.opens
    assert after.holds((84.0,), frozenset())


def test_judged_alone_nothing_else_counts():
    rule = make("x", Any_((threshold("spo2", "below", 90), Missing("heart_rate", 1, unseen=True))))
    compiled = Compiled(rule, rule.hash, {})
    low, high = Measured("spo2", "d", 5, 84.0, 5), Measured("spo2", "e", 5, 97.0, 5)
    assert judge_alone(compiled, [low, high], 5).opens
    alone = judge_alone(compiled, [high], 5)
    assert [r.opens for r in alone.results] == [False, None]


def test_the_extremes_of_a_breach_are_kept_leaf_by_leaf():
    rule = make("x", threshold("spo2", "below", 90), threshold("heart_rate", "above", 130))
    compiled = Compiled(rule, rule.hash, {})
    assert worst_of(compiled, (84.0, None), (88.0, 150.0)) == (84.0, 150.0)
    assert worst_of(compiled, (84.0, 150.0), (80.0, None)) == (80.0, 150.0)
    assert worst_of(compiled, (84.0, 150.0), (None, 160.0)) == (84.0, 160.0)


# -- smoothing


def test_a_mean_decides_and_is_what_is_told():
    rule = make("x", threshold("ibp_mean", "below", 65, 5, smoothing=Smoothing("mean", 60, 3)))
    play = Play(rule)
    assert play.read(0, ibp_mean=50) == []
    assert play.read(20, ibp_mean=50) == []  # not enough yet
    (start,) = play.read(40, ibp_mean=80)
    assert start.values == {"ibp_mean": 60.0}
    assert start.detail["smoothing"] == ["mean", 60]
    # (20, 80]: the first two have left the window with its edge
    assert play.read(80, ibp_mean=70) == []
    assert [t.kind for t in play.read(81, ibp_mean=61)] == ["end"]


def test_a_mean_of_two_devices_is_of_each_by_itself():
    rule = make("x", threshold("spo2", "below", 90, smoothing=Smoothing("mean", 60, 2)))
    play = Play(rule)
    for i, value in enumerate((80.0, 84.0)):
        assert play.read(i, device="a", spo2=99) == []
        told = play.read(i, device="b", spo2=value)
    assert [(t.kind, t.values) for t in told] == [("start", {"spo2": 82.0})]


def test_one_outlier_moves_a_mean_and_no_median():
    rules = [
        make(kind, threshold("spo2", "below", 90, smoothing=Smoothing(kind, 60)))
        for kind in ("mean", "median")
    ]
    play = Play(*rules)
    for i, value in enumerate((95.0, 95.0, 20.0)):
        play.read(i, spo2=value)
    assert play.active == ["mean"]


# -- changes


@pytest.mark.parametrize(("gain", "told"), [(1.99, False), (2.0, True), (2.5, True)])
def test_a_rise_within_its_time(gain: float, told: bool):  # noqa: FBT001
    rule = make("gain", Change("body_weight", "rise", 2, 300), max_age_s=600)
    play = Play(rule)
    play.read(0, body_weight=80)
    assert bool(play.read(300, body_weight=80 + gain)) is told


def test_a_rise_over_a_longer_time_is_none():
    rule = make("gain", Change("body_weight", "rise", 2, 300), max_age_s=600)
    play = Play(rule)
    play.read(0, body_weight=80)
    assert play.read(300.000000001, body_weight=83) == []


def test_a_fall_is_told_as_a_change_and_ends_within_its_hysteresis():
    rule = make(
        "fall",
        Change("spo2", "fall", 6, 600, 2),
        explanation={"en": "{spo2} ({change}) {limit}", "zh": "{limit}"},
    )
    play = Play(rule)
    play.read(0, spo2=97)
    (start,) = play.read(10, spo2=91)
    assert start.values == {"spo2": 91.0}
    assert start.text["en"] == "91 (−6) −6 / 10 min"  # noqa: RUF001
    assert play.read(20, spo2=92.5) == []
    assert [t.kind for t in play.read(30, spo2=93)] == ["end"]


def test_a_deviation_from_the_own_level():
    rule = make(
        "own",
        Deviation("heart_rate", "above", 30, 1000, 60, 5),
        explanation={"en": "{heart_rate} {change} from {baseline}", "zh": "{limit}"},
    )
    play = Play(rule)
    for i in range(62):
        play.read(i, heart_rate=60)
    assert play.read(62, heart_rate=89.9) == []
    (start,) = play.read(63, heart_rate=92)
    assert start.text["en"].startswith("92 +3")
    assert start.text["en"].endswith("from 60.03")
    # while it is open nothing is learned: the new level does not become the usual one
    for i in range(64, 200):
        play.read(i, heart_rate=92)
    assert play.active == ["own"]
    assert [t.kind for t in play.read(200, heart_rate=85)] == ["end"]


@pytest.mark.parametrize(
    ("direction", "value", "told"),
    [
        ("below", 30, True),
        ("below", 90, False),
        ("either", 30, True),
        ("either", 90, True),
        ("above", 30, False),
    ],
)
def test_a_deviation_has_a_direction(direction: Any, value: float, told: bool):  # noqa: FBT001
    play = Play(make("own", Deviation("heart_rate", direction, 30, 1000, 10)))
    for i in range(20):
        play.read(i, heart_rate=60)
    assert bool(play.read(20, heart_rate=value)) is told


# -- counts


def test_so_many_breaches_within_a_time():
    rule = make("often", Count(threshold("spo2", "below", 90), 3, 60))
    play = Play(rule)
    for t, value in ((0, 85), (20, 95), (30, 85)):
        assert play.read(t, spo2=value) == []
    assert play.read(60, spo2=85) == []  # the first one has just left the window
    (start,) = play.read(61, spo2=84)
    assert (start.kind, start.values) == ("start", {"spo2": 84.0})
    assert play.read(80, spo2=95) == []  # still three within the last minute
    assert [t.kind for t in play.read(91, spo2=95)] == ["end"]


def test_of_several_devices_the_one_with_most_breaches_counts():
    play = Play(make("often", Count(threshold("spo2", "below", 90), 2, 60)))
    play.read(0, device="d", spo2=85)
    play.read(1, device="e", spo2=85)
    assert play.active == []  # one of each are not two
    assert [t.kind for t in play.read(2, device="e", spo2=85)] == ["start"]
    assert [t.kind for t in play.read(63, device="e", spo2=95)] == ["end"]


# -- silence


def test_a_signal_that_came_is_missing_after_its_time():
    rule = make(
        "silent",
        Missing("spo2", 60),
        kind="technical",
        explanation={"en": "{silence} {spo2}", "zh": "{silence}"},
    )
    play = Play(rule)
    play.read(0, spo2=95)
    play.tick(59.9)
    assert play.told == []
    (start,) = play.tick(66)
    assert (start.kind, start.onset, start.at) == ("start", at(60), at(60))
    assert start.text == {"en": "1 min 95", "zh": "1 分钟"}
    (end,) = play.read(100, spo2=50)
    assert (end.kind, end.at) == ("end", at(100))


def test_no_use_is_as_good_as_no_data():
    play = Play(make("silent", Missing("spo2", 60)))
    play.read(0, spo2=95)
    for i in range(10, 60, 10):
        play.read(i, spo2=40, quality=Quality.SENSOR_OFF)
    assert (
        play.read(60, spo2=40, quality=Quality.SENSOR_OFF) == []
    )  # what else arrives just then may be of use
    assert [t.at for t in play.read(61, spo2=40, quality=Quality.SENSOR_OFF)] == [at(60)]


def test_what_arrives_at_the_last_moment_comes_in_time():
    play = Play(make("silent", Missing("spo2", 60)), make("x", threshold("heart_rate", "below", 1)))
    play.read(0, spo2=95)
    play.read(60, heart_rate=80)  # something else at just that time does not settle it
    assert play.read(60, spo2=95) == []
    assert [t.at for t in play.read(121, spo2=95) if t.kind == "start"] == [at(120)]


def test_any_device_will_do():
    play = Play(make("silent", Missing("spo2", 60)))
    play.read(0, device="d", spo2=95)
    play.read(50, device="e", spo2=95)
    assert play.tick(109) == []
    assert [t.at for t in play.tick(115)] == [at(110)]


def test_what_never_came_is_missing_only_where_it_is_expected():
    silent = make("silent", Missing("spo2", 60))
    play = Play(silent, make("other", threshold("heart_rate", "below", 40)))
    play.read(0, heart_rate=80)
    assert play.tick(1000) == []
    play.context(1000, Context(expected={"spo2": at(990)}))
    assert play.tick(1049) == []
    (start,) = play.tick(1056)
    assert (start.at, start.values) == (at(1050), {})
    assert [t.kind for t in play.read(1060, spo2=95)] == ["end"]


def test_what_is_not_expected_any_more_is_not_missing():
    play = Play(make("silent", Missing("spo2", 60)))
    play.read(0, spo2=95)
    play.tick(70)
    (end,) = play.context(80, Context(expected={"heart_rate": 0}))
    assert (end.kind, end.at) == ("end", at(80))


PULSE = make("pulse", All((threshold("pulse_rate", "above", 120, 5), Missing("heart_rate", 60, unseen=True))))


def test_the_pulse_counts_where_there_is_no_heart_rate():
    play = Play(PULSE)
    (start,) = play.read(1000, pulse_rate=130)
    assert (start.onset, start.values) == (at(1000), {"pulse_rate": 130.0})
    assert [t.kind for t in play.read(1010, heart_rate=80)] == ["end"]
    play.read(1060, pulse_rate=130)
    assert play.active == []
    (again,) = play.tick(1075)
    assert (again.kind, again.onset) == ("start", at(1070))


# -- flags


@pytest.mark.parametrize(
    ("flag", "bit"),
    [
        ("sensor_off", Quality.SENSOR_OFF),
        ("poor_signal", Quality.POOR_SIGNAL),
        ("motion", Quality.MOTION),
        ("clock_unset", Quality.CLOCK_UNSET),
        ("clock_wrong", Quality.CLOCK_WRONG),
        ("future", Quality.FUTURE),
        ("out_of_range", Quality.OUT_OF_RANGE),
    ],
)
@pytest.mark.parametrize("value", [None, 95.0])
def test_a_device_says_something_of_itself(flag: Flag, bit: Quality, value: float | None):
    rule = make(
        "flag", DeviceFlag(flag, "spo2"), kind="technical", explanation={"en": "{flag}", "zh": "{flag}"}
    )
    play = Play(rule)
    (start,) = play.read(0, spo2=value, quality=bit | Quality.ONGOING)
    assert start.kind == "start"
    assert start.text["en"] not in {"--", ""}
    assert start.text["en"] != start.text["zh"]
    assert play.read(1, spo2=value, quality=bit) == []
    other = Quality.MOTION if bit is not Quality.MOTION else Quality.POOR_SIGNAL
    assert [t.kind for t in play.read(2, spo2=value, quality=other)] == ["end"]


@pytest.mark.parametrize(
    ("skew", "said"),
    [
        (3600, "d is 1 h ahead (summer time?), set it"),
        (-3545, "d is 59 min behind (summer time?), set it"),
        (-5400, "d is 1 h 30 min behind, set it"),
        (305, "d is 5 min ahead, set it"),
        (4.1e8, "d is 4745 d ahead, set it"),
    ],
)
def test_a_clock_that_is_wrong_is_told_with_what_to_do(skew: float, said: str):
    flag = DeviceFlag("clock_wrong", "clock_skew")
    play = Play(make("flag", flag, kind="technical", explanation={"en": "{flag}", "zh": "{flag}"}))
    (start,) = play.read(0, clock_skew=skew, quality=Quality.CLOCK_WRONG)
    assert start.text["en"] == said
    assert start.text["zh"].endswith(", 请校准")
    assert [t.kind for t in play.read(1, clock_skew=0.0)] == ["end"]


def test_what_a_device_said_long_ago_is_not_known_any_more():
    play = Play(make("off", DeviceFlag("sensor_off", "spo2")), make("x", threshold("heart_rate", "below", 1)))
    play.read(0, spo2=None, quality=Quality.SENSOR_OFF)
    play.read(1000, heart_rate=80)
    assert play.active == ["off"]  # nor does silence end it
    assert [t.kind for t in play.read(1001, device="e", spo2=95)] == ["end"]


def test_one_device_of_two_is_enough_and_another_does_not_clear_it():
    play = Play(make("off", DeviceFlag("sensor_off", "spo2")))
    play.read(0, device="d", spo2=None, quality=Quality.SENSOR_OFF)
    assert play.read(1, device="e", spo2=95) == []
    assert [t.kind for t in play.read(2, device="d", spo2=95)] == ["end"]


def test_without_a_metric_it_is_about_any_of_the_rules_signals():
    rule = make("off", DeviceFlag("sensor_off"), inputs={"spo2": 60.0, "heart_rate": 60.0})
    play = Play(rule)
    assert [t.kind for t in play.read(0, heart_rate=None, quality=Quality.SENSOR_OFF)] == ["start"]


def test_a_detector_is_a_limit_on_its_signal():
    play = Play(make("fall", threshold("detector:fall", "at_or_above", 0.9, 0.3)))
    assert play.read(0, **{"detector:fall": 0.89}) == []
    assert [t.kind for t in play.read(1, **{"detector:fall": 0.9})] == ["start"]
    assert [t.kind for t in play.read(2, **{"detector:fall": 0.6})] == ["end"]


# -- scores


def test_a_score_is_the_sum_of_all_points():
    play = Play(news(explanation={"en": "{score} {missing}", "zh": "{score}"}))
    assert play.read(0, **WELL) == []
    (start,) = play.read(10, **{**WELL, "respiratory_rate": 25.0, "spo2": 93.0, "supplemental_oxygen": 1.0})
    assert start.text["en"] == "7 none"
    assert start.detail["score"]["total"] == 7
    assert start.detail["score"]["points"]["supplemental_oxygen"] == 2
    assert start.detail["score"]["missing"] == []
    assert len(start.inputs) == 7


def test_an_incomplete_score_is_a_lower_bound_that_can_begin_an_alarm_and_says_what_is_missing():
    play = Play(news(explanation={"en": "{score}, missing {missing}", "zh": "{missing}"}))
    (start,) = play.read(0, respiratory_rate=25, spo2=91, consciousness=3)
    assert start.text["en"].startswith("≥9, missing ")
    assert "temperature" in start.text["en"]
    assert start.detail["score"]["missing"] == ["supplemental_oxygen", "systolic", "pulse", "temperature"]


def test_a_score_that_is_too_low_because_something_is_missing_begins_nothing():
    play = Play(news())
    assert play.read(0, respiratory_rate=25, spo2=91) == []
    assert play.read(1, supplemental_oxygen=1) != []


@pytest.mark.parametrize(("points", "kind"), [(5.0, []), (4.0, ["end"])])
def test_a_score_ends_below_its_lower_value(points: float, kind: list[str]):
    play = Play(news())
    play.read(0, **{**WELL, "respiratory_rate": 25.0, "spo2": 91.0, "heart_rate": 100.0})
    assert play.active == ["news"]
    better = {5.0: {"spo2": 95.0, "heart_rate": 100.0}, 4.0: {"spo2": 96.0, "heart_rate": 100.0}}[points]
    told = play.read(10, **{**WELL, "respiratory_rate": 25.0, **better})
    assert [t.kind for t in told] == kind


def test_a_score_ends_only_when_all_that_raised_it_is_known_again():
    play = Play(news())
    play.read(0, **{**WELL, "respiratory_rate": 25.0, "spo2": 91.0, "consciousness": 1.0})
    assert play.active == ["news"]
    play.read(700, respiratory_rate=16, spo2=97, heart_rate=70)
    assert play.active == ["news"]  # nobody has looked at the consciousness again
    assert [t.kind for t in play.read(710, consciousness=0)] == [
        "end"
    ]  # what was never at fault may be stale


def test_a_single_three_is_an_alarm_of_its_own():
    rule = news(3, 3, "news2_three")
    play = Play(rule)
    assert play.read(0, respiratory_rate=24, spo2=92, heart_rate=130) == []
    (start,) = play.read(1, respiratory_rate=25)
    assert start.values == {"respiratory_rate": 25.0}
    assert [t.kind for t in play.read(2, respiratory_rate=24)] == ["end"]


@pytest.mark.parametrize(
    ("value", "oxygen", "opens"),
    [
        (83.0, 0, True),
        (86.0, 0, False),
        (97.0, 0, False),
        (97.0, 1, True),
        (97.0, None, False),
        (96.0, 1, False),
    ],
)
def test_the_second_scale_only_on_order(value: float, oxygen: float | None, opens: bool):  # noqa: FBT001
    rule = news(3, 3, "news2_three")
    play = Play(rule)
    play.context(0, Context(spo2_scale=2))
    if oxygen is not None:
        play.read(0, supplemental_oxygen=oxygen)
    play.read(1, spo2=value)
    assert (play.active == ["news"]) is opens


def test_the_order_of_the_second_scale_counts_at_once():
    play = Play(news(3, 3, "news2_three"))
    play.read(0, spo2=88)
    assert play.active == ["news"]
    assert [t.kind for t in play.context(5, Context(spo2_scale=2))] == ["end"]
    assert [t.kind for t in play.context(6, None)] == ["start"]


def test_the_worst_of_several_values_of_one_parameter_counts():
    play = Play(news(3, 3, "news2_three"))
    (start,) = play.rows(("p", "a", "heart_rate", 80.0, 0), ("p", "b", "pulse_rate", 135.0, 0), now=0)
    assert start.values == {"pulse_rate": 135.0}
    assert play.read(1, device="a", heart_rate=90) == []
    assert [t.kind for t in play.read(2, device="b", pulse_rate=80)] == ["end"]


# -- logic


@pytest.mark.parametrize(
    "node",
    [
        All((threshold("spo2", "below", 90), threshold("heart_rate", "above", 120))),
        All((threshold("spo2", "below", 90), Not(threshold("heart_rate", "at_or_below", 120)))),
    ],
)
def test_what_is_unknown_begins_nothing_and_ends_nothing(node: Node):
    play = Play(make("x", node))
    assert play.read(0, spo2=84) == []
    (start,) = play.read(10, heart_rate=130)
    assert start.onset == at(10)
    assert play.read(129, spo2=84) == []
    assert play.read(131, spo2=84) == []  # the heart rate is too old by now
    assert play.read(260, heart_rate=130) == []  # and now the saturation
    assert play.active == ["x"]
    assert [t.kind for t in play.read(261, heart_rate=100)] == ["end"]


def test_a_template_field_without_a_value_shows_a_dash():
    names = ("limit", "score", "missing", "change", "baseline", "silence", "flag", "spo2")
    text = " ".join(f"{{{n}}}" for n in names)
    (start,) = Play(make("x", threshold("spo2", "below", 90), explanation={"en": text, "zh": text})).read(
        0, spo2=84
    )
    assert start.text["en"] == "< 90 -- -- -- -- -- -- 84"


def test_a_coded_value_is_shown_by_its_code():
    rule = make(
        "x", threshold("consciousness", "above", 0), explanation={"en": "{consciousness}", "zh": "{limit}"}
    )
    (start,) = Play(rule).read(0, consciousness=2)
    assert start.text["en"] == "V"
