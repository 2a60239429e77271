"""``docs/alarms.md`` says what the code does: examples, figures, roles, pages and rules are as written."""

from __future__ import annotations

import re

import pytest

from cloud_ingest.burden import AGAIN_NS, SOURCES
from cloud_ingest.emergency import AFTER_S, REPEAT_S
from cloud_ingest.pulse import BUDGET_S
from cloud_ingest.telling.joined import FROM, MOST, joins_from
from cloud_ingest.walls import GONE_S
from cloud_ingest.watch import CHECK_EVERY_S, FAILED_CHECKS, FAILED_HOPS, HOPS_KEPT_S
from dashboards.api.alarms import ACTIONS
from dashboards.api.switches import SWITCH_ACTIONS
from dashboards.handover_sheet import LOOKED_BACK
from dashboards.unlock import UNLOCK_S
from hearthward.core.clock import SECOND
from hearthward.core.settings import CloudSettings, HeartbeatSettings
from hearthward.trust.access import POLICY, Action, Role
from rules import load_rules
from rules.response.model import AUDIO_PAUSE, LONGEST
from rules.response.policies import (
    CHANNELS,
    DUTY_ROLES,
    TIMETABLES,
    check_escalations,
    load_policies,
    load_policy,
)
from rules.response.policy import TARGETS
from tests.unit.docs.pages import ROOT, all_paths, blocks, prose, table

PAGE = (ROOT / "docs" / "alarms.md").read_text("utf-8")
RULES = load_rules()
CLINICAL = {Role.NURSE, Role.DOCTOR}
EQUIPMENT = {Role.ENGINEER, Role.ADMIN}


def may(action: Action) -> set[Role]:
    return {role for role, actions in POLICY.items() if action in actions}


def test_the_policy_of_the_page_can_be_put_in_force():
    (text,) = blocks(PAGE, "yaml")
    policy = load_policy(text, "docs/alarms.md")
    assert set(policy.timetables) == set(TIMETABLES)
    named = {**load_policies(), "default": policy}
    assert check_escalations(RULES, named) == ()


def test_the_shipped_timetable_is_the_one_that_is_shown():
    shown = table(PAGE, "after")
    steps = load_policies()["default"].timetables["physiological.high"].steps
    repeat = load_policies()["default"].timetables["physiological.high"].repeat_s
    words = {"app": "in_app", "push": "push", "SMS": "sms", "e-mail": "email", "call": "voice"}
    assert [row[0] for row in shown] == [
        *(f"{s.after_s:g} s" for s in steps),
        f"every {repeat:g} s after that",
    ]
    for row, step in zip(shown, steps, strict=False):
        assert [words.get(w, w) for w in row[2].split(", ")] == list(step.channels)


@pytest.mark.parametrize(
    "name", [*CHANNELS, *DUTY_ROLES, *(t for t in TARGETS if t not in {"on_duty", "user"})]
)
def test_every_channel_role_and_target_is_named(name: str):
    assert f"`{name}`" in PAGE


def test_every_act_is_there_and_may_be_done_by_whom_it_says():
    shown = {act for row in table(PAGE, "act") for act in re.findall(r"`([a-z-]+)`", row[0])}
    assert shown == {kind.replace("_", "-") for kind in ACTIONS}
    assert all(may(action) == CLINICAL for action in ACTIONS.values())
    assert may(Action.ANSWER_TECHNICAL_ALARM) == CLINICAL | EQUIPMENT


def test_what_is_switched_off_is_by_whom_and_for_how_long_as_it_says():
    rows = {row[0]: row for row in table(PAGE, "what", "of")}
    assert rows.keys() == {"audio pause", "audio off", "alarm pause", "alarm off", "maintenance"}
    kinds = {
        "audio pause": (AUDIO_PAUSE, "pause_audio"),
        "audio off": (LONGEST["audio_off"], "audio_off"),
        "alarm pause": (LONGEST["alarm_paused"], "pause_alarms"),
        "alarm off": (LONGEST["alarm_off"], "alarms_off"),
        "maintenance": (LONGEST["maintenance"], "maintenance"),
    }
    for name, (longest, switch) in kinds.items():
        _, _, who, at_most, _ = rows[name]
        number, unit = at_most.split()
        assert int(number) * {"s": 1, "h": 3600, "days": 86_400}[unit] * SECOND == longest
        roles = {Role({"administrator": "admin"}.get(w, w)) for w in who.split(", ")}
        assert roles == may(SWITCH_ACTIONS[switch])  # type: ignore[index]


def test_the_rules_that_it_names_are_shipped_and_escalated_as_it_says():
    named = {name for name in re.findall(r"`([a-z]+-[a-z-]+)`", PAGE) if name in RULES.by_id}
    system = {rule.id for rule in RULES if rule.escalation == "system"}
    assert system <= named
    assert {"gateway-silent", "no-data", "no-data-home"} <= named
    assert f"{RULES.by_id['wall-missing'].delay_s:g}" == f"{GONE_S:g}" == "10"
    assert RULES.by_id["nobody-on-duty"].delay_s == 60
    assert RULES.by_id["channel-failing"].clear_after_s == 20
    flood = RULES.by_id["alarm-flood"].parameters["limit"].value
    assert f"| {flood:g} in 10 min |" in PAGE


def test_its_figures_are_those_of_the_code():
    text = prose(PAGE)
    assert CloudSettings().tick_s == 0.25  # "four times a second"
    assert FAILED_HOPS == 3
    assert FAILED_CHECKS * CHECK_EVERY_S == 60
    assert f"or forgotten {HOPS_KEPT_S / 60:g} minutes after" in text
    assert f"is checked every {CHECK_EVERY_S:g} s" in text
    assert f"for {AFTER_S:g} s, or the outbox" in text
    assert f"again every {REPEAT_S / 60:g} minutes" in text
    silence = RULES.by_id["component-silent"].parameters["silence_s"].value
    assert f"| the notifier stands still | {BUDGET_S + silence:g} s |" in PAGE
    assert (FROM, joins_from("voice"), MOST) == (4, 2, 100)  # "from four on", "two, for calls", "a hundred"
    assert joins_from("in_app") is None
    assert joins_from("webhook") is None
    assert f"For {UNLOCK_S:g} s after that one tap" in text
    assert f"notes of the last {LOOKED_BACK / SECOND / 3600:g} hours" in text
    assert f"within {AGAIN_NS / SECOND / 60:g} min of the end" in text
    assert SOURCES == 10  # "the ten pairs"
    assert {"heartbeat.url", "heartbeat.every_s"} <= set(re.findall(r"`(heartbeat\.\w+)`", PAGE))
    assert {"url", "every_s"} <= set(HeartbeatSettings.model_fields)


def test_its_pages_and_routes_are_there():
    paths = all_paths()
    pages = {path for row in table(PAGE, "page") for path in re.findall(r"`(/[^`]*)`", row[0])}
    assert pages
    assert pages <= paths
    said = re.findall(r"`(?:GET|POST) (/[^`]+)`|`(/api/v1/[^`]+)`", PAGE)
    assert {a or b for a, b in said} <= paths
