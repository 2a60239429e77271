from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hearthward.core.errors import ConfigError
from rules import load_rules
from rules.response.policies import (
    CHANNELS,
    DUTY_ROLES,
    POLICIES,
    TIMETABLES,
    PolicyError,
    check_escalations,
    load_policies,
    load_policy,
    policy_of,
    target_of,
    target_text,
    to_document,
)
from rules.response.policy import CONFIRMING, TARGETS, Policy, Target
from tests.unit.rules.made import make, threshold

ROOT = Path(__file__).parents[4]
SHIPPED = load_policies()
GOOD = """\
id: night
version: 1
title:
  en: Night
  zh: 夜间
timetables:
  physiological.high:
    steps:
      - after_s: 0
        targets: [wall, assigned]
        channels: [in_app, push]
      - after_s: 60
        targets: [on_duty:nurse, endpoints]
        channels: [sms, webhook]
    repeat_s: 300
  technical.low:
    steps:
      - {after_s: 0, targets: [wall], channels: [in_app]}
"""


def write(folder: Path, text: str, name: str = "night.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def refused(path: Path) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policies(path)
    assert isinstance(caught.value, ConfigError)
    return caught.value


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.fixture(params=SHIPPED.values(), ids=lambda p: p.id)
def policy(request: pytest.FixtureRequest) -> Policy:
    return request.param


def test_the_shipped_ones_are_named_after_their_files():
    assert sorted(SHIPPED) == sorted(path.stem for path in POLICIES.iterdir())
    assert {"default", "home", "system"} <= SHIPPED.keys()


def test_ward_and_home_have_a_timetable_for_every_alarm():
    for name in ("default", "home"):
        assert set(SHIPPED[name].timetables) == set(TIMETABLES)


def test_a_policy_goes_through_plain_data_and_back(policy: Policy):
    assert policy_of(json.loads(json.dumps(to_document(policy)))) == policy
    assert Policy.of(policy.content()).content() == policy.content()
    assert to_document(Policy.of(policy.content())) == to_document(policy)


def test_a_shipped_timetable_begins_where_people_are_and_ends_with_somebody(policy: Policy):
    for name, table in policy.timetables.items():
        first, last = table.steps[0], table.steps[-1]
        assert "in_app" in first.channels
        assert Target("wall") in first.targets
        assert CONFIRMING & set(last.channels)
        assert any(t.kind not in {"wall", "endpoints"} for t in last.targets)
        assert table.repeat_s > 0, "nobody is forgotten: it is told again until somebody accepts"
        assert table.remind_s > 0
        if name.endswith("high"):
            assert last.after_s <= 900
            assert "voice" in {c for step in table.steps for c in step.channels}


def test_a_graver_alarm_never_waits_longer_than_a_lesser_one(policy: Policy):
    for kind in ("physiological", "technical"):
        names = [f"{kind}.{priority}" for priority in ("high", "medium", "low")]
        tables = [policy.timetables[name] for name in names if name in policy.timetables]
        for graver, lesser in pairwise(tables):
            assert graver.repeat_s <= lesser.repeat_s
            assert graver.remind_s <= lesser.remind_s
            assert graver.redirect_s <= lesser.redirect_s
            assert graver.steps[1].after_s <= lesser.steps[1].after_s


def test_what_keeps_alarms_from_people_is_told_elsewhere_at_once():
    first = SHIPPED["system"].timetables["technical.high"].steps[0]
    assert {"sms", "voice"} <= set(first.channels)
    assert {Target("on_duty", "nurse"), Target("on_duty", "charge"), Target("on_duty", "engineer")} <= set(
        first.targets
    )
    assert Target("endpoints") in first.targets


def test_every_shipped_rule_escalates_by_a_shipped_policy():
    assert check_escalations(load_rules(), SHIPPED) == ()
    used = {rule.escalation for rule in load_rules()}
    assert used == set(SHIPPED)


def test_a_rule_whose_policy_does_not_exist_or_has_nothing_for_it_is_found():
    limit = threshold("spo2", "below", 90)
    known = load_policies()
    unknown = make("a", limit, escalation="defualt")
    bare = make("b", limit, escalation="system")
    fine = make("c", limit)
    assert check_escalations([unknown, bare, fine], known) == (
        "rule 'a': escalation: unknown policy 'defualt' (did you mean 'default'?)",
        "rule 'b': escalation: policy 'system' has no timetable physiological.high",
    )
    assert "there is none" in check_escalations([fine], {})[0]


@pytest.mark.parametrize("kind", TARGETS)
def test_a_target_is_a_text_and_back(kind: Any):
    targets = {
        "on_duty": [Target("on_duty", role) for role in DUTY_ROLES],
        "user": [Target("user", user="usr_1")],
    }.get(kind, [Target(kind)])
    for target in targets:
        assert target_of(target_text(target)) == target


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ("version: 1", "verzion: 1", "verzion", "unknown key 'verzion' (did you mean 'version'?)"),
        ("version: 1\n", "", "id: night", "version: is missing"),
        ("id: night", "id: Night", "id: Night", "id: String should match pattern"),
        ("  zh: 夜间\n", "", "title:", "title.zh: is missing"),
        ("physiological.high:", "physiological.hihg:", "hihg", "did you mean 'physiological.high'?"),
        ("after_s: 0\n", "after_s: 5\n", "after_s: 5", "steps.0.after_s: the first step is taken at once"),
        ("after_s: 60", "after_s: 0", "after_s: 0\n        targets: [on", "must come after the step before"),
        ("after_s: 60", "after_s: 90000", "after_s: 90000", "less than or equal to 86400"),
        ("after_s: 60", "after_s: soon", "after_s: soon", "valid number"),
        ("after_s: 60", "after: 60", "after: 60", "did you mean 'after_s'"),
        ("[sms, webhook]", "[sms, webhok]", "webhok", "unknown channel 'webhok' (did you mean 'webhook'?)"),
        ("[sms, webhook]", "[sms, sms]", "[sms, sms]", "names something twice"),
        ("[sms, webhook]", "[]", "channels: []", "at least 1 item"),
        ("[on_duty:nurse, endpoints]", "[on_duty:nurse]", "webhook", "webhook reaches endpoints, which are"),
        ("[on_duty:nurse, endpoints]", "[asigned]", "asigned", "unknown target 'asigned' (did you mean"),
        ("[on_duty:nurse, endpoints]", "[on_duty:porter]", "porter", "on_duty:ROLE (known: charge, doctor"),
        ("[on_duty:nurse, endpoints]", "[on_duty]", "[on_duty]", "names no role: on_duty:ROLE"),
        ("[on_duty:nurse, endpoints]", "['user:']", "user:", "names nobody: user:ID"),
        ("[on_duty:nurse, endpoints]", "[wall:west]", "wall:west", "wall takes no name"),
        ("[on_duty:nurse, endpoints]", "[{on_duty: nurse}]", "{on_duty", "must be a text such as wall"),
        ("[on_duty:nurse, endpoints]", "[wall, endpoints]", "[wall, end", "walls are told by in_app"),
        ("[sms, webhook]", "[voice]", "[on_duty:nurse, end", "endpoints are told by sms, email, webhook"),
        ("repeat_s: 300", "repeat_s: 3", "repeat_s: 3", "is shorter than 10 s"),
        ("repeat_s: 300", "repeat_s: -1", "repeat_s: -1", "greater than or equal to 0"),
        ("[in_app, push]", "[push]", "targets: [wall, ass", "walls are told by in_app"),
        ("[wall, assigned]", "[endpoints]", "targets: [endpoints]", "endpoints are told by"),
        ("repeat_s: 300", "redirect_s: 3601", "redirect_s", "less than or equal to 3600"),
        ("title:\n", "title: &t\n", "title: &t", "anchors and aliases"),
        ("id: night", "id: night\nid: day", "id: day", "again (first on line"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_a_hint(
    tmp_path: Path, old: str, new: str, at: str, said: str
):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    path = write(tmp_path, text + ("other: *t\n" if "&t" in new else ""))
    error = refused(path)
    assert said in str(error)
    assert error.file == str(path)
    line = text[: text.index(at)].count("\n") + 1 if "\n" in at else line_of(text, at)
    assert line in {problem.line for problem in error.problems}


@pytest.mark.parametrize(
    ("channels", "later", "said"),
    [
        ("[sms, email]", "[sms]", "rests on channels without confirmation only"),
        ("[push]", "[push, sms]", "rests on channels without confirmation only"),
        ("[push]", "[voice]", "the first step must tell a wall or people by in_app"),
    ],
)
def test_a_channel_without_confirmation_never_counts_as_the_only_measure(
    tmp_path: Path, channels: str, later: str, said: str
):
    text = GOOD.replace("[wall, assigned]", "[assigned]").replace("[in_app, push]", channels)
    text = text.replace("[on_duty:nurse, endpoints]", "[on_duty:nurse]").replace("[sms, webhook]", later)
    assert said in str(refused(write(tmp_path, text)))


def test_endpoints_alone_answer_nothing(tmp_path: Path):
    text = GOOD.replace("[wall, assigned]", "[endpoints]").replace("[in_app, push]", "[in_app, webhook]")
    assert "rests on channels without confirmation only" in str(refused(write(tmp_path, text)))


def test_a_grave_alarm_is_told_to_people_and_not_to_walls_only(tmp_path: Path):
    text = GOOD.replace("[wall, assigned]", "[wall]").replace("[on_duty:nurse, endpoints]", "[endpoints]")
    assert "must be told to people, not to walls only" in str(refused(write(tmp_path, text)))
    assert "night" in load_policies(write(tmp_path, text.replace("logical.high", "logical.medium")))


def test_a_file_or_folder_is_added_and_takes_the_place_of_a_shipped_one(tmp_path: Path):
    path = write(tmp_path, GOOD)
    assert set(load_policies(path)) == {*SHIPPED, "night"}
    own = write(tmp_path, GOOD.replace("id: night", "id: default"), "own.yaml")
    found = load_policies(tmp_path)
    assert found["default"].title["en"] == "Night"
    assert list(found) == sorted(found)
    write(tmp_path, GOOD.replace("id: night", "id: default"), "second.yaml")
    assert f"policy 'default' is already defined in {own}" in str(refused(tmp_path))


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path):
    write(tmp_path, GOOD.replace("sms, webhook", "smss, webhok"))
    write(tmp_path, GOOD.replace("version: 1", "version: x"), "other.yml")
    error = refused(tmp_path)
    assert [Path(p.file).name for p in error.problems] == ["night.yaml", "night.yaml", "other.yml"]


def test_what_is_no_mapping_or_cannot_be_read_is_refused(tmp_path: Path):
    assert "cannot be read" in str(refused(tmp_path / "none.yaml"))
    assert "must be a mapping" in str(refused(write(tmp_path, "- a")))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "without any .yaml file" in str(refused(empty))


def test_a_document_at_hand_is_refused_by_key():
    document = to_document(SHIPPED["default"])
    document["timetables"]["technical.low"]["steps"][0]["channels"] = ["pager"]
    with pytest.raises(PolicyError) as caught:
        policy_of(document, where="draft 3")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("draft 3", None)
    assert problem.message.startswith("timetables.technical.low.steps.0.channels.0: unknown channel 'pager'")
    with pytest.raises(PolicyError, match="timetables: Input should be a valid dictionary"):
        policy_of({**document, "timetables": []})


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_what_is_no_document_is_refused(document: Any):
    with pytest.raises(PolicyError, match="policy: must be a mapping"):
        policy_of(document)


def test_a_text_at_hand_is_read_as_a_file_is(tmp_path: Path):
    assert load_policy(GOOD, "draft") == load_policies(write(tmp_path, GOOD))["night"]
    with pytest.raises(PolicyError, match=r"^draft:2: version: Input should be a valid integer"):
        load_policy(GOOD.replace("version: 1", "version: x").encode(), "draft")
    with pytest.raises(PolicyError, match=r"^draft:1: is not valid YAML"):
        load_policy("[", "draft")


def test_every_channel_and_target_is_explained_in_the_documentation():
    text = (ROOT / "docs" / "rules.md").read_text("utf-8").partition("## Escalation policies")[2]
    for name in (*CHANNELS, *TARGETS, *DUTY_ROLES):
        assert f"`{name}" in text


def test_the_documentations_example_is_a_policy(tmp_path: Path):
    text = (ROOT / "docs" / "rules.md").read_text("utf-8").partition("## Escalation policies")[2]
    path = write(tmp_path, text.split("```yaml\n")[1].split("```")[0])
    assert load_policies(path)["night"].timetables["physiological.high"].repeat_s == 300
