"""All routes x all roles x other tenant, generated from the application: a new route is in here by itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.routing import Mount

from dashboards.access import COOKIE
from hearthward.trust.access import Action, Resource, Role, allowed
from tests.unit.dashboards.webworld import RULE, SECRET, World, guards, routes, world

SHIFT: dict[str, Any] = {
    "user": "usr_nurse",
    "role": "nurse",
    "ward": "{wardA}",
    "start": "2026-01-01T00:00:00Z",
    "end": "2026-01-01T08:00:00Z",
    "timezone": "UTC",
}
BODIES: dict[str, dict[str, Any]] = {
    "wards": {"name": "Ward new"},
    "beds": {"ward": "{wardA}", "label": "A-99"},
    "patients": {"name": "New Patient"},
    "encounters": {"patient": "{patientA}", "kind": "home"},
    "gateways": {"id": "gw-new"},
    "adopt": {
        "id": "new-1",
        "gateway": "{gatewayA}",
        "transport": "serial",
        "address": "/dev/ttyUSB8",
        "profile": "masimo-ascii1",
    },
    "consent": {"user": 1, "code": 1234},
    "devices": {
        "gateway": "{gatewayA}",
        "transport": "serial",
        "address": "/dev/ttyUSB9",
        "profile": "masimo-ascii1",
    },
    "associations": {"device": "{deviceA}", "patient": "{patientA}"},
    "login": {"login": "x", "password": "y"},
    "users": {"login": "new.nurse", "name": "New Nurse", "roles": ["nurse"]},
    "{login}": {"name": "Another Name"},
    "invitations": {"relative": True, "name": "Ann"},
    "consents": {"person": "usr_family", "sees": ["values"]},
    "entries": {"values": {"pain": 3}},
    "messages": {"text": "I feel dizzy."},
    "tasks": {"kind": "medicine", "title": "A pill", "times": ["08:00"]},
    "marks": {"due": "2026-01-01T00:00:00Z", "state": "done"},
    "limits": {"rule": "spo2-low", "parameter": "limit", "value": 86, "reason": "COPD"},
    "orders": {"kind": "spo2_scale_2", "reason": "hypercapnic"},
    **{
        key: {"reason": "bath", "minutes": 30}
        for key in ("pause-alarms", "audio-off", "alarms-off", "maintenance")
    },
    "redirect": {"to": "usr_nurse"},
    "note": {"note": "the cuff had slipped"},
    "wall": {"wall": "w1", "audible": True},
    "test": {"target": "@number-1"},
    "subscriptions": {
        "endpoint": "https://fcm.googleapis.com/fcm/send/x",
        "keys": {"p256dh": "B" * 87, "auth": "a" * 22},
    },
    "contacts": {"phone": "+8613800138001"},
    "pin": {"pin": "4711"},
    "badge": {"badge": "04A2249C5F6180"},
    "teams": {"name": "Team new", "ward": "{wardA}", "members": ["usr_nurse"]},
    "{team}": {"name": "Team other", "ward": "{wardA}", "members": []},
    "assignments": {"patient": "{patientA}", "user": "usr_nurse"},
    "shifts": SHIFT,
    "{shift}": {**SHIFT, "end": "2026-01-01T06:00:00Z"},
    "cancel": {},
    "swap": {"at": "2026-01-01T00:00:00Z", "to": "{second}"},
    "handovers": {"to": "{second}", "patients": ["{patientA}"], "pin": "2580"},
    "escalation": {"text": "id: own"},
    "replay": {"ids": ["1"]},
    "drafts": {"text": RULE.replace("version: 2", "version: 3")},
    "calibration": {"calibrated": "2025-12-01T00:00:00Z", "every_days": 365},
    "work-orders": {"device": "{deviceA}", "text": "the clip is loose"},
    "assignee": {"assignee": "usr_nurse"},
    "comments": {"text": "a clip is ordered"},
    "write-offs": {"gateway": "{gatewayA}", "boot": "boot-1", "reason": "replaced on site"},
}
"""What to send where an empty object would not be understood."""
KINDS = ("ward", "bed", "patient", "encounter", "gateway", "device", "association", "alarm")
OTHERS = (
    *("{key}", "{device}", "{alarm}", "{patient}", "{login}", "{release}", "{subscription}"),
    *("{user}", "{team}", "{shift}", "{assignment}", "{consent}", "{task}", "{finding}", "{work}"),
)
"""Parts of addresses that are an id of one tenant."""
SIGNED = {"/api/v1/channels/twilio/status/{token}", "/api/v1/channels/twilio/voice/{token}"}
"""Public, but refused without the signature of who calls."""
MANY = {"ward": "wards", "bed": "beds", "patient": "patients", "encounter": "encounters"}


def all_routes() -> list[tuple[str, str]]:
    return sorted(
        (path, method) for path, route in routes(World().app) for method in (route.methods or ()) - {"HEAD"}
    )


def kind_in(path: str) -> str:
    return next((k for k in KINDS if k in path.replace("patient/{patient}", "patient")), "patient")


def address(path: str, made: World, tenant: str, place: str = "A") -> str:
    """The path with ids of that tenant."""
    key = made.ids.get((tenant, f"{kind_in(path)}{place}"), "none")
    for name in ("key", "alarm", "patient"):
        path = path.replace(f"{{{name}}}", key)
    path = path.replace("{user}", made.ids.get((tenant, "second"), "none"))
    path = path.replace("{letter}", "1")  # of each tenant there is one
    path = path.replace("/waves/{metric}", "/waves/pleth").replace("{metric}", "spo2")
    path = path.replace("{wave}", "pleth")
    path = path.replace("{device}", key)
    path = path.replace("{finding}", f"{tenant}-fnd-{place}").replace("{work}", f"{tenant}-wo-{place}")
    path = path.replace("{policy}", "default").replace("{version}", "1")
    for name in ("limit", "order", "release", "team", "shift", "assignment", "consent", "task"):
        path = path.replace(f"{{{name}}}", made.ids.get((tenant, f"{name}{place}"), "none"))
    path = path.replace("{channel}", "sms").replace("{subscription}", f"psh-{tenant}")
    path = path.replace("{login}", f"{tenant}-nurse").replace("{rule}", "spo2-low")
    return path.replace("{token}", "a-link").replace("{language}", "en")


async def call(made: World, client: httpx.AsyncClient, path: str, method: str, url: str) -> httpx.Response:
    if path == "/api/v1/live":  # it never ends: its policy is /wall's, and a refusal comes before the stream
        return await refusal_or_ok(client, url)
    body = json.dumps(BODIES.get(path.rsplit("/", 1)[-1], {}))
    for (tenant, name), value in made.ids.items():
        if tenant == "main":
            body = body.replace(f"{{{name}}}", value)
    if path.startswith("/api/"):
        return await client.request(method, url, content=body, headers={"content-type": "application/json"})
    return await client.request(method, url)


async def refusal_or_ok(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """Ask for the stream with a hub that ends every stream at once."""
    hub = client._transport.app.state.hub
    hub._closed = True
    try:
        return await client.get(url)
    finally:
        hub._closed = False


def test_every_route_declares_exactly_one_policy():
    app = World().app
    for path, route in routes(app):
        assert len(guards(route)) == 1, f"{path} declares {len(guards(route))} policies"
    others = [r for r in app.routes if not hasattr(r, "original_router") and not hasattr(r, "dependant")]
    assert all(isinstance(r, Mount) and r.path.startswith("/assets/") for r in others)
    assert len(list(routes(app))) > 80


def test_what_is_public_is_on_this_list():
    public = {path for path, route in routes(World().app) if guards(route)[0].public}
    assert public == {
        "/healthz",
        "/readyz",
        "/api/v1/login",
        "/api/v1/openapi.json",
        "/login",
        "/link/{token}",
        "/lang/{language}",
        "/service-worker.js",
        "/manifest.webmanifest",
        "/offline",
        *SIGNED,
    }


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_may_do_what_the_policy_says_and_nothing_else(role: Role):
    async with world() as made:
        by_name = {(p, m): r for p, r in routes(made.app) for m in r.methods or ()}
        who = made.principal(role)
        for path, method in all_routes():
            guard = guards(by_name[path, method])[0]
            async with made.client(who) as client:
                answer = await call(made, client, path, method, address(path, made, "main"))
            if guard.public:
                assert (answer.status_code == 403) == (path in SIGNED), (path, method)
                continue
            may = guard.action is None or allowed(who, guard.action, Resource(guard.kind, who.tenant))
            refused = answer.status_code in {401, 403}
            if not may and any(allowed(who, a, Resource(guard.kind, who.tenant)) for a in guard.others):
                # It opens the route, not this item: a patient's alarm, or a wall without a person's badge.
                assert method == "GET" or answer.status_code in {403, 404, 422}, (path, answer.text[:200])
                continue
            confined = role is Role.PATIENT and answer.status_code == 404
            assert refused != may or confined, (path, method, answer.status_code, answer.text[:200])


async def test_without_login_nothing_but_the_public_routes_answers():
    async with world() as made:
        by_name = {(p, m): r for p, r in routes(made.app) for m in r.methods or ()}
        for path, method in all_routes():
            if guards(by_name[path, method])[0].public:
                continue
            async with made.client() as client:
                answer = await call(made, client, path, method, address(path, made, "main"))
            assert answer.status_code == 401, (path, method)
            async with made.client(accept="text/html") as client:
                answer = await call(made, client, path, method, address(path, made, "main"))
            page = not path.startswith("/api/") and path != "/metrics"
            assert answer.status_code == (303 if page else 401), (path, method)


def others_people(made: World) -> list[Any]:
    return [person for (tenant, _), person in made.backend._people.items() if tenant == "other"]


def rosters(made: World) -> Any:
    shifts = made.backend._rota["other"].values()
    return repr(made.backend._roster("other")), [(s.id, s.user, s.end, s.cancelled) for s in shifts]


@pytest.mark.parametrize("role", list(Role))
async def test_the_other_tenant_is_neither_readable_nor_changeable(role: Role):
    async with world() as made:
        before = repr(made.backend._of("other").items), repr(others_people(made)), rosters(made)
        for path, method in all_routes():
            if path == "/api/v1/live":
                continue
            async with made.client(made.principal(role)) as client:
                answer = await call(made, client, path, method, address(path, made, "other"))
                assert SECRET not in answer.text, (path, method)
                if any(name in path for name in OTHERS):
                    assert answer.status_code in {401, 403, 404, 422}, (path, method, answer.status_code)
                for query in ("?patient=" + made.ids["other", "patientA"], "?device=other-oxi-A"):
                    if method == "GET" and path.startswith("/api/v1/") and path != "/api/v1/audit":
                        more = await client.get(address(path, made, "other") + query)
                        assert SECRET not in more.text
                        assert "other-" not in more.text or more.status_code in {401, 403, 404, 422}, (
                            path,
                            more.text,
                        )
        after = repr(made.backend._of("other").items), repr(others_people(made)), rosters(made)
        assert after == before


@pytest.mark.parametrize("role", [Role.NURSE, Role.DOCTOR, Role.DISPLAY, Role.ADMIN])
async def test_the_other_ward_is_outside_the_scope(role: Role):
    async with world() as made:
        who = made.principal(role, wards="A")
        for path, method in all_routes():
            if method != "GET" or path == "/api/v1/live" or path in {"/api/v1/audit", "/api/v1/dead-letters"}:
                continue
            async with made.client(who) as client:
                answer = await call(made, client, path, method, address(path, made, "main", "B"))
            assert "Patient B" not in answer.text, path
            assert made.ids["main", "patientB"] not in answer.text or answer.status_code >= 400, path


async def test_a_ward_bound_nurse_cannot_accept_or_assign_elsewhere():
    async with world() as made:
        async with made.client(made.principal(Role.NURSE, wards="A")) as client:
            ids = made.ids
            there = await client.post(f"/api/v1/alarms/{ids['main', 'alarmB']}/accept")
            here = await client.post(f"/api/v1/alarms/{ids['main', 'alarmA']}/accept")
            worn = {"device": ids["main", "deviceA"], "patient": ids["main", "patientB"]}
            given = await client.post("/api/v1/associations", json=worn)
        assert (there.status_code, here.status_code) == (404, 200)
        assert given.status_code in {403, 422}
        assert not any(
            a.kind == "alarm" and a.target == "main-alm-B" and a.outcome == "done"
            for a in made.backend._of("main").audit
        )


async def test_an_administrator_of_one_ward_manages_no_logins():
    async with world() as made:
        log = made.backend._of("main").audit
        async with made.client(made.principal(Role.ADMIN, wards="A")) as client:
            answers = [
                await client.get("/api/v1/users"),
                await client.post("/api/v1/users", json=BODIES["users"]),
                await client.post("/api/v1/users/main-nurse/password"),
            ]
        assert [a.status_code for a in answers] == [403, 403, 403]
        refused = [entry for entry in log if entry.kind == "user" and entry.outcome == "refused"]
        assert [entry.target for entry in refused] == ["", "", "main-nurse"]
        assert ("main", "new.nurse") not in made.backend._people


async def test_reads_of_identifiable_data_changes_and_refusals_are_audited():
    async with world() as made:
        log = made.backend._of("main").audit
        async with made.client(made.principal(Role.NURSE)) as client:
            for url in ("/api/v1/patients", "/api/v1/readings", "/api/v1/alarms", "/api/v1/wall", "/ward"):
                before = len(log)
                assert (await client.get(url)).status_code == 200
                assert len(log) == before + 1, url
            before = len(log)
            assert (await client.post("/api/v1/wards", json={"name": "X"})).status_code == 403
            assert log[before].outcome == "refused"
        async with made.client(made.principal(Role.ADMIN)) as client:
            before = len(log)
            assert (await client.post("/api/v1/wards", json={"name": "X"})).status_code == 201
            assert log[before].action == Action.MANAGE_DIRECTORY
            assert log[before].detail["do"] == "create"
        assert not any("Patient A" in str(entry) for entry in log)


async def test_a_browser_needs_the_security_token_and_the_same_origin():
    async with world() as made:
        who = made.principal(Role.NURSE)
        url = f"/api/v1/alarms/{made.ids['main', 'alarmA']}/accept"
        async with made.client(who, cookie=True) as client:
            assert client.cookies[COOKIE]
            for headers in (
                {"x-csrf-token": "wrong"},
                {"origin": "http://evil.test"},
                {"sec-fetch-site": "cross-site"},
            ):
                answer = await client.post(url, headers=headers)
                assert answer.status_code == 403, headers
            assert (await client.post(url, headers={"origin": "http://ward.test"})).status_code == 200
