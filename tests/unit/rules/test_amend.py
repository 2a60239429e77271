"""Moving numbers of a rule's file: only they change, and what comes out is a rule again."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from rules.amend import AmendError, amended, movable
from rules.loader import LIBRARY, load_rule

FILES = sorted(LIBRARY.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_number_of_every_rule_can_be_moved_alone(path: Path):
    text = path.read_text("utf-8")
    numbers = movable(text)
    assert len({n.path for n in numbers}) == len(numbers)
    for number in numbers:
        other = number.value + 1
        changed = amended(text, {number.path: other})
        assert {n.path: n.value for n in movable(changed)} == {
            n.path: other if n is number else n.value for n in numbers
        }
        assert len([d for d in difflib.ndiff(text.split("\n"), changed.split("\n")) if d[0] in "+-"]) == 2


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_nothing_moved_is_the_very_same_file(path: Path):
    text = path.read_text("utf-8")
    assert amended(text, {n.path: n.value for n in movable(text)}) == text


def test_a_moved_parameter_and_version_are_the_new_rule_s():
    text = (LIBRARY / "spo2-low.yaml").read_text("utf-8")
    (limit, *_) = movable(text)
    assert (limit.path, limit.name, limit.signal, limit.op) == (
        "parameters/limit/value",
        "limit",
        "spo2",
        "below",
    )
    assert (limit.value, limit.low, limit.high, limit.parameter) == (90, 80, 94, True)
    rule = load_rule(amended(text, {limit.path: 87.5, "delay_s": 30}, version=9), "draft").rule
    assert (rule.limit, rule.delay_s, rule.version) == ("< 87.5", 30, 9)
    assert "value: 87.5, low: 80" in amended(text, {limit.path: 87.5})


def test_numbers_deep_in_a_condition_are_found_with_what_they_stand_beside():
    home = {n.path: n for n in movable((LIBRARY / "home-bp-high.yaml").read_text("utf-8"))}
    assert home["parameters/critical_diastolic/value"].signal == "nibp_diastolic"
    assert home["condition/repeat/timeout_s"].value == 900
    assert home["condition/repeat/of/any/0/hysteresis"].signal == "nibp_systolic"
    drop = {n.path: n for n in movable((LIBRARY / "bp-systolic-drop.yaml").read_text("utf-8"))}
    assert drop["condition/all/0/within_s"].signal == "nibp_systolic"


@pytest.mark.parametrize(
    ("moved", "code"),
    [
        ({"parameters/limit/low": 70.0}, "unknown"),
        ({"version": 3.0}, "unknown"),
        ({"no/where": 1.0}, "unknown"),
        ({"delay_s": float("nan")}, "invalid"),
    ],
)
def test_what_is_no_number_to_be_moved_is_refused(moved: dict[str, float], code: str):
    text = (LIBRARY / "spo2-low.yaml").read_text("utf-8")
    with pytest.raises(AmendError) as refused:
        amended(text, moved)
    assert (refused.value.code, refused.value.path) == (code, next(iter(moved)))
