"""Every rule of the library passes the same conformance test: its own examples, and what people see of it."""

from __future__ import annotations

import pytest

from hearthward.core.codes import METRICS
from rules.loader import LIBRARY, Loaded, load_files, load_rules
from rules.model import SECOND, RuleSet
from rules.report import check, run_example

FILES = load_files()


@pytest.fixture(params=FILES, ids=lambda f: f.rule.id)
def loaded(request: pytest.FixtureRequest) -> Loaded:
    return request.param


def test_every_firing_example_fires_with_the_onset_and_text_it_says(loaded: Loaded):
    for example in loaded.firing:
        starts = [t for t in run_example(loaded.rule, example) if t.kind == "start"]
        assert len(starts) == 1
        start = starts[0]
        assert start.rule_hash == loaded.rule.hash
        assert start.inputs
        if example.onset is not None:
            assert start.onset == round(example.onset * SECOND)
        if example.text is not None:
            assert start.text["en"] == example.text


def test_no_silent_example_fires(loaded: Loaded):
    for example in loaded.silent:
        assert "start" not in {t.kind for t in run_example(loaded.rule, example)}


def test_it_names_its_source_and_shows_value_and_limit(loaded: Loaded):
    rule = loaded.rule
    assert rule.clinical_source
    values = dict.fromkeys(rule.inputs, 123.0)
    for language in ("en", "zh"):
        assert rule.title[language]
        for template in (rule.explanation, rule.cleared):
            text = rule.render(template, values)[language]
            assert "123" in text
            assert rule.limit in text
    assert rule.title["en"] != rule.title["zh"]
    assert set(rule.inputs) <= set(METRICS)


def test_the_file_is_named_after_the_rule(loaded: Loaded):
    assert loaded.file == str(LIBRARY / f"{loaded.rule.id}.yaml")


def test_the_library_checks_itself():
    report = check()
    assert report.ok
    assert report.lines == (
        f"{len(FILES)} rules, {sum(len(f.firing) + len(f.silent) for f in FILES)} examples: ok",
    )


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


def test_a_set_is_ordered_and_its_hash_does_not_depend_on_the_order_of_files():
    rules = load_rules()
    assert [r.id for r in rules] == sorted(r.id for r in rules)
    assert RuleSet(tuple(reversed(rules.rules))).hash == rules.hash
    assert RuleSet(rules.rules[1:]).hash != rules.hash
    with pytest.raises(ValueError, match="unique"):
        RuleSet((*rules.rules, rules.rules[0]))
