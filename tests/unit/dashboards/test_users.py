"""The REST API for logins: passwords made by the server, refusals by field, audit without names."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import World, world

READABLE = re.compile(r"([a-z]{5}-){3}[a-z]{5}")
NEW: dict[str, Any] = {"login": " Li.Na ", "name": "Li Na", "roles": ["nurse"]}


def admin(made: World) -> httpx.AsyncClient:
    return made.client(made.principal(Role.ADMIN))


async def test_a_login_is_made_listed_and_works():
    async with world() as made, admin(made) as client:
        ward = made.ids["main", "wardA"]
        answer = await client.post("/api/v1/users", json={**NEW, "wards": [ward], "language": "zh"})
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        user, password = answer.json()["user"], answer.json()["password"]
        assert READABLE.fullmatch(password)
        assert (user["login"], user["name"], user["roles"], user["wards"], user["language"]) == (
            "li.na",
            "Li Na",
            ["nurse"],
            [ward],
            "zh",
        )
        listed = await client.get("/api/v1/users")
        assert [u["login"] for u in listed.json()["items"]] == ["li.na", "main-nurse", "main-second"]
        assert listed.json()["items"][0] == user
        assert password not in listed.text
        opened = await client.post("/api/v1/login", json={"login": "li.na", "password": password})
        assert opened.json()["roles"] == ["nurse"]


async def test_a_new_password_replaces_the_old_one_and_ends_the_sessions():
    async with world() as made, admin(made) as client:
        first = (await client.post("/api/v1/users", json=NEW)).json()["password"]
        opened = await client.post("/api/v1/login", json={"login": "li.na", "password": first})
        hers = {"authorization": f"Bearer {opened.json()['token']}"}
        assert (await client.get("/api/v1/me", headers=hers)).status_code == 200
        answer = await client.post("/api/v1/users/li.na/password")
        assert answer.status_code == 200
        second = answer.json()["password"]
        assert answer.json() == {"login": "li.na", "password": second}
        assert READABLE.fullmatch(second)
        assert second != first
        assert (await client.get("/api/v1/me", headers=hers)).status_code == 401
        for password, status in ((first, 401), (second, 200)):
            again = await client.post("/api/v1/login", json={"login": "li.na", "password": password})
            assert again.status_code == status


@pytest.mark.parametrize(
    ("change", "field", "status"),
    [
        ({"login": "no blanks"}, "login", 422),
        ({"login": ""}, "login", 422),
        ({"login": "x" * 65}, "login", 422),
        ({"login": "MAIN-nurse"}, "login", 409),
        ({"name": " "}, "name", 422),
        ({"roles": []}, "roles", 422),
        ({"roles": ["captain"]}, "roles.0", 422),
        ({"roles": ["nurse", "display"]}, "roles", 422),
        ({"roles": ["patient"]}, "patient", 422),
        ({"patient": "{patientA}"}, "patient", 422),
        ({"roles": ["patient"], "patient": "nobody"}, "patient", 422),
        ({"roles": ["patient"], "patient": "{other}"}, "patient", 422),
        ({"wards": ["nowhere"]}, "wards", 422),
        ({"wards": ["no ward!"]}, "wards.0", 422),
        ({"language": "fr"}, "language", 422),
        ({"password": "mine"}, "password", 422),
    ],
)
async def test_a_refusal_names_the_field(change: dict[str, Any], field: str, status: int):
    async with world() as made, admin(made) as client:
        ids = {"{patientA}": made.ids["main", "patientA"], "{other}": made.ids["other", "patientA"]}
        body = {k: ids.get(v, v) if isinstance(v, str) else v for k, v in {**NEW, **change}.items()}
        answer = await client.post("/api/v1/users", json=body)
        assert answer.status_code == status, answer.text
        assert [e["field"] for e in answer.json()["errors"]] == [field]
        assert len((await client.get("/api/v1/users")).json()["items"]) == 2


async def test_a_closed_ward_is_refused_by_its_field():
    async with world() as made, admin(made) as client:
        ward = (await client.post("/api/v1/wards", json={"name": "Closing"})).json()["id"]
        await client.post(f"/api/v1/wards/{ward}/end")
        answer = await client.post("/api/v1/users", json={**NEW, "wards": [made.ids["main", "wardA"], ward]})
        assert answer.status_code == 422, answer.text
        assert [e["field"] for e in answer.json()["errors"]] == ["wards"]
        assert ward in answer.json()["detail"]


async def test_a_login_that_does_not_exist_gets_no_password():
    async with world() as made, admin(made) as client:
        answer = await client.post("/api/v1/users/nobody/password")
        assert answer.status_code == 404
        assert "nobody" in answer.json()["detail"]


async def test_the_audit_says_who_did_what_without_names_or_passwords():
    async with world() as made, admin(made) as client:
        made_user = (await client.post("/api/v1/users", json=NEW)).json()
        password = (await client.post("/api/v1/users/li.na/password")).json()["password"]
        await client.get("/api/v1/users")
        entries = (await client.get("/api/v1/audit")).json()["items"]
        mine = [(e["action"], e["target"], e["detail"].get("do")) for e in entries if e["kind"] == "user"]
        assert mine == [
            ("view_users", "", None),
            ("manage_users", made_user["user"]["id"], "password"),
            ("manage_users", made_user["user"]["id"], "create"),
        ]
        for secret in ("Li Na", password, made_user["password"]):
            assert secret not in str(entries)
