"""Observations by hand over the API and on the pages: who may, what comes of it, what a refusal says."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from cloud_ingest.entry import REASONS, manual_device
from cloud_ingest.manual import NotJudgedError
from dashboards.backend import ReadingQuery
from dashboards.pages.entry import REASONS as SAID
from hearthward.core.clock import iso
from hearthward.trust.access import Action, Role, Scope
from tests.unit.dashboards.webworld import T0, S, World, reading, seeded, world

NOW = T0 + 60 * S
FOUR = {"consciousness": "A", "supplemental_oxygen": "oxygen", "respiratory_rate": 18, "pain": 3}
SCOPE = Scope.system("main")


def url(made: World, place: str = "A", tenant: str = "main") -> str:
    return f"/api/v1/patients/{made.ids[tenant, f'patient{place}']}/entries"


def page_url(made: World, place: str = "A") -> str:
    return f"/patients/{made.ids['main', f'patient{place}']}/entry"


async def by_hand(made: World, place: str = "A") -> list[Any]:
    patient = made.ids["main", f"patient{place}"]
    query = ReadingQuery(patient=patient, devices=(manual_device(patient),))
    return list(await made.backend.readings(SCOPE, query))


def form_of(html: str) -> dict[str, str]:
    """The hidden inputs that a browser would send."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))


async def fill(client: httpx.AsyncClient, path: str, **values: str) -> httpx.Response:
    shown = await client.get(path)
    assert shown.status_code == 200
    return await client.post(path, data={**form_of(shown.text), **values})


async def test_a_nurse_enters_several_observations_at_once():
    async with world() as made:
        nurse = made.principal(Role.NURSE)
        async with made.client(nurse) as client:
            answer = await client.post(url(made), json={"id": "ent_1", "values": FOUR})
            assert answer.status_code == 201, answer.text
            body = answer.json()
            assert (body["id"], body["patient"]) == ("ent_1", made.ids["main", "patientA"])
            assert [v["value"] if v["code"] is None else v["code"] for v in body["items"]] == [
                "A",
                "oxygen",
                18,
                3,
            ]
            assert {v["source"] for v in body["items"]} == {"manual"}
            assert {(v["author"], v["author_name"]) for v in body["items"]} == {("usr_nurse", "Nurse")}
            assert len({v["group"] for v in body["items"]} - {""}) == 1
            assert {v["time"] for v in body["items"]} == {iso(NOW)}
            listed = await client.get(
                "/api/v1/readings", params={"patient": body["patient"], "metric": "pain"}
            )
            assert listed.json()["items"] == [body["items"][3]]
        entry = made.backend._of("main").audit[-2]
        assert (entry.action, entry.kind, entry.outcome) == (Action.ENTER_READING, "entry", "done")
        assert entry.target == made.ids["main", "patientA"]
        assert entry.detail == {
            "entry": "ent_1",
            "metrics": "consciousness,supplemental_oxygen,respiratory_rate,pain",
        }


async def test_the_same_entry_sent_again_gives_the_same_answer_and_enters_nothing_twice():
    async with world() as made, made.client(made.principal(Role.DOCTOR)) as client:
        first = await client.post(url(made), json={"id": "ent_1", "values": FOUR})
        made.clock.advance(20)
        again = await client.post(url(made), json={"id": "ent_1", "values": FOUR})
        assert (again.status_code, again.json()) == (201, first.json())
        assert len(await by_hand(made)) == 4
        other = await client.post(url(made), json={"id": "ent_1", "values": {"pain": 9}})
        assert other.status_code == 409
        assert other.json()["errors"][0]["code"] == "taken"
        without_id = [await client.post(url(made), json={"values": {"pain": 9}}) for _ in range(2)]
        assert len({a.json()["id"] for a in without_id}) == 2
        assert len(await by_hand(made)) == 6


async def test_a_refusal_names_field_value_and_bounds_and_nothing_is_entered():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        values = {"respiratory_rate": 300, "pain": 3, "consciousness": "X"}
        at = iso(NOW - 25 * 3600 * S)
        answer = await client.post(url(made), json={"values": values, "at": at})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        errors = {e["field"]: e for e in answer.json()["errors"]}
        assert errors["respiratory_rate"]["message"] == "respiratory_rate: 300 is not within 0 to 200 /min"
        assert errors["consciousness"]["message"] == "consciousness: X is none of A, C, V, P, U"
        assert errors["at"]["code"] == "old"
        assert await by_hand(made) == []
        for body in (
            {},
            {"values": {"pain": None}},
            {"values": {"pain": 3}, "at": "soon"},
            {"values": {}, "who": 1},
        ):
            assert (await client.post(url(made), json=body)).status_code == 422


@pytest.mark.parametrize("role", list(Role))
async def test_who_may_enter(role: Role):
    async with world() as made, made.client(made.principal(role)) as client:
        answer = await client.post(url(made), json={"values": {"pain": 2}})
        may = role in {Role.NURSE, Role.DOCTOR, Role.PATIENT}
        assert answer.status_code == (201 if may else 403), answer.text
        assert len(await by_hand(made)) == int(may)


async def test_patients_enter_for_themselves_and_only_what_is_theirs_to_say():
    async with world() as made, made.client(made.principal(Role.PATIENT)) as client:
        assert (await client.post(url(made), json={"values": {"symptom": "chest_pain"}})).status_code == 201
        assert (await client.post(url(made, "B"), json={"values": {"pain": 2}})).status_code == 404
        assert (await client.post(url(made, "A", "other"), json={"values": {"pain": 2}})).status_code == 404
        staff = await client.post(url(made), json={"values": {"consciousness": "A"}})
        assert (staff.status_code, staff.json()["errors"][0]["code"]) == (422, "not_yours")
        assert len(await by_hand(made)) == 1


async def test_a_nurse_of_one_ward_enters_nothing_for_another():
    async with world() as made, made.client(made.principal(Role.NURSE, wards="A")) as client:
        assert (await client.post(url(made, "A"), json={"values": {"pain": 2}})).status_code == 201
        assert (await client.post(url(made, "B"), json={"values": {"pain": 2}})).status_code == 404
        assert await by_hand(made, "B") == []


async def test_nothing_is_entered_for_somebody_who_has_left():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        patient = made.ids["main", "patientA"]
        await made.backend.end(SCOPE, "encounter", made.ids["main", "encounterA"])
        await made.backend.end(SCOPE, "patient", patient)
        answer = await client.post(url(made), json={"values": {"pain": 2}})
        assert answer.status_code in {404, 409}
        assert await by_hand(made) == []


async def test_the_form_enters_and_shows_what_was_entered():
    async with world() as made:
        nurse = made.principal(Role.NURSE)
        async with made.client(nurse, cookie=True) as client:
            filled = {"consciousness": "V", "supplemental_oxygen": "", "respiratory_rate": "22", "pain": "0"}
            done = await fill(client, page_url(made), **filled)
            assert done.status_code == 303
            shown = await client.get(done.headers["location"])
            notice = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", shown.text.split('role="status"')[1][:900]))
            assert "Saved" in notice
            for text in ("Consciousness Reacts to voice", "Respiratory rate 22 /min", "Pain 0"):
                assert text in notice
            assert "entered as The nurse" in shown.text
        assert {(v.metric, v.value, v.code) for v in await by_hand(made)} == {
            ("consciousness", None, "V"),
            ("respiratory_rate", 22.0, None),
            ("pain", 0.0, None),
        }


async def test_a_form_sent_twice_is_entered_once():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        hidden = form_of((await client.get(page_url(made))).text)
        for _ in range(2):
            assert (await client.post(page_url(made), data={**hidden, "pain": "4"})).status_code == 303
        assert len(await by_hand(made)) == 1
        another = form_of((await client.get(page_url(made))).text)
        assert another["entry"] != hidden["entry"]


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ("Nothing was saved", "Respiratory rate: 300 is not within 0 to 200 /min")),
        ("zh", ("未保存任何内容", "呼吸频率: 300 不在 0 到 200 /min 之间")),
    ],
)
async def test_a_refused_form_says_why_in_the_readers_language_and_keeps_what_was_typed(
    language: str, texts: tuple[str, ...]
):
    async with (
        world() as made,
        made.client(made.principal(Role.NURSE), cookie=True, **{"accept-language": language}) as client,
    ):
        answer = await fill(client, page_url(made), consciousness="P", respiratory_rate="300", pain="7")
        assert answer.status_code == 422
        for text in texts:
            assert text in answer.text
        assert (
            'name="respiratory_rate" inputmode="decimal" autocomplete="off" maxlength="12" value="300"'
            in answer.text
        )
        assert 'name="consciousness" value="P" checked' in answer.text
        assert 'name="pain" value="7" checked' in answer.text
        assert 'aria-invalid="true" autofocus aria-describedby="why-respiratory_rate"' in answer.text
        assert await by_hand(made) == []
        mended = {**form_of(answer.text), "consciousness": "P", "respiratory_rate": "30"}
        assert (await client.post(page_url(made), data=mended)).status_code == 303


@pytest.mark.parametrize(
    ("typed", "zone", "expected"),
    [
        ("2026-01-01T07:30", "Asia/Shanghai", T0 - 30 * 60 * S),
        ("2025-12-31T23:30", "", T0 - 30 * 60 * S),
        ("2026-01-01T00:30+01:00", "America/New_York", T0 - 30 * 60 * S),
        ("2026-01-01T09:30", "Asia/Shanghai", "future"),
        ("2025-12-30T07:30", "Asia/Shanghai", "old"),
        ("half past", "Asia/Shanghai", "time"),
        ("2026-01-01T07:30", "Nowhere/At_All", "time"),
    ],
)
async def test_an_earlier_time_is_the_readers_own(typed: str, zone: str, expected: int | str):
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        answer = await fill(client, page_url(made), pain="4", at=typed, zone=zone)
        if isinstance(expected, int):
            assert answer.status_code == 303
            assert [v.time for v in await by_hand(made)] == [expected]
        else:
            assert answer.status_code == 422
            assert SAID[expected].replace("{value}", "")[-20:] in answer.text
            assert await by_hand(made) == []


async def test_a_patients_own_page_takes_a_symptom_and_says_that_nobody_may_be_reading():
    async with world() as made, made.client(made.principal(Role.PATIENT), cookie=True) as client:
        done = await fill(client, "/me/feel", symptom="breathlessness")
        assert done.status_code == 303
        shown = (await client.get(done.headers["location"])).text
        assert "Short of breath" in shown
        assert "Nobody may be reading it right now" in shown
        assert 'name="consciousness"' not in shown
        wrong = await fill(client, "/me/measure", blood_glucose="5.5", **{"unit:blood_glucose": "mg/dL"})
        assert wrong.status_code == 422
        assert "5.5 is not within 10 to 2000 mg/dL" in wrong.text
        right = await fill(client, "/me/measure", blood_glucose="5.5", **{"unit:blood_glucose": "mmol/L"})
        assert right.status_code == 303
        assert [v.value for v in await by_hand(made) if v.metric == "blood_glucose"] == [99.1]


async def test_a_form_from_elsewhere_is_refused():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        del client.headers["x-csrf-token"]
        assert (await client.post(page_url(made), data={"pain": "4", "csrf": "x"})).status_code == 403
        assert await by_hand(made) == []


async def test_the_wall_shows_a_rate_counted_by_hand_where_no_device_measures_one():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        hub = await seeded(made)

        def shown(key: str) -> list[Any]:
            tiles = hub.snapshot(SCOPE)["tiles"]
            return next(t for t in tiles if t["id"] == made.ids["main", "patientA"])["v"][key]

        assert shown("rr")[1] == "none"
        device = made.ids["main", "deviceA"]
        await client.post(url(made), json={"values": {"respiratory_rate": 22, "spo2": 80, "pulse_rate": 50}})
        while shown("rr")[0] != "22":
            await hub._wake.wait()
        assert shown("rr")[:2] == ["22", "live"]
        assert shown("spo2")[0] == "97", "what a device measures is not hidden by an entry"
        made.clock.advance(2 * 3600)
        assert shown("rr")[1] == "live"
        made.clock.advance(2 * 3600)
        assert shown("rr")[1] == "stale"
        made.backend.put_readings("main", [reading(device, "spo2", 95, made.clock.now_ns())])
        detail = await client.get(f"/ward/patient/{made.ids['main', 'patientA']}")
        assert "by hand" in detail.text
        assert f"/patients/{made.ids['main', 'patientA']}/entry" in detail.text


async def test_the_way_to_the_form_is_shown_to_those_who_may_use_it():
    async with world() as made:
        link = page_url(made)
        await seeded(made)
        for role, may in ((Role.NURSE, True), (Role.ADMIN, False), (Role.DISPLAY, False)):
            async with made.client(made.principal(role), cookie=True) as client:
                detail = await client.get(f"/ward/patient/{made.ids['main', 'patientA']}")
                assert (link in detail.text) is may, role
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            assert link in (await client.get("/admin/patient")).text


def test_every_refusal_has_a_text_on_the_page():
    assert set(SAID) == set(REASONS)


async def test_an_entry_that_the_rules_failed_on_is_an_error_that_says_so_and_is_audited(
    monkeypatch: pytest.MonkeyPatch,
):
    async with world() as made:

        async def fails(*_: Any, **__: Any) -> None:
            raise NotJudgedError

        monkeypatch.setattr(made.backend, "enter", fails)
        nurse = made.principal(Role.NURSE)
        async with made.client(nurse) as client:
            answer = await client.post(url(made), json={"id": "ent_1", "values": FOUR})
            assert (answer.status_code, answer.json()["retry"]) == (500, False)
            assert "no alarm comes of this entry" in answer.json()["detail"]
        (entry,) = [e for e in made.backend._of("main").audit if e.action == Action.ENTER_READING]
        assert entry.detail == {"entry": "ent_1", "metrics": ",".join(FOUR), "judged": False}
