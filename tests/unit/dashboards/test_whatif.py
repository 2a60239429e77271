"""What if: who may try what, on whose readings, what is shown of it, and that it can be given up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from cloud_ingest.trying import Progress, TryAsked
from dashboards.tries import OPEN
from hearthward.core.errors import StoreUnavailable
from hearthward.trust.access import Principal, Role, Scope
from rules import RuleSet
from rules.loader import load_rule
from rules.whatif import Trial, TrialOfOne
from tests.unit.dashboards.webworld import RULE, T0, S, World, alarm, reading, world

TEXT = RULE.replace("version: 2", "version: 1").replace("value: 89", "value: 90")
LIMIT = "parameters/limit/value"
MOVED = {"moved": {LIMIT: 86}, "days": 1}


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as made:
        made.backend.shipped = RuleSet((load_rule(TEXT, "rule").rule,))
        made.backend.texts["spo2-low"] = TEXT
        for place, low in (("A", 88), ("B", 84)):
            values = [97] * 5 + [low] * 3 + [97] * 5
            made.backend.put_readings(
                "main",
                [
                    reading(made.ids["main", f"device{place}"], "spo2", v, T0 - 600 * S + n * 10 * S)
                    for n, v in enumerate(values)
                ],
            )
        yield made


async def ended(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            found: dict[str, Any] = (await client.get(path)).json()
            if found["state"] not in {"waiting", "running"}:
                return found
            await asyncio.sleep(0)


async def tried(client: httpx.AsyncClient, body: dict[str, Any] | None = None) -> dict[str, Any]:
    begun = await client.post("/api/v1/rules/spo2-low/tries", json=body or MOVED)
    assert begun.status_code == 202, begun.text
    return await ended(client, f"/api/v1/rules/spo2-low/tries/{begun.json()['id']}")


def held(monkeypatch: pytest.MonkeyPatch, here: World) -> asyncio.Event:
    """Trials do not end until the event is set."""
    go = asyncio.Event()

    async def wait(_: Scope, asked: TryAsked, progress: Progress) -> Trial:
        progress(1, 2)
        await go.wait()
        return Trial(asked.start, asked.end)

    monkeypatch.setattr(here.backend, "try_rule", wait)
    return go


async def test_the_numbers_of_a_rule(here: World):
    async with here.client(here.principal(Role.NURSE)) as client:
        items = (await client.get("/api/v1/rules/spo2-low/numbers")).json()["items"]
    assert [(n["path"], n["value"], n["unit"], n["low"], n["high"]) for n in items] == [
        (LIMIT, 90, "%", 80, 94),
        ("delay_s", 0, "s", None, None),
        ("condition/hysteresis", 1, "%", None, None),
    ]


async def test_what_comes_of_a_change_with_the_alarm_that_would_be_lost(here: World):
    patient = here.ids["main", "patientA"]
    real = alarm(patient, "real", onset=T0 - 550 * S, started=T0 - 550 * S, ended=T0 - 520 * S)
    here.backend.put_alarm("main", real)
    async with here.client(here.principal(Role.DOCTOR)) as client:
        found = await tried(client)
    assert (found["state"], found["limits"]) == ("done", ["< 90", "< 86"])
    assert (found["before"]["alarms"], found["after"]["alarms"]) == (2, 1)
    (lost,) = found["lost"]
    assert (lost["patient"], lost["peak"], lost["of"], lost["alarm"]) == (patient, 88, "spo2", "real")
    assert (found["lost_count"], found["gained_count"], found["left"]) == (1, 0, [])
    line = next(e for e in here.backend._of("main").audit if e.action == "try_rule" and e.outcome == "done")
    assert line.target == "spo2-low"
    assert line.detail["patients"] == sorted([patient, here.ids["main", "patientB"]])


async def test_only_those_in_scope_and_in_the_ward_asked_for_are_looked_at(here: World):
    async with here.client(here.principal(Role.NURSE, wards="B")) as client:
        found = await tried(client)
        assert [p["patient"] for p in found["patients"]] == [here.ids["main", "patientB"]]
        other = here.ids["main", "wardA"]
        refused = await client.post("/api/v1/rules/spo2-low/tries", json={**MOVED, "ward": other})
        assert refused.json()["errors"][0]["code"] == "unknown"
    async with here.client(here.principal(Role.DOCTOR)) as client:
        only = await tried(client, {**MOVED, "ward": here.ids["main", "wardA"]})
        assert [p["patient"] for p in only["patients"]] == [here.ids["main", "patientA"]]
        one = await tried(client, {**MOVED, "patient": here.ids["main", "patientB"]})
        assert [p["patient"] for p in one["patients"]] == [here.ids["main", "patientB"]]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"moved": {}}, "moved", "required"),
        ({"moved": {LIMIT: 90}}, "moved", "required"),
        ({"moved": {LIMIT: 60}}, "moved", "rule"),
        ({"moved": {"version": 7}}, "version", "unknown"),
        ({"moved": {LIMIT: 88}, "patient": "nobody"}, "patient", "unknown"),
        ({"moved": {LIMIT: 88}, "ward": "home"}, "ward", "nobody"),
    ],
)
async def test_what_cannot_be_tried_is_said_by_field(
    here: World, body: dict[str, Any], field: str, code: str
):
    async with here.client(here.principal(Role.DOCTOR)) as client:
        answer = await client.post("/api/v1/rules/spo2-low/tries", json=body)
    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["field"], answer.json()["errors"][0]["code"]) == (field, code)


async def test_a_trial_is_its_owner_s_alone(here: World):
    async with here.client(here.principal(Role.DOCTOR)) as client:
        found = await tried(client)
        assert (await client.get(f"/api/v1/rules/other/tries/{found['id']}")).status_code == 404
    async with here.client(here.principal(Role.NURSE)) as client:
        assert (await client.get(f"/api/v1/rules/spo2-low/tries/{found['id']}")).status_code == 404
        assert (await client.delete(f"/api/v1/rules/spo2-low/tries/{found['id']}")).status_code == 404
    async with here.client(here.principal(Role.ENGINEER)) as client:
        assert (await client.post("/api/v1/rules/spo2-low/tries", json=MOVED)).status_code == 403


async def test_given_up_and_replaced_by_the_next_one(here: World, monkeypatch: pytest.MonkeyPatch):
    held(monkeypatch, here)
    async with here.client(here.principal(Role.DOCTOR)) as client:
        first = (await client.post("/api/v1/rules/spo2-low/tries", json=MOVED)).json()["id"]
        second = (await client.post("/api/v1/rules/spo2-low/tries", json=MOVED)).json()["id"]
        path = "/api/v1/rules/spo2-low/tries"
        assert (await client.get(f"{path}/{first}")).json()["state"] == "cancelled"
        given_up = await client.delete(f"{path}/{second}")
        assert (given_up.status_code, given_up.json()["state"]) == (202, "cancelled")
    tasks = [job.task for job in here.app.state.tries._jobs.values()]
    done, left = await asyncio.wait(tasks, timeout=5)
    assert (len(done), len(left)) == (2, 0)


async def test_no_more_than_a_few_wait(here: World, monkeypatch: pytest.MonkeyPatch):
    go = held(monkeypatch, here)
    answers = []
    for n in range(OPEN + 1):
        who = Principal(f"usr_{n}", "Nurse", "main", frozenset({Role.NURSE}))
        async with here.client(who) as client:
            answers.append(await client.post("/api/v1/rules/spo2-low/tries", json=MOVED))
    assert [a.status_code for a in answers] == [202] * OPEN + [422]
    assert answers[-1].json()["errors"][0]["code"] == "busy"
    go.set()


async def test_a_store_that_is_gone_fails_the_trial_in_words(here: World, monkeypatch: pytest.MonkeyPatch):
    async def gone(*_: Any) -> Trial:
        message = "the store cannot be reached"
        raise StoreUnavailable(message)

    monkeypatch.setattr(here.backend, "try_rule", gone)
    async with here.client(here.principal(Role.DOCTOR)) as client:
        found = await tried(client)
    assert (found["state"], found["error"]) == ("failed", "the store cannot be reached")


async def test_the_pages_from_the_form_to_a_draft(here: World, monkeypatch: pytest.MonkeyPatch):
    go = held(monkeypatch, here)
    async with here.client(here.principal(Role.DOCTOR), cookie=True) as client:
        form = (await client.get("/rules/spo2-low/try")).text
        assert 'name="to:parameters/limit/value"' in form
        nothing = await client.post("/rules/spo2-low/try", data={f"to:{LIMIT}": "90", "days": "1"})
        assert (nothing.status_code, "Move at least one number" in nothing.text) == (422, True)
        outside = await client.post("/rules/spo2-low/try", data={f"to:{LIMIT}": "60", "days": "1"})
        assert (outside.status_code, "outside low..high" in outside.text) == (422, True)
        wrong = await client.post("/rules/spo2-low/try", data={f"to:{LIMIT}": "low", "days": "1"})
        assert (wrong.status_code, "is not valid: low" in wrong.text) == (422, True)
        monkeypatch.undo()
        begun = await client.post("/rules/spo2-low/try", data={f"to:{LIMIT}": "86", "days": "1", "zone": ""})
        assert begun.status_code == 303
        place = begun.headers["location"]
        await ended(client, place.replace("/rules/spo2-low/try/", "/api/v1/rules/spo2-low/tries/"))
        page = (await client.get(place)).text
        for text in (
            "Alarms lost",
            "A-01 · Patient A",
            "<strong>88</strong>",
            '<svg class="chart"',
            "why-not?",
        ):
            assert text in page, text
        again = re.search(r'href="(/rules/spo2-low/try\?[^"]+)"', page)
        assert again is not None
        assert 'value="86"' in (await client.get(again[1].replace("&amp;", "&"))).text
        draft = (await client.get(f"{place}/draft")).text
        assert "value: 86" in draft
        assert "version: 3" in draft, "version 2 is a draft already"
        assert "alarms 2 → 1, lost 1" in draft
    go.set()


@pytest.mark.parametrize(("since", "left"), [(None, []), (T0, []), (None, ["x"])])
async def test_none_lost_is_said_only_of_what_was_looked_at(
    here: World, monkeypatch: pytest.MonkeyPatch, since: int | None, left: list[str]
):
    async def part(_: Scope, asked: TryAsked, __: Progress) -> Trial:
        one = TrialOfOne(asked.patients[0], days=1.0, readings=9, since=since, limits=True)
        return Trial(asked.start, asked.end, [one], left=left)

    monkeypatch.setattr(here.backend, "try_rule", part)
    async with here.client(here.principal(Role.DOCTOR), cookie=True) as client:
        form = {f"to:{LIMIT}": "86", "days": "1", "zone": ""}
        place = (await client.post("/rules/spo2-low/try", data=form)).headers["location"]
        await ended(client, place.replace("/rules/spo2-low/try/", "/api/v1/rules/spo2-low/tries/"))
        page = (await client.get(place)).text
    whole = since is None and not left
    assert ("None: every alarm of the rule as it is" in page) is whole
    assert ("None in what was looked at. 1 of 2 patients were not looked at" in page) is not whole
    assert ('class="none"' in page) is whole
    assert ("only the newest part of the time" in page) is (since is not None)
    assert "for part of the time or all of it" in page
    assert "orders, such as for SpO2 scale 2, as they were at the end" in page


async def test_a_page_in_progress_asks_again_by_itself(here: World, monkeypatch: pytest.MonkeyPatch):
    go = held(monkeypatch, here)
    async with here.client(here.principal(Role.NURSE), cookie=True) as client:
        begun = await client.post("/rules/spo2-low/try", data={f"to:{LIMIT}": "86", "days": "1"})
        place = begun.headers["location"]
        assert "every 1s" in (await client.get(place)).text
        part = await client.get(place, headers={"hx-request": "true"})
        assert "<html" not in part.text
        go.set()
        await ended(client, place.replace("/rules/spo2-low/try/", "/api/v1/rules/spo2-low/tries/"))
        assert (await client.get(place, headers={"hx-request": "true"})).headers["hx-refresh"] == "true"
        assert "no readings that this rule looks at" in (await client.get(place)).text
        begun = await client.post("/rules/spo2-low/try", data={f"to:{LIMIT}": "85", "days": "1"})
        given_up = await client.post(f"{begun.headers['location']}/cancel")
        assert given_up.status_code == 303
        assert (await client.get(f"{place}/draft")).status_code == 403, "a nurse writes no rules"


async def test_the_pages_are_chinese_for_whom_reads_chinese(here: World):
    async with here.client(here.principal(Role.DOCTOR), cookie=True, **{"accept-language": "zh"}) as client:
        assert "试算" in (await client.get("/rules/spo2-low/try")).text
        found = await client.post("/rules/spo2-low/try", data={f"to:{LIMIT}": "86", "days": "1"})
        place = found.headers["location"]
        await ended(client, place.replace("/rules/spo2-low/try/", "/api/v1/rules/spo2-low/tries/"))
        page = (await client.get(place)).text
        assert "丢失的报警" in page
        assert "血氧 88 &lt; 90" in page


async def test_a_rule_is_read_in_words_and_its_trial_s_alarms_are_listed(here: World):
    doctor, approver = (
        here.principal(Role.DOCTOR),
        Principal("usr_2", "Two", "main", frozenset({Role.DOCTOR})),
    )
    release = here.ids["main", "releaseA"]
    await here.backend.advance_release(Scope.system("main"), release, "shadow", who=doctor)
    (entry,) = [r for r in await here.backend.rules(Scope.system("main")) if r.trial]
    assert entry.trial is not None
    mine = alarm(here.ids["main", "patientA"], "trial-1", rule_hash=entry.trial.release.hash)
    here.backend.trials["main"] = [mine.model_copy(update={"started": entry.trial.since + S})]
    async with here.client(approver, cookie=True) as client:
        page = (await client.get("/rules/spo2-low")).text
    assert "/alarms/trial-1/why" in page
    assert "What it says" in page
    async with here.client(here.principal(Role.ENGINEER), cookie=True) as client:
        page = (await client.get("/rules/spo2-low")).text
    assert "trial-1" not in page, "of patients an engineer sees nothing"
    assert "/rules/spo2-low/try" not in page
