"""What stands in a rule's way: each kind of leaf, each reason, in both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hearthward.core.model import Quality
from rules import Configuration, Context, Limit, Readings, Rows, load_rules
from rules.absence import quality_words
from rules.compiled import Compiled
from rules.conditions import (
    All,
    Any_,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Missing,
    Not,
    Repeat,
    Score,
    Smoothing,
    Threshold,
    Unusual,
)
from rules.detectors.baseline import Prior
from rules.evaluate import evaluate
from rules.explain import Explanation, explain
from rules.hindsight import Hindsight, look_back_s, timeline
from rules.news2 import METRICS_OF
from rules.rule import SECOND, Parameter, Rule
from rules.rule_words import about
from rules.telling import lasting
from tests.unit.rules.made import make, threshold

T0 = 1_772_000_000 * SECOND
LOW = threshold("spo2", "below", 90, 1)
Sample = tuple[str, float | None, float] | tuple[str, float | None, float, dict[str, Any]]


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def watched(rule: Rule, samples: list[Sample], until: float, context: Context | None = None) -> Hindsight:
    """A rule stepped over samples (signal, value, measured at, {received, quality, device})."""
    measured = []
    for metric, value, time, *more in samples:
        extra: dict[str, Any] = more[0] if more else {}
        received = at(extra.get("received", time))
        row = ("p", extra.get("device", "dev_1"), metric, value, at(time), received, extra.get("quality", 0))
        measured.append(Readings(0, received, Rows.of([row])))
    again = Hindsight(rule, "p")
    known = Configuration(0, at(-1), None, contexts={"p": context or Context()})
    for event in timeline([known], measured, at(until)):
        again.step(event)
    return again


def told(rule: Rule, samples: list[Sample], until: float, context: Context | None = None) -> Explanation:
    found = watched(rule, samples, until, context).explain(at(until))
    assert found is not None
    for text in (found.text, *(t for _, p in found.root.walk() for t in (p.text, p.found))):
        assert set(text) == {"en", "zh"}
        assert text["en"]
        assert not re.search(r"[一-鿿]", text["en"]), text
        assert re.search(r"[一-鿿]|^[\W\d_A-Za-z0-9 .]+$", text["zh"]), text
        assert "{" not in text["en"] + text["zh"]
    return found


def codes(found: Explanation) -> list[str]:
    return [p.code for p in found.blockers]


CASES: dict[str, tuple[Any, list[Sample], float, list[str], str]] = {
    "threshold": (LOW, [("spo2", 91, 0)], 1, ["not_met"], "SpO2 91 % is not below 90"),
    "above": (
        threshold("heart_rate", "above", 130),
        [("heart_rate", 130, 0)],
        1,
        ["not_met"],
        "not above 130",
    ),
    "at or above": (
        threshold("nibp_systolic", "at_or_above", 180),
        [("nibp_systolic", 179, 0)],
        1,
        ["not_met"],
        "179 mmHg is not ≥ 180",
    ),
    "coded": (
        threshold("consciousness", "above", 0),
        [("consciousness", 0, 0)],
        1,
        ["not_met"],
        "A is not above",
    ),
    "smoothed": (
        threshold("ibp_mean", "below", 65, smoothing=Smoothing("mean", 300, 2)),
        [("ibp_mean", 64.4, 0), ("ibp_mean", 68, 60)],
        61,
        ["not_met"],
        "66.2 mmHg, is not below 65",
    ),
    "too few": (
        threshold("ibp_mean", "below", 65, smoothing=Smoothing("median", 300, 3)),
        [("ibp_mean", 60, 0)],
        1,
        ["too_few"],
        "hold 1 values of mean BP (line); its median needs 3",
    ),
    "rise": (
        Change("body_weight", "rise", 2, 3 * 86_400),
        [("body_weight", 80, 0), ("body_weight", 81.5, 60)],
        61,
        ["not_met"],
        "body weight rose by 1.5 kg within 3 d, not by 2",
    ),
    "fall": (
        Change("interstitial_glucose", "fall", 30, 900),
        [("interstitial_glucose", 100, 0), ("interstitial_glucose", 90, 60)],
        61,
        ["not_met"],
        "fell by 10 mg/dL within 15 min, not by 30",
    ),
    "learning": (
        Deviation("heart_rate", "above", 20, 600, 3600),
        [("heart_rate", 70, 0), ("heart_rate", 99, 60)],
        61,
        ["learning"],
        "learned over 1 h; 1 min of it are known",
    ),
    "deviation": (
        Deviation("heart_rate", "either", 20, 600, 60),
        [("heart_rate", 70, 0), ("heart_rate", 70, 60), ("heart_rate", 82, 61)],
        61,
        ["not_met"],
        "+12 from the patient's own level 70, not 20",
    ),
    "own baseline": (
        Deviation("heart_rate", "above", 3, 86_400, 60, 1, "spreads", Prior(70, 8, 4, 60)),
        [("heart_rate", 70, 0), ("heart_rate", 70, 60), ("heart_rate", 82, 180)],
        181,
        ["not_met"],
        "not 3 (usual level 70, this hour +0, usual spread 7.1, +0 a week, 1 of 4 measurements missed)",
    ),
    "own trend": (
        Deviation("heart_rate", "above", 3, 86_400, 60, 1, "trend", Prior(70, 8, 4)),
        [("heart_rate", 70, 0), ("heart_rate", 70, 60)],
        61,
        ["not_met"],
        "heart rate changes by +0 ±",
    ),
    "unusual": (
        Unusual("heart_rate", "above", 0.9, 0.3),
        [*(("heart_rate", 80 + n % 3, 600 * n) for n in range(60)), ("heart_rate", 88, 36_000)],
        36_001,
        ["not_met"],
        "not 0.9: 88 /min",
    ),
    "nothing unusual": (
        Unusual("heart_rate", "above", 0.9, 0.3),
        [("heart_rate", 80, 600), ("heart_rate", 80, 1200)],
        1201,
        ["not_met"],
        "heart rate is unusual by 0, not 0.9: nothing unusual",
    ),
    "unusual, not known": (
        Unusual("body_weight", "above", 0.9, 0.3),
        [("body_weight", 80, 600), ("body_weight", 90, 1200)],
        1201,
        ["learning"],
        "what is usual of body weight is learned over 30 min",
    ),
    "count": (
        Count(Threshold("spo2", "below", 88), 3, 3600),
        [("spo2", 85, 0), ("spo2", 86, 60)],
        61,
        ["not_met"],
        "2 of 3 values with SpO2 < 88 % within 1 h",
    ),
    "not missing": (
        Missing("spo2", 300),
        [("spo2", 97, 0)],
        30,
        ["not_met"],
        "silence is 30 s so far, not 5 min",
    ),
    "not expected": (Missing("spo2", 300), [], 30, ["not_expected"], "SpO2 is not expected"),
    "no flag": (
        DeviceFlag("sensor_off", "spo2"),
        [("spo2", 97, 0)],
        1,
        ["not_met"],
        "dev_1 does not report sensor off",
    ),
    "nothing said": (
        DeviceFlag("sensor_off", "spo2"),
        [],
        1,
        ["nothing_said"],
        "no device said anything of itself",
    ),
    "never came": (LOW, [], 1, ["no_reading"], "there is no reading of SpO2"),
    "stale": (
        LOW,
        [("spo2", 85, 0)],
        121,
        ["stale"],
        "the newest SpO2, 85 % at 2026-02-25 06:13:20 UTC by dev_1, is 2 min 1 s old and counts for 2 min",
    ),
    "sensor off": (
        LOW,
        [("spo2", 97, 0), ("spo2", 84, 100, {"quality": int(Quality.SENSOR_OFF)})],
        200,
        ["quality"],
        "SpO2 is not used since it is marked: sensor off",
    ),
    "demo data": (
        LOW,
        [("spo2", 84, 0, {"quality": int(Quality.DEMO)})],
        1,
        ["quality"],
        "marked: demonstration data",
    ),
    "too late": (
        LOW,
        [("spo2", 84, 0, {"received": 11_460})],
        11_461,
        ["late"],
        "received 2026-02-25 09:24:20 UTC: 3 h 11 min later, more than the 1 h",
    ),
    "and": (
        All((LOW, threshold("pulse_rate", "above", 120))),
        [("spo2", 85, 0), ("pulse_rate", 80, 0)],
        1,
        ["not_met"],
        "pulse rate 80 /min is not above 120",
    ),
    "or": (
        Any_((LOW, threshold("pulse_rate", "above", 120))),
        [("spo2", 95, 0), ("pulse_rate", 80, 0)],
        1,
        ["not_met", "not_met"],
        "pulse rate 80 /min is not above 120",
    ),
    "not": (
        All((LOW, Not(DeviceFlag("motion", "spo2")))),
        [("spo2", 85, 0, {"quality": int(Quality.MOTION)})],
        1,
        ["met"],
        "dev_1 reports motion",
    ),
    "repeat": (
        Repeat(
            threshold("nibp_systolic", "at_or_above", 180), 60, 600, threshold("nibp_systolic", "above", 220)
        ),
        [("nibp_systolic", 150, 0)],
        1,
        ["not_met", "not_met"],
        "150 mmHg is not above 220",
    ),
}
"""name -> condition, samples, moment, the codes of what blocks, words that the sentence has."""


@pytest.mark.parametrize("name", CASES)
def test_what_blocks_is_named(name: str):
    condition, samples, until, expected, words = CASES[name]
    found = told(make("r", condition), samples, until)
    assert codes(found) == expected
    assert words in found.text["en"]
    assert not found.opens


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_the_rules_decide(name: str):
    """Predicates are the results of ``evaluate`` in the order of the leaves; the whole is its verdict."""
    condition, samples, until, _, _ = CASES[name]
    rule = make("r", condition)
    again = watched(rule, samples, until)
    found = again.explain(at(until))
    assert found is not None
    verdict = evaluate(Compiled(rule.resolved, "", {}), again.subject, again.context, at(until))
    assert found.opens == verdict.opens
    leaves = [p for _, p in found.root.walk() if not p.parts]
    assert [p.value for p in leaves] == [r.value for r in verdict.results]
    assert found.root.truth is True or not found.opens


def test_what_holds_blocks_nothing():
    found = told(make("r", LOW, delay_s=60), [("spo2", 84, 0)], 1)
    assert found.opens
    assert found.blockers == ()
    assert found.text["en"] == "SpO2 84 % is below 90 (at 2026-02-25 06:13:20 UTC, dev_1)"
    assert found.text["zh"] == "血氧 84 % 满足 < 90 (2026-02-25 06:13:20 UTC,dev_1)"
    (leaf,) = [found.root]
    assert (leaf.truth, leaf.value, leaf.limit, leaf.text["en"]) == (True, 84, 90, "SpO2 < 90 %")


def test_an_any_with_one_part_met_is_not_blocked_by_the_others():
    rule = make("r", LOW, threshold("pulse_rate", "above", 120), delay_s=60)
    found = told(rule, [("spo2", 84, 0), ("pulse_rate", 80, 0)], 1)
    assert found.opens
    assert not any(p.blocks for _, p in found.root.walk())


def test_an_incomplete_score_names_its_lower_bound_and_what_is_missing():
    rule = load_rules().by_id["news2-emergency"]
    samples: list[Sample] = [("respiratory_rate", 25, 0), ("spo2", 93, 0), ("body_temperature", 37, -9000)]
    found = told(rule, samples, 60, Context(adult=True))
    assert codes(found) == ["incomplete"]
    assert "NEWS2 is at least 5, not ≥ 7 (points: respiratory rate 3, SpO2 2" in found.text["en"]
    assert "missing: oxygen, systolic BP, pulse, consciousness" in found.text["en"]
    assert "至少 5" in found.text["zh"]
    assert (found.root.value, found.root.limit) == (5, 7)


def test_a_score_of_nothing_says_so():
    rule = make("r", Score("news2", 7, 5), inputs={"spo2": 60.0})
    rule = make("r", Score("news2", 7, 5), inputs={m: 60.0 for ms in METRICS_OF.values() for m in ms})
    found = told(rule, [("spo2", 93, 0)], 100)
    assert codes(found) == ["no_reading"]
    assert "SpO2 (the newest SpO2, 93 %" in found.text["en"]


def limited(value: float, **more: Any) -> Context:
    limit = Limit("r", "limit", value, "Dr Li", at(-60), "COPD", **{"expires": at(9000), **more})
    return Context(limits=(limit,))


BOUNDED = make("r", threshold("spo2", "below", "limit", 1), parameters={"limit": Parameter(90.0, 80.0, 94.0)})


def test_who_set_the_limit_until_when_and_why_is_told():
    found = told(BOUNDED, [("spo2", 88, 0)], 1, limited(86))
    text = found.text["en"]
    assert "88 % is not below 86" in text
    assert (
        "limit set by Dr Li on 2026-02-25 06:12:20 UTC until 2026-02-25 08:43:20 UTC, because: COPD" in text
    )
    assert "the rule's own is 90" in text
    assert "由 Dr Li" in found.text["zh"]


def test_a_limit_without_end_and_one_that_has_expired():
    assert "until changed" in told(BOUNDED, [("spo2", 88, 0)], 1, limited(86, expires=None)).text["en"]
    expired = told(BOUNDED, [("spo2", 88, 0)], 1, limited(86, expires=at(0.5)))
    assert expired.opens
    assert "Dr Li" not in expired.text["en"]


def test_a_limit_outside_the_bounds_is_named_as_not_counting():
    found = told(BOUNDED, [("spo2", 92, 0)], 1, limited(70))
    assert "92 % is not below 90" in found.text["en"]
    assert "70 set by Dr Li lies outside the rule's 80 to 94 and does not count" in found.text["en"]


# -- what came to nothing, what did not count


def test_a_breach_shorter_than_its_delay_is_told_with_what_ended_it():
    again = watched(make("r", LOW, delay_s=10), [("spo2", 84, 0), ("spo2", 93, 8)], 20)
    (brief,) = again.briefs
    assert (brief.code, brief.onset, brief.ended) == ("short", at(0), at(8))
    assert (
        "lasted 8 s of the delay of 10 s and ended at 2026-02-25 06:13:28 UTC: SpO2 93 %" in brief.text["en"]
    )
    assert "未达到延时 10 秒" in brief.text["zh"]


def test_a_breach_that_became_an_alarm_is_none_that_came_to_nothing():
    again = watched(make("r", LOW, delay_s=10), [("spo2", 84, 0), ("spo2", 93, 18)], 30)
    assert again.briefs == []
    assert [t.kind for t in again.transitions] == ["start", "end"]


def test_a_second_measurement_that_did_not_confirm():
    rule = make("r", Repeat(threshold("nibp_systolic", "at_or_above", 180), 60, 600))
    again = watched(rule, [("nibp_systolic", 190, 0), ("nibp_systolic", 140, 90)], 100)
    (brief,) = again.briefs
    assert (brief.code, brief.ended) == ("refuted", at(90))
    assert "the second one at 2026-02-25 06:14:50 UTC did not confirm it" in brief.text["en"]


def test_readings_that_did_not_count_are_kept_with_their_reason():
    samples: list[Sample] = [
        ("spo2", 97, 100),
        ("spo2", 84, 50, {"received": 200}),
        ("spo2", 85, 300, {"quality": int(Quality.SENSOR_OFF)}),
        ("spo2", 85, 301, {"quality": int(Quality.SENSOR_OFF)}),
        ("spo2", 83, 400, {"received": 9000}),
        ("spo2", 96, 9001),
    ]
    again = watched(make("r", LOW), samples, 9002)
    assert [(u.code, u.reading.value, u.count, u.breaches) for u in again.unused] == [
        ("superseded", 84, 1, True),
        ("quality", 85, 2, True),
        ("late", 83, 1, True),
    ]
    assert "came at 2026-02-25 06:16:40 UTC, when a newer one was known" in again.unused[0].text["en"]
    assert "marked sensor off" in again.unused[1].text["en"]
    assert "2 h 23 min later, more than the 1 h" in again.unused[2].text["en"]


def test_what_was_judged_is_not_among_the_unused():
    again = watched(make("r", LOW), [("spo2", 97, 0), ("spo2", 84, 1), ("spo2", 97, 2)], 3)
    assert again.unused == []


def test_how_far_to_look_back_covers_every_shipped_rule():
    rules = load_rules().by_id
    assert look_back_s(rules["spo2-low"]) == 3600
    assert look_back_s(rules["weight-gain"]) >= 3 * 86_400
    assert look_back_s(rules["heart-rate-baseline"]) >= 2 * 86_400
    assert all(look_back_s(r) >= max(r.inputs.values()) for r in rules.values())


def test_every_shipped_rule_is_told_in_both_languages():
    for rule in load_rules():
        if rule.subject in {"gateway", "component"}:
            continue
        found = told(rule, [], 1, Context(adult=True))
        assert not found.opens
        assert found.blockers
        for text in about(rule):
            assert re.search(r"[一-鿿]", text["zh"])
            assert not re.search(r"[一-鿿]", text["en"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "40 ms"),
        (8, "8 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (11_460, "3 h 11 min"),
        (7200, "2 h"),
        (3661, "1 h 1 min"),
        (3 * 86_400 + 60, "3 d"),
    ],
)
def test_durations_have_at_most_two_units(seconds: float, text: str):
    assert lasting(seconds)["en"] == text


def test_explaining_changes_nothing():
    again = watched(make("r", LOW, delay_s=10), [("spo2", 84, 0)], 1)
    before = again.subject.pack()
    for _ in range(2):
        assert explain(make("r", LOW, delay_s=10), again.subject, again.context, at(1)).opens
    assert again.subject.pack() == before


@pytest.mark.parametrize("flag", list(Quality), ids=lambda f: f.name.lower())
def test_every_quality_flag_has_words_in_both_languages(flag: Quality):
    words = quality_words(flag)
    assert words["en"]
    assert words["en"] != words["zh"]
