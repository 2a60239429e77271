from __future__ import annotations

from pathlib import Path

import pytest

from hearthward.core.errors import ConfigError
from rules import load_rules
from rules.loader import LIBRARY
from rules.report import check, list_text, show_text

GOOD = (LIBRARY / "spo2-low.yaml").read_text("utf-8").replace("id: spo2-low", "id: mine")


def test_the_list_has_one_line_a_rule():
    rules = load_rules()
    lines = list_text(rules).splitlines()
    assert lines[0].split() == ["ID", "VERSION", "PRIORITY", "LIMIT", "DELAY", "HASH", "TITLE"]
    assert [line.split()[0] for line in lines[1:-1]] == [r.id for r in rules]
    assert all(rule.hash in line for rule, line in zip(rules, lines[1:-1], strict=True))
    assert lines[-1] == f"{len(rules)} rules, set {rules.hash}"


def test_a_rule_is_shown_with_limit_clear_delay_lateness_and_source():
    text = show_text(load_rules(), "home-bp-high")
    for part in (
        "≥ 180/110",
        "nibp_systolic at or above 180, clear at 175",
        "nibp_diastolic at or above 110, clear at 105",
        "counts for 4 h",
        "up to 1 d after",
        "told after 0 s",
        "ESC/ESH",
        "血压",
    ):
        assert part in text
    assert "spo2 below 90, clear at 91" in show_text(load_rules(), "spo2-low")


def test_an_unknown_rule_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'spo2-low'"):
        show_text(load_rules(), "sp02-low")


def test_examples_that_do_not_hold_are_told_with_their_place(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    text = GOOD.replace("value: 90", "value: 80").replace(
        "{at: 0, values: {spo2: 90}}", "{at: 0, values: {spo2: 79}}"
    )
    path.write_text(text, "utf-8")
    report = check([path])
    assert not report.ok
    assert report.lines == (
        f"{path}: examples.firing.0: no alarm started",
        f"{path}: examples.firing.1: no alarm started",
        f"{path}: examples.silent.0: an alarm started (SpO2 79 < 80)",
    )


def test_another_onset_or_text_than_the_example_says_is_told(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    text = GOOD.replace("onset: 0", "onset: 1").replace("text: SpO2 84 < 90", "text: SpO2 84")
    path.write_text(text, "utf-8")
    report = check([path])
    assert report.lines == (
        f"{path}: examples.firing.0: onset at 0 s, expected 1 s",
        f"{path}: examples.firing.0: text 'SpO2 84 < 90', expected 'SpO2 84'",
    )


def test_a_file_that_cannot_be_loaded_is_a_report_not_a_crash(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("delay_s: 10", "delay: 10"), "utf-8")
    report = check([path])
    assert not report.ok
    assert all(line.startswith(f"{path}:") for line in report.lines)
    assert "did you mean 'delay_s'?" in report.lines[0]
