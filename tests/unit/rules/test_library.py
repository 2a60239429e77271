"""Every rule of the library passes the same conformance test: its own examples, and what people see of it."""

from __future__ import annotations

import re

import pytest

from hearthward.core.codes import METRICS
from rules.conditions import RISK, Repeat, Score, Threshold, leaves
from rules.examples import failures, run_example
from rules.loader import LIBRARY, Loaded, load_files, load_rules
from rules.model import Transition
from rules.news2 import METRICS_OF
from rules.report import check
from rules.rule import SECOND, Rule, RuleSet

FILES = load_files()
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(params=FILES, ids=lambda f: f.rule.id)
def loaded(request: pytest.FixtureRequest) -> Loaded:
    return request.param


def firing(loaded: Loaded) -> list[tuple[Transition, ...]]:
    return [run_example(loaded.rule, example) for example in loaded.firing]


def test_it_does_what_its_examples_say(loaded: Loaded):
    assert list(failures(loaded)) == []


def test_each_firing_example_starts_an_alarm_that_says_what_it_rests_on(loaded: Loaded):
    for transitions, example in zip(firing(loaded), loaded.firing, strict=True):
        starts = [t for t in transitions if t.kind == "start"]
        assert len(starts) == 1
        start = starts[0]
        assert start.rule_hash == loaded.rule.hash
        assert start.limit or "{limit}" not in loaded.rule.explanation["en"]
        assert start.inputs or (example.context is not None and example.context.expected)
        if example.onset is not None:
            assert start.onset == round(example.onset * SECOND)


def test_no_silent_example_starts_one(loaded: Loaded):
    for example in loaded.silent:
        assert "start" not in {t.kind for t in run_example(loaded.rule, example)}


def test_its_examples_show_how_it_ends(loaded: Loaded):
    assert any(example.end is not None for example in loaded.firing)
    assert any("end" in {t.kind for t in transitions} for transitions in firing(loaded))


def test_its_texts_are_in_both_languages(loaded: Loaded):
    rule = loaded.rule
    for texts in (rule.title, rule.explanation, rule.cleared):
        assert set(texts) == {"en", "zh"}
        assert CHINESE.search(texts["zh"])
        assert not CHINESE.search(texts["en"])
    for transitions in firing(loaded):
        for t in transitions:
            assert "{" not in t.text["en"] + t.text["zh"]


def test_it_names_its_source_with_the_year(loaded: Loaded):
    assert re.search(r"\b(19|20)\d\d\b", loaded.rule.clinical_source)
    assert len(loaded.rule.clinical_source) > 60


def shown_as(leaf: Threshold) -> str:
    """The field of texts that has the value of a number; empty for a code."""
    if leaf.metric == RISK:
        return "risk"
    return leaf.metric if METRICS[leaf.metric].kind == "numeric" else ""


def test_value_and_limit_are_shown_together(loaded: Loaded):
    """A11: ``SpO2 84 < 90``; what is coded shows its code, what is silent for how long."""
    rule = loaded.rule
    limits = [leaf for leaf in leaves(rule.condition) if not isinstance(leaf, Score)]
    plain = [leaf for leaf in limits if isinstance(leaf, Threshold) and shown_as(leaf)]
    for language in ("en", "zh"):
        told = rule.explanation[language]
        assert "{" in told
        if plain or len(limits) < len(list(leaves(rule.condition))):
            assert "{limit}" in told
        if plain:
            assert any(f"{{{shown_as(leaf)}}}" in told for leaf in plain)
            assert any(f"{{{shown_as(leaf)}}}" in rule.cleared[language] for leaf in plain)


def test_a_plain_limit_forgets_a_continuous_signal_within_minutes(loaded: Loaded):
    for leaf in leaves(loaded.rule.condition):
        signal = leaf.metric if isinstance(leaf, Threshold) else ""
        if signal in METRICS and METRICS[signal].interval_s <= 1:
            assert loaded.rule.inputs[signal] <= 120


def test_the_file_is_named_after_the_rule(loaded: Loaded):
    assert loaded.file == str(LIBRARY / f"{loaded.rule.id}.yaml")


def test_the_library_checks_itself():
    report = check()
    assert report.ok
    assert report.lines == (
        f"{len(FILES)} rules, {sum(len(f.firing) + len(f.silent) for f in FILES)} examples: ok",
    )


def test_ward_and_home_are_covered():
    rules = load_rules()
    assert len(rules) >= 25
    needed = """
        wall-missing channel-failing nobody-on-duty alarm-flood
        news2-emergency news2-urgent news2-single-three heart-rate-low heart-rate-high pulse-rate-low
        pulse-rate-high spo2-low spo2-very-low respiratory-rate-low respiratory-rate-high home-bp-high
        bp-systolic-low bp-systolic-high ibp-mean-low temperature-high temperature-low glucose-low
        glucose-very-low glucose-high glucose-falling-fast weight-gain no-data no-data-home sensor-off
        low-battery clock-wrong signal-poor gateway-silent component-silent
    """
    assert set(needed.split()) <= rules.by_id.keys()
    assert {r.setting for r in rules} == {"any", "ward", "home"}
    assert {r.subject for r in rules} == {"patient", "device", "gateway", "component"}
    assert {a for r in rules for a in r.audience} == {"nurse", "doctor", "patient", "engineer"}


@pytest.mark.parametrize(
    ("rule", "limit", "priority", "delay_s", "max_lateness_s"),
    [
        ("spo2-low", "< 90", "high", 10, 3600),
        ("heart-rate-low", "< 40", "high", 10, 3600),
        ("heart-rate-high", "> 130", "medium", 10, 3600),
        ("home-bp-high", "≥ 180/110", "high", 0, 86_400),
    ],
)
def test_the_first_rules_are_as_decided(
    rule: str, limit: str, priority: str, delay_s: float, max_lateness_s: float
):
    found = load_rules().by_id[rule]
    assert (found.limit, found.priority, found.delay_s, found.max_lateness_s) == (
        limit,
        priority,
        delay_s,
        max_lateness_s,
    )


def test_hard_limits_at_home_may_come_a_day_late_and_ask_again_first():
    rule = load_rules().by_id["home-bp-high"]
    assert isinstance(rule.condition, Repeat)
    assert (rule.condition.after_s, rule.condition.timeout_s) == (60, 900)
    assert (rule.setting, rule.max_lateness_s) == ("home", 86_400)


def test_all_levels_of_news2_look_at_the_same_inputs_equally_long():
    rules = load_rules()
    levels = [rules.by_id[f"news2-{level}"] for level in ("emergency", "urgent", "single-three")]
    assert all(r.inputs == levels[0].inputs and r.adults for r in levels)
    assert set(levels[0].inputs) == {m for metrics in METRICS_OF.values() for m in metrics}


def test_a_deeper_limit_cannot_be_set_above_the_first():
    def bounds(rule: Rule) -> tuple[float, float]:
        limit = rule.parameters["limit"]
        return limit.value, limit.high

    rules = load_rules().by_id
    for first, deeper in (("spo2-low", "spo2-very-low"), ("glucose-low", "glucose-very-low")):
        assert bounds(rules[deeper]) < bounds(rules[first])
        assert rules[deeper].priority == "high"


def test_a_set_is_ordered_and_its_hash_does_not_depend_on_the_order_of_files():
    rules = load_rules()
    assert [r.id for r in rules] == sorted(r.id for r in rules)
    assert RuleSet(tuple(reversed(rules.rules))).hash == rules.hash
    assert RuleSet(rules.rules[1:]).hash != rules.hash
    with pytest.raises(ValueError, match="unique"):
        RuleSet((*rules.rules, rules.rules[0]))
