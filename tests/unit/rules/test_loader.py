from __future__ import annotations

from pathlib import Path

import pytest

from hearthward.core.errors import ConfigError
from rules import RuleFileError, load_rules
from rules.loader import LIBRARY, load_files, load_folder, load_rule, load_rules_only
from rules.rule import Rule
from tests.unit.rules.documents import GOOD


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def refused(path: Path, *, library: bool = False) -> RuleFileError:
    with pytest.raises(RuleFileError) as caught:
        (load_rules if library else load_rules_only)(path)
    assert isinstance(caught.value, ConfigError)
    return caught.value


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


def test_a_further_file_or_folder_is_added(tmp_path: Path):
    path = write(tmp_path, GOOD)
    assert "mine" in load_rules(path).by_id
    assert load_rules(tmp_path, path).hash == load_rules(path).hash
    assert load_rules(path).hash != load_rules().hash


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ("priority: high", "prioritty: high", "prioritty", "did you mean 'priority'"),
        ("priority: high", "priority: urgent", "priority: urgent", "'high', 'medium' or 'low'"),
        ("op: below", "opp: below", "opp: below", "unknown key 'opp' (did you mean 'op'?)"),
        ("op: below", "op: under", "op: under", "'below', 'above', 'at_or_below' or 'at_or_above'"),
        ("- {metric: spo2", "- {metric: sp02", "sp02", "did you mean 'spo2'"),
        ("  spo2: {max", "  sp02: {max", "sp02", "unknown metric 'sp02' (did you mean 'spo2'?)"),
        ("- {metric: spo2", "- {metric: heart_rate", "heart_rate", "not among the rule's inputs"),
        ("value: limit", "value: '90'", "value: '90'", "'90' is neither a valid number nor the name"),
        ("value: limit", "value: .nan", "value: .nan", "'.nan' is neither a valid number nor the name"),
        ("value: limit", "value: true", "value: true", "valid number or the name of a parameter"),
        ("value: limit", "value: limt", "value: limt", "unknown parameter 'limt' (did you mean 'limit'?)"),
        ("value: 90, low: 80", "value: '90', low: 80", "value: '90'", "valid number"),
        ("value: 90, low: 80", "value: 90, low: 91", "low: 91", "lies outside low..high"),
        ("value: 90, low: 80", "value: 90, low: 0", "value: limit", "it never breaches (with limit 0)"),
        ("low: 80, high: 94", "low: 95, high: 85", "low: 95", "low: is above high"),
        ("low: 80, high: 94", "low: 80, high: 99.5", "value: limit", "it never clears (with limit 99.5)"),
        ("  limit: {value: 90", "  Limit: {value: 90", "Limit:", "'Limit' is no name of a parameter"),
        ("value: limit", "value: 90", "limit: {", "is not used by the condition"),
        ("audience: [nurse, doctor]", "audience: [nurse, nurse]", "audience", "names somebody twice"),
        ("audience: [nurse, doctor]", "audience: [nurse, porter]", "porter", "'patient' or 'engineer'"),
        ("audience: [nurse, doctor]", "audience: []", "audience", "at least 1 item"),
        ("delay_s: 10", "delay_s: 10\nlatching: yes", "latching", "valid boolean"),
        ("delay_s: 10", "delay_s: 10\nescalation: At Once", "escalation", "pattern"),
        ("delay_s: 10", "delay_s: 10\nsetting: house", "setting", "'any', 'ward' or 'home'"),
        ("hysteresis: 1", "hysteresis: 20", "hysteresis: 20", "never clears"),
        ("hysteresis: 1", "hysteresis: -1", "hysteresis: -1", "greater than or equal to 0"),
        ("delay_s: 10", "delay_s: -1", "delay_s", "greater than or equal to 0"),
        ("delay_s: 10", "delay_s: 1:30", "delay_s", "valid number"),
        ("delay_s: 10\n", "", "id: mine", "delay_s: is missing"),
        ("version: 1", "version: 1.5", "version", "valid integer"),
        ("id: mine", "id: My Rule", "id: My", "pattern"),
        ("en: SpO2 {spo2} {limit}", "en: SpO2 {sp02} {limit}", "{sp02}", "unknown field {sp02} (did you"),
        ("en: SpO2 {spo2} {limit}", "en: SpO2 {spo2 {limit}", "{spo2 {", "is not a template"),
        ("en: SpO2 {spo2} {limit}", "en: SpO2 {spo2:.1f} {limit}", ":.1f", "takes no format"),
        ("  zh: 血氧 {spo2} {limit}\n", "", "explanation:", "explanation.zh: is missing"),
        ("quality: [sensor_off]", "quality: [sensor]", "[sensor]", "did you mean 'sensor_off'"),
        ("{at: 9, values: {spo2: 93}}", "{at: 9, values: {spo: 93}}", "{spo: 93}", "did you mean 'spo2'"),
        ("at: 9, values", "at: 9, received: 8, values", "received: 8", "before the measurement"),
        ("  silent:", "  quiet:", "quiet:", "unknown key 'quiet'"),
        ("max_age_s: 120", "max_age_s: 0", "max_age_s: 0", "greater than 0"),
        ("priority: high", "priority: high\npriority: low", "priority: low", "again (first on line"),
        ("{spo2: 84}", "{spo2: 84, spo2: 85}", "84, spo2", "again (first on line"),
        ("title:\n", "title: &t\n", "title: &t", "anchors and aliases"),
        ("priority: high", "priority: !!python/name:os.system high", "python/name", "is not used in rules"),
        ("priority: high", "priority: !!timestamp 2026-01-01", "timestamp", "is not used in rules"),
        ("kind: physiological", "kind: [physiological", "priority", "not valid YAML"),
        ("kind: physiological", "? [a]\n: b", "? [a]", "a key must be a text"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_a_hint(
    tmp_path: Path, old: str, new: str, at: str, said: str
):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if "&t" in new:
        text += "other: *t\n"
    path = write(tmp_path, text)
    error = refused(path)
    assert said in str(error)
    assert error.file == str(path)
    assert error.line == line_of(text, at)
    assert str(error).startswith(f"{path}:{error.line}: ")


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path):
    write(tmp_path, GOOD.replace("delay_s: 10", "delay_s: x").replace("version: 1", "version: x"))
    write(tmp_path, GOOD.replace("kind: phys", "kind: fys"), "other.yml")
    error = refused(tmp_path)
    assert len(error.problems) == 3
    assert [Path(p.file).name for p in error.problems] == ["mine.yaml", "mine.yaml", "other.yml"]
    assert all(p.message in str(error) for p in error.problems)


def test_two_rules_of_one_id_are_refused_naming_both(tmp_path: Path):
    path = write(tmp_path, "# a comment\n" + GOOD.replace("id: mine", "id: spo2-low"))
    error = refused(path, library=True)
    assert error.line == 2
    assert str(LIBRARY / "spo2-low.yaml") in str(error)


@pytest.mark.parametrize("text", ["", "[]", "just text", "3", "- id: mine"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str):
    error = refused(write(tmp_path, text))
    assert error.line == 1
    assert "must be a mapping" in str(error)


def test_what_cannot_be_read_is_refused(tmp_path: Path):
    assert "cannot be read: No such file" in str(refused(tmp_path / "none.yaml"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "without any .yaml file" in str(refused(empty))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"id: mine\ntitle: \xff\xfe\n")
    error = refused(binary)
    assert (error.line, "not UTF-8" in str(error)) == (2, True)
    assert "larger than" in str(refused(write(tmp_path, "#" * 300_000, "big.yaml")))
    assert "another document" in str(refused(write(tmp_path, f"{GOOD}---\n{GOOD}", "two.yaml")))
    assert "nested deeper" in str(refused(write(tmp_path, "id: " + "[" * 50 + "]" * 50, "deep.yaml")))
    assert refused(write(tmp_path, "id: " + "[" * 100_000 + "]" * 100_000, "deeper.yaml"))


def test_the_hash_covers_what_decides_and_is_told_but_not_the_examples(tmp_path: Path):
    def hash_of(text: str) -> str:
        return load_rules_only(write(tmp_path, text)).by_id["mine"].hash

    base = hash_of(GOOD)
    assert len(base) == 16
    int(base, 16)
    assert hash_of(GOOD.replace("{at: 9, values: {spo2: 93}}", "{at: 8, values: {spo2: 94}}")) == base
    assert hash_of(f"# a comment\n{GOOD}") == base
    assert hash_of(GOOD.replace("value: 90", "value: 90.0")) == base
    for old, new in (
        ("value: 90", "value: 89"),
        ("hysteresis: 1", "hysteresis: 2"),
        ("delay_s: 10", "delay_s: 11"),
        ("max_age_s: 120", "max_age_s: 121"),
        ("max_lateness_s: 3600", "max_lateness_s: 3601"),
        ("priority: high", "priority: low"),
        ("version: 1", "version: 2"),
        ("op: below", "op: at_or_below"),
        (
            "zh: 血氧 {spo2} {limit}",
            "zh: {limit} 血氧".replace("{limit}", "'{limit} x'").replace("' 血氧", "'"),
        ),
        ("Royal College", "Some College"),
        ("high: 94", "high: 93"),
        ("[nurse, doctor]", "[nurse]"),
        ("delay_s: 10", "delay_s: 10\nclear_after_s: 1"),
        ("delay_s: 10", "delay_s: 10\nlatching: true"),
        ("delay_s: 10", "delay_s: 10\nescalation: night"),
        ("delay_s: 10", "delay_s: 10\nsetting: ward"),
        ("delay_s: 10", "delay_s: 10\nadults: true"),
        ("delay_s: 10", "delay_s: 10\nsmoothing: {kind: mean, window_s: 60}"),
    ):
        assert hash_of(GOOD.replace(old, new, 1)) != base


def test_a_rule_goes_through_plain_data_and_back():
    for loaded in load_files():
        assert Rule.from_content(loaded.rule.content()) == loaded.rule
        assert Rule.from_content(loaded.rule.content()).hash == loaded.rule.hash


def test_a_rule_of_a_site_takes_the_place_of_a_shipped_one_only_where_that_is_said(tmp_path: Path):
    text = GOOD.replace("id: mine", "id: spo2-low")
    write(tmp_path, text)
    refused(tmp_path, library=True)
    with pytest.raises(RuleFileError, match="check it with --replace and release it"):
        load_rules(tmp_path)
    for rules in (load_rules(tmp_path, replace=True), load_folder(tmp_path, library=True)):
        assert rules.by_id["spo2-low"] == load_rule(text, "x").rule
        assert len(rules) == len(load_rules())
    write(tmp_path, text, "again.yaml")
    with pytest.raises(RuleFileError, match="already defined"):
        load_rules(tmp_path, replace=True)


def test_a_folder_can_stand_alone(tmp_path: Path):
    path = write(tmp_path, GOOD)
    for rules in (
        load_rules_only(path),
        load_folder(tmp_path, library=False),
        load_rules_only(tmp_path, path),
    ):
        assert [r.id for r in rules] == ["mine"]
    assert load_rules_only(LIBRARY).hash == load_rules().hash


def test_a_document_at_hand_is_read_as_a_file_is(tmp_path: Path):
    path = write(tmp_path, GOOD)
    loaded = load_rule(GOOD, "draft 3")
    assert loaded.file == "draft 3"
    assert loaded.rule == load_rule(GOOD.encode(), "x").rule == load_rules(path).by_id["mine"]
    assert (len(loaded.firing), len(loaded.silent)) == (1, 3)
    for text in (GOOD.replace("delay_s: 10", "delay_s: -1"), b"id: \xff", ""):
        with pytest.raises(RuleFileError) as caught:
            load_rule(text, "draft 3")
        assert caught.value.file == "draft 3"
