"""A patient's limits and orders through API and page: who may, what is refused, what stays on record."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hearthward.trust.access import Action, Role
from rules.rule import Parameter, RuleSet
from tests.unit.cloud_ingest.made import made_rule
from tests.unit.dashboards.webworld import World, world

LIMIT = {"rule": "spo2-low", "parameter": "limit", "value": 86, "reason": "COPD, target 88-92"}


def url(made: World, place: str = "A", what: str = "limits") -> str:
    return f"/api/v1/patients/{made.ids['main', f'patient{place}']}/{what}"


def page_of(made: World) -> str:
    return f"/patients/{made.ids['main', 'patientA']}/limits"


def client(made: World, role: Role, **more: Any) -> httpx.AsyncClient:
    wards = more.pop("wards", None)
    return made.client(made.principal(role, wards=wards), **more)


@pytest.mark.parametrize(
    ("role", "limits", "orders"),
    [(Role.NURSE, 201, 403), (Role.DOCTOR, 201, 201), (Role.ADMIN, 403, 403), (Role.PATIENT, 403, 403)],
)
async def test_who_may_set_a_limit_and_give_an_order(role: Role, limits: int, orders: int):
    async with world() as made:
        async with client(made, Role.DOCTOR) as doctor:
            old = f"{url(made, what='orders')}/{made.ids['main', 'orderA']}/end"
            assert (await doctor.post(old, json={"reason": "again"})).status_code == 200
        async with client(made, role) as http:
            assert (await http.post(url(made), json=LIMIT)).status_code == limits
            body = {"kind": "spo2_scale_2", "reason": "hypercapnic failure"}
            assert (await http.post(url(made, what="orders"), json=body)).status_code == orders


async def test_a_limit_is_set_listed_and_ended_and_each_act_is_audited():
    async with world() as made, client(made, Role.NURSE) as http:
        body = {
            **LIMIT,
            "expires": "2026-01-01T08:00:00Z",
            "daily_from": "22:00",
            "daily_to": "06:00",
            "timezone": "Asia/Shanghai",
        }
        answer = await http.post(url(made), json=body)
        assert answer.status_code == 201, answer.text
        limit = answer.json()
        assert (limit["set_by"], limit["expires"], limit["daily_from"], limit["present"]) == (
            "The nurse",
            "2026-01-01T08:00:00Z",
            "22:00",
            True,
        )
        listed = (await http.get(url(made))).json()["items"]
        assert [x["id"] for x in listed] == [limit["id"], made.ids["main", "limitA"]]
        ended = await http.post(f"{url(made)}/{limit['id']}/end", json={"reason": "well again"})
        assert (ended.json()["present"], ended.json()["ended_reason"]) == (False, "well again")
        again = await http.post(f"{url(made)}/{limit['id']}/end", json={"reason": "well again"})
        assert again.status_code == 409
        log = [e for e in made.backend._of("main").audit if e.action == Action.SET_LIMIT]
        assert [(e.target, e.detail["do"], e.outcome) for e in log] == [
            (limit["id"], "set", "done"),
            (limit["id"], "end", "done"),
        ]
        assert "COPD" not in str(log)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"value": 70}, "value", "80 - 94"),
        ({"value": None}, "value", "number"),
        ({"rule": "none"}, "rule", "none"),
        ({"parameter": "other"}, "parameter", "other"),
        ({"reason": " "}, "reason", "1 character"),
        ({"expires": "2020-01-01T00:00:00Z"}, "expires", "passed"),
        ({"daily_from": "22:00", "daily_to": "06:00"}, "timezone", "time zone|needed"),
        ({"daily_from": "22:00"}, "body", "together"),
        ({"daily_from": "25:00", "daily_to": "06:00"}, "daily_from", "time of the day"),
        ({"timezone": "Mars/Base"}, "timezone", "IANA"),
        ({"unknown": 1}, "unknown", "not permitted"),
    ],
)
async def test_a_refusal_names_the_field_and_the_bounds(change: dict[str, Any], field: str, words: str):
    async with world() as made, client(made, Role.NURSE) as http:
        answer = await http.post(url(made), json={**LIMIT, **change})
        assert answer.status_code == 422, answer.text
        (wrong,) = answer.json()["errors"]
        assert wrong["field"] == field
        assert any(word in wrong["message"] for word in words.split("|")), wrong
        assert len((await http.get(url(made))).json()["items"]) == 1


async def test_a_ward_bound_nurse_sets_limits_in_her_ward_only():
    async with world() as made, client(made, Role.NURSE, wards="A") as http:
        assert (await http.post(url(made), json=LIMIT)).status_code == 201
        for answer in (
            await http.post(url(made, "B"), json=LIMIT),
            await http.get(url(made, "B")),
            await http.post(f"{url(made)}/{made.ids['main', 'limitB']}/end", json={"reason": "x"}),
            await http.get(f"/patients/{made.ids['main', 'patientB']}/limits"),
        ):
            assert answer.status_code == 404


async def test_the_page_shows_what_holds_and_changes_it_with_one_form():
    async with world() as made, client(made, Role.DOCTOR, cookie=True) as http:
        shown = (await http.get(page_of(made))).text
        for words in ("Patient A", "Low oxygen saturation", "80 – 94", "Patient A has COPD"):  # noqa: RUF001
            assert words in shown, words
        assert "set for this patient" in shown
        form = {**LIMIT, "value": "87", "lasts": "24", "daily_from": "", "daily_to": "", "zone": "UTC"}
        done = await http.post(page_of(made), data=form)
        assert (done.status_code, done.headers["location"]) == (303, f"{page_of(made)}?done=set#spo2-low")
        shown = (await http.get(done.headers["location"])).text
        assert "It holds from now on" in shown
        assert ">87<" in shown
        (limit, old) = (await http.get(url(made))).json()["items"]
        assert (limit["value"], limit["expires"], limit["daily_from"]) == (87, "2026-01-02T00:01:00Z", None)
        assert (old["present"], old["superseded_by"]) == (False, limit["id"])
        ended = await http.post(f"{page_of(made)}/{limit['id']}/end", data={"reason": "well"})
        assert ended.status_code == 303
        assert "History" in (await http.get(page_of(made))).text


async def test_the_page_says_what_holds_at_this_hour():
    async with world() as made, client(made, Role.NURSE, cookie=True) as http:
        for hours, shown in ((("00:00", "06:00"), "84"), (("22:00", "23:00"), "88")):  # it is 00:01 UTC
            form = {**LIMIT, "value": "84", "daily_from": hours[0], "daily_to": hours[1], "zone": "UTC"}
            done = await http.post(page_of(made), data=form)
            assert done.status_code == 303
            page = (await http.get(page_of(made))).text
            assert f'<strong class="set">{shown}</strong>' in page
            (limit, *_) = (await http.get(url(made))).json()["items"]
            assert limit["holds"] is (shown == "84")
            await http.post(f"{url(made)}/{limit['id']}/end", json={"reason": "x"})


async def test_a_refused_form_comes_back_with_what_was_typed():
    async with world() as made, client(made, Role.NURSE, cookie=True) as http:
        answer = await http.post(page_of(made), data={**LIMIT, "value": "70", "reason": "typed reason"})
        assert answer.status_code == 422
        assert 'value="70"' in answer.text
        assert "typed reason" in answer.text
        assert "must lie within 80 - 94" in answer.text
        hours = {**LIMIT, "daily_from": "22:00", "daily_to": "06:00", "zone": ""}
        assert "is required" in (await http.post(page_of(made), data=hours)).text
        assert "Give an order" not in answer.text
        refused = await http.post(f"/patients/{made.ids['main', 'patientA']}/orders", data={"reason": "x"})
        assert refused.status_code == 403


async def test_orders_on_the_page():
    async with world() as made, client(made, Role.DOCTOR, cookie=True) as http:
        patient = f"/patients/{made.ids['main', 'patientA']}"
        assert "in force" in (await http.get(page_of(made))).text
        order = made.ids["main", "orderA"]
        missing = await http.post(f"{patient}/orders/{order}/end", data={"reason": ""})
        assert missing.status_code == 422
        done = await http.post(f"{patient}/orders/{order}/end", data={"reason": "gas is fine"})
        assert done.status_code == 303
        assert "judged by NEWS2 scale 1" in (await http.get(page_of(made))).text
        given = await http.post(
            f"{patient}/orders", data={"kind": "spo2_scale_2", "reason": "again", "lasts": "72"}
        )
        assert given.status_code == 303
        twice = await http.post(f"{patient}/orders", data={"kind": "spo2_scale_2", "reason": "again"})
        assert "end it first" in twice.text


async def test_a_limit_outside_a_new_rules_bounds_is_marked_as_not_counting():
    async with world() as made, client(made, Role.DOCTOR, cookie=True) as http:
        narrow = made_rule(parameters={"limit": Parameter(91.0, 90.0, 94.0)})
        made.backend.shipped = RuleSet((narrow,))
        shown = (await http.get(page_of(made))).text
        assert "does not count" in shown
        assert ">91<" in shown


async def test_the_directory_keeps_whether_somebody_is_pregnant():
    async with world() as made, client(made, Role.ADMIN) as http:
        patient = f"/api/v1/patients/{made.ids['main', 'patientA']}"
        assert (await http.get(patient)).json()["pregnant"] is False
        assert (await http.patch(patient, json={"pregnant": True})).json()["pregnant"] is True
        async with client(made, Role.ADMIN, cookie=True) as browser:
            form = {"name": "Eva", "language": "en", "pregnant": "", "mrn": "", "birth_date": ""}
            assert (await browser.post("/admin/patient", data=form)).status_code == 303
            page = f"/admin/patient/{made.ids['main', 'patientA']}"
            assert 'value="true" selected' in (await browser.get(page)).text
