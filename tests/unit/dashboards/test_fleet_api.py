"""Devices' health and work orders over the API: who sees what, what is audited, the list as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from cloud_ingest.device_health.asking import FINDING_KINDS
from cloud_ingest.device_health.ordering import OrderRule
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import World, world

SCOPE = Scope("main")


async def got(made: World, path: str, role: Role = Role.ENGINEER, **who: Any) -> Any:
    async with made.client(made.principal(role, **who)) as client:
        answer = await client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def did(made: World, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    async with made.client(made.principal(Role.ENGINEER)) as client:
        answer = await client.request(method, f"/api/v1/{path}", json=body or {})
    assert answer.status_code == status, answer.text
    return answer.json()


def audited(made: World, kind: str) -> list[tuple[str, str, Any]]:
    lines = [a for a in made.backend._of("main").audit if a.kind == kind and a.outcome == "done"]
    return [(a.action, a.target, a.detail["do"]) for a in lines if "do" in a.detail]


async def test_attention_devices_sums_and_orders_are_listed():
    async with world() as made:
        attention = await got(made, "fleet/attention?kind=battery")
        assert [a["finding"]["id"] for a in attention["items"]] == ["main-fnd-A", "main-fnd-B"]
        assert attention["items"][0]["finding"]["proposed"] == "2026-01-02T00:00:00Z"
        devices = await got(made, "fleet/devices?sort=battery&down=true&limit=1")
        assert (devices["total"], len(devices["items"]), devices["items"][0]["battery"]) == (2, 1, 12.0)
        file = await got(made, f"fleet/devices/{made.ids['main', 'deviceA']}?days=7")
        assert [d["hours"] for d in file["days"]] == [3]
        used = await got(made, "fleet/utilisation?days=1")
        assert [(u["name"], u["hours"], u["possible"]) for u in used["items"]] == [
            ("Ward A", 3, 25),
            ("Ward B", 3, 25),
        ]
        board = await got(made, "fleet/quality?by=device")
        assert {q["worst"] for q in board["items"]} == {0.75}
        orders = await got(made, "work-orders")
        assert [o["id"] for o in orders["items"]] == ["main-wo-A", "main-wo-B"]


async def test_a_ward_s_nurse_sees_the_ward_s_devices_only_and_changes_nothing():
    async with world() as made:
        nurse = made.principal(Role.NURSE, wards="A")
        assert [
            a["finding"]["id"] for a in (await got(made, "fleet/attention", Role.NURSE, wards="A"))["items"]
        ] == ["main-fnd-A"]
        async with made.client(nurse) as client:
            there = await client.get("/api/v1/work-orders/main-wo-B")
            done = await client.post("/api/v1/work-orders/main-wo-A/done", json={})
        assert (there.status_code, done.status_code) == (404, 403)


async def test_an_engineer_sees_of_a_frame_what_is_the_device_s_own():
    async with world() as made:
        path = f"fleet/devices/{made.ids['main', 'deviceA']}/frames"
        (frame,) = await got(made, path)
        assert [(v["metric"], v["value"], v["shown"]) for v in frame["values"]] == [
            ("battery_level", 12.0, True),
            ("spo2", None, False),
        ]
        assert frame["hex"] == ""  # the bytes hold the value, too
        (frame,) = await got(made, path, Role.NURSE, wards="A")
        assert (frame["values"][1]["value"], frame["hex"]) == (97.0, "0a61")
        looks = [a for a in made.backend._of("main").audit if a.detail.get("do") == "frames"]
        assert [(a.target, a.detail["read"]) for a in looks] == [
            (made.ids["main", "deviceA"], False),
            (made.ids["main", "deviceA"], True),
        ]


async def test_work_goes_its_way_and_every_step_is_audited():
    async with world() as made:
        device = made.ids["main", "deviceA"]
        seen = await did(made, "POST", "fleet/findings/main-fnd-A/acknowledgement")
        assert seen["acknowledged_by"]
        opened = await did(made, "POST", "work-orders", {"device": device, "text": "clip is loose"}, 201)
        key = opened["id"]
        await did(made, "POST", f"work-orders/{key}/assignee", {"assignee": "usr_nurse"})
        await did(made, "POST", f"work-orders/{key}/comments", {"text": "ordered"})
        done = await did(made, "POST", f"work-orders/{key}/done", {"text": "changed"})
        assert (done["state"], [n["do"] for n in done["notes"]]) == (
            "done",
            ["open", "assign", "comment", "done"],
        )
        assert await got(made, f"work-orders/{key}") == done
        await did(made, "POST", f"work-orders/{key}/done", {}, 409)
        await did(made, "POST", "work-orders", {"device": "none", "text": "x"}, 422)
        await did(made, "POST", "work-orders/none/done", {}, 404)
        assert audited(made, "finding") == [("maintain_device", "main-fnd-A", "acknowledge")]
        assert [do for _, target, do in audited(made, "work_order") if target == key] == [
            "open",
            "assign",
            "comment",
            "done",
        ]


async def test_when_a_rule_opens_a_work_order_is_told_as_the_site_has_it():
    async with world() as made:
        own = {"firmware": OrderRule(0.9, opens=False), "calibration": OrderRule(0.9, within_days=10)}
        made.backend.work_rules = {**made.backend.work_rules, **own}
        rules = {rule.pop("kind"): rule for rule in await got(made, "work-orders/rules")}
        assert set(rules) == set(FINDING_KINDS)
        assert rules["link"] == {"opens": True, "confidence": 0.9, "held_days": 7.0, "within_days": None}
        assert not rules["firmware"]["opens"]
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            page = (await client.get("/fleet/orders")).text
            chinese = (await client.get("/fleet/orders", headers={"accept-language": "zh"})).text
        table = page.split('id="rules"')[1]
        assert ">radio link</a></th>" in table
        assert "7 days" in table
        assert table.count("never: people open it") == 1
        assert table.count("10 days before it is due") == 1
        assert "规则何时自动开立" in chinese


async def test_who_would_take_anothers_work_is_told_whose_it_is_and_has_to_say_so():
    async with world() as made:
        device = made.ids["main", "deviceA"]
        draft = {"device": device, "text": "clip is loose", "assignee": "usr_nurse"}
        opened = await did(made, "POST", "work-orders", draft, 201)
        path, me = f"work-orders/{opened['id']}/assignee", made.principal(Role.ENGINEER).user
        made.backend.add_person("engineer", "right horse battery", made.principal(Role.ENGINEER))
        for body in ({"assignee": me}, {"assignee": me, "instead_of": "usr_other"}):
            refused = await did(made, "POST", path, body, 409)
            (wrong,) = refused["errors"]
            assert (wrong["field"], wrong["code"]) == ("assignee", "held")
            assert f"(usr_nurse) has it since {opened['assigned']}" in refused["detail"]
        taken = await did(made, "POST", path, {"assignee": me, "instead_of": "usr_nurse"})
        assert (taken["assignee"], taken["notes"][-1]["do"]) == (me, "take")
        assert await did(made, "POST", path, {"assignee": me}) == taken  # again changes nothing
        steps = [a.detail for a in made.backend._of("main").audit if a.target == opened["id"]]
        assert [d["do"] for d in steps if "do" in d] == ["open", "take"]
        assert (steps[-1]["assignee"], steps[-1]["instead_of"]) == (me, "usr_nurse")


@pytest.mark.parametrize(
    ("page", "form", "method", "path", "body"),
    [
        (
            "/fleet/findings/main-fnd-A/acknowledge",
            {},
            "POST",
            "fleet/findings/main-fnd-A/acknowledgement",
            {},
        ),
        (
            "/fleet/devices/{device}/calibrated",
            {"day": "2025-12-01", "every_days": "90"},
            "PUT",
            "fleet/devices/{device}/calibration",
            {"calibrated": "2025-12-01T00:00:00Z", "every_days": 90},
        ),
        (
            "/fleet/devices/{device}/serviced",
            {"day": "2025-12-01", "every_hours": "500"},
            "PUT",
            "fleet/devices/{device}/service",
            {"serviced": "2025-12-01T00:00:00Z", "every_hours": 500},
        ),
        (
            "/fleet/orders/main-wo-A/assign",
            {"assignee": "usr_nurse"},
            "POST",
            "work-orders/main-wo-A/assignee",
            {"assignee": "usr_nurse"},
        ),
        ("/fleet/orders/main-wo-A/done", {}, "POST", "work-orders/main-wo-A/done", {}),
        (
            "/fleet/orders/main-wo-A/comment",
            {"text": "x"},
            "POST",
            "work-orders/main-wo-A/comments",
            {"text": "x"},
        ),
    ],
    ids=["acknowledge", "calibrate", "service", "assign", "done", "comment"],
)
async def test_what_is_done_on_a_page_is_audited_as_over_the_api(
    page: str, form: dict[str, str], method: str, path: str, body: dict[str, Any]
):
    lines = []
    for way in ("page", "api"):
        async with world() as made:
            device = made.ids["main", "deviceA"]
            async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
                if way == "page":
                    answer = await client.post(page.format(device=device), data=form)
                else:
                    url = f"/api/v1/{path.format(device=device)}"
                    answer = await client.request(method, url, json=body)
            assert answer.status_code in {200, 303}, answer.text
            last = made.backend._of("main").audit[-1]
            lines.append((last.actor, last.action, last.kind, last.target, last.outcome, last.detail))
    assert lines[0] == lines[1]
    assert lines[0][1] == "maintain_device"


async def test_a_calibration_is_noted_and_audited():
    async with world() as made:
        device = made.ids["main", "deviceA"]
        body = {"calibrated": "2025-12-01T00:00:00Z", "every_days": 365}
        file = await did(made, "PUT", f"fleet/devices/{device}/calibration", body)
        assert (file["calibrated"], file["calibration_days"]) == ("2025-12-01T00:00:00Z", 365)
        await did(made, "PUT", f"fleet/devices/{device}/calibration", {**body, "every_days": 0}, 422)
        later = {**body, "calibrated": "2031-12-01T00:00:00Z"}
        await did(made, "PUT", f"fleet/devices/{device}/calibration", later, 422)
        assert audited(made, "device") == [("maintain_device", device, "calibrate")]


async def test_a_service_is_noted_and_audited_and_its_hours_come_with_the_device():
    async with world() as made:
        device = made.ids["main", "deviceA"]
        path = f"fleet/devices/{device}/service"
        before = await got(made, f"fleet/devices/{device}")
        assert (before["serviced"], before["service_hours"], before["hours_since_service"]) == (None, None, 3)
        file = await did(made, "PUT", path, {"serviced": "2026-01-01T00:00:00Z", "every_hours": 2000})
        assert (file["serviced"], file["service_hours"]) == ("2026-01-01T00:00:00Z", 2000)
        file = await did(made, "PUT", path, {})
        assert (file["serviced"], file["service_hours"], file["hours_since_service"]) == (None, None, 3)
        for wrong in ({"every_hours": 0}, {"every_hours": 10**6}, {"serviced": "2031-12-01T00:00:00Z"}):
            await did(made, "PUT", path, wrong, 422)
        calibration = {"calibrated": "2025-12-01T00:00:00Z", "every_days": 365, "every_hours": 300}
        file = await did(made, "PUT", f"fleet/devices/{device}/calibration", calibration)
        assert (file["calibration_hours"], file["hours_since_calibration"]) == (300, 3)
        assert [do for _, _, do in audited(made, "device")] == ["service", "service", "calibrate"]


async def test_whether_a_device_was_serviced_is_in_the_audit_of_its_work():
    async with world() as made:
        device = made.ids["main", "deviceA"]
        service = (await made.backend.fleet_device(SCOPE, device)).findings[0]  # type: ignore[union-attr]
        keys = []
        for n, serviced in enumerate((False, True)):
            found = service.model_copy(update={"id": f"fnd-s{n}", "kind": "service", "work_order": None})
            made.backend.put_finding("main", found)
            draft = {"device": device, "finding": found.id}
            keys.append((await did(made, "POST", "work-orders", draft, 201))["id"])
            body = {} if serviced else {"serviced": False}
            await did(made, "POST", f"work-orders/{keys[-1]}/done", body)
            file = await got(made, f"fleet/devices/{device}")
            assert (file["serviced"] is not None) is serviced
        done = [a.detail for a in made.backend._of("main").audit if a.detail.get("do") == "done"]
        assert [d["serviced"] for d in done] == [False, True]


async def test_the_list_as_csv_goes_on_beyond_its_first_piece(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dashboards.fleet_csv.PIECE", 1)
    async with world() as made:
        async with made.client(made.principal(Role.ENGINEER)) as client:
            answer = await client.get("/api/v1/fleet/devices.csv?sort=firmware")
            page = await client.get("/fleet.csv?sort=firmware")
        assert page.text == answer.text
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert sorted(row["id"] for row in rows) == sorted(
            made.ids["main", f"device{place}"] for place in "AB"
        )
        assert {(row["firmware"], row["battery"], row["rssi"]) for row in rows} == {("1.2", "12.0", "")}
        assert rows[0]["last_seen"] == "2026-01-01T00:00:59Z"  # when its newest reading came


@pytest.mark.parametrize(
    "path", ["fleet/attention", "fleet/devices", "fleet/utilisation", "fleet/quality", "work-orders"]
)
async def test_no_place_in_a_list_is_beyond_all_numbers(path: str):
    async with world() as made, made.client(made.principal(Role.ENGINEER)) as client:
        answer = await client.get(f"/api/v1/{path}?offset={10**30}")
    assert answer.status_code == 422


@pytest.mark.parametrize("due", ["9999-12-31T00:00:00Z", 10**30], ids=["a year", "a number"])
async def test_no_time_is_beyond_what_can_be_kept(due: object):
    async with world() as made:
        draft = {"device": made.ids["main", "deviceA"], "text": "x", "due": due}
        await did(made, "POST", "work-orders", draft, status=422)
