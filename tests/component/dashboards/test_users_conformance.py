"""Users, their passwords and sessions: one suite over the port's fake and over the real records."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.backend import DirectoryError
from hearthward.core.errors import AccessError
from hearthward.trust.access import Role, Scope
from tests.component.dashboards.sides import PASSWORD, SCOPE, Side, furnish, user


async def test_no_login_for_a_closed_ward(side: Side):
    ids = await furnish(side)
    await side.backend.end(SCOPE, "bed", ids["free"])
    side.clock.advance(1)
    await side.backend.end(SCOPE, "ward", ids["other"])
    with pytest.raises(DirectoryError) as caught:
        await side.backend.add_user(SCOPE, user(wards=[ids["ward"], ids["other"]]), PASSWORD)
    assert (caught.value.field, caught.value.code) == ("wards", "unknown")


async def test_sessions_open_and_end(side: Side):
    await side.person("nurse", Role.NURSE)
    assert await side.backend.login("nurse", "wrong") is None
    assert await side.backend.login("nobody", PASSWORD) is None
    opened = await side.backend.login("nurse", PASSWORD)
    assert opened is not None
    assert opened.principal.roles == {Role.NURSE}
    assert await side.backend.principal(opened.token) == opened.principal
    assert await side.backend.principal("guess") is None
    await side.backend.logout(opened.token)
    assert await side.backend.principal(opened.token) is None


async def test_a_link_sets_a_password_once(side: Side):
    await side.person("boss", Role.ADMIN)
    token = await side.link("boss")
    assert await side.backend.link_login(token) == "boss"
    with pytest.raises(DirectoryError) as caught:
        await side.backend.use_link(token, "short")
    assert caught.value.field == "password"
    opened = await side.backend.use_link(token, "another long one")
    assert opened is not None
    assert await side.backend.principal(opened.token) == opened.principal
    assert await side.backend.link_login(token) is None
    assert await side.backend.use_link(token, "another long one") is None
    assert await side.backend.login("boss", "another long one") is not None


async def test_a_user_is_added_listed_and_logs_in(side: Side):
    ids = await furnish(side)
    await side.person("zoe", Role.ADMIN)
    made = await side.backend.add_user(SCOPE, user(login=" Li.Na", wards=[ids["ward"]]), PASSWORD)
    assert (made.login, made.roles, made.wards, made.patient) == ("li.na", ["nurse"], [ids["ward"]], None)
    assert (made.language, made.disabled) == (None, None)
    hers = user(login="rosa", roles=[Role.PATIENT], patient=ids["patient"], language="zh")
    await side.backend.add_user(SCOPE, hers, PASSWORD)
    listed = await side.backend.users(SCOPE)
    assert [(u.login, u.patient, u.language) for u in listed] == [
        ("li.na", None, None),
        ("rosa", ids["patient"], "zh"),
        ("zoe", None, None),
    ]
    assert listed[0] == made
    opened = await side.backend.login("li.na", PASSWORD)
    assert opened is not None
    assert (opened.principal.user, opened.principal.wards) == (made.id, {ids["ward"]})
    assert list(await side.backend.users(Scope.system("other"))) == []


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        (user(login="no blanks"), "login", "invalid"),
        (user(login="zoe"), "login", "taken"),
        (user(roles=[]), "roles", "required"),
        (user(roles=["captain"]), "roles", "invalid"),
        (user(roles=[Role.NURSE, Role.DISPLAY]), "roles", "invalid"),
        (user(wards=["nowhere"]), "wards", "unknown"),
        (user(roles=[Role.PATIENT]), "patient", "required"),
        (user(roles=[Role.PATIENT], patient="nobody"), "patient", "unknown"),
        (user(patient="$patient"), "patient", "invalid"),
    ],
)
async def test_a_refused_user_names_the_field(side: Side, fields: dict[str, Any], field: str, code: str):
    ids = await furnish(side)
    await side.person("zoe", Role.ADMIN)
    given = {k: ids[v[1:]] if str(v).startswith("$") else v for k, v in fields.items()}
    with pytest.raises(DirectoryError) as caught:
        await side.backend.add_user(SCOPE, given, PASSWORD)
    assert (caught.value.field, caught.value.code) == (field, code)
    assert caught.value.message.startswith(field)
    assert len(await side.backend.users(SCOPE)) == 1


async def test_a_new_password_ends_the_old_one_and_its_sessions(side: Side):
    await side.person("nurse", Role.NURSE)
    await side.person("zoe", Role.ADMIN)
    opened, other = await side.backend.login("nurse", PASSWORD), await side.backend.login("zoe", PASSWORD)
    assert opened is not None
    assert other is not None
    changed = await side.backend.set_password(SCOPE, "Nurse", "another long one")
    assert changed is not None
    assert changed.login == "nurse"
    assert await side.backend.principal(opened.token) is None
    assert await side.backend.principal(other.token) == other.principal
    assert await side.backend.login("nurse", PASSWORD) is None
    assert await side.backend.login("nurse", "another long one") is not None
    assert await side.backend.set_password(SCOPE, "nobody", PASSWORD) is None
    assert await side.backend.set_password(Scope.system("other"), "nurse", PASSWORD) is None
    with pytest.raises(DirectoryError) as caught:
        await side.backend.set_password(SCOPE, "nurse", "short")
    assert caught.value.field == "password"


async def test_part_of_the_organisation_manages_no_users(side: Side):
    ids = await furnish(side)
    await side.person("nurse", Role.NURSE)
    for scope in (Scope("main", frozenset({ids["ward"]})), Scope("main", None, ids["patient"])):
        for act in (
            side.backend.users(scope),
            side.backend.add_user(scope, user(), PASSWORD),
            side.backend.set_password(scope, "nurse", PASSWORD),
        ):
            with pytest.raises(AccessError):
                await act
