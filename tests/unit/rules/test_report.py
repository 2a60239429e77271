from __future__ import annotations

from pathlib import Path

import pytest

from hearthward.core.errors import ConfigError
from rules import RuleSet, load_rules
from rules.loader import load_rule
from rules.report import check, library_table, list_text, show_text
from tests.unit.rules.documents import GOOD, document, loaded

ROOT = Path(__file__).parents[3]


def shown(body: str, **more: str) -> str:
    return show_text(RuleSet((loaded(body, **more).rule,)), "mine")


def test_the_list_has_one_line_a_rule():
    rules = load_rules()
    lines = list_text(rules).splitlines()
    assert lines[0].split() == ["ID", "VERSION", "PRIORITY", "FOR", "LIMIT", "DELAY", "HASH", "TITLE"]
    assert [line.split()[0] for line in lines[1:-1]] == [r.id for r in rules]
    assert all(rule.hash in line for rule, line in zip(rules, lines[1:-1], strict=True))
    assert lines[-1] == f"{len(rules)} rules, set {rules.hash}"
    fors = {line.split()[0]: line for line in lines}
    assert "home" in fors["weight-gain"]
    assert "16+" in fors["news2-urgent"]
    assert "gateway " in fors["gateway-silent"]


@pytest.mark.parametrize(
    ("rule", "parts"),
    [
        (
            "home-bp-high",
            [
                "≥ 180/110",
                "measured twice:",
                "nibp_systolic at or above 180 [systolic], clear at 175",
                "nibp_diastolic at or above 110 [diastolic], clear at 105",
                "the second from 1 min on decides; none within 15 min: alarm",
                "at once when:",
                "symptom at or above blurred_vision",
                "patients at home",
                "told to      nurse, doctor, patient; escalation home",
                "counts for 4 h",
                "up to 1 d after",
                "told after 0 s",
                "ESC/ESH",
                "血压",
            ],
        ),
        (
            "spo2-low",
            [
                "spo2 below 90 [limit], clear at 91",
                "limit 90, may be set for a patient from 80 to 94",
                "spo2 (%), counts for 2 min",
                "patients on wards and at home",
                "told after 10 s",
            ],
        ),
        ("spo2-very-low", ["stays, shown as ended, until somebody acknowledges it"]),
        ("respiratory-rate-low", ["median of respiratory_rate over 30 s at or below 8 [limit], clear at 10"]),
        (
            "news2-emergency",
            [
                "NEWS2, the sum at or above 7 [trigger], clear below 5",
                "from 16 years on and not pregnant",
            ],
        ),
        ("news2-single-three", ["the points of the worst parameter at or above 3, clear below 3"]),
        ("weight-gain", ["body_weight 2 [by] above the lowest of 3 d, clear at 1.5"]),
        ("glucose-falling-fast", ["30 [by] below the highest of 15 min, clear at 20", "not:"]),
        (
            "heart-rate-baseline",
            [
                "heart_rate 25 [by] above the patient's own level",
                "(learned over 2 d, forgets in 7 d), clear at 20",
                "clear after  10 min without a breach",
            ],
        ),
        ("pulse-rate-low", ["all of:", "heart_rate has not come for 1 min (or has never come)"]),
        ("no-data", ["spo2 has not come for 5 min [silence_s]"]),
        ("sensor-off", ["the device says of any of the signals: sensor off"]),
        ("desaturation-repeated", ["180 readings within 1 h: spo2 below 88 [limit]"]),
        ("gateway-silent", ["each gateway"]),
        ("symptom-grave", ["symptom at or above breathlessness"]),
    ],
)
def test_a_rule_is_shown_in_full(rule: str, parts: list[str]):
    text = show_text(load_rules(), rule)
    for part in parts:
        assert part in text


def test_every_rule_can_be_shown():
    rules = load_rules()
    for rule in rules:
        text = show_text(rules, rule.id)
        assert text.startswith(f"{rule.id} version {rule.version} ({rule.hash})")
        assert rule.clinical_source in text


def test_smoothing_and_other_numbers_are_written_out():
    spo2 = "inputs: {spo2: {max_age_s: 600}}\n"
    smooth = "smoothing: {kind: mean, window_s: 300, min_count: 3}\n"
    text = shown(f"{spo2}{smooth}condition: {{metric: spo2, op: above, value: 90.5}}")
    assert "mean of spo2 over 5 min (at least 3 values) above 90.5\n" in text
    either = "{deviates: spo2, direction: either, by: 5, tau_s: 3600, learn_s: 60}"
    assert "spo2 5 above or below the patient's own level" in shown(f"{spo2}condition: {either}")
    prior = "prior: {level: 96, spread: 2, weight: 3}"
    spreads = f"{{deviates: spo2, of: spreads, direction: below, by: 4, tau_s: 3600, learn_s: 60, {prior}}}"
    assert "spo2 4 spreads below the patient's own level" in shown(f"{spo2}condition: {spreads}")
    odd = "{unusual: spo2, direction: below, value: 0.9, clear_below: 0.3, pace_s: 60}"
    text = shown(f"{spo2}condition: {odd}")
    assert "spo2 unusual for the patient, below (a mean of 1 min), by 0.9 of 1, clear below 0.3" in text
    assert "device says of spo2: motion" in shown(f"{spo2}condition: {{flag: motion, metric: spo2}}")


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
        f"{path}: examples.silent.0: an alarm started (SpO2 79 < 80)",
    )


def test_another_onset_text_or_end_than_the_example_says_is_told(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    text = GOOD.replace("onset: 0", "onset: 1\n      end: 5").replace("text: SpO2 84 < 90", "text: SpO2 84")
    path.write_text(text, "utf-8")
    report = check([path])
    assert report.lines == (
        f"{path}: examples.firing.0: onset at 0 s, expected 1 s",
        f"{path}: examples.firing.0: text 'SpO2 84 < 90', expected 'SpO2 84'",
        f"{path}: examples.firing.0: did not end, expected at 5 s",
    )
    ends = "- {at: 0, values: {spo2: 84}}\n        - {at: 20, values: {spo2: 95}}"
    text = GOOD.replace("- {at: 0, values: {spo2: 84}}", ends).replace(
        "until: 10", "until: 20\n      lasts: true"
    )
    path.write_text(text, "utf-8")
    assert check([path]).lines == (f"{path}: examples.firing.0: ended at 20 s, expected to last",)


def test_a_second_measurement_is_part_of_what_an_example_says(tmp_path: Path):
    body = """
inputs: {nibp_systolic: {max_age_s: 3600}}
condition:
  repeat:
    of: {metric: nibp_systolic, op: at_or_above, value: 180}
    after_s: 60
    timeout_s: 900
"""
    first = "{readings: [{at: 0, values: {nibp_systolic: 190}}], until: 900, why: confirmed, asks: true}"
    second = "{readings: [{at: 0, values: {nibp_systolic: 170}}], until: 900, asks: true}"
    head, firing, silent = document(body).split("    - {readings: [], until: 0}\n")[0:3]
    path = tmp_path / "mine.yaml"
    path.write_text(f"{head}    - {first}\n{firing}    - {second}\n{silent}", "utf-8")
    assert check([path]).lines == (
        f"{path}: examples.firing.0: decided by timeout, expected confirmed",
        f"{path}: examples.silent.0: no second measurement was asked for",
    )


def test_a_rule_of_a_site_is_checked_in_place_of_the_shipped_one(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("id: mine", "id: spo2-low"), "utf-8")
    assert not check([path]).ok
    assert check([path], replace=True).ok


def test_a_file_that_cannot_be_loaded_is_a_report_not_a_crash(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("delay_s: 10", "delay: 10"), "utf-8")
    report = check([path])
    assert not report.ok
    assert all(line.startswith(f"{path}:") for line in report.lines)
    assert "did you mean 'delay_s'?" in report.lines[0]


def test_the_documentation_has_the_library_as_it_is():
    table = library_table()
    assert len(table.splitlines()) == len(load_rules()) + 2
    assert f"\n\n{table}\n" in (ROOT / "docs" / "rules.md").read_text("utf-8")


def test_the_documentations_example_is_a_rule_that_does_what_it_says(tmp_path: Path):
    text = (ROOT / "docs" / "rules.md").read_text("utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "example.yaml"
    path.write_text(example, "utf-8")
    assert load_rule(example, "example").rule.id == "pulse-fast-at-rest"
    assert check([path]).ok
