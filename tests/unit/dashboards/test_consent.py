"""Consent: the patient's page, what a relative sees, who looked; nothing of it for anybody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends

from dashboards.access import Context, Guard
from dashboards.accounts_port import Invitee
from dashboards.consent import PARTS, viewing
from dashboards.consent_models import Look
from dashboards.looks import Person, Read, looks_of
from dashboards.shift_times import DAY
from hearthward.trust.access import Action, Principal, Role, scope_of
from tests.unit.dashboards.webworld import SECRET, T0, S, World, reading, world

HOUR = 3600 * S


class Family:
    """Patient A of the world with an invited relative, Ann, who has a session; nothing is allowed yet."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.backend = made.backend
        self.patient = made.principal(Role.PATIENT)
        self.ann: Principal

    async def begin(self) -> Family:
        nurse = self.made.principal(Role.NURSE)
        assert self.patient.patient is not None
        link = await self.backend.invite(nurse, self.patient.patient, Invitee(relative=True, name="Ann"))
        assert link is not None
        opened = await self.backend.use_link(link.secret, "right horse battery")
        assert opened is not None
        self.ann = opened.principal
        return self

    async def sees(self) -> set[str] | int:
        """What Ann may see by ``viewing``, or the status of the refusal."""
        async with self.made.client(self.ann, accept="text/html") as client:
            answer = await client.get("/probe")
        return set(answer.json()["sees"]) if answer.status_code == 200 else answer.status_code


@asynccontextmanager
async def family() -> AsyncIterator[Family]:
    async with world() as made:
        own = Annotated[Context, Depends(Guard(Action.VIEW_OWN_PAGE, "own_page", reads=True))]

        async def probe(context: own) -> dict[str, Any]:  # type: ignore[valid-type]
            seen = await viewing(context)
            return {"sees": sorted(seen.sees), "own": seen.own, "patient": seen.patient}

        probe.__annotations__["context"] = own
        made.app.add_api_route("/probe", probe)
        yield await Family(made).begin()


def browser(made: World, who: Principal) -> httpx.AsyncClient:
    return made.client(who, cookie=True)


async def test_the_patient_sees_everything_of_their_own():
    async with family() as f, f.made.client(f.patient) as client:
        answer = (await client.get("/probe")).json()
        assert (answer["own"], set(answer["sees"])) == (True, set(PARTS))
        assert answer["patient"] == f.patient.patient


async def test_a_relative_sees_what_was_allowed_until_it_is_taken_back_or_over():
    async with family() as f, browser(f.made, f.patient) as mine:
        assert await f.sees() == 404
        given = await mine.post("/me/consent", data={"person": f.ann.user, "sees": ["values"], "days": "7"})
        assert given.status_code == 303, given.text
        assert await f.sees() == {"values"}
        both = {"person": f.ann.user, "sees": ["values", "plan"], "days": "30"}
        await mine.post("/me/consent", data=both)  # it takes the place of the first
        assert await f.sees() == {"values", "plan"}
        states = [c["state"] for c in (await mine.get("/api/v1/me/consents")).json()["consents"]]
        assert states[:2] == ["in_force", "revoked"]
        held = await f.backend.consent_of(scope_of(f.patient), f.ann.user)
        assert held is not None
        assert held.until == f.backend.clock.now_ns() + 30 * DAY
        f.made.clock.follow(held.until)
        assert await f.sees() == 404
        await mine.post("/me/consent", data={**both, "days": ""})
        held = await f.backend.consent_of(scope_of(f.patient), f.ann.user)
        assert held is not None
        assert held.until is None
        assert (await mine.post(f"/me/consent/{held.id}/revoke")).status_code == 303
        assert await f.sees() == 404


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sees": []}, "Choose at least one."),
        ({"sees": ["everything"]}, "Nothing was saved"),
        ({"days": "9999"}, "is not valid"),
        ({"person": "usr_nobody"}, "does not exist"),
    ],
)
async def test_a_refused_consent_says_why_and_changes_nothing(change: dict[str, Any], said: str):
    async with family() as f, browser(f.made, f.patient) as mine:
        form = {"person": f.ann.user, "sees": ["values"], "days": "7", **change}
        answer = await mine.post("/me/consent", data=form)
        assert answer.status_code == 422
        assert said in answer.text
        assert await f.sees() == 404


async def test_consent_is_the_patients_alone():
    async with family() as f:
        body = {"person": f.ann.user, "sees": ["values"]}
        for role in set(Role) - {Role.PATIENT}:
            who = f.ann if role is Role.FAMILY else f.made.principal(role)
            async with f.made.client(who) as client:
                assert (await client.post("/api/v1/me/consents", json=body)).status_code == 403, role
                theirs = f.made.ids["main", "consentA"]
                answer = await client.post(f"/api/v1/me/consents/{theirs}/revoke")
                assert answer.status_code == 403, role
        other = Principal(
            "usr_b", "B", "main", frozenset({Role.PATIENT}), patient=f.made.ids["main", "patientB"]
        )
        async with f.made.client(other) as client:
            assert (await client.post("/api/v1/me/consents", json=body)).status_code == 422
            theirs = f.made.ids["main", "consentA"]
            assert (await client.post(f"/api/v1/me/consents/{theirs}/revoke")).status_code == 404
        assert await f.sees() == 404


async def test_the_pages_say_it_in_both_languages_and_a_relative_sees_only_their_part():
    async with family() as f:
        async with browser(f.made, f.patient) as mine:
            for language, words in (("en", "Who looked in the last 30 days"), ("zh-CN", "最近30天谁查看过")):
                text = (await mine.get("/me/consent", headers={"accept-language": language})).text
                assert words in text
                assert "Ann" in text
                assert SECRET not in text
        async with browser(f.made, f.ann) as hers:
            text = (await hers.get("/me/consent")).text
            assert "You see nothing at present" in text
            assert "Who looked" not in text
            assert '<form method="post" action="/me' not in text
            gone = await hers.get("/probe")
            assert gone.status_code == 404
            assert "The patient lets you see nothing now" in gone.text
            hers.cookies.set("hearthward_lang", "zh_Hans")
            zh = await hers.get("/probe")
            assert "患者目前没有同意您查看" in zh.text


async def test_who_looked_is_told_by_role_a_relative_by_name_and_the_patient_not_at_all():
    async with family() as f:
        made, patient = f.made, f.made.ids["main", "patientA"]
        async with made.client(made.principal(Role.NURSE)) as nurse:
            assert (await nurse.get(f"/api/v1/patients/{patient}")).status_code == 200
            assert (await nurse.get(f"/api/v1/readings?patient={patient}")).status_code == 200
            assert (await nurse.get(f"/api/v1/alarms/{made.ids['main', 'alarmA']}")).status_code == 200
            await nurse.get(f"/api/v1/patients/{made.ids['main', 'patientB']}")
        async with browser(made, f.patient) as mine:
            await mine.post("/me/consent", data={"person": f.ann.user, "sees": ["values"], "days": "7"})
            assert await f.sees() == {"values"}
            looks = [Look(**x) for x in (await mine.get("/api/v1/me/looks")).json()["items"]]
            told = {(x.who, x.name, tuple(x.what), x.times) for x in looks if x.who != "self"}
            page = (await mine.get("/me/consent")).text
        assert ("relative", "Ann", ("view_own_page",), 1) in told
        nurses = [x for x in told if x[0] != "relative"]
        assert [set(x[2]) for x in nurses] == [{"view_patient", "view_readings", "view_alarms"}]
        assert all(x[1] == "" for x in nurses)
        assert "your alarms" in page
        assert ">The nurse<" not in page, "nobody of the staff by name"


def test_looks_close_after_each_other_are_one_visit():
    people = {
        "n": Person("Nora", frozenset({"nurse", "admin"})),
        "a": Person("Ann", frozenset({"family"}), "p"),
        "o": Person("Otto", frozenset({"family"}), "q"),
        "p": Person("Paul", frozenset({"patient"}), "p"),
    }
    reads = [
        Read(T0, "n", "view_readings"),
        Read(T0 + HOUR // 2, "n", "view_alarms"),
        Read(T0 + HOUR // 4, "a", "view_own_page"),
        Read(T0 + 3 * HOUR, "n", "view_readings"),
        Read(T0 + 4 * HOUR, "p", "view_own_page"),
        Read(T0 + 5 * HOUR, "x", "view_readings"),
        Read(T0 + 6 * HOUR, "o", "view_readings"),
    ]
    found = [(x.who, x.name, x.times, x.what) for x in looks_of("p", reversed(reads), people)]
    assert found == [
        ("other", "", 1, ["view_readings"]),
        ("other", "", 1, ["view_readings"]),
        ("self", "", 1, ["view_own_page"]),
        ("nurse", "", 1, ["view_readings"]),
        ("nurse", "", 2, ["view_readings", "view_alarms"]),
        ("relative", "Ann", 1, ["view_own_page"]),
    ]


OWN_PAGES = ("/me", "/me/now", "/me/values", "/me/plan", "/me/sheet", "/me/messages", "/me/consent")
MARKS = {"values": "91.5", "alarms": "SpO2 84", "plan": "Pill A"}
"""What stands on a page that shows that part."""


@pytest.mark.parametrize("sees", [(), ("values",), ("alarms",), ("plan",), ("values", "plan"), PARTS])
async def test_no_page_shows_a_relative_more_than_was_allowed(sees: tuple[str, ...]):
    async with family() as f:
        f.made.clock.follow(T0 + 70 * S)
        f.backend.put_readings("main", [reading("main-oxi-A", "spo2", 91.5, T0 + 69 * S)])
        if sees:
            await f.backend.give_consent(f.patient, f.ann.user, sees=sees, until=None)
        shown = ""
        async with browser(f.made, f.ann) as hers:
            for path in OWN_PAGES:
                answer = await hers.get(path)
                assert answer.status_code in {200, 403, 404}, path
                shown += answer.text if answer.status_code == 200 else ""
                if path == "/me/messages":
                    assert answer.status_code == 403
            assert (await hers.get("/me")).status_code == (200 if sees else 404)
            for path in ("readings", "alarms", f"patients/{f.patient.patient}", "messages", "wall", "live"):
                assert (await hers.get(f"/api/v1/{path}")).status_code == 403, path
        assert {part for part, mark in MARKS.items() if mark in shown} == set(sees)
        assert SECRET not in shown


async def test_the_patients_own_pages_have_all_of_these_marks():
    async with family() as f:
        f.made.clock.follow(T0 + 70 * S)
        f.backend.put_readings("main", [reading("main-oxi-A", "spo2", 91.5, T0 + 69 * S)])
        async with browser(f.made, f.patient) as mine:
            shown = "".join([(await mine.get(path)).text for path in OWN_PAGES])
        assert all(mark in shown for mark in MARKS.values())
