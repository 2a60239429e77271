from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.limits import LimitDraft, Limits, Orders
from cloud_ingest.records.models import PatientLimit
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Principal, Role, Scope
from rules import RuleSet
from tests.unit.cloud_ingest.made import made_rule

T = TypeVar("T")
SYSTEM = Scope.system("main")
LI = Principal("usr_1", "Li Na", "main", frozenset({Role.DOCTOR}))
MAX = Principal("usr_2", "Max", "main", frozenset({Role.NURSE}))
RULES = RuleSet((made_rule(), made_rule(id="plain", parameters={}), made_rule(id="trial", shadow=True)))
DRAFT = LimitDraft("spo2-low", "limit", 86, "COPD, target 88-92 %")
HOUR = 3600 * SECOND

pytestmark = pytest.mark.usefixtures("furnished")


def limits(records: Records, do: Callable[[Limits], T]) -> T:
    def within(session: Session) -> T:
        return do(Limits(session, now=records.clock.now_ns(), ids=records.ids))

    return records.run_now(within)


def orders(records: Records, do: Callable[[Orders], T]) -> T:
    def within(session: Session) -> T:
        return do(Orders(session, now=records.clock.now_ns(), ids=records.ids))

    return records.run_now(within)


def put(records: Records, who: Principal = LI, scope: Scope = SYSTEM, **changes: Any) -> PatientLimit:
    draft = replace(DRAFT, **changes)
    return limits(records, lambda x: x.set(scope, "p1", draft, rules=RULES, who=who))


def present(records: Records) -> list[str]:
    return [row.id for row in limits(records, lambda x: x.list(SYSTEM, "p1"))]


def test_a_limit_says_who_when_why_and_until_when(records: Records, clock: EventClock) -> None:
    until = clock.now_ns() + HOUR
    row = put(records, expires=until)
    assert (row.rule, row.parameter, row.value) == ("spo2-low", "limit", 86)
    assert (row.set_by, row.set_by_name, row.set_at, row.starts) == (
        "usr_1",
        "Li Na",
        clock.now_ns(),
        clock.now_ns(),
    )
    assert (row.reason, row.expires, row.ended_at) == ("COPD, target 88-92 %", until, None)
    clock.advance(3599)
    assert present(records) == [row.id]
    clock.advance(1)
    assert present(records) == []
    assert [x.id for x in limits(records, lambda x: x.list(SYSTEM, "p1", ended=True))] == [row.id]


def test_a_change_ends_the_one_before_and_nothing_is_deleted(records: Records, clock: EventClock) -> None:
    first = put(records)
    clock.advance(60)
    second = put(records, MAX, value=88, reason="better now")
    assert present(records) == [second.id]
    old = limits(records, lambda x: x.get(SYSTEM, "p1", first.id))
    assert (old.value, old.ended_at, old.ended_by_name) == (86, clock.now_ns(), "Max")
    assert (old.ended_reason, old.superseded_by) == ("better now", second.id)


def test_limits_for_other_hours_or_parameters_stand_beside_each_other(records: Records) -> None:
    whole = put(records)
    night = put(records, value=84, daily=(22 * 60, 6 * 60), timezone="Asia/Shanghai")
    assert set(present(records)) == {whole.id, night.id}
    again = put(records, value=83, daily=(22 * 60, 6 * 60), timezone="Asia/Shanghai")
    assert set(present(records)) == {whole.id, again.id}
    assert (again.daily_from, again.daily_to, again.timezone) == (1320, 360, "Asia/Shanghai")


def test_a_limit_is_ended_once_and_with_a_reason(records: Records, clock: EventClock) -> None:
    row = put(records)
    with pytest.raises(ConfigError, match="say why"):
        limits(records, lambda x: x.end(SYSTEM, "p1", row.id, reason=" ", who=MAX))
    clock.advance(5)
    done = limits(records, lambda x: x.end(SYSTEM, "p1", row.id, reason="discharged", who=MAX))
    assert (done.ended_at, done.ended_by_name, done.ended_reason, done.superseded_by) == (
        clock.now_ns(),
        "Max",
        "discharged",
        None,
    )
    with pytest.raises(ConfigError, match="ended already"):
        limits(records, lambda x: x.end(SYSTEM, "p1", row.id, reason="again", who=MAX))


@pytest.mark.parametrize(
    ("other", "field", "code", "words"),
    [
        ({"rule": "none"}, "rule", "unknown", "is in force"),
        ({"rule": "trial@shadow"}, "rule", "unknown", "is in force"),
        ({"parameter": "none"}, "parameter", "unknown", "it has: limit"),
        ({"rule": "plain"}, "parameter", "unknown", "it has: none"),
        ({"value": 79.9}, "value", "bounds", r"79\.9 lies outside 80 - 94"),
        ({"value": 94.1}, "value", "bounds", "80 - 94"),
        ({"value": float("nan")}, "value", "bounds", "80 - 94"),
        ({"reason": "  "}, "reason", "required", "say why"),
        ({"reason": "x" * 501}, "reason", "invalid", "500"),
        ({"reason": "a\nb"}, "reason", "invalid", "printable"),
        ({"expires": 1_800_000_000 * SECOND}, "expires", "past", "has passed"),
        ({"daily": (60, 60), "timezone": "UTC"}, "daily", "invalid", "two different times"),
        ({"daily": (0, 1440), "timezone": "UTC"}, "daily", "invalid", "two different times"),
        ({"daily": (60, 120)}, "timezone", "required", "Asia/Shanghai"),
    ],
)
def test_a_refusal_names_field_code_and_bounds(
    records: Records, other: dict[str, Any], field: str, code: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        put(records, **other)
    assert (caught.value.details["field"], caught.value.details["code"]) == (field, code)
    assert present(records) == []


@pytest.mark.parametrize("value", [80, 94])
def test_the_bounds_themselves_may_be_set(records: Records, value: float) -> None:
    assert put(records, value=value).value == value


def test_another_ward_another_tenant_and_another_patient_are_out_of_reach(records: Records) -> None:
    row = put(records, scope=Scope("main", frozenset({"w1"})))
    for scope in (Scope("main", frozenset({"w2"})), Scope.system("other"), Scope("main", None, "p2")):
        with pytest.raises(ConfigError, match="there is no patient"):
            put(records, scope=scope)
        with pytest.raises(ConfigError, match="there is no limit"):
            limits(records, lambda x, s=scope: x.end(s, "p1", row.id, reason="x", who=LI))  # type: ignore[misc]
    with pytest.raises(ConfigError, match="there is no limit"):
        limits(records, lambda x: x.get(SYSTEM, "p2", row.id))
    assert present(records) == [row.id]


def test_an_order_is_given_once_at_a_time_and_ended(records: Records, clock: EventClock) -> None:
    def give(**more: Any) -> Any:
        return orders(
            records, lambda x: x.give(SYSTEM, "p1", "spo2_scale_2", reason="hypercapnic", who=LI, **more)
        )

    row = give(expires=clock.now_ns() + HOUR)
    assert (row.given_by_name, row.reason) == ("Li Na", "hypercapnic")
    with pytest.raises(ConfigError, match="in force already"):
        give()
    clock.advance(3600)
    second = give()
    done = orders(records, lambda x: x.end(SYSTEM, "p1", second.id, reason="gas is fine", who=LI))
    assert (done.ended_by_name, done.ended_reason) == ("Li Na", "gas is fine")
    assert orders(records, lambda x: x.list(SYSTEM, "p1")) == []
    assert [o.id for o in orders(records, lambda x: x.list(SYSTEM, "p1", ended=True))] == [second.id, row.id]
    for kind, reason, words in (("other", "x", "choose one of"), ("spo2_scale_2", "", "say why")):
        with pytest.raises(ConfigError, match=words):
            orders(
                records,
                lambda x, k=kind, r=reason: x.give(SYSTEM, "p1", k, reason=r, who=LI),  # type: ignore[misc]
            )
