"""Limits, orders and releases of rules: one suite over the port's fake and the real records and service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.records.limits import LimitDraft
from cloud_ingest.records.releases import Act
from dashboards.backend import AlarmQuery, DirectoryError
from dashboards.response_models import Act as Answer
from dashboards.rule_models import Release
from hearthward.core.errors import AccessError
from hearthward.trust.access import Principal, Role, Scope
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    RealSide,
    S,
    Side,
    furnish,
    real,
)
from tests.unit.dashboards.webworld import RULE

LI = Principal("usr_1", "Li Na", "main", frozenset({Role.DOCTOR}))
MAX = Principal("usr_2", "Max", "main", frozenset({Role.ADMIN}))
DRAFT = LimitDraft("spo2-low", "limit", 86, "COPD")
HOUR = 3600 * S


async def test_a_limit_is_set_changed_ended_and_stays_on_record(side: Side):
    patient = (await furnish(side))["patient"]
    first = await side.backend.set_limit(SCOPE, patient, DRAFT, who=LI)
    assert first is not None
    assert (first.value, first.set_by, first.reason, first.present, first.counts) == (
        86,
        "Li Na",
        "COPD",
        True,
        True,
    )
    side.clock.advance(60)
    night = replace(DRAFT, value=84, daily=(1320, 360), timezone="Asia/Shanghai", expires=T0 + HOUR)
    beside = await side.backend.set_limit(SCOPE, patient, night, who=MAX)
    assert beside is not None
    assert (beside.daily_from, beside.daily_to, beside.timezone) == ("22:00", "06:00", "Asia/Shanghai")
    second = await side.backend.set_limit(SCOPE, patient, replace(DRAFT, value=88), who=MAX)
    assert second is not None
    side.clock.advance(60)
    ended = await side.backend.end_limit(SCOPE, patient, second.id, reason="well", who=LI)
    assert ended is not None
    assert (ended.present, ended.ended_by, ended.ended_reason) == (False, "Li Na", "well")
    found = await side.backend.limits(SCOPE, patient)
    assert found is not None
    by_id = {limit.id: limit for limit in found}
    assert (by_id[first.id].superseded_by, by_id[first.id].ended_by) == (second.id, "Max")
    assert [x.id for x in found if x.present] == [beside.id]
    with pytest.raises(DirectoryError) as caught:
        await side.backend.end_limit(SCOPE, patient, second.id, reason="again", who=LI)
    assert caught.value.code == "ended"
    side.clock.advance(3600)
    assert [x for x in await side.backend.limits(SCOPE, patient) or () if x.present] == []


@pytest.mark.parametrize(
    ("change", "field", "code", "value"),
    [
        ({"rule": "none"}, "rule", "unknown", "none"),
        ({"parameter": "none"}, "parameter", "unknown", "none"),
        ({"value": 70.0}, "value", "bounds", "80 - 94"),
        ({"reason": ""}, "reason", "required", ""),
        ({"expires": T0}, "expires", "past", "2026-01-01T00:00:00Z"),
        ({"daily": (60, 120)}, "timezone", "required", ""),
    ],
)
async def test_refused_limits(side: Side, change: dict[str, Any], field: str, code: str, value: str):
    patient = (await furnish(side))["patient"]
    with pytest.raises(DirectoryError) as caught:
        await side.backend.set_limit(SCOPE, patient, replace(DRAFT, **change), who=LI)
    assert (caught.value.field, caught.value.code, caught.value.value) == (field, code, value)
    assert await side.backend.limits(SCOPE, patient) == []


async def test_limits_and_orders_are_within_the_scope(side: Side):
    ids = await furnish(side)
    patient, backend = ids["patient"], side.backend
    limit = await backend.set_limit(SCOPE, patient, DRAFT, who=LI)
    order = await backend.give_order(SCOPE, patient, "spo2_scale_2", reason="x", expires=None, who=LI)
    assert limit is not None
    assert order is not None
    for scope in (Scope("main", frozenset({ids["other"]})), Scope.system("other"), Scope("main", None, "p")):
        assert await backend.limits(scope, patient) is None
        assert await backend.orders(scope, patient) is None
        assert await backend.set_limit(scope, patient, DRAFT, who=LI) is None
        assert await backend.end_limit(scope, patient, limit.id, reason="x", who=LI) is None
        assert await backend.end_order(scope, patient, order.id, reason="x", who=LI) is None
    assert await backend.end_limit(SCOPE, ids["second"], limit.id, reason="x", who=LI) is None
    assert await backend.end_limit(SCOPE, patient, "none", reason="x", who=LI) is None


async def test_an_order_is_given_ended_and_listed(side: Side):
    patient, backend = (await furnish(side))["patient"], side.backend
    given = await backend.give_order(SCOPE, patient, "spo2_scale_2", reason="gas", expires=None, who=LI)
    assert given is not None
    assert (given.given_by, given.present) == ("Li Na", True)
    with pytest.raises(DirectoryError) as caught:
        await backend.give_order(SCOPE, patient, "spo2_scale_2", reason="gas", expires=None, who=LI)
    assert (caught.value.field, caught.value.code) == ("kind", "taken")
    side.clock.advance(5)
    await backend.end_order(SCOPE, patient, given.id, reason="fine", who=MAX)
    (order,) = await backend.orders(SCOPE, patient) or ()
    assert (order.present, order.ended_by, order.ended_reason) == (False, "Max", "fine")


async def advance(side: Side, release: Release, *acts: tuple[Act, Principal]) -> Release:
    done: Release | None = release
    for act, who in acts:
        done = await side.backend.advance_release(SCOPE, release.id, act, who=who)
    assert done is not None
    return done


async def test_a_stage_of_an_alarm_has_to_fit_the_other_one(side: Side):
    await furnish(side)
    raising = RULE.replace("max_lateness_s: 3600\n", "max_lateness_s: 3600\nraises: spo2-low\n")
    deep = raising.replace("id: spo2-low", "id: spo2-deep").replace("value: 89", "value: 85")
    wrong = await side.backend.draft_rule(
        SCOPE, deep.replace("raises: spo2-low", "raises: none"), note="", who=LI
    )
    with pytest.raises(DirectoryError, match="there is no rule") as caught:
        await advance(side, wrong, ("shadow", LI))
    assert (caught.value.field, caught.value.code) == ("text", "stages")
    assert caught.value.value.startswith("raises: there is no rule 'none'")
    (row,) = await side.backend.releases(SCOPE)
    assert row.state == "draft"
    made = await side.backend.draft_rule(SCOPE, deep.replace("version: 2", "version: 3"), note="", who=LI)
    done = await advance(side, made, ("shadow", LI), ("approve", MAX), ("activate", MAX))
    assert done.state == "active"


async def test_a_release_from_draft_into_force_and_back(side: Side):
    await furnish(side)
    backend = side.backend
    (shipped,) = await backend.rules(SCOPE)
    assert (shipped.state, shipped.version, shipped.limit) == ("shipped", 1, "< 90")
    assert [(p.name, p.value, p.low, p.high, p.unit) for p in shipped.parameters] == [
        ("limit", 90, 80, 94, "%")
    ]
    made = await backend.draft_rule(SCOPE, RULE, note="fewer", who=LI)
    assert (made.state, made.version, made.author, made.note) == ("draft", 2, "Li Na", "fewer")
    assert (await backend.rules(SCOPE))[0].trial is None
    await advance(side, made, ("shadow", LI))
    (entry,) = await backend.rules(SCOPE)
    assert entry.trial is not None
    assert (entry.state, entry.version) == ("shipped", 1)
    assert (entry.trial.release.id, entry.trial.limit, entry.trial.episodes) == (made.id, "< 89", 0)
    with pytest.raises(AccessError, match="second person"):
        await advance(side, made, ("approve", LI))
    with pytest.raises(DirectoryError) as caught:
        await advance(side, made, ("activate", MAX))
    assert (caught.value.code, caught.value.value) == ("state", "shadow")
    await advance(side, made, ("approve", MAX), ("activate", LI))
    (entry,) = await backend.rules(SCOPE)
    assert (entry.state, entry.version, entry.hash, entry.limit) == ("released", 2, made.hash, "< 89")
    detail = await backend.rule(SCOPE, "spo2-low")
    assert detail is not None
    assert detail.text == RULE
    assert {v.hash for v in detail.versions} >= {made.hash}
    (release,) = await backend.releases(SCOPE)
    assert (release.approved_by, release.activated_by) == ("Max", "Li Na")
    await advance(side, made, ("rollback", MAX))
    (entry,) = await backend.rules(SCOPE)
    assert (entry.state, entry.version) == ("shipped", 1)
    assert (await backend.releases(SCOPE))[0].state == "rolled_back"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("id: [", "rule", "line 1"),
        (RULE.replace("value: 89", "value: 70"), "rule", "line 9"),
        (RULE.replace("priority: high", "priority: loud"), "rule", "line 6"),
        (RULE.replace("\n", "\n\n", 1) + "odd: 1\n", "rule", "odd"),
    ],
)
async def test_a_draft_that_is_no_rule_is_refused_with_its_line(
    side: Side,
    text: str,
    code: str,
    words: str,
):
    with pytest.raises(DirectoryError, match=words) as caught:
        await side.backend.draft_rule(SCOPE, text, note="", who=LI)
    assert (caught.value.field, caught.value.code) == ("text", code)
    assert await side.backend.releases(SCOPE) == []


async def test_a_draft_whose_examples_fail_never_comes_to_a_trial(side: Side):
    wrong = RULE.replace("{spo2: 95}", "{spo2: 85}")
    made = await side.backend.draft_rule(SCOPE, wrong, note="", who=LI)
    with pytest.raises(DirectoryError, match="silent") as caught:
        await advance(side, made, ("shadow", LI))
    assert caught.value.code == "examples"
    assert (await side.backend.releases(SCOPE))[0].state == "draft"
    assert (await advance(side, made, ("withdraw", MAX))).state == "withdrawn"


async def test_a_versions_number_cannot_mean_two_contents(side: Side):
    await side.backend.rules(SCOPE)
    await side.backend.draft_rule(SCOPE, RULE, note="", who=LI)
    with pytest.raises(DirectoryError) as caught:
        await side.backend.draft_rule(SCOPE, RULE.replace("delay_s: 0", "delay_s: 9"), note="", who=LI)
    assert (caught.value.field, caught.value.code, caught.value.value) == ("version", "taken", "2")


async def test_rules_concern_the_whole_organisation_and_people_only(side: Side):
    ids = await furnish(side)
    ward = Scope("main", frozenset({ids["ward"]}))
    token = Principal("command-line", "command line", "main", frozenset({Role.ADMIN}), kind="service")
    made = await side.backend.draft_rule(SCOPE, RULE, note="", who=LI)
    for scope, who in ((ward, LI), (SCOPE, token)):
        with pytest.raises(AccessError):
            await side.backend.draft_rule(scope, RULE, note="", who=who)
        with pytest.raises(AccessError):
            await side.backend.advance_release(scope, made.id, "shadow", who=who)
    assert await side.backend.advance_release(SCOPE, "none", "shadow", who=LI) is None
    assert await side.backend.rule(SCOPE, "none") is None


async def test_a_limit_and_a_release_decide_and_a_trial_never_signals(tmp_path: Path):
    async with real(tmp_path) as made:
        await decide(made)


async def decide(side: RealSide) -> None:
    ids = await furnish(side)
    made = await side.backend.draft_rule(SCOPE, RULE.replace("value: 89", "value: 94"), note="", who=LI)
    await advance(side, made, ("shadow", LI))
    await side.measure("oxi", "spo2", 92, T0 + S)
    assert await side.backend.alarms(SCOPE, AlarmQuery()) == []
    (entry,) = await side.backend.rules(SCOPE)
    assert entry.trial is not None
    assert (entry.trial.episodes, entry.trial.alarms) == (1, 0)
    (trial,) = await side.records.read(lambda s: side.records.alarms(s).list(SCOPE, shadow=True))
    (listed,) = await side.backend.alarms(SCOPE, AlarmQuery(trial=True, rule="spo2-low", start=T0))
    assert (listed.id, listed.patient, listed.rule_hash) == (trial.id, ids["patient"], made.hash)
    elsewhere = Scope("main", frozenset({ids["other"]}))
    assert await side.backend.alarms(elsewhere, AlarmQuery(trial=True)) == []
    assert await side.backend.alarm(SCOPE, trial.id) is None
    assert await side.backend.answer(SCOPE, trial.id, Answer("accept", "x")) is None
    await side.measure("oxi", "spo2", 97, T0 + 2 * S)
    await side.backend.set_limit(SCOPE, ids["patient"], DRAFT, who=LI)
    await side.measure("oxi", "spo2", 88, T0 + 3 * S)
    assert await side.backend.alarms(SCOPE, AlarmQuery()) == [], "her own limit is 86"
    await side.measure("oxi", "spo2", 85, T0 + 4 * S)
    (alarm,) = await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))
    assert alarm.limit == "< 86"
    found = await side.backend.alarm(SCOPE, alarm.id)
    assert found is not None
    await side.measure("oxi", "spo2", 97, T0 + 5 * S)
    (limit,) = [x for x in await side.backend.limits(SCOPE, ids["patient"]) or () if x.present]
    await side.backend.end_limit(SCOPE, ids["patient"], limit.id, reason="well", who=LI)
    await advance(side, made, ("approve", MAX), ("activate", MAX))
    await side.measure("oxi", "spo2", 92, T0 + 6 * S)
    (alarm,) = await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))
    assert (alarm.limit, alarm.rule_hash) == ("< 94", made.hash)
