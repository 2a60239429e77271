from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from cloud_ingest.records import Records
from cloud_ingest.records.escalation import policy_in
from cloud_ingest.records.models import PolicyVersion
from hearthward.core.errors import AccessError, ConfigError
from hearthward.trust.access import Scope
from rules.response.policy import Policy, Step, Target, Timetable
from tests.unit.cloud_ingest.records.conftest import START, SYSTEM

WARD = Policy(
    "ward",
    1,
    {"en": "Ward", "zh": "病区"},
    {
        "physiological.high": Timetable(
            (
                Step(0.0, (Target("wall"), Target("assigned")), ("in_app", "push")),
                Step(60.0, (Target("on_duty", role="doctor"), Target("user", user="dora")), ("voice",)),
            ),
            repeat_s=120.0,
            remind_s=300.0,
        )
    },
)


@pytest.fixture
def policies(records: Records) -> Callable[[Callable[[Any], Any]], Any]:
    return lambda fn: records.run_now(lambda s: fn(records.policies(s)))


Do = Callable[[Callable[[Any], Any]], Any]


def test_a_version_is_kept_and_put_in_force(policies: Do) -> None:
    row = policies(lambda p: p.add(SYSTEM, WARD, by="dora", source="id: ward\n", after=1))
    assert (row.version, row.by, row.at, row.active, row.source) == (2, "dora", START, False, "id: ward\n")
    assert policies(lambda p: p.list(SYSTEM, active=True)) == []
    policies(lambda p: p.activate(SYSTEM, "ward", 2))
    (found,) = policies(lambda p: p.list(SYSTEM, active=True))
    policy = policy_in(found)
    assert (policy.id, policy.version) == ("ward", 2)
    assert policy.timetables == WARD.timetables
    assert policy.title == WARD.title


def test_versions_count_up_and_one_is_in_force(policies: Do) -> None:
    for version in (1, 1, 7):
        policies(lambda p, v=version: p.add(SYSTEM, Policy("ward", v, {"en": "x"}, {}), by="dora"))
    policies(lambda p: p.activate(SYSTEM, "ward", 2))
    policies(lambda p: p.activate(SYSTEM, "ward", 7))
    policies(lambda p: p.activate(SYSTEM, "ward", 7))
    found = policies(lambda p: p.list(SYSTEM, policy="ward"))
    assert [(r.version, r.active) for r in found] == [(7, True), (2, False), (1, False)]
    assert policies(lambda p: p.withdraw(SYSTEM, "ward"))
    assert not policies(lambda p: p.withdraw(SYSTEM, "ward"))
    assert policies(lambda p: p.list(SYSTEM, active=True)) == []


def test_what_is_refused(policies: Do, records: Records) -> None:
    policies(lambda p: p.add(SYSTEM, WARD, by="dora"))
    for scope, version in ((SYSTEM, 9), (Scope.system("other"), 1)):
        with pytest.raises(ConfigError, match="no version") as caught:
            policies(lambda p, s=scope, v=version: p.activate(s, "ward", v))
        assert caught.value.details["reason"] == "not_found"
    with pytest.raises(AccessError, match="whole organisation"):
        policies(lambda p: p.activate(Scope("main", frozenset({"w1"})), "ward", 1))
    assert len(policies(lambda p: p.list(Scope("main", frozenset({"w1"}))))) == 1
    assert policies(lambda p: p.list(Scope("main", None, "p1"))) == []
    policies(lambda p: p.activate(SYSTEM, "ward", 1))
    second = PolicyVersion(
        tenant="main", id="ward", version=2, content=WARD.content(), by="x", at=1, active=True
    )
    with pytest.raises(IntegrityError):
        records.run_now(lambda s: s.add(second))
