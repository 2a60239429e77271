from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.errors import AccessError
from hearthward.trust.access import (
    POLICY,
    Action,
    Principal,
    Resource,
    Role,
    Scope,
    allowed,
    require,
    scope_of,
)

WARDS = ["w1", "w2", "w3"]
PATIENTS = ["p1", "p2"]
TENANTS = ["main", "other"]

principals = st.builds(
    Principal,
    user=st.just("usr_1"),
    name=st.just("Somebody"),
    tenant=st.sampled_from(TENANTS),
    roles=st.frozensets(st.sampled_from(Role)),
    wards=st.none() | st.frozensets(st.sampled_from(WARDS)),
    patient=st.none() | st.sampled_from(PATIENTS),
    kind=st.sampled_from(["user", "display", "service"]),
)
resources = st.builds(
    Resource,
    kind=st.sampled_from(["ward", "patient", "alarm", "device"]),
    tenant=st.sampled_from(TENANTS),
    ward=st.none() | st.sampled_from(WARDS),
    patient=st.none() | st.sampled_from(PATIENTS),
)
actions = st.sampled_from(Action)


def somebody(*roles: Role, wards: frozenset[str] | None = None, patient: str | None = None) -> Principal:
    return Principal("usr_1", "Somebody", "main", frozenset(roles), wards, patient)


@given(principals, actions, resources)
def test_no_role_ever_reaches_another_tenant(
    principal: Principal, action: Action, resource: Resource
) -> None:
    if principal.tenant != resource.tenant:
        assert not allowed(principal, action, resource)


@given(principals, actions, resources)
def test_nobody_reaches_an_item_outside_their_wards_or_another_patient(
    principal: Principal, action: Action, resource: Resource
) -> None:
    if not allowed(principal, action, resource):
        return
    item = resource.ward is not None or resource.patient is not None
    if item and principal.patient is not None:
        assert resource.patient == principal.patient
    elif item and principal.wards is not None:
        assert resource.ward in principal.wards


@given(principals, actions, resources)
def test_more_wards_never_allow_less(principal: Principal, action: Action, resource: Resource) -> None:
    everywhere = Principal(
        principal.user,
        principal.name,
        principal.tenant,
        principal.roles,
        None,
        principal.patient,
        principal.kind,
    )
    if allowed(principal, action, resource):
        assert allowed(everywhere, action, resource)


@given(principals, actions, resources)
def test_without_a_role_nothing(principal: Principal, action: Action, resource: Resource) -> None:
    if not principal.roles:
        assert not allowed(principal, action, resource)


@pytest.mark.parametrize("role", list(Role))
def test_every_role_has_its_row(role: Role) -> None:
    assert POLICY[role]


@pytest.mark.parametrize("action", list(Action))
def test_every_action_is_somebodys(action: Action) -> None:
    assert any(action in actions for actions in POLICY.values())


@pytest.mark.parametrize(
    ("role", "action", "expected"),
    [
        (Role.NURSE, Action.ACCEPT_ALARM, True),
        (Role.DOCTOR, Action.ACCEPT_ALARM, True),
        (Role.NURSE, Action.MANAGE_USERS, False),
        (Role.NURSE, Action.VIEW_AUDIT, False),
        (Role.NURSE, Action.MANAGE_DIRECTORY, False),
        (Role.DOCTOR, Action.VIEW_SYSTEM, False),
        (Role.ENGINEER, Action.MANAGE_DEVICES, True),
        (Role.ENGINEER, Action.VIEW_PATIENT, False),
        (Role.ENGINEER, Action.VIEW_READINGS, False),
        (Role.ENGINEER, Action.VIEW_WARD, False),
        (Role.ENGINEER, Action.VIEW_ALARMS, False),
        (Role.ADMIN, Action.MANAGE_USERS, True),
        (Role.ADMIN, Action.MANAGE_DIRECTORY, True),
        (Role.ADMIN, Action.VIEW_AUDIT, True),
        (Role.ADMIN, Action.ACCEPT_ALARM, False),
        (Role.ADMIN, Action.ENTER_READING, False),
        (Role.DISPLAY, Action.VIEW_WARD, True),
        (Role.DISPLAY, Action.ACCEPT_ALARM, False),
        (Role.DISPLAY, Action.VIEW_PATIENT, False),
    ],
)
def test_the_table_says(role: Role, action: Action, expected: bool) -> None:  # noqa: FBT001
    resource = Resource("ward", "main", ward="w1")
    assert allowed(somebody(role, wards=frozenset({"w1"})), action, resource) is expected


def test_a_patient_sees_only_their_own_data() -> None:
    patient = somebody(Role.PATIENT, patient="p1")
    assert allowed(patient, Action.VIEW_READINGS, Resource("patient", "main", "w1", "p1"))
    assert not allowed(patient, Action.VIEW_READINGS, Resource("patient", "main", "w1", "p2"))
    assert not allowed(patient, Action.VIEW_READINGS, Resource("ward", "main", "w1"))
    assert not allowed(patient, Action.VIEW_WARD, Resource("ward", "main"))
    assert allowed(patient, Action.ENTER_READING, Resource("entry", "main", "w1", "p1"))
    assert not allowed(patient, Action.ENTER_READING, Resource("entry", "main", "w1", "p2"))
    assert scope_of(patient) == Scope("main", None, "p1")


def test_a_patient_login_without_a_patient_is_refused() -> None:
    nobody = somebody(Role.PATIENT)
    assert not allowed(nobody, Action.VIEW_READINGS, Resource("patient", "main", patient="p1"))
    with pytest.raises(AccessError, match="of no patient"):
        scope_of(nobody)


def test_a_home_patient_without_a_ward_is_not_the_business_of_one_ward() -> None:
    home = Resource("patient", "main", patient="p1")
    assert not allowed(somebody(Role.NURSE, wards=frozenset({"w1"})), Action.VIEW_PATIENT, home)
    assert allowed(somebody(Role.NURSE), Action.VIEW_PATIENT, home)


def test_require_tells_login_from_permission() -> None:
    resource = Resource("ward", "main")
    with pytest.raises(AccessError) as nobody:
        require(None, Action.VIEW_WARD, resource)
    assert nobody.value.authenticated is False
    with pytest.raises(AccessError, match="may not manage users") as engineer:
        require(somebody(Role.ENGINEER), Action.MANAGE_USERS, resource)
    assert engineer.value.authenticated is True
    require(somebody(Role.NURSE), Action.VIEW_WARD, resource)


@given(st.none() | st.frozensets(st.sampled_from(WARDS)), st.frozensets(st.sampled_from(WARDS)))
def test_a_scope_is_only_ever_narrowed(wards: frozenset[str] | None, asked: frozenset[str]) -> None:
    narrowed = Scope("main", wards).within(asked)
    assert narrowed.wards is not None
    assert narrowed.wards <= asked
    assert wards is None or narrowed.wards <= wards
