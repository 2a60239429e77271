"""Errors people meet: each says what happened and what to do next, in both languages."""

from __future__ import annotations

import re
from dataclasses import replace

import httpx
import pytest

from hearthward.core.errors import StoreUnavailable
from hearthward.trust.access import Principal, Role
from tests.unit.dashboards.webworld import World, alarm, world

ZH = {"accept-language": "zh-CN"}


def browser(made: World, role: Role = Role.NURSE, **more: str) -> httpx.AsyncClient:
    return made.client(made.principal(role, **more), cookie=True)


async def over(made: World, client: httpx.AsyncClient) -> None:
    """The login ends, as it does after a shift."""
    await made.backend.logout(client.cookies["hearthward_session"])


# --- an expired login ------------------------------------------------------------------------------


async def test_a_page_leads_to_the_login_and_back():
    async with world() as made, browser(made) as nurse:
        await over(made, nurse)
        away = await nurse.get("/alarms?show=all")
        assert away.headers["location"] == "/login?next=/alarms%3Fshow%3Dall"
        assert "Your login has ended" in (await nurse.get(away.headers["location"])).text


async def test_a_form_leads_to_the_login_and_back_to_its_page():
    async with world() as made, browser(made) as nurse:
        await over(made, nurse)
        key = made.ids["main", "alarmA"]
        own, foreign = f"http://ward.test/alarms/{key}?x=1", "http://evil.test/alarms"
        for referer, back in ((own, f"/alarms/{key}%3Fx%3D1"), (foreign, "/"), ("", "/")):
            away = await nurse.post(f"/alarms/{key}/accept", headers={"referer": referer})
            assert away.headers["location"] == f"/login?next={back}", referer


async def test_a_part_of_a_page_does_not_show_the_login_in_its_place_but_leaves_the_page():
    async with world() as made, browser(made, Role.PATIENT) as mine:
        await over(made, mine)
        asked = {"hx-request": "true", "hx-current-url": "http://ward.test/me/messages"}
        part = await mine.get("/me/messages/thread", headers=asked)
        assert part.status_code == 401
        assert part.headers["hx-redirect"] == "/login?next=/me/messages"
        assert part.text == ""


async def test_the_api_and_the_live_stream_say_401():
    async with world() as made, made.client(accept="application/json") as nobody:
        for path in ("/api/v1/wall", "/api/v1/live", "/api/v1/me"):
            answer = await nobody.get(path, headers={"accept": "text/event-stream, application/json"})
            assert answer.status_code == 401, path
            assert "POST /api/v1/login" in answer.json()["advice"]


# --- not allowed, not there, too old -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "said"), [({}, "ask an administrator or the nurse in charge"), (ZH, "护士长")]
)
async def test_a_patient_of_another_ward_is_not_there_and_the_page_says_how_to_get_the_ward(
    headers: dict[str, str], said: str
):
    async with world() as made, browser(made, wards="A") as nurse:
        there = f"/patients/{made.ids['main', 'patientB']}"
        answer = await nurse.get(there, headers=headers)
        assert answer.status_code == 404
        assert said in answer.text
        assert "Patient B" not in answer.text
        api = await nurse.get(f"/api/v1{there}", headers={"accept": "application/json"})
        assert "another ward" in api.json()["advice"]


@pytest.mark.parametrize(("headers", "said"), [({}, "changed meanwhile"), (ZH, "已被更改")])
async def test_rights_that_were_taken_away_meanwhile(headers: dict[str, str], said: str):
    async with world() as made, browser(made) as nurse:
        token = nurse.cookies["hearthward_session"]
        assert (await nurse.get("/alarms")).status_code == 200
        who = made.backend._sessions[token]
        made.backend._sessions[token] = replace(who, roles=frozenset({Role.ENGINEER}))
        key = made.ids["main", "alarmA"]
        for answer in (
            await nurse.get("/ward", headers=headers),
            await nurse.get("/handover", headers=headers),
        ):
            assert answer.status_code == 403
            assert said in answer.text
        refused = await nurse.post(f"/alarms/{key}/accept", headers=headers)
        assert refused.status_code in {403, 404}
        found = made.backend._of("main").alarms[key]
        assert found.accepted_by is None


@pytest.mark.parametrize(("headers", "said"), [({}, "open for too long"), (ZH, "此页打开时间过长")])
async def test_a_form_of_an_older_login_is_refused_and_leads_back_to_its_page(
    headers: dict[str, str], said: str
):
    async with world() as made, browser(made, Role.PATIENT) as mine:
        data = {"csrf": "of an older login", "text": "hello"}
        headers = {**headers, "referer": "http://ward.test/me/messages", "x-csrf-token": "old"}
        answer = await mine.post("/me/messages", data=data, headers=headers)
        assert answer.status_code == 403
        assert said in answer.text
        assert 'href="/me/messages"' in answer.text
        api = await mine.post("/api/v1/logout", headers={**headers, "accept": "application/json"})
        assert "reload the page" in api.json()["detail"]


# --- a server that is not ready ----------------------------------------------------------------------


async def unready(*_args: object, **_more: object) -> None:
    msg = "the records database cannot be used now"
    raise StoreUnavailable(msg)


@pytest.mark.parametrize(
    ("cookie", "said"), [("en", "The server is not ready yet"), ("zh_Hans", "服务器尚未就绪")]
)
async def test_a_server_that_starts_says_so_and_the_page_asks_again(
    monkeypatch: pytest.MonkeyPatch, cookie: str, said: str
):
    async with world() as made, browser(made) as nurse:
        nurse.cookies.set("hearthward_lang", cookie)
        monkeypatch.setattr(made.backend, "principal", unready)
        answer = await nurse.get("/alarms?show=all")
        assert answer.status_code == 503
        assert said in answer.text
        assert answer.headers["refresh"] == "15"
        assert int(answer.headers["retry-after"]) > 0
        assert 'href="/alarms?show=all"' in answer.text
        sent = await nurse.post("/alarms/x/accept", headers={"referer": "http://ward.test/alarms"})
        assert sent.status_code == 503
        assert "refresh" not in sent.headers, "a form is not sent twice by itself"
        assert 'href="/alarms"' in sent.text


async def test_a_part_that_cannot_be_refreshed_now_stays_and_one_that_is_gone_does_not(
    monkeypatch: pytest.MonkeyPatch,
):
    async with world() as made, browser(made, Role.FAMILY) as relative:
        asked = {"hx-request": "true", "hx-target": "section#now"}
        assert (await relative.get("/me/now", headers=asked)).status_code == 200
        with monkeypatch.context() as patch:
            patch.setattr(made.backend, "newest", unready)
            away = await relative.get("/me/now", headers=asked)
        assert (away.status_code, away.headers["hx-reswap"]) == (503, "none")
        made.backend._consents["main"].clear()
        gone = await relative.get("/me/now", headers=asked)
        assert gone.status_code == 404
        assert "hx-reswap" not in gone.headers
        assert gone.text.startswith("<div")
        assert "The patient lets you see nothing now" in gone.text


# --- two at once, wrong values -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "said"), [({}, "Second was first and accepted it at"), (ZH, "Second 已先接受")]
)
async def test_of_two_who_accept_at_once_the_second_sees_who_was_first_and_when(
    headers: dict[str, str], said: str
):
    async with world() as made, browser(made) as nurse:
        second = Principal("main-second", "Second", "main", frozenset({Role.NURSE}))
        key = made.ids["main", "alarmA"]
        async with made.client(second) as other:
            assert (await other.post(f"/api/v1/alarms/{key}/accept")).status_code == 200
        late = await nurse.post(f"/alarms/{key}/accept", headers=headers)
        assert late.status_code == 409
        assert said in late.text
        assert re.search(r'role="alert">[^<]*<?.*<time datetime="2026-01-01T00:01:00Z"', late.text)
        api = await nurse.post(f"/api/v1/alarms/{key}/accept", headers={"accept": "application/json"})
        assert api.status_code == 409
        assert api.json()["detail"] == "Second accepted it at 2026-01-01T00:01:00Z"
        assert made.backend._of("main").alarms[key].accepted_by == "main-second"


@pytest.mark.parametrize(
    ("role", "path", "data", "field", "kept"),
    [
        (
            Role.NURSE,
            "/patients/{patientA}/people",
            {"relative": "1", "name": "Ann", "phone": "12"},
            "phone",
            'value="12"',
        ),
        (Role.NURSE, "/patients/{patientA}/entry", {"spo2": "940"}, "spo2", 'value="940"'),
        (
            Role.NURSE,
            "/patients/{patientA}/plan",
            {"kind": "medicine", "title": "Pill", "times": "25:00", "timezone": "UTC"},
            "times",
            'value="25:00"',
        ),
        (
            Role.ADMIN,
            "/users",
            {"login": "no blanks!", "name": "A", "roles": "nurse"},
            "login",
            'value="no blanks!"',
        ),
        (
            Role.ADMIN,
            "/admin/patient",
            {"name": "Ann", "birth_date": "2.5.1948"},
            "birth_date",
            'value="Ann"',
        ),
        (Role.PATIENT, "/me/measure", {"spo2": "940"}, "spo2", 'value="940"'),
        (Role.NURSE, "/account/contacts", {"phone": "12"}, "phone", 'value="12"'),
    ],
)
async def test_wrong_values_are_kept_named_and_have_the_focus(
    role: Role, path: str, data: dict[str, str], field: str, kept: str
):
    async with world() as made:
        who = made.principal(role)
        made.backend.add_person("me", "right horse battery", who)
        async with made.client(who, cookie=True) as client:
            path = path.replace("{patientA}", made.ids["main", "patientA"])
            answer = await client.post(path, data=data)
        assert answer.status_code == 422, answer.text
        (wrong,) = re.findall(
            rf'<(?:input|select)[^>]* name="{field}"[^>]* aria-invalid="true"[^>]*>', answer.text
        )
        assert " autofocus" in wrong
        described = re.findall(r'aria-describedby="([^"]+)"', wrong)
        assert described, wrong
        assert f'id="{described[0].split()[0]}"' in answer.text
        assert kept in answer.text


async def test_an_alarm_that_ended_meanwhile_says_so():
    async with world() as made, browser(made) as nurse:
        made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], "old", condition="inactive"))
        late = await nurse.post("/alarms/old/accept")
        assert late.status_code == 409
        assert "Not done:" in late.text
