"""A patient's own login: it stays on their telephone, and is written to in the language they chose."""

from __future__ import annotations

import pytest

from dashboards.accounts_port import Invitee
from hearthward.trust.access import Principal, Role
from tests.unit.dashboards.webworld import World, world

PASSWORD = "right horse battery"  # noqa: S105 - of the tests' own people
PLAN = {"kind": "other", "title": "Walk", "times": "08:00", "timezone": "UTC", "window": "120"}


def person(made: World, role: Role) -> Principal:
    """Somebody who can log in."""
    who = made.principal(role)
    made.backend.add_person(f"own-{role}", PASSWORD, who, language="en")
    return who


@pytest.mark.parametrize(
    ("role", "stays"), [(Role.PATIENT, True), (Role.FAMILY, True), (Role.NURSE, False), (Role.DISPLAY, True)]
)
async def test_whose_login_outlives_the_browser(role: Role, stays: bool):  # noqa: FBT001 - a parameter
    async with world() as made, made.client(accept="text/html") as client:
        person(made, role)
        answer = await client.post("/login", data={"login": f"own-{role}", "password": PASSWORD})
        assert answer.status_code == 303
        (cookie,) = answer.headers.get_list("set-cookie")
        assert ("Max-Age" in cookie) is stays
        assert "HttpOnly" in cookie


async def test_a_relative_has_no_bell_and_reads_why():
    async with world() as made:
        async with made.client(made.principal(Role.FAMILY), cookie=True) as relative:
            assert 'href="/notifications"' not in (await relative.get("/me/consent")).text
            page = (await relative.get("/notifications")).text
            assert "No alarms are sent to relatives" in page
            assert 'data-do="push-on"' not in page
        async with made.client(made.principal(Role.PATIENT), cookie=True) as mine:
            assert 'href="/notifications"' in (await mine.get("/me/consent")).text


async def test_the_language_chosen_on_a_page_is_that_of_messages_too():
    async with world() as made:
        who = person(made, Role.PATIENT)
        async with made.client(who, cookie=True) as mine:
            for foreign in ("cross-site", "same-site"):
                await mine.get("/lang/zh_Hans", headers={"sec-fetch-site": foreign})
                assert await made.backend.language_of(who) == "en", foreign
            for _ in range(2):
                await mine.get("/lang/zh_Hans?next=/me", headers={"sec-fetch-site": "same-origin"})
            assert await made.backend.language_of(who) == "zh"
        told = [e for e in made.backend._lines("main") if e.detail.get("do") == "language"]
        assert [(e.actor, e.target, e.detail["language"]) for e in told] == [(who.user, who.user, "zh")]


async def test_a_display_and_whoever_has_not_logged_in_change_nobodys_language():
    async with world() as made:
        wall = person(made, Role.DISPLAY)
        for who in (wall, None):
            async with made.client(who, cookie=True, accept="text/html") as client:
                assert (await client.get("/lang/zh_Hans")).cookies["hearthward_lang"] == "zh_Hans"
        assert await made.backend.language_of(wall) == "en"


async def test_the_plan_says_that_nobody_can_be_reminded():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as nurse:
        patient = made.ids["main", "patientA"]
        plan = f"/patients/{patient}/plan"
        said = "Reminders reach nobody now"
        assert (await nurse.post(plan, data={**PLAN, "remind": "1"})).status_code == 303
        assert said in (await nurse.get(plan)).text
        await made.backend.invite(made.principal(Role.NURSE), patient, Invitee(phone="+8613800138000"))
        assert said not in (await nurse.get(plan)).text
        made.backend.sms = False
        assert said in (await nurse.get(plan)).text
