"""Whatever is in a rule file: it is loaded, or refused with its line; nothing else happens."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules import Rule, RuleFileError
from rules.document import Problem
from rules.loader import LIBRARY, load_rule
from rules.shapes import CONDITION_KEYS

TEXTS = tuple(path.read_text("utf-8") for path in sorted(LIBRARY.glob("*.yaml")))
WORDS = (
    *CONDITION_KEYS,
    "spo2",
    "symptom",
    "heartbeat",
    "limit",
    "C",
    "of",
    "0",
    "-1",
    "1e9",
    "{}",
    "[]",
    "null",
    "on",
)
scalars = (
    st.none() | st.booleans() | st.integers(-999, 999) | st.floats() | st.sampled_from(WORDS) | st.text()
)
names = st.sampled_from([*CONDITION_KEYS, "op", "value", "hysteresis", "by", "within_s", "of", "for_s"])
trees = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=4),
    max_leaves=12,
)


def load(text: str | bytes) -> Rule | None:
    problems: tuple[Problem, ...]
    try:
        return load_rule(text, "mine.yaml").rule
    except RuleFileError as error:
        problems = error.problems
    assert problems
    assert all(p.file == "mine.yaml" and p.message for p in problems)
    lines = len(text.splitlines()) + 1
    assert all(p.line is None or 1 <= p.line <= lines for p in problems)
    return None


@given(trees)
def test_any_condition_is_loaded_or_refused(tree: object):
    base = yaml.safe_load(TEXTS[0])
    load(yaml.safe_dump(base | {"condition": tree}, allow_unicode=True))


@given(st.sampled_from(TEXTS), st.data())
def test_a_file_with_a_line_or_a_word_exchanged_is_loaded_or_refused(text: str, data: st.DataObject):
    lines = text.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    if data.draw(st.booleans()):
        del lines[at]
    else:
        words = lines[at].split(" ")
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.sampled_from(WORDS))
        lines[at] = " ".join(words)
    rule = load("\n".join(lines))
    if rule is not None:
        assert Rule.from_content(rule.content()) == rule
        assert isinstance(rule.limit, str)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_loaded_or_refused(raw: bytes):
    load(raw)
