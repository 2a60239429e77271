"""Staff through API and pages: contacts, teams, assignments, who is on duty, hand-over, escalation."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from dashboards.people_port import ShiftDraft
from dashboards.response_models import Act
from hearthward.trust.access import Principal, Role, Scope
from tests.unit.dashboards.webworld import T0, S, World, alarm, reading, world

HOUR = 3600 * S
SCOPE = Scope.system("main")
POLICY = """
id: default
version: 7
title: {en: Ours, zh: 本院}
timetables:
  physiological.high:
    steps:
      - {after_s: 0, targets: [wall, assigned], channels: [in_app]}
      - {after_s: 90, targets: [on_duty:doctor], channels: [in_app, sms]}
"""


def second(made: World, tenant: str = "main") -> str:
    return made.ids[tenant, "second"]


async def schedule(made: World, user: str, role: str, start: int, hours: float, **more: Any) -> None:
    fields = {"ward": made.ids["main", "wardA"], "timezone": "UTC", **more}
    draft = ShiftDraft(user=user, role=role, start=start, end=start + round(hours * HOUR), **fields)
    await made.backend.add_shift(SCOPE, draft, who=made.principal(Role.ADMIN))


async def test_contacts_pin_and_badge_are_ones_own_or_for_those_who_manage_staff():
    async with world() as made:
        async with made.client(made.principal(Role.NURSE)) as client:
            own = await client.post("/api/v1/account/contacts", json={"phone": "+86 138 0013 8001"})
            assert (own.status_code, own.json()["phone"]) == (200, "+8613800138001")
            assert {"sms", "voice"} <= set(own.json()["channels"])
            assert (await client.post("/api/v1/account/pin", json={"pin": "4711"})).json()["pin"] is True
            assert (await client.post("/api/v1/account/pin", json={"pin": None})).json()["pin"] is False
            other = await client.post(f"/api/v1/staff/{second(made)}/pin", json={"pin": "4711"})
            assert other.status_code == 403
            for body, code in (({"pin": "12"}, "digits"), ({"pin": "1234"}, "simple")):
                refused = await client.post("/api/v1/account/pin", json=body)
                assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, code)
            wrong = await client.post("/api/v1/account/contacts", json={"phone": "0138"})
            assert wrong.json()["errors"][0] == {
                "field": "phone",
                "code": "invalid",
                "message": "phone: '0138': give it as +, country, number, such as +8613800138000",
            }
        async with made.client(made.principal(Role.ADMIN)) as client:
            taken = await client.post("/api/v1/staff/usr_nurse/badge", json={"badge": "0000"})
            assert (taken.status_code, taken.json()["errors"][0]["code"]) == (409, "taken")
            assert (await client.post("/api/v1/staff/nobody/pin", json={"pin": "4711"})).status_code == 404
            given = await client.post(f"/api/v1/staff/{second(made)}/contacts", json={"email": "a@b.example"})
            assert (given.json()["phone"], given.json()["email"]) == (None, "a@b.example")
        log = made.backend._of("main").audit
        said = [e for e in log if e.kind == "staff" and e.outcome == "done"]
        assert [e.detail.get("do") for e in said] == ["contacts", "pin", "pin", "contacts"]
        assert not any(secret in str(e) for e in said for secret in ("4711", "13800138001", "a@b"))


async def test_who_is_on_duty_holes_and_wards_without_a_schedule():
    async with world() as made:
        async with made.client(made.principal(Role.NURSE)) as client:
            ward_a, ward_b = (await client.get("/api/v1/duty")).json()["items"]
            assert ward_a["scheduled"] is True
            (nurses,) = [r for r in ward_a["roles"] if r["role"] == "nurse"]
            assert [(p["user"], p["until"]) for p in nurses["people"]] == [
                ("usr_nurse", "2026-01-01T08:00:00Z")
            ]
            holes = {(h["role"], h["start"], h["end"]) for h in ward_a["holes"]}
            assert ("nurse", "2026-01-01T08:00:00Z", "2026-01-02T00:01:00Z") in holes
            assert ("doctor", "2026-01-01T00:01:00Z", "2026-01-02T00:01:00Z") in holes
            page = (await client.get("/staff", headers={"accept": "text/html"})).text
            assert "Nobody is on duty at some time in the next 24 hours" in page
        for shift in ("shiftA", "shiftB"):
            await made.backend.cancel_shift(SCOPE, made.ids["main", shift], who=made.principal(Role.ADMIN))
        made.backend._rota["main"].clear()
        async with made.client(made.principal(Role.ENGINEER)) as client:
            for ward in (await client.get("/api/v1/duty")).json()["items"]:
                assert (ward["scheduled"], ward["holes"]) == (False, [])
                (nurses,) = [r for r in ward["roles"] if r["role"] == "nurse"]
                assert {p["user"] for p in nurses["people"]} == {"usr_nurse", second(made)}
            page = (await client.get("/staff", headers={"accept": "text/html"})).text
            assert "everybody of the ward counts as on duty" in page
            assert "Patient A" not in page  # engineers see no patients
        assert ward_b["ward"] == made.ids["main", "wardB"]


async def test_a_patient_is_assigned_to_me_in_one_click_and_to_a_team():
    async with world() as made:
        patient, team = made.ids["main", "patientA"], made.ids["main", "teamA"]
        who = replace(made.principal(Role.NURSE), user=second(made))
        async with made.client(who, cookie=True) as client:
            page = (await client.get("/staff")).text
            assert f'value="user:{second(made)}"' in page
            form = {"patient": patient, "to": f"user:{second(made)}"}
            assert (await client.post("/assignments", data=form)).status_code == 303
            form["to"] = f"team:{team}"
            assert (await client.post("/assignments", data=form)).status_code == 303
            given = (await client.get("/api/v1/assignments")).json()["items"]
            mine = [(a["user"], a["team"]) for a in given if a["patient"] == patient]
            assert sorted(mine, key=str) == [(second(made), None), (None, team)]
            key = next(a["id"] for a in given if a["team"] == team)
            assert (await client.post(f"/assignments/{key}/end")).status_code == 303
            wrong = await client.post("/assignments", data={"patient": patient, "to": "user:nobody"})
            assert (wrong.status_code, "does not exist: nobody" in wrong.text) == (422, True)
        duty = await made.backend.duty(SCOPE)
        assert duty.assigned(patient, T0 + 120 * S) == [second(made)]


async def test_teams_are_made_changed_and_ended_by_the_form():
    async with world() as made:
        ward = made.ids["main", "wardA"]
        async with made.client(made.principal(Role.ADMIN), cookie=True) as client:
            form = {"name": "Nights", "ward": ward, "members": ["usr_nurse", second(made)]}
            assert (await client.post("/teams", data=form)).status_code == 303
            (team,) = [
                t for t in (await client.get("/api/v1/teams")).json()["items"] if t["name"] == "Nights"
            ]
            assert team["members"] == sorted(["usr_nurse", second(made)])
            again = await client.post("/teams", data=form)
            assert (again.status_code, "is in use already: Nights" in again.text) == (422, True)
            assert (
                again.text.count("checked") == 3 * 2 + 2
            )  # of three teams, and what was chosen in the refused form
            form = {"name": "Nights", "ward": ward, "members": []}
            assert (await client.post(f"/teams/{team['id']}", data=form)).status_code == 303
            assert (await client.post(f"/teams/{team['id']}/end")).status_code == 303
            assert team["id"] not in (await client.get("/api/v1/teams")).text


# --- hand-over --------------------------------------------------------------------------------------


async def handover_world(made: World) -> tuple[str, str]:
    """The nurse's alarm of patient A, and a technical one; patient A's newest value is a minute old."""
    patient = made.ids["main", "patientA"]
    made.backend.put_alarm("main", alarm(patient, "alm_mine", accepted_by="usr_nurse"))
    made.backend.put_alarm(
        "main", alarm("device:main-oxi-A", "alm_tech", kind="technical", accepted_by="usr_nurse")
    )
    made.backend.put_alarm("main", alarm(patient, "alm_open"))
    made.backend.put_alarm("main", alarm(patient, "alm_latched", condition="latched"))
    return patient, second(made)


async def test_the_sheet_has_values_with_ages_alarms_tasks_and_limits():
    async with world() as made:
        patient, _ = await handover_world(made)
        made.backend.put_readings("main", [reading("main-oxi-A", "pulse_rate", 71, T0 - 240 * S)])
        async with made.client(made.principal(Role.NURSE)) as client:
            sheet = (await client.get("/api/v1/handover")).json()
            (mine,) = [p for p in sheet["patients"] if p["patient"] == patient]
            ages = {v["metric"]: v["age_s"] for v in mine["values"]}
            assert ages == {"spo2": 1.0, "pulse_rate": 300.0}
            assert {a["id"] for a in mine["alarms"]} >= {"alm_mine", "alm_open", "alm_latched"}
            assert [a["id"] for a in sheet["others"]] == ["alm_tech"]
            assert sorted({t["kind"] for t in mine["tasks"]}) == ["accept", "acknowledge"]
            assert (mine["limits"][0]["value"], mine["orders"][0]["kind"]) == (88, "spo2_scale_2")
            page = (await client.get("/handover", headers={"accept": "text/html"})).text
            assert re.search(r"Pulse rate</span> <strong><s>71</s></strong>.*?5 min ago", page, re.DOTALL)
        async with made.client(made.principal(Role.NURSE, wards="A")) as client:
            beyond = await client.get(f"/api/v1/handover?ward={made.ids['main', 'wardB']}")
            assert beyond.status_code == 422


async def test_the_sheets_notes_are_read_in_one_go_the_newest_first(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        patient, _ = await handover_world(made)
        for key, note in (("alm_mine", "drain"), ("alm_open", "sat up")):
            made.clock.advance(1)
            await made.backend.answer(SCOPE, key, Act("note", "usr_nurse", note))

        async def never(*_: object) -> None:
            pytest.fail("one alarm after the other")

        monkeypatch.setattr(made.backend, "alarm", never)
        async with made.client(made.principal(Role.NURSE)) as client:
            sheet = (await client.get("/api/v1/handover")).json()
        (mine,) = [p for p in sheet["patients"] if p["patient"] == patient]
        assert [(n["by"], n["note"]) for n in mine["notes"]] == [("Nurse", "sat up"), ("Nurse", "drain")]
        assert mine["notes"][0]["about"]["en"] == "SpO2 84 < 90"


async def test_the_taker_confirms_and_gets_alarms_and_patients():
    async with world() as made:
        patient, taker = await handover_world(made)
        body = {"to": taker, "patients": [patient], "note": "watch the drain"}
        async with made.client(made.principal(Role.NURSE)) as client:
            for pin, code in (("", "required"), ("9999", "wrong")):
                refused = await client.post("/api/v1/handovers", json={**body, "pin": pin})
                assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, code)
            assert (await made.backend.alarm(SCOPE, "alm_mine")).accepted_by == "usr_nurse"
            done = await client.post("/api/v1/handovers", json={**body, "pin": "2580"})
            assert done.status_code == 201
            assert sorted(done.json()["alarms"]) == ["alm_mine", "alm_tech"]
            assert (done.json()["by"], done.json()["to"]) == ("usr_nurse", taker)
            (newest, *_) = (await client.get("/api/v1/handovers")).json()["items"]
            assert (newest["id"], newest["note"]) == (done.json()["id"], "watch the drain")
        for key in ("alm_mine", "alm_tech"):
            taken = await made.backend.alarm(SCOPE, key)
            assert taken.accepted_by == taker
            assert (taken.transitions[-1].kind, taken.transitions[-1].note) == (
                "take_over",
                "watch the drain",
            )
        assert (await made.backend.alarm(SCOPE, "alm_open")).accepted_by is None
        given = await made.backend.assignments(SCOPE)
        assert [a.user for a in given if a.patient == patient] == [taker]
        outcomes = [e.outcome for e in made.backend._of("main").audit if e.kind == "handover"]
        assert outcomes.count("refused") == 2


async def test_the_taker_logged_in_needs_no_pin_and_others_are_refused():
    async with world() as made:
        patient, taker = await handover_world(made)
        who = replace(made.principal(Role.NURSE), user=taker)
        async with made.client(who, cookie=True) as client:
            form = {"by": "usr_nurse", "to": taker, "patients": patient}
            done = await client.post("/handover", data=form)
            assert (done.status_code, done.headers["location"][:14]) == (303, "/handover?done")
            page = (await client.get(done.headers["location"])).text
            assert "Handed over: 1 patients and 2 alarms" in page
            same = await client.post("/handover", data={**form, "by": taker})
            assert same.status_code == 422
        engineer = Principal("usr_eng", "Eng", "main", frozenset({Role.ENGINEER}))
        made.backend.add_person("eng", "right horse battery", engineer)
        async with made.client(who) as client:
            wrong = await client.post("/api/v1/handovers", json={"to": "usr_eng", "patients": [patient]})
            assert wrong.json()["errors"][0] == {
                "field": "to",
                "code": "invalid",
                "message": "to: Eng is not valid",
            }


async def test_an_alarm_that_ended_meanwhile_does_not_stop_a_hand_over():
    async with world() as made:
        patient, taker = await handover_world(made)
        answer = made.backend.answer

        async def late(scope: Scope, key: str, act: Any) -> Any:
            if key == "alm_tech":
                made.backend.put_alarm("main", alarm("device:main-oxi-A", key, condition="inactive"))
            return await answer(scope, key, act)

        made.backend.answer = late  # type: ignore[method-assign]
        async with made.client(made.principal(Role.NURSE)) as client:
            body = {"to": taker, "patients": [patient], "pin": "2580"}
            done = (await client.post("/api/v1/handovers", json=body)).json()
        assert done["alarms"] == ["alm_mine"]


# --- escalation -------------------------------------------------------------------------------------


async def test_whom_a_policy_would_tell_now():
    async with world() as made:
        patient, ward = made.ids["main", "patientA"], made.ids["main", "wardA"]
        doctor = Principal("usr_doc", "Dr Li", "main", frozenset({Role.DOCTOR}))
        made.backend.add_person("doc", "right horse battery", doctor)
        await made.backend.set_contacts(SCOPE, "usr_doc", phone="+8613800138009", email=None)
        await schedule(made, "usr_doc", "doctor", T0, 4)
        async with made.client(made.principal(Role.NURSE)) as client:
            url = "/api/v1/escalation/default/now"
            now = (await client.get(f"{url}?patient={patient}")).json()
            assert now["ward"] == ward
            assert now["steps"][0]["told"] == [["in_app", "wall"], ["in_app", "usr_nurse"]]
            last = now["steps"][-1]
            assert [h for h in last["told"] if h[0] == "voice"] == [["voice", "usr_doc"]]
            assert now["names"]["usr_doc"] == "Dr Li"
            made.clock.advance(5 * 3600)
            later = (await client.get(f"{url}?ward={ward}")).json()
            assert later["steps"][-1]["told"] == []
            page = (
                await client.get(f"/escalation/default?ward={ward}", headers={"accept": "text/html"})
            ).text
            assert 'class="chip bad">nobody' in page
            assert (await client.get(f"{url}?alarm=odd")).status_code == 422
            assert (await client.get(f"{url}?patient=nobody")).status_code == 404
            assert (await client.get("/api/v1/escalation/none/now")).status_code == 404
        async with made.client(made.principal(Role.ENGINEER)) as client:
            assert (await client.get(f"{url}?patient={patient}")).status_code == 403
            assert (await client.get(f"{url}?ward={ward}")).status_code == 200


async def test_a_policy_is_checked_kept_put_in_force_and_taken_back():
    async with world() as made:
        async with made.client(made.principal(Role.ADMIN)) as client:
            wrong = await client.post("/api/v1/escalation", json={"text": POLICY.replace("doctor", "docter")})
            assert wrong.status_code == 422
            assert "on_duty:docter" in wrong.json()["detail"]
            nobody = await client.post(
                "/api/v1/escalation", json={"text": POLICY.replace("on_duty:doctor", "user:usr_none")}
            )
            assert "user:usr_none: there is no such user" in nobody.json()["detail"]
            kept = (await client.post("/api/v1/escalation", json={"text": POLICY})).json()
            assert (kept["version"], kept["active"], kept["text"]) == (7, False, POLICY.strip())
            again = (await client.post("/api/v1/escalation", json={"text": POLICY})).json()
            assert again["version"] == 8
            assert (await made.backend.duty(SCOPE)).policies["default"].version == 1
            url = "/api/v1/escalation/default/versions"
            assert (await client.post(f"{url}/7/activate")).json()["active"] is True
            assert (await made.backend.duty(SCOPE)).policies["default"].title["en"] == "Ours"
            assert (await client.post(f"{url}/99/activate")).status_code == 404
            versions = (await client.get("/api/v1/escalation/default")).json()["items"]
            assert [(v["version"], v["active"], v["shipped"]) for v in versions] == [
                (8, False, False),
                (7, True, False),
                (1, False, True),
            ]
            assert (await client.post(f"{url}/1/activate")).json()["shipped"] is True
            assert (await made.backend.duty(SCOPE)).policies["default"].version == 1
        done = [e.detail for e in made.backend._of("main").audit if e.kind == "escalation" and e.detail]
        assert [d["do"] for d in done] == ["draft", "draft", "activate", "activate"]


@pytest.mark.parametrize(("language", "words"), [("en", "after 1 min"), ("zh", "1 分钟后")])
async def test_timetables_are_readable_with_the_rules_that_use_them(language: str, words: str):
    async with world() as made, made.client(made.principal(Role.DOCTOR)) as client:
        headers = {"accept": "text/html", "accept-language": language}
        page = (await client.get("/escalation", headers=headers)).text
        assert words in page
        assert "/rules/spo2-low" in page
        text = (await client.get("/escalation/default", headers=headers)).text
        assert "Policy (YAML)" not in text  # a doctor does not change it
