"""A patient invites relatives by themselves; what relatives read is said of the patient, not of "me"."""

from __future__ import annotations

import re
from urllib.parse import unquote

import httpx
import pytest

from cloud_ingest.records.invitations import RELATIVES_AT_MOST
from dashboards.consent_models import PARTS
from hearthward.trust.access import Principal, Role
from tests.unit.dashboards.webworld import SECRET, World, world

PASSWORD = "right horse battery"  # noqa: S105 - of the tests' own people
LINK = re.compile(r"http://ward\.test(/link/[\w-]+)")
FORM = {"name": "Li Wei", "sees": ["values", "plan"], "days": "30", "language": "zh"}


def browser(made: World, role: Role = Role.PATIENT) -> httpx.AsyncClient:
    return made.client(made.principal(role), cookie=True)


async def join(made: World, path: str) -> httpx.AsyncClient:
    """Somebody without a login opens a link, chooses a password, and goes on in that browser."""
    client = made.client(accept="text/html")
    assert (await client.get(path)).status_code == 200
    entered = await client.post(path, data={"password": PASSWORD, "again": PASSWORD})
    assert entered.status_code == 303
    client.cookies.set("hearthward_session", entered.cookies["hearthward_session"])
    return client


async def test_a_patient_invites_a_relative_who_sees_what_was_chosen_and_no_staff_is_needed():
    async with world() as made, browser(made) as mine:
        page = await mine.post("/me/consent/relatives", data=FORM)
        assert page.status_code == 200, page.text
        assert "<svg" in page.text
        found = LINK.search(page.text)
        assert found is not None
        letter = unquote(re.findall(r'href="sms:\?&amp;body=([^"]+)"', page.text)[0])
        assert found.group() in letter
        assert "请在 3 天内打开此链接" in letter, "in the language of whom it is for"
        assert found.group() not in (await mine.get("/me/consent")).text, "it is shown once"
        relative = await join(made, found.group(1))
        values = (await relative.get("/me/values")).text
        assert "Patient A 的测量值" in values, "in their own language"
        assert (await relative.get("/me/plan")).status_code == 200
        await relative.aclose()


@pytest.mark.parametrize(
    ("language", "said", "mine"),
    [
        ("en", ("You see the page of Patient A.", "not say that Patient A is well"), ("My ", "you are well")),
        ("zh", ("您正在查看 Patient A 的页面", "并不表示 Patient A 身体无恙"), ("我的数值", "我的计划")),
    ],
)
async def test_what_relatives_read_is_said_of_the_patient(
    language: str, said: tuple[str, ...], mine: tuple[str, ...]
):
    async with world() as made, browser(made, Role.FAMILY) as relative:
        relative.headers["accept-language"] = language
        for path in ("/me", "/me/values", "/me/plan", "/me/sheet"):
            text = (await relative.get(path)).text
            assert all(words in text for words in said), path
            assert not any(words in text for words in mine), path
            assert SECRET not in text


async def test_the_form_says_what_is_wrong_keeps_what_was_typed_and_makes_nothing():
    async with world() as made, browser(made) as mine:
        before = repr(made.backend._people)
        page = await mine.post("/me/consent/relatives", data={**FORM, "sees": []})
        assert page.status_code == 422
        assert "Choose at least one." in page.text
        assert 'value="Li Wei"' in page.text
        page = await mine.post("/me/consent/relatives", data={**FORM, "name": " "})
        assert page.status_code == 422
        assert re.search(r'id="invite-name"[^>]* aria-invalid="true"[^>]* autofocus', page.text)
        assert (await mine.post("/me/consent/relatives", data={**FORM, "days": "9999"})).status_code == 422
        assert repr(made.backend._people) == before


async def test_a_lost_link_is_made_anew_and_who_is_removed_is_out_at_once():
    async with world() as made, browser(made) as mine:
        first = LINK.search((await mine.post("/me/consent/relatives", data=FORM)).text)
        assert first is not None
        listed = (await mine.get("/api/v1/me/consents")).json()["relatives"]
        person = next(r["id"] for r in listed if r["name"] == "Li Wei")
        second = LINK.search((await mine.post(f"/me/consent/relatives/{person}/link")).text)
        assert second is not None
        async with made.client(accept="text/html") as client:
            assert (await client.get(first.group(1))).status_code == 404
        relative = await join(made, second.group(1))
        assert (await relative.get("/me")).status_code == 200
        gone = await mine.post(f"/me/consent/relatives/{person}/dismiss")
        assert (gone.status_code, gone.headers["location"]) == (303, "/me/consent?done=dismiss")
        assert (await relative.get("/me")).headers["location"].startswith("/login")
        assert "<h3>Li Wei" not in (await mine.get("/me/consent")).text
        assert (await mine.post(f"/me/consent/relatives/{person}/link")).status_code == 404
        await relative.aclose()
        log = [e.detail["do"] for e in made.backend._of("main").audit if e.action == "give_consent"]
        assert log[-3:] == ["invite", "link", "dismiss"]


@pytest.mark.parametrize("role", [Role.NURSE, Role.ADMIN, Role.FAMILY, Role.ENGINEER])
async def test_nobody_else_invites_in_the_patients_name(role: Role):
    async with world() as made, made.client(made.principal(role)) as client:
        body = {"name": "Li Wei", "sees": list(PARTS)}
        assert (await client.post("/api/v1/me/relatives", json=body)).status_code == 403
        assert (await client.post("/api/v1/me/relatives/usr_family/dismiss")).status_code == 403


async def test_another_patients_relative_and_the_own_login_are_not_to_be_had():
    async with world() as made, made.client(made.principal(Role.PATIENT)) as mine:
        other = Principal(
            "usr_b", "Bea", "main", frozenset({Role.FAMILY}), patient=made.ids["main", "patientB"]
        )
        own = made.principal(Role.PATIENT)
        made.backend.add_person("bea", PASSWORD, other)
        made.backend.add_person("own", PASSWORD, own)
        for person in (other.user, own.user, "usr_nobody"):
            assert (await mine.post(f"/api/v1/me/relatives/{person}/link")).status_code == 404, person
            assert (await mine.post(f"/api/v1/me/relatives/{person}/dismiss")).status_code == 404, person


async def test_so_many_relatives_are_enough():
    async with world() as made, made.client(made.principal(Role.PATIENT)) as mine:
        names = [f"Relative {n}" for n in range(RELATIVES_AT_MOST)]
        made_ones = [
            await mine.post("/api/v1/me/relatives", json={"name": name, "sees": ["plan"]}) for name in names
        ]
        assert {a.status_code for a in made_ones} == {201}
        again = await mine.post("/api/v1/me/relatives", json={"name": names[0], "sees": ["plan"]})
        assert (again.status_code, again.json()["login"]) == (201, made_ones[0].json()["login"])
        more = await mine.post("/api/v1/me/relatives", json={"name": "One more", "sees": ["plan"]})
        assert (more.status_code, more.json()["errors"][0]["code"]) == (409, "many")
