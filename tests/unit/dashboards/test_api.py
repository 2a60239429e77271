"""The REST API and the pages: shapes, errors with what, where and what to do, forms, headers."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from dashboards.access import COOKIE
from dashboards.api.system import prometheus
from dashboards.app import build_app
from dashboards.headers import POLICY
from dashboards.models import AlarmInput, AlarmTransition, Device
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role, Scope
from tests.unit.dashboards.webworld import T0, S, World, alarm, reading, seeded, world


def admin(made: World) -> httpx.AsyncClient:
    return made.client(made.principal(Role.ADMIN))


def nurse(made: World) -> httpx.AsyncClient:
    return made.client(made.principal(Role.NURSE))


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["detail"]
    assert body["where"]
    assert body["advice"]
    assert body["status"] == status
    return body


async def test_login_gives_a_token_that_logout_ends():
    async with world() as made:
        made.backend.add_person("nurse", "right horse", made.principal(Role.NURSE))
        async with made.client() as client:
            wrong = await client.post("/api/v1/login", json={"login": "nurse", "password": "no"})
            assert problem(wrong, 401)["title"] == "Unauthorized"
            good = await client.post("/api/v1/login", json={"login": "nurse", "password": "right horse"})
            client.headers["authorization"] = f"Bearer {good.json()['token']}"
            assert (await client.get("/api/v1/me")).json()["roles"] == ["nurse"]
            assert (await client.post("/api/v1/logout")).status_code == 204
            problem(await client.get("/api/v1/me"), 401)


async def test_a_service_token_is_its_principal():
    made = await World().fill()
    who = Principal(user="svc_cli", name="CLI", tenant="main", roles=frozenset({Role.ADMIN}), kind="service")
    app = build_app(made.backend, telemetry=Telemetry(), services={"s3cret": who}, ids=SeededIds(1))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        headers = {"authorization": "Bearer s3cret"}
        assert (await client.get("/api/v1/me", headers=headers)).json()["user"] == "svc_cli"
        assert (await client.get("/api/v1/wards", headers=headers)).status_code == 200
        headers = {"authorization": "Bearer s3creT"}
        assert (await client.get("/api/v1/me", headers=headers)).status_code == 401


async def test_a_person_can_enter_their_own_patient_on_the_first_day():
    async with world() as made, admin(made) as client:
        await seeded(made)

        async def make(plural: str, **fields: Any) -> str:
            answer = await client.post(f"/api/v1/{plural}", json=fields)
            assert answer.status_code == 201, answer.text
            key: str = answer.json()["id"]
            assert (await client.get(f"/api/v1/{plural}/{key}")).json() == answer.json()
            return key

        ward = await make("wards", name="Ward C")
        bed = await make("beds", ward=ward, label="C-01")
        patient = await make("patients", name="Rosa Lindqvist", birth_date="1948-05-02", mrn="42")
        await make("encounters", patient=patient, kind="ward", bed=bed)
        gateway = await make("gateways", id="gw-c", label="Corridor", timezone="Asia/Shanghai")
        device = await make(
            "devices",
            gateway=gateway,
            transport="ble",
            address="C4:12:5D:00:AE:92",
            profile="sig-heart-rate",
        )
        worn = await make("associations", device=device, patient=patient)
        made.clock.advance(1)
        tiles: dict[str, str] = {}
        async with asyncio.timeout(5):
            while "Rosa Lindqvist" not in tiles:
                await asyncio.sleep(0)
                wall = (await client.get("/api/v1/wall")).json()
                tiles = {t["name"]: t["bed"] for t in wall["tiles"]}
        assert tiles["Rosa Lindqvist"] == "C-01"
        changed = await client.patch(f"/api/v1/patients/{patient}", json={"name": "Rosa L."})
        assert (changed.json()["name"], changed.json()["mrn"]) == ("Rosa L.", "42")
        other = (await client.post("/api/v1/patients", json={"name": "Other"})).json()["id"]
        corrected = await client.patch(f"/api/v1/associations/{worn}", json={"patient": other})
        note = (await client.get("/api/v1/audit", params={"limit": 10})).json()["items"]
        detail = next(e["detail"] for e in note if e["target"] == worn)
        assert detail == {
            "do": "correct",
            "fields": "patient",
            "now": corrected.json()["id"],
            "patient_was": patient,
            "patient": other,
        }
        ended = await client.post(f"/api/v1/associations/{worn}/end")
        assert ended.json()["end"] > ended.json()["start"]
        problem(await client.post(f"/api/v1/associations/{worn}/end"), 409)


@pytest.mark.parametrize(
    ("plural", "body", "field", "status"),
    [
        ("wards", {}, "name", 422),
        ("wards", {"name": " "}, "name", 422),
        ("wards", {"name": "Ward A"}, "name", 409),
        ("wards", {"name": "X", "colour": "red"}, "colour", 422),
        ("beds", {"ward": "nowhere", "label": "1"}, "ward", 422),
        ("patients", {"name": "X", "birth_date": "2.5.1948"}, "birth_date", 422),
        ("patients", {"name": "X", "language": "fr"}, "language", 422),
        ("encounters", {"patient": "{patientA}", "kind": "home"}, "patient", 409),
        ("encounters", {"patient": "{patientA}", "kind": "ward"}, "bed", 422),
        ("gateways", {"id": "gw with blanks"}, "id", 422),
        ("gateways", {"id": "g", "timezone": "Mars/Olympus"}, "timezone", 422),
        ("devices", {"gateway": "main-gw-A", "transport": "ble", "address": "here"}, "address", 422),
        (
            "devices",
            {"gateway": "main-gw-A", "transport": "serial", "address": "/dev/x", "profile": "sig-heart-rate"},
            "profile",
            422,
        ),
        ("associations", {"device": "main-oxi-A", "patient": "{patientB}"}, "device", 409),
        ("associations", {"device": "main-oxi-A", "patient": "{patientB}", "start": "soon"}, "start", 422),
    ],
)
async def test_wrong_input_names_the_field(plural: str, body: dict[str, Any], field: str, status: int):
    async with world() as made, admin(made) as client:
        for (tenant, name), key in made.ids.items():
            if tenant == "main":
                body = {k: key if v == f"{{{name}}}" else v for k, v in body.items()}
        before = repr(made.backend._of("main").items)
        answer = problem(await client.post(f"/api/v1/{plural}", json=body), status)
        assert field in {e["field"] for e in answer["errors"]}, answer
        assert repr(made.backend._of("main").items) == before, "nothing half-written"


async def test_null_does_not_erase_what_is_required():
    async with world() as made, admin(made) as client:
        url = f"/api/v1/patients/{made.ids['main', 'patientA']}"
        problem(await client.patch(url, json={"name": None}), 422)
        assert (await client.patch(url, json={"mrn": None})).json()["mrn"] is None


async def test_readings_by_patient_metric_range_and_page():
    async with world() as made, nurse(made) as client:
        start = T0 + 100 * S
        rows = [reading("main-oxi-A", "spo2", 90 + n % 10, start + n * S) for n in range(30)]
        rows += [reading("main-oxi-A", "pulse_rate", 70, start + n * S + n % 3) for n in range(30)]
        made.backend.put_readings("main", rows)
        query = {"patient": made.ids["main", "patientA"], "metric": "spo2", "from": "2026-01-01T00:01:40Z"}
        found = (await client.get("/api/v1/readings", params=query)).json()["items"]
        assert [v["value"] for v in found] == [float(90 + n % 10) for n in range(30)]
        assert found[0]["time"] == "2026-01-01T00:01:40Z"
        assert found[0]["unit"] == "%"
        assert {"received", "quality", "device", "metric", "group", "source", "patient"} <= set(found[0])
        query["to"] = "2026-01-01T00:01:45Z"
        assert len((await client.get("/api/v1/readings", params=query)).json()["items"]) == 5

        query = {"patient": made.ids["main", "patientA"], "limit": 7}
        values, pages = [], 0
        while True:
            page = (await client.get("/api/v1/readings", params=query)).json()
            values += [(v["metric"], v["time"]) for v in page["items"]]
            pages += 1
            if page["next"] is None:
                break
            query["from"] = page["next"]
        assert len(values) == len(set(values)) == 61
        assert pages > 5
        newest = {"device": "main-oxi-A", "metric": "spo2", "newest": True, "limit": 2}
        last = (await client.get("/api/v1/readings", params=newest)).json()["items"]
        assert [v["value"] for v in last] == [98.0, 99.0]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"metric": "spo3"}, "metric"),
        ({"from": "yesterday"}, "from"),
        ({"limit": 0}, "limit"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "to"),
    ],
)
async def test_wrong_queries_are_named(query: dict[str, Any], field: str):
    async with world() as made, nurse(made) as client:
        answer = problem(await client.get("/api/v1/readings", params=query), 422)
        assert answer["errors"][0]["field"] == field


async def test_an_alarm_is_listed_explained_and_accepted_once_it_is_active():
    async with world() as made, nurse(made) as client:
        key = made.ids["main", "alarmA"]
        active = (await client.get("/api/v1/alarms", params={"active": True})).json()["items"]
        assert {a["id"] for a in active} == {key, made.ids["main", "alarmB"]}
        done = (await client.post(f"/api/v1/alarms/{key}/accept", json={"note": "on my way"})).json()
        assert (done["accepted_by"], done["accepted_name"]) == ("usr_nurse", "Nurse")
        detail = (await client.get(f"/api/v1/alarms/{key}")).json()
        assert detail["transitions"][-1]["kind"] == "accept"
        assert detail["transitions"][-1]["actor_name"] == "Nurse"
        assert detail["transitions"][-1]["note"] == "on my way"
        made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], "old", condition="inactive"))
        problem(await client.post("/api/v1/alarms/old/accept"), 409)
        problem(await client.post("/api/v1/alarms/none/accept"), 404)
        assert (await client.get("/api/v1/alarms", params={"priority": "low"})).json()["items"] == []


async def test_unknown_addresses_and_methods():
    async with world() as made, nurse(made) as client:
        problem(await client.get("/api/v1/nothing"), 404)
        problem(await client.put("/api/v1/alarms"), 405)


async def test_openapi_describes_every_route_with_its_errors():
    async with world() as made, made.client() as client:
        schema = (await client.get("/api/v1/openapi.json")).json()
    paths = schema["paths"]
    assert "/api/v1/alarms/{alarm}/accept" in paths
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert "401" in operation["responses"], (method, path)
            assert operation.get("description"), (method, path)
    assert schema["components"]["schemas"]["WardDraft"]["properties"]["name"]["examples"]


async def test_health_metrics_and_readiness():
    async with world() as made, admin(made) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).status_code == 200
        made.backend.trouble = {"broker": "gone"}
        not_ready = await client.get("/readyz")
        assert (not_ready.status_code, not_ready.json()["parts"]) == (503, {"broker": "gone"})
        made.telemetry.count("readings_total", 3, reason='a"b\\c\nd')
        text = (await client.get("/metrics")).text
        assert '# TYPE readings_total counter\nreadings_total{reason="a\\"b\\\\c\\nd"} 3' in text


def test_prometheus_names_are_made_legal():
    telemetry = Telemetry()
    telemetry.gauge("2nd.name-x", 1.5, **{"la-bel": "v"})
    assert prometheus(telemetry) == '# TYPE _2nd_name_x gauge\n_2nd_name_x{la_bel="v"} 1.5\n'


async def test_headers_are_strict_and_pages_hold_nothing_inline():
    async with world() as made:
        for role, url in (
            (Role.NURSE, "/ward"),
            (Role.ADMIN, "/admin"),
            (Role.ENGINEER, "/devices"),
            (Role.PATIENT, "/me"),
            (None, "/login"),
            (Role.NURSE, "/no/such/page"),
        ):
            who = made.principal(role) if role else None
            async with made.client(who, cookie=True, accept="text/html") as client:
                answer = await client.get(url)
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "style=" not in answer.text
            assert not re.search(r"<[^>]+\son\w+=", answer.text)
            for tag in re.findall(r"<script[^>]*>[^<]", answer.text):
                assert 'type="application/json"' in tag, tag
            assert "unsafe" not in POLICY


async def test_assets_are_cached_for_ever_under_their_digest():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        page = (await client.get("/ward")).text
        path = re.search(r'src="(/assets/[^"]+wall\.js)"', page)
        assert path
        answer = await client.get(path[1])
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


async def test_a_name_cannot_break_out_of_the_page():
    async with world() as made:
        evil = "</script><script>alert(1)</script>"
        async with admin(made) as client:
            await client.patch(f"/api/v1/patients/{made.ids['main', 'patientA']}", json={"name": evil})
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            for url in ("/ward", "/admin/patient"):
                text = (await client.get(url)).text
                assert "alert(1)" in text or url == "/ward"
                assert "<script>alert" not in text


# --- pages ----------------------------------------------------------------------------------------------


async def browser_login(client: httpx.AsyncClient, login: str, **form: str) -> httpx.Response:
    return await client.post("/login", data={"login": login, "password": "right horse", **form})


@pytest.mark.parametrize(
    ("role", "home"),
    [
        (Role.NURSE, "/ward"),
        (Role.DOCTOR, "/ward"),
        (Role.DISPLAY, "/ward"),
        (Role.ADMIN, "/admin"),
        (Role.ENGINEER, "/fleet"),
        (Role.PATIENT, "/me"),
    ],
)
async def test_everybody_lands_where_their_work_is(role: Role, home: str):
    async with world() as made, made.client(accept="text/html") as client:
        made.backend.add_person("x", "right horse", made.principal(role))
        answer = await browser_login(client, "x")
        assert (answer.status_code, answer.headers["location"]) == (303, home)
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert ("max-age" in cookie) == (role in {Role.DISPLAY, Role.PATIENT})
        assert (await client.get(home)).status_code == 200


async def test_login_never_leads_to_another_site():
    async with world() as made, made.client(accept="text/html") as client:
        made.backend.add_person("x", "right horse", made.principal(Role.NURSE))
        for target in ("//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)"):
            answer = await browser_login(client, "x", next=target)
            assert answer.headers["location"] == "/ward"
        assert (await browser_login(client, "x", next="/devices")).headers["location"] == "/devices"
        assert (await client.get("/lang/zh_Hans?next=//evil.test")).headers["location"] == "/"


async def test_the_session_cookie_is_secure_under_tls():
    made = await World().fill()
    made.backend.add_person("x", "right horse", made.principal(Role.NURSE))
    transport = httpx.ASGITransport(made.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://ward.test") as client:
        answer = await browser_login(client, "x")
        assert "secure" in answer.headers["set-cookie"].lower()
        assert "strict-transport-security" in answer.headers


async def test_a_one_time_link_sets_a_password_once():
    async with world() as made, made.client(accept="text/html") as client:
        made.backend.add_person("boss", "", made.principal(Role.ADMIN))
        made.backend.add_link("tok", "boss")
        assert "boss" in (await client.get("/link/tok")).text
        short = await client.post("/link/tok", data={"password": "short", "again": "short"})
        assert short.status_code == 422
        differ = await client.post("/link/tok", data={"password": "long enough 1", "again": "long enough 2"})
        assert differ.status_code == 422
        good = await client.post("/link/tok", data={"password": "long enough 1", "again": "long enough 1"})
        assert good.status_code == 303
        assert good.cookies[COOKIE]
        assert (await client.get("/link/tok")).status_code == 404


async def test_forms_say_beside_the_field_what_is_wrong_in_both_languages():
    async with world() as made:
        for language, words in (("en", "is in use already"), ("zh", "已被使用")):
            who = made.principal(Role.ADMIN)
            async with made.client(who, cookie=True, **{"accept-language": language}) as client:
                token = client.headers.pop("x-csrf-token")
                answer = await client.post("/admin/ward", data={"name": "Ward A", "csrf": token})
                assert answer.status_code == 422
                assert re.search(r'aria-invalid="true" aria-describedby="ward-new-name-why"', answer.text)
                why = re.search(r'<p class="why" id="ward-new-name-why">([^<]+)</p>', answer.text)
                assert why
                assert words in why[1]
                assert 'value="Ward A"' in answer.text, "what was typed stays"
                refused = await client.post("/admin/ward", data={"name": "Ward Q"})
                assert refused.status_code == 403


async def test_the_directory_page_makes_changes_and_ends():
    async with world() as made, made.client(made.principal(Role.ADMIN), cookie=True) as client:
        done = await client.post("/admin/ward", data={"name": "Ward Q"})
        assert (done.status_code, done.headers["location"]) == (303, "/admin/ward?done=create")
        shown = (await client.get(done.headers["location"])).text
        assert "Added." in shown
        assert "Ward Q" in shown
        rows = made.backend._of("main").items
        ward = next(w for w in rows["ward"].values() if w.name == "Ward Q")
        await client.post(f"/admin/ward/{ward.id}", data={"name": "Ward S"})
        assert rows["ward"][ward.id].name == "Ward S"
        await client.post(f"/admin/ward/{ward.id}/end")
        assert rows["ward"][ward.id].ended is not None
        empty = {
            "gateway": "main-gw-A",
            "transport": "serial",
            "address": "/dev/ttyUSB0",
            "profile": "masimo-ascii1",
            "timezone": "Asia/Shanghai",
            "interval_s": "",
            "id": "",
            "label": "",
        }
        assert (await client.post("/admin/device", data=empty)).status_code == 303
        device = next(d for d in rows["device"].values() if d.address == "/dev/ttyUSB0")
        assert (device.timezone, device.label) == ("Asia/Shanghai", "")
        text = (await client.get(f"/admin/device/{device.id}")).text
        assert f'id="device-{device.id}-timezone"' in text
        wrong = await client.post(f"/admin/device/{device.id}", data={**CHANGED, "timezone": "Mars/Olympus"})
        assert f'id="device-{device.id}-timezone-why"' in wrong.text
        assert (await client.post(f"/admin/device/{device.id}", data=CHANGED)).status_code == 303
        assert rows["device"][device.id].timezone is None


CHANGED = {
    "gateway": "main-gw-A",
    "address": "/dev/ttyUSB0",
    "profile": "masimo-ascii1",
    "timezone": "",
    "interval_s": "",
    "label": "",
}


@pytest.mark.parametrize(
    ("language", "missing", "unfit"),
    [
        ("en", "is required: a serial device", "connection: sig-heart-rate"),
        ("zh", "必填:串口", "连接方式的设备"),
    ],
)
async def test_a_serial_device_needs_a_profile_of_its_own_connection(language: str, missing: str, unfit: str):
    who = {"accept-language": language}
    async with world() as made, made.client(made.principal(Role.ADMIN), cookie=True, **who) as client:
        new = {"gateway": "main-gw-A", "transport": "serial", "address": "/dev/ttyUSB0"}
        for profile, words in (("", missing), ("sig-heart-rate", unfit)):
            answer = await client.post("/admin/device", data={**new, "profile": profile})
            assert answer.status_code == 422
            why = re.search(r'<p class="why" id="device-new-profile-why">([^<]+)</p>', answer.text)
            assert why
            assert words in why[1]
        made.backend._of("main").items["device"]["serial-1"] = Device(id="serial-1", **new)
        answer = await client.post("/admin/device/serial-1", data={**CHANGED, "profile": ""})
        assert 'id="device-serial-1-profile-why"' in answer.text
        api = await client.patch("/api/v1/devices/serial-1", json={"profile": None})
        assert [e["field"] for e in problem(api, 422)["errors"]] == ["profile"]
        assert (await client.patch("/api/v1/devices/serial-1", json={"label": "X"})).status_code == 200


async def test_a_patient_with_a_device_but_no_stay_is_warned_of():
    async with world() as made:
        await made.backend.end(Scope.system("main"), "encounter", made.ids["main", "encounterB"])
        for language, words in (("en", "has a device, but no stay: not on the wall"), ("zh", "已佩戴设备")):
            who = {"accept-language": language}
            async with made.client(made.principal(Role.ADMIN), cookie=True, **who) as client:
                rows = re.findall(r'<p class="notice bad adrift">(.*)</p>', (await client.get("/admin")).text)
            assert len(rows) == 1
            assert "Patient B" in rows[0]
            assert words in rows[0]


async def test_an_engineer_keeps_gateways_and_devices_and_reads_no_names():
    async with world() as made, made.client(made.principal(Role.ENGINEER), cookie=True) as client:
        audit = made.backend._of("main").audit
        before = len(audit)
        text = "".join([(await client.get(f"/admin{kind}")).text for kind in ("", "/device", "/gateway")])
        assert len(audit) == before, "nothing identifies a patient"
        assert 'action="/admin/device"' in text
        assert 'action="/admin/gateway"' in text
        for hidden in ("patient", "association", "encounter", "ward", "bed"):
            assert f'"/admin/{hidden}"' not in text
            assert (await client.get(f"/admin/{hidden}")).status_code == 403
        del audit[before:]  # the refusals
        assert "Patient A" not in text
        assert made.ids["main", "patientA"] not in text
        assert '<a href="/admin"' in (await client.get("/devices")).text
        await client.post("/admin/gateway/main-gw-A", data={"label": "Corridor", "timezone": ""})
        gateway = made.backend._of("main").items["gateway"]["main-gw-A"]
        assert (gateway.label, gateway.ward) == ("Corridor", made.ids["main", "wardA"])
        async with made.client(made.principal(Role.ADMIN), cookie=True) as other:
            await other.get("/admin")
        assert (audit[-1].action, audit[-1].kind) == ("view_directory", "directory")


async def test_what_decided_has_its_times_as_times():
    async with world() as made, nurse(made) as client:
        decided = {"metric": "spo2", "value": 84, "device": "oxi", "time": T0, "received": T0 + S}
        line = AlarmTransition(kind="start", at=T0, inputs=[AlarmInput(**decided)])
        made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], "why", transitions=[line]))
        detail = (await client.get("/api/v1/alarms/why")).json()
        assert detail["transitions"][0]["inputs"] == [
            {**decided, "time": "2026-01-01T00:00:00Z", "received": "2026-01-01T00:00:01Z"}
        ]


async def test_a_nurse_sees_only_the_forms_that_are_hers():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        assert 'method="post" action="/admin/association"' in (await client.get("/admin/association")).text
        assert 'method="post" action="/admin/ward"' not in (await client.get("/admin/ward")).text


async def test_the_devices_page_names_no_patient():
    async with world() as made, made.client(made.principal(Role.ENGINEER), cookie=True) as client:
        text = (await client.get("/devices")).text
        assert "main-oxi-A" in text
        assert "Patient A" not in text


async def test_the_patients_page_claims_only_what_was_received():
    async with world() as made:
        async with made.client(made.principal(Role.PATIENT), cookie=True) as client:
            text = (await client.get("/me")).text
        assert "97" in text
        assert "Received" in text
        for claim in ("fine", "healthy", "normal", "no alarm"):
            assert claim not in text
        async with made.client(
            made.principal(Role.PATIENT), cookie=True, **{"accept-language": "zh-CN"}
        ) as client:
            assert "收到于" in (await client.get("/me")).text


async def test_detail_shows_why_an_alarm_fired():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        await seeded(made)
        answer = await client.get(f"/ward/patient/{made.ids['main', 'patientA']}")
        assert "SpO2 84 &lt; 90" in answer.text
        assert "0123456789abcdef" in answer.text


async def test_an_unforeseen_failure_is_a_problem_too(monkeypatch: pytest.MonkeyPatch):
    made = await World().fill()

    async def broken(*_: object, **__: object) -> None:
        msg = "boom"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr(made.backend, "items", broken)
    token = made.backend.open_session(made.principal(Role.NURSE))
    transport = httpx.ASGITransport(made.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/api/v1/wards", headers={"authorization": f"Bearer {token}"})
    assert "boom" not in problem(answer, 500)["detail"]
