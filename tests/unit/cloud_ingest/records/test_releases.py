from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.models import RuleRelease
from cloud_ingest.records.releases import STEPS, Act, Releases, check_step
from cloud_ingest.records.rule_versions import keep_versions, rule_version, versions_of
from hearthward.core.clock import EventClock
from hearthward.core.errors import AccessError, ConfigError
from hearthward.trust.access import Principal, Role, Scope
from rules.rule import Parameter, Rule
from tests.unit.cloud_ingest.made import made_rule

T = TypeVar("T")
SYSTEM = Scope.system("main")
LI = Principal("usr_1", "Li Na", "main", frozenset({Role.DOCTOR}))
MAX = Principal("usr_2", "Max", "main", frozenset({Role.ADMIN}))
TOKEN = Principal("command-line", "command line", "main", frozenset({Role.ADMIN}), kind="service")


def releases(records: Records, do: Callable[[Releases], T]) -> T:
    def within(session: Session) -> T:
        return do(Releases(session, now=records.clock.now_ns(), ids=records.ids))

    return records.run_now(within)


def draft(records: Records, version: int = 2, who: Principal = LI, **values: Any) -> RuleRelease:
    rule = made_rule(version=version, **values)
    return releases(records, lambda x: x.draft(SYSTEM, rule, f"v{version}", note="why", who=who))


def go(records: Records, release: RuleRelease, *acts: tuple[Act, Principal]) -> RuleRelease:
    row = release
    for act, who in acts:
        row = releases(records, lambda x, a=act, w=who: x.advance(SYSTEM, release.id, a, who=w))  # type: ignore[misc]
    return row


def into_force(records: Records, version: int) -> RuleRelease:
    parameters = {"limit": Parameter(90.0 - version, 80.0, 94.0)}
    made = draft(records, version, parameters=parameters)
    return go(records, made, ("shadow", LI), ("approve", MAX), ("activate", LI))


def state(records: Records, release: RuleRelease) -> str:
    return releases(records, lambda x: x.get(SYSTEM, release.id)).state


def test_the_way_of_a_release_and_who_took_which_step(records: Records, clock: EventClock) -> None:
    made = draft(records)
    assert (made.state, made.author_name, made.note, made.hash) == (
        "draft",
        "Li Na",
        "why",
        made_rule(version=2).hash,
    )
    clock.advance(1)
    assert go(records, made, ("shadow", LI)).shadowed_at == clock.now_ns()
    clock.advance(1)
    approved = go(records, made, ("approve", MAX))
    assert (approved.state, approved.approved_by_name, approved.approved_at) == (
        "approved",
        "Max",
        clock.now_ns(),
    )
    active = go(records, made, ("activate", LI))
    assert (active.state, active.activated_by_name, active.replaces) == ("active", "Li Na", None)


def test_nobody_approves_what_they_wrote_and_no_token_signs(records: Records) -> None:
    made = go(records, draft(records), ("shadow", LI))
    with pytest.raises(AccessError, match="second person"):
        go(records, made, ("approve", LI))
    with pytest.raises(AccessError, match="no person"):
        go(records, made, ("approve", TOKEN))
    with pytest.raises(AccessError, match="no person"):
        draft(records, 3, who=TOKEN)
    with pytest.raises(AccessError, match="whole organisation"):
        releases(
            records,
            lambda x: x.advance(Scope("main", frozenset({"w1"})), made.id, "approve", who=MAX),
        )
    assert state(records, made) == "shadow"


@given(st.sampled_from(sorted(STEPS)), st.sampled_from(["draft", "retired", "active", "shadow", "approved"]))
def test_only_the_steps_of_the_table_are_possible(act: Act, now: str) -> None:
    if now in STEPS[act].sources:
        assert check_step(act, now, "usr_9", LI) == STEPS[act].target
    else:
        with pytest.raises(ConfigError, match="it is"):
            check_step(act, now, "usr_9", LI)


def test_a_newer_one_retires_the_active_one_and_a_rollback_brings_it_back(records: Records) -> None:
    first, second, third = (into_force(records, version) for version in (2, 3, 4))
    assert [state(records, r) for r in (first, second, third)] == ["retired", "retired", "active"]
    go(records, third, ("rollback", MAX))
    assert [state(records, r) for r in (first, second, third)] == ["retired", "active", "rolled_back"]
    go(records, second, ("rollback", MAX))
    go(records, first, ("rollback", MAX))
    assert [state(records, r) for r in (first, second, third)] == ["rolled_back"] * 3
    assert releases(records, lambda x: x.active(SYSTEM, "spo2-low")) is None


def test_one_release_of_a_rule_is_on_trial_at_a_time(records: Records) -> None:
    first = go(records, draft(records, 2), ("shadow", LI))
    second = draft(records, 3)
    with pytest.raises(ConfigError, match="on trial") as caught:
        go(records, second, ("shadow", LI))
    assert caught.value.details["value"] == first.id
    go(
        records,
        first,
        ("withdraw", MAX),
    )
    assert go(records, second, ("shadow", LI)).state == "shadow"
    assert state(records, first) == "withdrawn"


def test_a_versions_number_means_one_content(records: Records) -> None:
    draft(records, 2)
    with pytest.raises(ConfigError, match="known with other content"):
        draft(records, 2, delay_s=30.0)
    assert draft(records, 2).hash == made_rule(version=2).hash, "the very same may be drafted again"


def test_contents_are_kept_once_and_for_ever(records: Records, clock: EventClock) -> None:
    rules = [made_rule(), made_rule(version=2, delay_s=5.0)]

    def keep(session: Session) -> None:
        keep_versions(session, "main", rules, clock.now_ns(), {rules[0].hash: "id: spo2-low"})
        keep_versions(session, "main", rules, clock.now_ns() + 1)

    records.run_now(keep)
    rows = records.read_now(lambda s: versions_of(s, "main", "spo2-low"))
    assert [r.version for r in rows] == [2, 1]
    found = records.read_now(lambda s: rule_version(s, "main", rules[0].hash))
    assert found is not None
    assert (found.source, Rule.from_content(found.content)) == ("id: spo2-low", rules[0])
    assert records.read_now(lambda s: rule_version(s, "other", rules[0].hash)) is None
    for statement in ("UPDATE rule_versions SET version = 9", "DELETE FROM rule_versions"):
        with pytest.raises(IntegrityError, match="append-only"):
            records.run_now(lambda s, x=statement: s.execute(text(x)))  # type: ignore[misc]
