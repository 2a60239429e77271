"""Where somebody is logged in: said in words, ended singly or all at once, and nobody else's."""

from __future__ import annotations

import re

import httpx
import pytest

from dashboards.browsers import described, sort_of
from hearthward.trust.access import Principal, Role
from tests.unit.dashboards.webworld import World, world

PASSWORD = "right horse battery"  # noqa: S105 - of the tests' own people
PHONE = "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"
DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0"
END = re.compile(r'action="(/account/sessions/[0-9a-f]{16}/end)"')


async def enter(made: World, who: Principal, agent: str) -> httpx.AsyncClient:
    """A browser in which somebody has logged in."""
    if ("main", who.user) not in made.backend._people:
        made.backend.add_person(who.user, PASSWORD, who)
    client = made.client(accept="text/html", **{"user-agent": agent})
    answer = await client.post("/login", data={"login": who.user, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    client.cookies.set("hearthward_session", answer.cookies["hearthward_session"])
    page = await client.get("/account")
    client.headers["x-csrf-token"] = re.findall(r'name="csrf" content="(\w+)"', page.text)[0]
    return client


@pytest.mark.parametrize(("role", "path"), [(Role.NURSE, "/account"), (Role.PATIENT, "/me/logins")])
async def test_each_is_told_apart_and_ended_singly(role: Role, path: str):
    async with world() as made:
        who = made.principal(role)
        phone, desk = await enter(made, who, PHONE), await enter(made, who, DESK)
        page = (await phone.get(path)).text
        assert "Chrome · Android" in page
        assert "Edge · Windows" in page
        assert page.count("this one") == 1
        (here,) = re.findall(r'class="here".*?action="([^"]+)"', page, re.DOTALL)
        (other,) = set(END.findall(page)) - {here}
        ended = await phone.post(other, data={"back": "me"})
        assert (ended.status_code, ended.headers["location"]) == (303, "/me/logins?done=session")
        assert (await desk.get(path)).headers["location"].startswith("/login")
        assert "Edge · Windows" not in (await phone.get(path)).text
        out = await phone.post(here, data={})
        assert out.headers["location"] == "/login"
        assert (await phone.get(path)).headers["location"].startswith("/login")
        await phone.aclose()
        await desk.aclose()


async def test_all_others_end_at_once_and_it_is_audited():
    async with world() as made:
        who = made.principal(Role.NURSE)
        phone, desk = await enter(made, who, PHONE), await enter(made, who, DESK)
        answer = await desk.post("/account/sessions/end-others", data={"back": "account"})
        assert answer.headers["location"] == "/account?done=others#logins"
        assert "Logged out everywhere else." in (await desk.get("/account?done=others")).text
        assert (await phone.get("/account")).headers["location"].startswith("/login")
        (line,) = (e for e in made.backend._of("main").audit if e.detail.get("others"))
        assert (line.action, line.target, line.detail["others"]) == ("logout", who.user, 1)
        await phone.aclose()
        await desk.aclose()


async def test_nobody_ends_somebody_elses():
    async with world() as made, made.client(made.principal(Role.NURSE)) as nurse:
        theirs = made.client(made.principal(Role.DOCTOR))
        (key,) = [s["id"] for s in (await theirs.get("/api/v1/me/sessions")).json()["items"]]
        assert (await nurse.post(f"/api/v1/me/sessions/{key}/end")).status_code == 404
        assert (await theirs.get("/api/v1/me/sessions")).status_code == 200
        ended = (await theirs.post(f"/api/v1/me/sessions/{key}/end")).json()
        assert (ended["id"], ended["here"]) == (key, True)
        assert (await theirs.get("/api/v1/me/sessions")).status_code == 401
        await theirs.aclose()


async def test_staff_have_them_in_their_account():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as nurse:
        answer = await nurse.get("/me/logins")
        assert (answer.status_code, answer.headers["location"]) == (303, "/account#logins")


@pytest.mark.parametrize(
    ("agent", "words", "sort"),
    [
        (PHONE, "Chrome · Android", "phone"),
        (DESK, "Edge · Windows", "computer"),
        (
            "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605 Version/17.0 Safari/604.1",
            "Safari · iPad",
            "tablet",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/107 MicroMessenger/8.0.3",
            "WeChat · Android",
            "phone",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox · Linux",
            "computer",
        ),
        ("curl/8.5.0", "curl", "program"),
        ("<script>alert(1)</script>", "", "program"),
        ("", "", "program"),
    ],
)
def test_browsers_in_words(agent: str, words: str, sort: str):
    assert described(agent) == words
    assert sort_of(words) == sort
