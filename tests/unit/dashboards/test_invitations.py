"""Inviting by a one-time link, and the administrator's page of users: no password is typed for anybody."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from dashboards.links import qr_code
from hearthward.core.clock import parse_iso
from hearthward.trust.access import Principal, Role
from tests.unit.dashboards.webworld import S, World, world

PASSWORD = "right horse battery"  # noqa: S105 - of the tests' own people
LINK = re.compile(r"http://ward\.test(/link/[\w-]+)")


def browser(made: World, role: Role = Role.NURSE, **more: Any) -> httpx.AsyncClient:
    return made.client(made.principal(role, **more), cookie=True)


def link_in(text: str) -> str:
    found = LINK.search(text)
    assert found is not None, text
    return found.group(1)


async def choose(made: World, path: str) -> httpx.Response:
    """Open a link as somebody who has no session, and choose a password."""
    async with made.client(accept="text/html") as client:
        assert (await client.get(path)).status_code == 200
        return await client.post(path, data={"password": PASSWORD, "again": PASSWORD})


async def test_a_relative_is_invited_chooses_a_password_and_sees_nothing_yet():
    async with world() as made:
        people = f"/patients/{made.ids['main', 'patientA']}/people"
        async with browser(made) as nurse:
            page = await nurse.post(people, data={"relative": "1", "name": "Ann Lee", "language": "zh"})
            assert page.status_code == 200, page.text
            assert "<svg" in page.text
            path = link_in(page.text)
            assert path not in (await nurse.get(people)).text, "it is shown once"
            found = (await nurse.get(f"/api/v1{people}")).json()
        (login,) = (a for a in found["items"] if a["user"]["name"] == "Ann Lee")
        user = login["user"]
        assert (user["roles"], user["patient"]) == (["family"], made.ids["main", "patientA"])
        assert re.fullmatch(r"f\d{6}", user["login"])
        assert (user["language"], login["joined"]) == ("zh", False)
        assert parse_iso(login["link_until"]) == made.clock.now_ns() + 72 * 3600 * S
        assert [r["consent"] for r in found["relatives"]] == [None]
        entered = await choose(made, path)
        assert entered.status_code == 303
        assert "hearthward_session" in entered.cookies
        async with made.client(accept="text/html") as client:
            again = await client.get(path)
            assert again.status_code == 404
            assert "This link leads nowhere any more" in again.text
            zh = await client.get(path, headers={"accept-language": "zh-CN"})
            assert "此链接已失效" in zh.text
            opened = await client.post("/api/v1/login", json={"login": user["login"], "password": PASSWORD})
            assert opened.json()["roles"] == ["family"]


async def test_a_patients_forgotten_password_is_mended_by_a_new_link_for_the_same_login():
    async with world() as made:
        people = f"/patients/{made.ids['main', 'patientA']}/people"
        async with browser(made) as nurse:
            first = link_in((await nurse.post(people, data={})).text)
            second = link_in((await nurse.post(people, data={})).text)
            logins = [a["user"]["login"] for a in (await nurse.get(f"/api/v1{people}")).json()["items"]]
        assert len(logins) == 1, "one patient, one login"
        async with made.client(accept="text/html") as client:
            assert (await client.get(first)).status_code == 404, "a newer link took its place"
        assert (await choose(made, second)).status_code == 303
        async with browser(made) as nurse:
            third = link_in((await nurse.post(f"{people}/{logins[0]}", data={})).text)
        assert (await choose(made, third)).status_code == 303


async def test_the_link_goes_by_sms_where_there_is_a_number_and_a_public_address():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        people, body = f"/api/v1/patients/{patient}/invitations", {"sms": True}
        async with made.client(made.principal(Role.NURSE)) as nurse:
            assert (await nurse.post(people, json=body)).json()["sms"] == "no_channel"
            made.app.state.public_url = "https://ward.example"
            assert (await nurse.post(people, json=body)).json()["sms"] == "no_number"
            sent = await nurse.post(people, json={**body, "phone": "+86 138 0013 8000", "language": "zh"})
            assert sent.json()["sms"] == "handed_over"
            wrong = await nurse.post(people, json={**body, "phone": "12"})
            made.backend.sms = False
            page = (await nurse.get(f"/patients/{patient}/people")).text
        ((number, words),) = made.backend.texted
        assert number == "+8613800138000"
        assert sent.json()["url"] in words
        assert sent.json()["url"].startswith("https://ward.example/link/")
        assert sent.json()["login"] in words
        assert (wrong.status_code, [e["field"] for e in wrong.json()["errors"]]) == (422, ["phone"])
        assert 'name="sms"' not in page, "no channel, no box to tick"


async def test_a_relative_needs_a_name_and_the_form_keeps_what_was_typed():
    async with world() as made, browser(made) as nurse:
        people = f"/patients/{made.ids['main', 'patientA']}/people"
        page = await nurse.post(people, data={"relative": "1", "name": " ", "phone": "+8613800138000"})
        assert page.status_code == 422
        assert "is required" in page.text
        assert 'value="+8613800138000"' in page.text
        assert "/link/" not in page.text


async def test_nobody_invites_to_a_patient_of_another_ward_or_by_another_patients_login():
    async with world() as made, browser(made, wards="A") as nurse:
        there = f"/patients/{made.ids['main', 'patientB']}/people"
        assert (await nurse.get(there)).status_code == 404
        assert (await nurse.post(there, data={})).status_code == 404
        here = f"/patients/{made.ids['main', 'patientA']}/people"
        for login in ("main-nurse", "nobody"):
            assert (await nurse.post(f"{here}/{login}", data={})).status_code == 404
    async with world() as made:
        for role in (Role.ENGINEER, Role.DISPLAY, Role.PATIENT, Role.FAMILY):
            async with made.client(made.principal(role)) as client:
                people = f"/patients/{made.ids['main', 'patientA']}/people"
                assert (await client.post(people)).status_code == 403, role


async def test_invitations_are_audited_without_names_links_or_numbers():
    async with world() as made, made.client(made.principal(Role.NURSE)) as nurse:
        patient = made.ids["main", "patientA"]
        body = {"relative": True, "name": "Ann Lee", "phone": "+8613800138000"}
        made_link = await nurse.post(f"/api/v1/patients/{patient}/invitations", json=body)
        log = made.backend._of("main").audit
        (entry,) = (e for e in log if e.action == "invite_person" and e.detail.get("do") == "invite")
        assert (entry.target, entry.detail["roles"]) == (patient, "family")
        for secret in ("Ann Lee", "+8613800138000", made_link.json()["url"].rsplit("/", 1)[1]):
            assert secret not in str(log)


async def test_the_code_holds_the_address_black_on_white_with_its_quiet_zone():
    svg = qr_code("https://ward.example/link/abc", "p<1>")
    assert svg.startswith("<svg")
    assert "p&lt;1&gt;" in svg
    assert 'fill="#fff"' in svg
    assert "style=" not in svg, "nothing inline"
    assert qr_code("https://ward.example/link/abd", "p<1>") != svg


# --- the administrator's page ---------------------------------------------------------------------


async def test_an_administrator_adds_somebody_who_chooses_the_password():
    async with world() as made, browser(made, Role.ADMIN) as admin:
        ward = made.ids["main", "wardA"]
        form = {"login": "Li.Na", "name": "Li Na", "roles": ["nurse"], "wards": [ward], "language": "zh"}
        page = await admin.post("/users", data=form)
        assert page.status_code == 200, page.text
        assert (await choose(made, link_in(page.text))).status_code == 303
        account = (await admin.get("/api/v1/users/li.na")).json()
        assert (account["user"]["wards"], account["joined"], account["sessions"]) == ([ward], True, 1)
        listed = (await admin.get("/users?q=LI.N")).text
        assert "li.na" in listed
        assert "main-nurse" not in listed
        assert "main-nurse" in (await admin.get("/users?role=nurse")).text
        assert "Nobody is like that." in (await admin.get("/users?role=engineer")).text


async def test_roles_wards_and_names_change_at_once():
    async with world() as made, browser(made, Role.ADMIN) as admin:
        nurse = await made.backend.login("main-nurse", PASSWORD)
        assert nurse is not None
        form = {"name": "Nora", "staff": "1", "roles": ["nurse", "engineer"], "wards": []}
        changed = await admin.post("/users/main-nurse", data=form)
        assert changed.status_code == 303, changed.text
        async with made.client() as client:
            me = await client.get("/api/v1/me", headers={"authorization": f"Bearer {nurse.token}"})
        assert (me.json()["name"], me.json()["roles"], me.json()["wards"]) == (
            "Nora",
            ["engineer", "nurse"],
            [],
        )
        wrong = await admin.post("/users/main-nurse", data={"name": " ", "staff": "1"})
        assert wrong.status_code == 422
        assert wrong.text.count("is required") >= 2


async def test_who_is_let_in_no_longer_is_out_at_once_and_their_links_are_dead():
    async with world() as made, browser(made, Role.ADMIN) as admin:
        opened = await made.backend.login("main-nurse", PASSWORD)
        assert opened is not None
        link = link_in((await admin.post("/users/main-nurse/link", data={})).text)
        assert (await admin.post("/users/main-nurse/disable", data={})).status_code == 303
        async with made.client() as client:
            me = await client.get("/api/v1/me", headers={"authorization": f"Bearer {opened.token}"})
            assert me.status_code == 401
            assert (await client.get(link)).status_code == 404
            body = {"login": "main-nurse", "password": PASSWORD}
            assert (await client.post("/api/v1/login", json=body)).status_code == 401
            refused = await admin.post("/users/main-nurse/link", data={})
            assert refused.status_code == 422
            assert "let them in again first" in refused.text
            assert (await admin.post("/users/main-nurse/enable", data={})).status_code == 303
            assert (await client.post("/api/v1/login", json=body)).status_code == 200
        assert (await admin.post("/users/main-nurse/logout", data={})).status_code == 303
        assert (await admin.get("/api/v1/users/main-nurse")).json()["sessions"] == 0


async def test_somebody_with_a_number_gets_the_link_by_sms_from_the_page_too():
    async with world() as made, browser(made, Role.ADMIN) as admin:
        made.app.state.public_url = "https://ward.example"
        assert 'name="sms"' not in (await admin.get("/users/main-nurse")).text, "no number"
        people = f"/patients/{made.ids['main', 'patientA']}/people"
        await admin.post(people, data={"phone": "+8613800138000"})
        (login,) = (a["user"]["login"] for a in (await admin.get(f"/api/v1{people}")).json()["items"])
        assert 'name="sms"' in (await admin.get(f"/users/{login}")).text
        page = await admin.post(f"/users/{login}/link", data={"sms": "1"})
        assert "The SMS was handed over." in page.text
        ((number, words),) = made.backend.texted
        assert number == "+8613800138000"
        assert f"Your login is {login}." in words


@pytest.mark.parametrize("how", ["disable", "roles", "wards"])
async def test_the_last_administrator_stays(how: str):
    async with world() as made:
        who = Principal("usr_boss", "Boss", "main", frozenset({Role.ADMIN}))
        made.backend.add_person("boss", PASSWORD, who)
        async with made.client(who) as admin:
            changes: dict[str, Any] = {"roles": {"roles": ["nurse"]}, "wards": {"wards": []}}
            if how == "disable":
                answer = await admin.post("/api/v1/users/boss/disable")
            else:
                answer = await admin.patch("/api/v1/users/boss", json=changes[how])
            assert answer.status_code == 409, answer.text
            assert [e["code"] for e in answer.json()["errors"]] == ["last"]
            second = {"login": "second", "name": "Second", "roles": ["admin"]}
            assert (await admin.post("/api/v1/users", json=second)).status_code == 201
            if how == "disable":
                answer = await admin.post("/api/v1/users/boss/disable")
            else:
                answer = await admin.patch("/api/v1/users/boss", json=changes[how])
            assert answer.status_code == 200, answer.text


async def test_long_lists_are_paged_and_the_search_stays_in_the_address():
    async with world() as made, browser(made, Role.ADMIN) as admin:
        for n in range(120):
            who = Principal(f"usr_{n}", f"Nurse {n:03}", "main", frozenset({Role.NURSE}))
            made.backend.add_person(f"n{n:03}", PASSWORD, who)
        first = (await admin.get("/users?q=Nurse&state=in")).text
        assert first.count('<th scope="row">') == 50
        later = re.search(r'href="(/users\?[^"]*first=50)"', first)
        assert later is not None
        page = (await admin.get(later.group(1).replace("&amp;", "&"))).text
        assert "n050" in page
        assert "q=Nurse" in page
        assert "first=100" in page


async def test_the_login_page_says_what_to_do_about_a_forgotten_password():
    async with world() as made, made.client(accept="text/html") as client:
        assert "ask your nurse" in (await client.get("/login")).text
        assert "患者和家属请找护士" in (await client.get("/login", headers={"accept-language": "zh"})).text


async def test_an_ended_login_is_told_and_goes_on_where_it_was():
    async with world() as made, browser(made) as nurse:
        assert "Your login has ended" not in (await nurse.get("/login")).text, "it has not"
        await made.backend.logout(nurse.cookies["hearthward_session"])
        away = await nurse.get("/alarms?show=all")
        assert away.status_code == 303
        page = (await nurse.get(away.headers["location"])).text
        assert "Your login has ended" in page
        assert 'value="/alarms?show=all"' in page
        zh = await nurse.get("/login", headers={"accept-language": "zh"})
        assert "您的登录已结束" in zh.text
    async with world() as made, made.client(accept="text/html") as client:
        assert "Your login has ended" not in (await client.get("/login")).text, "there was none"
