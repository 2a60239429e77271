"""Rules and their release through API and pages: two people, no token, every step audited with the hash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from hearthward.trust.access import Principal, Role
from tests.unit.dashboards.webworld import RULE, World, world


def somebody(made: World, role: Role, name: str = "") -> Principal:
    who = made.principal(role)
    return replace(who, user=f"usr_{name}", name=name) if name else who


def http(made: World, role: Role, name: str = "", **more: Any) -> httpx.AsyncClient:
    return made.client(somebody(made, role, name), **more)


async def test_the_rules_are_listed_with_version_hash_and_state():
    async with world() as made, http(made, Role.NURSE) as client:
        (rule,) = (await client.get("/api/v1/rules")).json()["items"]
        assert (rule["id"], rule["version"], rule["state"], rule["limit"]) == (
            "spo2-low",
            1,
            "shipped",
            "< 90",
        )
        assert len(rule["hash"]) == 16
        detail = (await client.get("/api/v1/rules/spo2-low")).json()
        assert detail["rule"]["hash"] == rule["hash"]
        assert [r["state"] for r in detail["releases"]] == ["draft"]
        assert rule["hash"] in {v["hash"] for v in detail["versions"]}
        assert detail["texts"] == {made.ids["main", "releaseA"]: RULE}
        assert (await client.get("/api/v1/rules/none")).status_code == 404


async def test_a_release_needs_two_people_and_each_step_is_audited_with_its_hash():
    async with world() as made:
        release = made.ids["main", "releaseA"]
        base = f"/api/v1/rules/releases/{release}"
        async with http(made, Role.DOCTOR) as author, http(made, Role.ADMIN, "Max") as second:
            assert (await author.post(f"{base}/shadow")).json()["state"] == "shadow"
            own = await author.post(f"{base}/approve")
            assert (own.status_code, own.json()["detail"]) == (
                403,
                "The doctor wrote it: a second person approves a rule",
            )
            early = await second.post(f"{base}/activate")
            assert (early.status_code, early.json()["errors"][0]["code"]) == (409, "state")
            assert (await second.post(f"{base}/approve")).json()["approved_by"] == "Max"
            assert (await author.post(f"{base}/activate")).json()["state"] == "active"
            (rule,) = (await author.get("/api/v1/rules")).json()["items"]
            assert (rule["state"], rule["version"]) == ("released", 2)
            assert (await second.post(f"{base}/rollback")).json()["state"] == "rolled_back"
            assert (await second.get("/api/v1/rules")).json()["items"][0]["version"] == 1
        log = [e for e in made.backend._of("main").audit if e.kind == "rule"]
        steps = [(e.detail.get("do"), e.outcome) for e in log]
        assert steps == [
            ("shadow", "done"),
            (None, "refused"),
            ("approve", "done"),
            ("activate", "done"),
            ("rollback", "done"),
        ]
        assert {e.detail["hash"] for e in log if e.outcome == "done"} == {rule["hash"]}


@pytest.mark.parametrize("role", [Role.NURSE, Role.ENGINEER, Role.PATIENT, Role.DISPLAY])
async def test_others_change_no_rule(role: Role):
    async with world() as made, http(made, role) as client:
        base = f"/api/v1/rules/releases/{made.ids['main', 'releaseA']}"
        for act in ("shadow", "approve", "activate", "rollback", "withdraw"):
            assert (await client.post(f"{base}/{act}")).status_code == 403
        assert (await client.post("/api/v1/rules/drafts", json={"text": RULE})).status_code == 403


async def test_a_token_of_the_command_line_releases_nothing():
    async with world() as made:
        token = replace(somebody(made, Role.ADMIN), kind="service", name="command line")
        async with made.client(token) as client:
            refused = await client.post("/api/v1/rules/drafts", json={"text": RULE})
            assert refused.status_code == 403
            assert "log in as one" in refused.json()["detail"]


async def test_a_draft_is_refused_with_its_line_and_kept_otherwise():
    async with world() as made, http(made, Role.DOCTOR) as client:
        wrong = RULE.replace("priority: high", "priority: loud")
        answer = await client.post("/api/v1/rules/drafts", json={"text": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "text")
        assert "line 6" in answer.json()["detail"]
        other = RULE.replace("delay_s: 0", "delay_s: 30")
        answer = await client.post("/api/v1/rules/drafts", json={"text": other})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "version")
        made_draft = await client.post(
            "/api/v1/rules/drafts", json={"text": other.replace("version: 2", "version: 3"), "note": "calmer"}
        )
        assert (made_draft.status_code, made_draft.json()["note"]) == (201, "calmer")
        assert len((await client.get("/api/v1/rules/releases")).json()["items"]) == 2


async def test_the_pages_offer_what_a_person_may_do_and_carry_it_out():
    async with world() as made:
        release = made.ids["main", "releaseA"]
        async with http(made, Role.NURSE, cookie=True) as nurse:
            shown = (await nurse.get("/rules")).text
            assert "Low oxygen saturation" in shown
            assert "Keep as draft" not in shown
            assert "<button" not in (await nurse.get("/rules/spo2-low")).text.split("<main")[1]
        async with http(made, Role.DOCTOR, cookie=True) as author:
            assert "Put on trial" in (await author.get("/rules/spo2-low")).text
            done = await author.post(f"/rules/releases/{release}/shadow")
            assert done.headers["location"] == "/rules/spo2-low?done=shadow"
            shown = (await author.get("/rules/spo2-low?done=shadow")).text
            assert "never signalled" in shown
            assert "waits for a second person" in shown
            assert "Approve</button>" not in shown
            assert "Would have alarmed" in shown
        async with http(made, Role.DOCTOR, "Eva", cookie=True) as second:
            shown = (await second.get("/rules/spo2-low")).text
            assert "Approve</button>" in shown
            assert "+parameters: {limit: {value: 89, low: 80, high: 94}}" in shown, "what is to be approved"
            early = await second.post(f"/rules/releases/{release}/activate")
            assert early.status_code == 409
            assert "it is on trial" in early.text
            for act in ("approve", "activate", "rollback"):
                assert (await second.post(f"/rules/releases/{release}/{act}")).status_code == 303
            assert "rolled back" in (await second.get("/rules/spo2-low")).text


async def test_a_refused_draft_comes_back_with_its_text():
    async with world() as made, http(made, Role.DOCTOR, cookie=True) as client:
        wrong = RULE.replace("priority: high", "priority: loud")
        answer = await client.post("/rules/drafts", data={"text": wrong, "note": "n"})
        assert answer.status_code == 422
        assert "priority: loud" in answer.text
        assert "line 6" in answer.text
        good = RULE.replace("version: 2", "version: 4")
        answer = await client.post("/rules/drafts", data={"text": good, "note": "n"})
        assert answer.headers["location"] == "/rules/spo2-low?done=draft"
        assert (await client.post("/rules/drafts", data={"text": ""})).status_code == 422
