"""What a rule document may not say, though each part of it is well formed."""

from __future__ import annotations

import pytest

from rules import RuleFileError
from rules.checks_said import FIELD_OF
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
)
from rules.filling import FIELDS
from rules.loader import load_files, load_rule
from rules.news2 import METRICS_OF
from rules.rule import Parameter
from tests.unit.rules.documents import document, loaded

SPO2 = "inputs: {spo2: {max_age_s: 600}}\n"
BP = "inputs: {nibp_systolic: {max_age_s: 3600}, symptom: {max_age_s: 3600}}\n"
NEWS2 = "inputs: {" + ", ".join(f"{m}: {{max_age_s: 60}}" for ms in METRICS_OF.values() for m in ms) + "}\n"
BEAT = "inputs: {heartbeat: {max_age_s: 9}}\n"
TIGHT = "delay_s: 0\nmax_lateness_s: 60"


def told(text: str) -> list[str]:
    with pytest.raises(RuleFileError) as caught:
        load_rule(text, "mine.yaml")
    return [str(p) for p in caught.value.problems]


def test_every_kind_of_condition_is_read():
    heart = (
        "inputs: {spo2: {max_age_s: 600}, heart_rate: {max_age_s: 600}, 'detector:sepsis': {max_age_s: 60}}\n"
    )
    rule = loaded(
        heart
        + """
parameters: {p: {value: 90, low: 80, high: 94}}
smoothing: {kind: median, window_s: 60, min_count: 3}
condition:
  any:
    - {metric: spo2, op: below, value: p, hysteresis: 2}
    - {rise: heart_rate, by: 30, within_s: 600}
    - {fall: spo2, by: 5, within_s: 300, hysteresis: 1}
    - {deviates: heart_rate, direction: either, by: 20, tau_s: 86400, learn_s: 3600, hysteresis: 5}
    - {missing: spo2, for_s: 60, unseen: true}
    - {flag: motion}
    - {flag: sensor_off, metric: spo2}
    - {detector: sepsis, op: above, value: 0.8, hysteresis: 0.1}
    - {count: {of: {metric: spo2, op: below, value: 88}, at_least: 3, within_s: 600}}
    - all: [{metric: heart_rate, op: above, value: 120}, {not: {metric: spo2, op: at_or_above, value: 95}}]
"""
    ).rule
    smooth = Smoothing("median", 60, 3)
    assert rule.parameters == {"p": Parameter(90, 80, 94)}
    assert rule.condition == Any_(
        (
            Threshold("spo2", "below", "p", 2.0, smooth),
            Change("heart_rate", "rise", 30.0, 600.0, 0.0),
            Change("spo2", "fall", 5.0, 300.0, 1.0),
            Deviation("heart_rate", "either", 20.0, 86400.0, 3600.0, 5.0),
            Missing("spo2", 60.0, unseen=True),
            DeviceFlag("motion"),
            DeviceFlag("sensor_off", "spo2"),
            Threshold("detector:sepsis", "above", 0.8, 0.1, smooth),
            Count(Threshold("spo2", "below", 88.0), 3, 600.0),
            All(
                (
                    Threshold("heart_rate", "above", 120.0, 0.0, smooth),
                    Not(Threshold("spo2", "at_or_above", 95.0, 0.0, smooth)),
                )
            ),
        )
    )


def test_a_repeated_measurement_and_codes_are_read():
    rule = loaded(
        BP
        + """
condition:
  repeat:
    of: {metric: nibp_systolic, op: at_or_above, value: 180, hysteresis: 5}
    after_s: 60
    timeout_s: 900
    critical: {metric: symptom, op: at_or_above, value: chest_pain}
"""
    ).rule
    assert rule.condition == Repeat(
        Threshold("nibp_systolic", "at_or_above", 180.0, 5.0),
        60.0,
        900.0,
        Threshold("symptom", "at_or_above", 9.0),
    )
    score = "condition: {score: news2_three, value: 3, clear_below: 2}"
    assert loaded(f"adults: true\n{NEWS2}{score}").rule.condition == Score("news2_three", 3.0, 2.0)


def test_what_is_left_out_has_its_usual_value():
    rule = loaded(SPO2 + "condition: {metric: spo2, op: below, value: 90}").rule
    assert (rule.setting, rule.subject, rule.adults, rule.clear_after_s) == ("any", "patient", False, 0)
    assert (rule.latching, rule.escalation, rule.parameters) == (False, "default", {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (SPO2 + "condition: {metrc: spo2, op: below, value: 90}", "'metrc' (did you mean 'metric'?)"),
        (SPO2 + "condition: {rise: spo2, fall: spo2, by: 1, within_s: 9}", "'rise' and 'fall' are two"),
        (SPO2 + "condition: {}", "condition: unknown condition"),
        (SPO2 + "condition: [1]", "condition: must be a condition: a mapping"),
        (SPO2 + "condition: {all: []}", "condition.all: List should have at least 1 item"),
        (
            SPO2 + "condition: {all: [{any: [{metric: spo2, op: under, value: 90}]}]}",
            "condition.all.0.any.0.op: Input should be 'below'",
        ),
        (
            SPO2 + "condition: {not: {not: {metric: spo2, op: below}}}",
            "condition.not.not.value: is missing",
        ),
        (SPO2 + "condition: {rise: sp02, by: 1, within_s: 9}", "condition.rise: unknown metric 'sp02'"),
        (
            "inputs: {ecg: {max_age_s: 9}}\ncondition: {metric: ecg, op: above, value: 2, hysteresis: 1}",
            "inputs.ecg: ecg is a waveform: rules look at values",
        ),
        (SPO2 + "condition: {missing: pleth, for_s: 60}", "condition.missing: pleth is a waveform"),
        (SPO2 + "condition: {rise: pulse_rate, by: 1, within_s: 9}", "'pulse_rate' is not among the rule's"),
        (SPO2 + "condition: {rise: spo2, by: 0, within_s: 9}", "condition.by: must be above 0"),
        (SPO2 + "condition: {rise: spo2, by: 101, within_s: 9}", "lies within 0..100: it never breaches"),
        (SPO2 + "condition: {rise: spo2, by: 5, hysteresis: 5, within_s: 9}", "0 or more and less than by"),
        (
            SPO2 + "condition: {fall: spo2, by: 5, within_s: 601}",
            "is longer than a value of spo2 counts (600",
        ),
        (
            SPO2
            + "parameters: {p: {value: 5, low: 0, high: 9}}\ncondition: {fall: spo2, by: p, within_s: 9}",
            "condition.by: must be above 0 (with p 0)",
        ),
        (SPO2 + "condition: {missing: spo2, for_s: 0}", "condition.for_s: must be above 0"),
        (SPO2 + "condition: {missing: heart_rate, for_s: 9}", "'heart_rate' is not among the rule's inputs"),
        (
            SPO2 + "condition: {unusual: spo2, direction: below, value: 1, clear_below: 0.3}",
            "condition.value: what is unusual lies within 0..1, 1 is never reached",
        ),
        (
            SPO2 + "condition: {unusual: spo2, direction: below, value: 0.7, clear_below: 0.8}",
            "condition.clear_below: must lie within 0..value",
        ),
        (
            SPO2 + "condition: {unusual: spo2, direction: down, value: 0.7, clear_below: 0.3}",
            "condition.direction: Input should be 'above'",
        ),
        (
            SPO2 + "condition: {unusual: heart_rate, direction: below, value: 0.7, clear_below: 0.3}",
            "condition.unusual: 'heart_rate' is not among the rule's inputs",
        ),
        (
            SPO2 + "condition: {unusual: spo2, direction: above, value: 0.7, clear_below: 0.3, pace_s: 601}",
            "condition.pace_s: is longer than a value of spo2 counts (600 s)",
        ),
        (
            BP + "condition: {unusual: symptom, direction: above, value: 0.7, clear_below: 0.3}",
            "condition.unusual: symptom is coded: only a limit fits it",
        ),
        (SPO2 + "condition: {flag: sensr_off}", "condition.flag: Input should be 'sensor_off'"),
        (SPO2 + "condition: {flag: motion, metric: heart_rate}", "condition.metric: 'heart_rate' is not"),
        (
            SPO2 + "condition: {count: {of: {rise: spo2}, at_least: 2, within_s: 9}}",
            "condition.count.of.rise: unknown key 'rise'",
        ),
        (
            SPO2 + "condition: {count: {of: {metric: spo2, op: below, value: 0}, at_least: 2, within_s: 9}}",
            "condition.count.of.value: spo2 lies within 0..100: it never breaches",
        ),
        (
            SPO2
            + "condition: {count: {of: {metric: spo2, op: below, value: 90}, at_least: 2, within_s: 999}}",
            "condition.count.within_s: is longer than a value of spo2 counts (600 s)",
        ),
        (
            SPO2 + "condition: {count: {of: {metric: spo2, op: below, value: x}, at_least: 2, within_s: 9}}",
            "condition.count.of.value: unknown parameter 'x' (the rule declares none)",
        ),
        (SPO2 + "condition: {detector: sepsis, op: above, value: 0.5}", "'detector:sepsis' is not among"),
        (
            "inputs: {'detector:x': {max_age_s: 9}}\ncondition: {detector: x, op: above, value: 1}",
            "detector:x lies within 0..1: it never breaches",
        ),
        (SPO2 + "condition: {detector: Sepsis!, op: above, value: 0.5}", "condition.detector: String should"),
        (
            SPO2 + "smoothing: {kind: mean, window_s: 601}\ncondition: {metric: spo2, op: below, value: 90}",
            "smoothing.window_s: is longer than a value of spo2 counts",
        ),
        (
            SPO2 + "smoothing: {kind: mean, window_s: 60}\ncondition: {rise: spo2, by: 1, within_s: 9}",
            "smoothing: there is no plain limit to smooth",
        ),
        (
            BP
            + "smoothing: {kind: mean, window_s: 60}\ncondition: {metric: symptom, op: above, value: nausea}",
            "smoothing: symptom is coded: it has no mean",
        ),
        (BP + "condition: {metric: symptom, op: above, value: chest}", "known: |unknown parameter 'chest'"),
        (BP + "condition: {metric: symptom, op: above, value: fainting}", "symptom lies within 0..10"),
        (BP + "condition: {rise: symptom, by: 1, within_s: 9}", "symptom is coded: only a limit fits it"),
        (
            BP + "parameters: {oxygen: {value: 1, low: 1, high: 2}}\ncondition: {flag: motion}",
            "'oxygen' is a code, a parameter needs another name",
        ),
        (
            "inputs: {device_model: {max_age_s: 9}}\ncondition: {flag: motion}",
            "unknown metric 'device_model'",
        ),
        (
            BEAT + "condition: {missing: heartbeat, for_s: 9}",
            "inputs.heartbeat: devices, gateways and components have a heartbeat, a patient has none",
        ),
        (
            SPO2 + "inputs2: {}\ncondition: {flag: motion}",
            "unknown key 'inputs2' (did you mean 'inputs'?)",
        ),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(body: str, said: str):
    text = document(body)
    problems = told(text)
    assert any(part in problem for problem in problems for part in said.split("|")), problems
    assert all(problem.startswith("mine.yaml:") for problem in problems)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("{score: news2, value: 21, clear_below: 5}", "condition.value: news2 alarms lie within 1..20"),
        ("{score: news2, value: 7, clear_below: 8}", "condition.clear_below: must lie within 1..value"),
        ("{score: news2, value: 7, clear_below: 0}", "condition.clear_below: must lie within 1..value"),
        ("{score: news2_three, value: 4, clear_below: 1}", "news2_three alarms lie within 1..3"),
        ("{score: news3, value: 4, clear_below: 1}", "condition.score: Input should be 'news2'"),
    ],
)
def test_scores_lie_within_what_they_can_reach(condition: str, said: str):
    assert said in told(document(f"adults: true\n{NEWS2}condition: {condition}"))[0]


def test_what_is_unusual_is_told_at_once_and_never_loudly():
    odd = "condition: {unusual: spo2, direction: below, value: 0.7, clear_below: 0.3}"
    loaded(SPO2 + odd)
    loud = document(SPO2 + odd).replace("priority: low", "priority: high")
    assert "what is unusual may be of medium priority at most" in told(loud)[0]
    late = document(SPO2 + odd, timing="delay_s: 10\nmax_lateness_s: 60")
    assert "is 0 where the unusual is asked for" in told(late)[0]


def test_a_score_needs_all_its_inputs_and_adults():
    score = "condition: {score: news2, value: 7, clear_below: 5}"
    assert "adults is true" in told(document(NEWS2 + score))[0]
    without = NEWS2.replace("consciousness: {max_age_s: 60}, ", "")
    assert "'consciousness' is part of news2" in told(document(f"adults: true\n{without}{score}"))[0]
    bounds = "parameters: {p: {value: 7, low: 4, high: 9}}\n"
    late = f"adults: true\n{NEWS2}{bounds}condition: {{score: news2, value: p, clear_below: 5}}"
    assert "within 1..value (with p 4)" in told(document(late))[0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("subject: gateway\ninputs: {spo2: {max_age_s: 9}}\ncondition: {flag: motion}", "has no spo2"),
        ("subject: component\ninputs: {battery_level: {max_age_s: 9}}\ncondition: {flag: motion}", "has no"),
        ("inputs: {walls_audible: {max_age_s: 9}}\ncondition: {flag: motion}", "has no walls_audible"),
        (
            "subject: gateway\ninputs: {alarms_in_10_min: {max_age_s: 9}}\ncondition: {flag: motion}",
            "has no alarms_in_10_min",
        ),
        ("subject: device\nsetting: home\n" + SPO2 + "condition: {flag: motion}", "only patients are in a"),
        ("subject: device\nadults: true\n" + SPO2 + "condition: {flag: motion}", "only patients have an age"),
        (
            "subject: gateway\n" + BEAT + "condition: {metric: heartbeat, op: above, value: 1}",
            "a heartbeat has no value; it can only be missing",
        ),
    ],
)
def test_a_rule_looks_only_at_what_its_subject_has(body: str, said: str):
    assert any(said in problem for problem in told(document(body, kind="technical")))


def test_a_machine_has_no_physiological_condition():
    text = document("subject: device\n" + SPO2 + "condition: {flag: motion}")
    assert "subject: a device has no physiological condition" in told(text)[0]


def repeat(
    of: str = "metric: nibp_systolic, op: above, value: 180", after: int = 60, timeout: int = 900
) -> str:
    return f"repeat: {{of: {{{of}}}, after_s: {after}, timeout_s: {timeout}}}"


@pytest.mark.parametrize(
    ("condition", "timing", "said"),
    [
        (f"{{all: [{{{repeat()}}}]}}", TIGHT, "stands at the top of a condition only"),
        (
            f"{{{repeat()}}}",
            "delay_s: 5\nmax_lateness_s: 60",
            "delay_s: is 0 where a measurement is repeated",
        ),
        (f"{{{repeat(timeout=60)}}}", TIGHT, "timeout_s: is not longer than after_s"),
        (f"{{{repeat(timeout=3601)}}}", TIGHT, "is longer than a value of nibp_systolic counts (3600 s)"),
        (f"{{{repeat('missing: nibp_systolic, for_s: 9')}}}", TIGHT, "only what is measured can be"),
        (
            f"{{{repeat('flag: motion')}}}\nsmoothing: {{kind: mean, window_s: 60}}",
            TIGHT,
            "a repeated measurement is not smoothed",
        ),
    ],
)
def test_a_repeated_measurement_stands_alone_and_ends(condition: str, timing: str, said: str):
    problems = told(document(f"{BP}condition: {condition}", timing=timing))
    assert any(said in problem for problem in problems), problems


def test_what_nothing_refers_to_is_told_once_all_else_is_well():
    spare = "inputs: {spo2: {max_age_s: 60}, heart_rate: {max_age_s: 60}}\n"
    limit = "condition: {metric: spo2, op: below, value: 90}"
    assert told(document(spare + limit)) == ["mine.yaml:7: inputs.heart_rate: is not used by the condition"]
    assert "unknown metric" in told(document(spare + limit.replace("spo2", "sp02")))[0]
    loaded(spare + "condition: {flag: motion}")  # any of the inputs


def test_texts_name_only_what_can_have_a_value():
    assert tuple(FIELD_OF) == FIELDS
    good = document(SPO2 + "condition: {metric: spo2, op: below, value: 90}")
    for field in ("score", "missing", "change", "baseline", "silence", "flag", "unusual"):
        text = good.replace("en: it is so", f"en: 'so {{{field}}}'")
        assert f"explanation.en: field {{{field}}} never has a value here" in told(text)[0]
    assert (
        "unknown field {spo3} (did you mean 'spo2'?)"
        in told(good.replace("en: it was so", "en: '{spo3}'"))[0]
    )
    detector = "inputs: {'detector:x': {max_age_s: 9}}\ncondition: {detector: x, op: above, value: 0.5}"
    assert "unknown field" in told(document(detector).replace("en: it is so", "en: 'so {detector:x}'"))[0]


EXAMPLE = "    - {readings: [], until: 0}\n  silent"


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (
            "{readings: [{at: 9, values: {spo2: 80}}], until: 5}",
            "until: is before the last reading came (9 s)",
        ),
        ("{readings: [{at: 0, values: {spo2: 101}}], until: 5}", "values.spo2: spo2 lies within 0..100"),
        ("{readings: [{at: 0, values: {spo2: A}}], until: 5}", "unknown code 'A' (a number is meant)"),
        ("{readings: [{at: 0, values: {spo2: true}}], until: 5}", "a valid number, a code, or null"),
        ("{readings: [{at: 0, to: 5, values: {spo2: 80}}], until: 5}", "to and every_s belong together"),
        ("{readings: [{at: 5, to: 1, every_s: 1, values: {spo2: 80}}], until: 9}", "to: is before at"),
        (
            "{readings: [{at: 0, to: 3000, every_s: 1, values: {spo2: 80}}], until: 3000}",
            "every_s: gives more than 2000 readings",
        ),
        (
            "{readings: [{at: 0, to: 3, every_s: 1, received: 9, values: {spo2: 80}}], until: 9}",
            "received: does not go with to and every_s",
        ),
        ("{readings: [], until: 5, lasts: true, end: 3}", "an alarm that lasts has no end"),
        ("{readings: [], until: 5, why: timeout}", "why: only a repeated measurement has that"),
        ("{readings: [], until: 5, asks: true}", "asks: only a repeated measurement has that"),
        ("{readings: [], until: 5, context: {limits: {limt: 85}}}", "unknown parameter 'limt' (did you mean"),
        ("{readings: [], until: 5, context: {limits: {limit: 95}}}", "limits.limit: lies outside 80..94"),
        (
            "{readings: [], until: 5, context: {expected: [spo3]}}",
            "expected.0: 'spo3' is not among the rule's",
        ),
        ("{readings: [], until: 5, context: {spo2_scale: 3}}", "spo2_scale: Input should be 1 or 2"),
    ],
)
def test_an_example_that_cannot_be_is_refused(example: str, said: str):
    bounds = "parameters: {limit: {value: 90, low: 80, high: 94}}\n"
    good = document(SPO2 + bounds + "condition: {metric: spo2, op: below, value: limit}")
    assert EXAMPLE in good
    problems = told(good.replace(EXAMPLE, f"    - {example}\n  silent"))
    assert said in problems[0], problems


@pytest.mark.parametrize("key", ["onset: 3", "text: x", "end: 3", "lasts: true"])
def test_a_silent_example_expects_no_alarm(key: str):
    text = document(SPO2 + "condition: {metric: spo2, op: below, value: 90}")
    head, tail = text.rsplit("until: 0}", 1)
    assert "has no place in a silent example" in told(f"{head}until: 5, {key}}}{tail}")[0]


def test_every_shipped_limit_can_come_and_go_at_its_bounds():
    """The loader checks it; here the bounds are shown to be bounds: the rule's own value lies within."""
    for each in load_files():
        for parameter in each.rule.parameters.values():
            assert parameter.low <= parameter.value <= parameter.high
            assert parameter.low < parameter.high
