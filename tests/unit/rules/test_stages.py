"""Rules that are a graver stage of another one: what is refused, and that others are as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rules import RuleFileError, load_rules
from rules.conditions import Repeat
from rules.loader import load_files, load_rule, load_rules_only
from rules.rule import Rule
from rules.stages import misfits
from tests.unit.rules.documents import GOOD
from tests.unit.rules.made import make, threshold

LOW = make("low", threshold("spo2", "below", 90), priority="medium")
DEEP = make("deep", threshold("spo2", "below", 80), raises="low")
LOWER = GOOD.replace("id: mine", "id: lower").replace("priority: high", "priority: low")


def raising(what: str, text: str = GOOD) -> str:
    return text.replace("max_lateness_s: 3600\n", f"max_lateness_s: 3600\nraises: {what}\n")


def test_the_shipped_stages_are_those_that_recordings_speak_for():
    found = {r.id: r.raises for r in load_rules() if r.raises}
    assert found == {"ibp-mean-low-severe": "ibp-mean-low"}, "others are apart until recordings show the same"


def test_what_raises_nothing_keeps_its_hash_and_what_does_comes_back():
    assert "raises" not in LOW.content()
    assert Rule.from_content(LOW.content()) == LOW
    assert Rule.from_content(DEEP.content()) == DEEP
    assert DEEP.hash != replace(DEEP, raises="").hash


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"id": "lo"}, "there is no rule 'low' (did you mean 'lo'?)"),
        ({"kind": "technical"}, "'low' is about something else: technical, patient"),
        ({"priority": "high"}, ""),
        ({"raises": "deep"}, "'low' raises 'deep' itself: there are two stages"),
        (
            {"condition": Repeat(LOW.condition, 60, 120)},
            "'low' asks for a second measurement: it has an alarm of its own",
        ),
        ({"inputs": {"heart_rate": 60.0}}, "'low' looks at none of this rule's signals"),
    ],
)
def test_a_stage_fits_the_rule_it_raises(other: dict[str, Any], said: str):
    low = replace(LOW, **other)
    assert list(misfits(DEEP, {low.id: low, "deep": DEEP})) == ([said] if said else [])


def test_a_stage_is_no_less_urgent_than_what_it_raises():
    assert list(misfits(replace(DEEP, priority="low"), {"low": LOW})) == [
        "'low' is of medium priority already"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (raising("mine"), "raises: a rule cannot raise its own alarm"),
        (
            raising("lower").replace("kind: physiological", "kind: technical"),
            "raises: only a patient's physiological",
        ),
        (raising("Lower"), "raises: "),
    ],
)
def test_a_document_is_refused_at_its_line(text: str, said: str):
    with pytest.raises(RuleFileError) as caught:
        load_rule(text, "mine.yaml")
    line = text.splitlines().index(next(x for x in text.splitlines() if x.startswith("raises:"))) + 1
    assert str(caught.value.problems[0]).startswith(f"mine.yaml:{line}: {said}")


def test_files_are_looked_at_together(tmp_path: Path):
    mine, lower = tmp_path / "mine.yaml", tmp_path / "lower.yaml"
    mine.write_text(raising("lower"), "utf-8")
    assert [r.raises for r in load_rules_only(mine)] == ["lower"], "alone it has alarms of its own"
    with pytest.raises(RuleFileError, match="there is no rule 'lower'"):
        load_files(mine)
    lower.write_text(LOWER, "utf-8")
    assert len(load_files(tmp_path)) == len(load_rules()) + 2
    lower.write_text(raising("spo2-low", LOWER.replace("priority: low", "priority: high")), "utf-8")
    with pytest.raises(RuleFileError) as caught:
        load_files(tmp_path)
    assert [p.message for p in caught.value.problems] == [
        "raises: 'lower' raises 'spo2-low' itself: there are two stages"
    ]
