"""The API and pages of answering alarms: who may, what is refused and how, and what the audit keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from dashboards.models import Alarm, AlarmRise, AlarmTransition, Delivery, EdgeEpisode
from dashboards.response_models import Act
from dashboards.unlock import UNLOCK_S
from hearthward.core.errors import RuleError
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import T0, S, World, alarm, seeded, world


def gateway_alarm(made: World, key: str = "alm_gw", **more: Any) -> None:
    subject = "gateway:main-gw-A"
    made.backend.put_alarm("main", alarm(subject, key, kind="technical", rule="gateway-silent", **more))


async def ids(client: httpx.AsyncClient, **query: Any) -> set[str]:
    answer = await client.get("/api/v1/alarms", params=query)
    assert answer.status_code == 200, answer.text
    return {a["id"] for a in answer.json()["items"]}


async def test_the_list_has_every_filter_and_goes_on_where_it_ended():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        patient, ward = made.ids["main", "patientA"], made.ids["main", "wardA"]
        later = {"started": T0 + 20 * S}
        made.backend.put_alarm(
            "main", alarm(patient, "held", condition="latched", ended=T0 + 30 * S, **later)
        )
        made.backend.put_alarm("main", alarm(patient, "over", condition="inactive", ended=T0 + 30 * S))
        made.backend.put_alarm("main", alarm(patient, "mine", accepted_by="usr_nurse", signal="acknowledged"))
        gateway_alarm(made, priority="medium")
        assert await ids(client, latched=True) == {"held"}
        assert await ids(client, open=True, unaccepted=True, ward=ward) == {"main-alm-A", "held", "alm_gw"}
        assert await ids(client, mine=True) == await ids(client, owner="usr_nurse") == {"mine"}
        assert await ids(client, kind="technical") == await ids(client, priority="medium") == {"alm_gw"}
        assert await ids(client, signal="acknowledged") == {"mine"}
        assert await ids(client, patient="gateway:main-gw-A") == {"alm_gw"}
        first = (await client.get("/api/v1/alarms", params={"limit": 4})).json()
        rest = (await client.get("/api/v1/alarms", params={"limit": 4, "before": first["next"]})).json()
        assert len({a["id"] for a in (*first["items"], *rest["items"])}) == 6
        assert rest["next"] is None
        wrong = await client.get("/api/v1/alarms", params={"before": "none"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "before")


async def test_every_refusal_has_a_code_and_a_status():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        url = f"/api/v1/alarms/{made.ids['main', 'alarmA']}"

        async def refused(act: str, **body: Any) -> tuple[int, str]:
            answer = await client.post(f"{url}/{act}", json=body)
            return answer.status_code, answer.json()["errors"][0]["code"]

        assert await refused("acknowledge") == (409, "not_owner")
        assert await refused("release") == (409, "not_owner")
        assert await refused("redirect", to="nobody") == (422, "unknown_user")
        assert (await client.post(f"{url}/accept")).status_code == 200
        async with made.client(made.principal(Role.DOCTOR)) as doctor:
            answer = await doctor.post(f"{url}/accept")
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "taken")
        assert (await client.post(f"{url}/pause-audio", json={"seconds": 121})).status_code == 422
        assert (await client.post(f"{url}/note", json={"note": ""})).status_code == 422
        paused = Alarm(**(await client.post(f"{url}/pause-audio", json={"seconds": 30})).json())
        assert (paused.signal, paused.signal_until) == ("audio_paused", made.clock.now_ns() + 30 * S)
        assert (await client.post(f"{url}/resume-audio")).json()["signal"] == "on"


async def test_an_alarm_is_passed_on_only_to_who_may_see_and_answer_it():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        ward = {place: made.ids["main", f"ward{place}"] for place in "AB"}
        for login, role, wards in (
            ("ben", Role.DOCTOR, None),
            ("ann", Role.NURSE, frozenset({ward["A"]})),
            ("bea", Role.NURSE, frozenset({ward["B"]})),
            ("eve", Role.ENGINEER, None),
            ("pat", Role.PATIENT, None),
        ):
            who = replace(made.principal(role), user=f"usr_{login}", name=login, wards=wards)
            made.backend.add_person(login, "right horse battery", who)
        gateway_alarm(made)

        async def passed(alarm: str, to: str) -> int:
            return (
                await client.post(f"/api/v1/alarms/{alarm}/redirect", json={"to": f"usr_{to}"})
            ).status_code

        alarm = made.ids["main", "alarmA"]
        found = {to: await passed(alarm, to) for to in ("ben", "ann", "bea", "eve", "pat")}
        assert found == {"ben": 200, "ann": 200, "bea": 422, "eve": 422, "pat": 422}
        assert [await passed("alm_gw", to) for to in ("eve", "pat")] == [200, 422]
        async with made.client(made.principal(Role.NURSE), cookie=True) as browser:
            shown = (await browser.get(f"/alarms/{alarm}")).text
        offered = {to for to in ("ben", "ann", "bea", "eve", "pat") if f'value="usr_{to}"' in shown}
        assert offered == {"ben", "ann"}


async def test_what_is_wrong_with_the_house_is_every_wards_and_what_with_a_ward_its_own():
    async with world() as made, made.client(made.principal(Role.NURSE, wards="A")) as client:
        here, elsewhere = made.ids["main", "wardA"], made.ids["main", "wardB"]
        parts = {"house": "channel-sms", "here": f"wall-{here}", "elsewhere": f"wall-{elsewhere}"}
        for key, part in parts.items():
            made.backend.put_alarm("main", alarm(f"component:{part}", key, kind="technical"))
        assert await ids(client, kind="technical") == {"house", "here"}
        answers = {key: (await client.post(f"/api/v1/alarms/{key}/accept")).status_code for key in parts}
        assert answers == {"house": 200, "here": 200, "elsewhere": 404}


async def test_neither_patients_nor_walls_learn_the_numbers_of_staff():
    async with world() as made:
        key, number = made.ids["main", "alarmA"], "+4930123456"
        sent = Delivery(channel="sms", recipient=number, state="handed_over", at=T0)
        found = await made.backend.alarm(Scope.system("main"), key)
        assert found is not None
        made.backend.put_alarm("main", found.model_copy(update={"deliveries": [sent]}))
        seen = {}
        for role in (Role.NURSE, Role.PATIENT, Role.DISPLAY):
            async with made.client(made.principal(role)) as client:
                told = (await client.get(f"/api/v1/alarms/{key}")).json()
                (hop,) = told["hops"]
                assert (hop["channel"], hop["state"]) == ("sms", "handed_over")
                seen[role] = {x["recipient"] for x in (hop, *hop["attempts"], *told["deliveries"])}
        assert seen == {Role.NURSE: {number}, Role.PATIENT: {""}, Role.DISPLAY: {""}}


async def test_a_patient_reads_ward_instead_of_names_and_no_notes():
    async with world() as made:
        key, patient = made.ids["main", "alarmA"], made.ids["main", "patientA"]
        own = replace(made.principal(Role.PATIENT), user="usr_pat", name="Pat")
        made.backend.add_person("pat", "right horse battery", own)
        told = [["push", "usr_nurse"], ["sms", "main-second"], ["push", "usr_pat"]]
        began = AlarmTransition(kind="start", at=T0, detail={"axes": {}, "told": told})
        sent = Delivery(
            channel="sms", recipient="+49", state="failed", at=T0, reason="Second: no such number"
        )
        found = await made.backend.alarm(Scope.system("main"), key)
        assert found is not None
        change: dict[str, Any] = {
            "transitions": [began],
            "deliveries": [sent],
            "next_to": ["Second"],
            "rejected": ["Second"],
        }
        change["text"] = {"en": "SpO2 84 < 90", "zh": "血氧 84 < 90"}
        made.backend.put_alarm("main", found.model_copy(update=change))
        whole = Scope.system("main")
        await seeded(made)
        await made.backend.answer(whole, key, Act("accept", "usr_nurse", "the drunk again"))
        off = Act("pause_alarms", "usr_nurse", "the drunk again", until=T0 + 600 * S)
        assert await made.backend.switch(whole, patient, off)
        paths = (f"/api/v1/alarms/{key}", f"/api/v1/alarms/{key}/why", "/api/v1/alarms")
        pages = (f"/alarms/{key}", f"/alarms/{key}/why", f"/ward/patient/{patient}")
        async with made.client(own) as client, made.client(made.principal(Role.NURSE)) as nurse:
            for path in (*paths, *pages):
                answer = await client.get(path, headers={"accept": "text/html"} if path in pages else {})
                assert answer.status_code == 200, path
                for word in ("Nurse", "usr_nurse", "Second", "main-second", "drunk"):
                    assert word not in answer.text, (path, word)
            assert "the drunk again" in (await nurse.get(paths[0])).text
            seen, why = [(await client.get(path)).json() for path in paths[:2]]
        assert seen["accepted_by"] == seen["accepted_name"] == why["accepted_by"] == "ward"
        assert seen["transitions"][0]["text"] == {
            "en": "began: SpO2 84 < 90 → the ward (push, SMS), Pat (push)",
            "zh": "开始:血氧 84 < 90 → 病区 (推送, 短信)、Pat (推送)",
        }
        assert [m["actor"] for m in why["life"]] == [None, "ward"]


async def test_engineers_see_and_answer_equipment_and_nothing_else():
    async with world() as made, made.client(made.principal(Role.ENGINEER)) as client:
        gateway_alarm(made)
        under = {"root": "alm_gw", "kind": "technical"}
        made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], "child", **under))
        made.backend.put_alarm("main", alarm("device:main-oxi-A", "device", **under))
        assert await ids(client) == {"alm_gw", "device"}
        detail = (await client.get("/api/v1/alarms/alm_gw")).json()
        assert [a["id"] for a in detail["children"]] == ["device"]
        assert (await client.post("/api/v1/alarms/alm_gw/accept")).json()["accepted_name"] == "The engineer"
        patient = made.ids["main", "alarmA"]
        assert (await client.get(f"/api/v1/alarms/{patient}")).status_code == 404
        assert (await client.post(f"/api/v1/alarms/{patient}/accept")).status_code == 404
        held = {"reason": "new battery", "minutes": 30}
        assert (await client.post("/api/v1/devices/main-oxi-A/maintenance", json=held)).status_code == 204
        assert (await client.post("/api/v1/gateways/main-gw-A/maintenance", json=held)).status_code == 204
        items = (await client.get("/api/v1/inactivations")).json()["items"]
        assert {i["subject"] for i in items} == {"device:main-oxi-A", "gateway:main-gw-A"}
        assert (await client.post("/api/v1/devices/main-oxi-A/resume")).status_code == 204
        nothing = await client.post("/api/v1/devices/main-oxi-A/resume")
        assert (nothing.status_code, nothing.json()["errors"][0]["code"]) == (409, "nothing")
        assert (await client.post("/api/v1/devices/none/maintenance", json=held)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"minutes": 30}, "reason"),
        ({"reason": "bath"}, "body"),
        ({"reason": "bath", "minutes": 0}, "minutes"),
        ({"reason": "bath", "minutes": 10, "until": "2026-01-01T01:00:00Z"}, "body"),
        ({"reason": "bath", "until": "2025-01-01T00:00:00Z"}, "until"),
        ({"reason": "bath", "minutes": 300}, "until"),
    ],
)
async def test_nothing_is_paused_without_a_reason_and_an_end(body: dict[str, Any], field: str):
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        url = f"/api/v1/patients/{made.ids['main', 'patientA']}"
        answer = await client.post(f"{url}/pause-alarms", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
        assert (await client.get("/api/v1/inactivations")).json()["items"] == []


async def test_only_a_doctor_switches_off_and_everybody_sees_who_why_and_until_when():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        off = {"reason": "comfort care", "minutes": 600}
        for role, status in ((Role.NURSE, 403), (Role.ENGINEER, 403), (Role.ADMIN, 403), (Role.DOCTOR, 204)):
            async with made.client(made.principal(role)) as client:
                answer = await client.post(f"/api/v1/patients/{patient}/alarms-off", json=off)
                assert answer.status_code == status, role
        log = made.backend._of("main").audit
        assert (log[-1].action, log[-1].detail["do"], log[-1].detail["reason"]) == (
            "switch_off_alarm",
            "alarms_off",
            "comfort care",
        )
        async with made.client(made.principal(Role.NURSE)) as client:
            (held,) = (await client.get("/api/v1/inactivations")).json()["items"]
            assert (held["kind"], held["by_name"], held["name"]) == ("alarm_off", "The doctor", "Patient A")
            assert (await client.get("/api/v1/alarms/main-alm-A")).json()["signal"] == "alarm_off"
            assert (await client.post(f"/api/v1/patients/{patient}/resume")).status_code == 204
            assert (await client.get("/api/v1/alarms/main-alm-A")).json()["signal"] == "on"


async def wall(made: World) -> httpx.AsyncClient:
    made.backend.badges["04A1"] = "main-nurse"
    made.backend.pins["main-nurse"] = "2580"
    return made.client(made.principal(Role.DISPLAY, wards="A"))


async def test_at_a_shared_wall_a_badge_or_pin_says_who_acts_and_the_audit_names_the_person():
    async with world() as made, await wall(made) as client:
        url = "/api/v1/alarms/main-alm-A/accept"
        for body in ({}, {"login": "main-nurse"}, {"pin": "2580"}):
            answer = await client.post(url, json=body)
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["code"] == "required"
        for body in ({"badge": "FFFF"}, {"login": "main-nurse", "pin": "1111"}):
            assert (await client.post(url, json=body)).status_code == 403
        done = await client.post(url, json={"badge": "04A1"})
        assert done.json()["accepted_name"] == "Nurse"
        entry = made.backend._of("main").audit[-1]
        assert (entry.actor, entry.action, entry.detail) == (
            "usr_nurse",
            "accept_alarm",
            {"do": "accept", "via": "usr_display"},
        )
        there = await client.post("/api/v1/alarms/main-alm-B/accept", json={"badge": "04A1"})
        assert there.status_code == 404, "the wall is of ward A"
        note = {"note": "moved", "login": "main-nurse", "pin": "2580"}
        assert (await client.post("/api/v1/alarms/main-alm-A/note", json=note)).status_code == 200


async def test_an_unlocked_wall_takes_one_tap_for_a_minute_and_only_what_the_person_may():
    async with world() as made, await wall(made) as client:
        url = "/api/v1/alarms/main-alm-A/accept"
        assert (await client.post("/api/v1/live/unlock", json={})).status_code == 422
        opened = (await client.post("/api/v1/live/unlock", json={"badge": "04A1"})).json()
        assert opened == {"name": "Nurse", "seconds": UNLOCK_S}
        assert (await client.post(url)).status_code == 200
        off = {"reason": "x", "minutes": 10}
        patient = made.ids["main", "patientA"]
        assert (await client.post(f"/api/v1/patients/{patient}/alarms-off", json=off)).status_code == 403
        assert (await client.post(f"/api/v1/patients/{patient}/pause-alarms", json=off)).status_code == 204
        assert (await client.post("/api/v1/live/lock")).status_code == 204
        assert (await client.post("/api/v1/alarms/main-alm-A/release")).status_code == 422
        await client.post("/api/v1/live/unlock", json={"badge": "04A1"})
        held = made.app.state.unlocks._held
        held.update({key: (who, until - int(UNLOCK_S * S)) for key, (who, until) in held.items()})
        assert (await client.post("/api/v1/alarms/main-alm-A/release")).status_code == 422, "a minute later"


async def test_who_was_disabled_meanwhile_has_no_minute_left():
    async with world() as made, await wall(made) as client:
        await client.post("/api/v1/live/unlock", json={"badge": "04A1"})
        assert (await client.post("/api/v1/alarms/main-alm-A/accept")).status_code == 200
        made.backend.disable_person("usr_nurse")
        refused = await client.post("/api/v1/alarms/main-alm-A/release")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "required")


async def test_somebody_of_another_ward_does_not_act_here():
    async with world() as made, await wall(made) as client:
        person = replace(made.principal(Role.NURSE, wards="B"), user="usr_other", name="Other")
        made.backend.add_person("other-ward", "right horse battery", person)
        made.backend.badges["BEEF"] = "other-ward"
        answer = await client.post("/api/v1/alarms/main-alm-A/accept", json={"badge": "BEEF"})
        assert answer.status_code in {403, 404}
        found = await made.backend.alarm(Scope.system("main"), "main-alm-A")
        assert found is not None
        assert found.accepted_by is None


async def test_walls_report_and_hear_how_many_are_audible():
    async with world() as made, await wall(made) as client:
        report = {"wall": "one", "audible": True}
        (state,) = (await client.post("/api/v1/live/wall", json=report)).json()["wards"]
        assert (state["ward"], state["connected"], state["audible"]) == (made.ids["main", "wardA"], 1, 1)
        (state,) = (await client.post("/api/v1/live/wall", json={**report, "closed": True})).json()["wards"]
        assert (state["connected"], state["audible"]) == (0, 0)
        async with made.client(made.principal(Role.PATIENT)) as other:
            assert (await other.post("/api/v1/live/wall", json=report)).status_code == 403


async def test_a_persons_page_counts_for_the_wards_of_their_login_and_for_all_wards_nowhere():
    report = {"wall": "one", "audible": True}
    async with world() as made, await wall(made) as client:
        for role in (Role.NURSE, Role.DOCTOR, Role.ADMIN):
            async with made.client(made.principal(role)) as person:
                states = (await person.post("/api/v1/live/wall", json=report)).json()["wards"]
                assert [(s["connected"], s["audible"]) for s in states] == [(0, 0), (0, 0)], role
        async with made.client(made.principal(Role.NURSE, wards="A")) as desk:
            (state,) = (await desk.post("/api/v1/live/wall", json=report)).json()["wards"]
            assert state["audible"] == 1
        (state,) = (await client.post("/api/v1/live/wall", json=report)).json()["wards"]
        assert state["audible"] == 2
        async with made.client(replace(made.principal(Role.DISPLAY), user="usr_hall")) as everywhere:
            states = (await everywhere.post("/api/v1/live/wall", json=report)).json()["wards"]
            assert sorted(s["audible"] for s in states) == [1, 3], "the hall's shows all wards"


async def test_an_empty_list_says_of_when_it_is_and_wears_no_tick():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        text = (await client.get("/alarms?show=latched")).text
    empty = text.split("There are none.")[1].split("</p>")[0]
    assert "As of <time" in empty
    assert "icons.svg#live" not in text


async def test_the_pages_answer_and_say_what_was_refused():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        url = "/alarms/main-alm-A"
        done = await client.post(f"{url}/accept", data={"next": "/alarms?show=mine"})
        assert (done.status_code, done.headers["location"]) == (303, "/alarms?show=mine")
        evil = await client.post(f"{url}/note", data={"note": "x", "next": "//evil.test"})
        assert evil.headers["location"] == f"{url}?done=note"
        assert "Noted." in (await client.get(f"{url}?done=note")).text
        assert (await client.post(f"{url}/destroy", data={})).status_code == 404
        doctor = made.client(made.principal(Role.DOCTOR), cookie=True)
        async with doctor:
            refused = await doctor.post(f"{url}/accept", data={})
        assert refused.status_code == 409
        assert "Nurse was first and accepted it at" in refused.text
        form = {
            "subject": made.ids["main", "patientA"],
            "kind": "pause_alarms",
            "lasts": "1440",
            "reason": "x",
        }
        long = await client.post("/inactivations", data=form)
        assert long.status_code == 409
        assert "may not be switched off for so long" in long.text
        assert (await client.post("/inactivations", data={**form, "lasts": "60"})).status_code == 303
        shown = (await client.get("/inactivations")).text
        assert "A-01 · Patient A" in shown
        assert (await client.get("/alarms?from=never")).status_code == 422


def told_there(**more: Any) -> EdgeEpisode:
    known = {"id": "alm_edge", "gateway": "main-gw-A", "onset": T0, "started": T0 + 3 * S, "told": True}
    return EdgeEpisode(
        **{**known, "config_version": 7, "decided": T0 + 4 * S, "received": T0 + 9 * S, **more}
    )


async def test_it_is_said_where_an_alarm_was_told_first_and_what_it_is_called_there():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        own = told_there(id="theirs", ended=T0 + 20 * S)
        also = told_there(told=False, limit="< 85", config_version=None)
        made.backend.put_alarm("main", alarm(patient, "theirs", origin="main-gw-A", edges=[own, also]))
        made.backend.put_alarm("main", alarm(patient, "ours"))
        async with made.client(made.principal(Role.NURSE)) as client:
            found = (await client.get("/api/v1/alarms/theirs")).json()
            assert (found["origin"], [e["id"] for e in found["edges"]]) == (
                "main-gw-A",
                ["theirs", "alm_edge"],
            )
            assert found["edges"][0]["config_version"] == 7
            listed = (await client.get("/api/v1/alarms")).json()["items"]
            assert {a["id"]: a["origin"] for a in listed if a["id"] in {"ours", "theirs"}} == {
                "ours": None,
                "theirs": "main-gw-A",
            }
        async with made.client(made.principal(Role.NURSE), cookie=True) as browser:
            page = (await browser.get("/alarms/theirs")).text
            assert "the rules at gateway main-gw-A" in page
            assert "annunciated there · configuration 7" in page
            assert "not annunciated there · &lt; 85" in page
            assert "<code>alm_edge</code>" in page
            assert "the rules in the cloud" in (await browser.get("/alarms/ours")).text
            chinese = (await browser.get("/alarms/theirs", headers={"accept-language": "zh-CN"})).text
            assert "网关 main-gw-A 的规则" in chinese
            assert "已在现场报警 · 配置 7" in chinese


async def test_an_alarm_that_rose_says_what_it_began_with_and_when_it_rose():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        rise = AlarmRise(
            at=T0 + 40 * S,
            priority="high",
            rule="spo2-very-low",
            text={"en": "SpO2 78 < 80", "zh": "血氧 78 < 80"},
        )
        risen = alarm(made.ids["main", "patientA"], "risen", priority_at_onset="medium", rises=[rise])
        made.backend.put_alarm("main", risen)
        found = (await client.get("/api/v1/alarms/risen")).json()
        assert (found["priority_at_onset"], found["priority"]) == ("medium", "high")
        assert [(r["rule"], r["priority"]) for r in found["rises"]] == [("spo2-very-low", "high")]
        for language, words in (
            ("en", ("Rose", "at first medium")),
            ("zh-CN", ("加重", "最初 中", "血氧 78 &lt; 80")),
        ):
            page = (await client.get("/alarms/risen", headers={"accept-language": language})).text
            assert all(word in page for word in words), language
            burden = (await client.get("/burden", headers={"accept-language": language})).text
            assert {"en": "Rose to a graver stage", "zh-CN": "升至更严重阶段"}[language] in burden


async def test_who_takes_an_alarm_on_a_page_of_before_its_rise_sees_that_first():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        rise = AlarmRise(at=T0 + 40 * S, priority="high", rule="spo2-very-low", text={"en": "SpO2 78 < 80"})
        risen = alarm(made.ids["main", "patientA"], "risen", rises=[rise])
        made.backend.put_alarm("main", risen.model_copy(update={"rule": "spo2-very-low"}))
        assert (
            '<input type="hidden" name="shown" value="spo2-very-low">'
            in (await client.get("/alarms/risen")).text
        )
        for act in ("accept", "take-over"):
            refused = await client.post(f"/alarms/risen/{act}", data={"shown": "spo2-low"})
            assert refused.status_code == 409
            assert "it has become graver meanwhile" in refused.text
        assert (await client.get("/api/v1/alarms/risen")).json()["accepted_by"] is None
        seen = await client.post("/alarms/risen/accept", data={"shown": "spo2-very-low"})
        assert seen.status_code == 303


@pytest.mark.parametrize("act", ["accept", "take-over"])
async def test_who_takes_an_alarm_by_the_api_may_say_what_they_saw(act: str):
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        rise = AlarmRise(at=T0 + 40 * S, priority="high", rule="spo2-very-low", text={"en": "SpO2 78 < 80"})
        risen = alarm(made.ids["main", "patientA"], "risen", rises=[rise])
        made.backend.put_alarm("main", risen.model_copy(update={"rule": "spo2-very-low"}))
        path = f"/api/v1/alarms/risen/{act}"
        refused = await client.post(path, json={"seen": "spo2-low"})
        assert refused.status_code == 409
        (field,) = refused.json()["errors"]
        assert (field["field"], field["code"]) == ("alarm", "risen")
        assert "'spo2-very-low' now, graver than 'spo2-low'" in field["message"]
        found = (await client.get("/api/v1/alarms/risen")).json()
        assert (found["accepted_by"], found["rule"]) == (None, "spo2-very-low")
        key = {"idempotency-key": "once"}
        first = await client.post(path, json={"seen": found["rule"]}, headers=key)
        assert (first.status_code, first.json()["accepted_by"]) == (200, made.principal(Role.NURSE).user)
        again = await client.post(path, json={"seen": found["rule"]}, headers=key)
        assert (again.status_code, again.json()) == (200, first.json())


async def test_what_was_seen_goes_on_with_the_answer_for_the_alarm_may_rise_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
):
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], "rises"))
        answers: list[Act] = []

        async def risen(_: object, __: str, act: Act) -> None:
            answers.append(act)
            msg = "it is graver now"
            raise RuleError(msg, code="risen", alarm="rises")

        monkeypatch.setattr(made.backend, "answer", risen)
        refused = await client.post("/api/v1/alarms/rises/accept", json={"seen": "spo2-low"})
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "risen")
        assert [act.seen for act in answers] == ["spo2-low"]


async def test_an_alarm_that_fell_again_or_of_which_nothing_was_seen_is_taken_as_it_is():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        rise = AlarmRise(at=T0 + 40 * S, priority="high", rule="spo2-very-low", text={"en": "SpO2 78 < 80"})
        for name, rule, body in (
            ("fell", "spo2-low", {"seen": "spo2-very-low"}),
            ("as-is", "spo2-very-low", {}),
        ):
            risen = alarm(made.ids["main", "patientA"], name, rises=[rise])
            made.backend.put_alarm("main", risen.model_copy(update={"rule": rule}))
            assert (await client.post(f"/api/v1/alarms/{name}/accept", json=body)).status_code == 200
        schema = (await client.get("/api/v1/openapi.json")).json()["components"]["schemas"]["TakeBody"]
        assert "409" in schema["properties"]["seen"]["description"]
