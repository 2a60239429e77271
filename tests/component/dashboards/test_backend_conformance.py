"""One suite over the port's fake and over the real records, store, rules and service."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_ingest import feed
from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.notifier import Notifier
from cloud_ingest.records.dead_letters import Asked
from cloud_ingest.records.limits import LimitDraft
from dashboards import create_app
from dashboards.backend import (
    AlarmChanged,
    AlarmQuery,
    DirectoryChanged,
    DirectoryError,
    EventsMissed,
    ReadingQuery,
    ReadingsArrived,
)
from dashboards.response_models import Act
from hearthward.core.errors import (
    DeliveryPermanent,
    DeliveryTemporary,
    RuleError,
    StoreUnavailable,
)
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role, Scope
from tests.component.dashboards.sides import PASSWORD, SCOPE, T0, S, Side, furnish, next_of, real


async def test_readings_follow_the_patient_through_associations(side: Side):
    ids = await furnish(side)
    for n in range(4):
        await side.measure("oxi", "spo2", 95 + n, T0 + (n + 1) * S)
    side.clock.follow(T0 + 10 * S)
    await side.backend.end(SCOPE, "association", ids["worn"], T0 + 5 * S)
    await side.backend.create(
        SCOPE, "association", {"device": "oxi", "patient": ids["second"], "start": T0 + 6 * S}
    )
    await side.measure("oxi", "spo2", 91, T0 + 11 * S)
    mine = await side.backend.readings(SCOPE, ReadingQuery(patient=ids["patient"]))
    assert [v.value for v in mine] == [95, 96, 97, 98]
    assert {v.unit for v in mine} == {"%"}
    hers = await side.backend.readings(SCOPE, ReadingQuery(patient=ids["second"]))
    assert [v.value for v in hers] == [91]
    span = ReadingQuery(devices=("oxi",), metrics=("spo2",), start=T0 + 2 * S, end=T0 + 4 * S)
    assert [v.value for v in await side.backend.readings(SCOPE, span)] == [96, 97]
    newest = replace(span, end=2**62, limit=2, newest=True)
    assert [v.value for v in await side.backend.readings(SCOPE, newest)] == [98, 91]
    assert [v.value for v in await side.backend.newest(SCOPE, ids["second"])] == [91]
    assert [v.value for v in await side.backend.newest(SCOPE, ids["patient"])] == [98], (
        "before it was taken off"
    )


async def test_what_a_device_measured_before_it_was_taken_off_is_known_until_the_stay_ends(side: Side):
    ids = await furnish(side)
    await side.measure("oxi", "spo2", 95, T0 + S)
    side.clock.follow(T0 + 10 * S)
    await side.backend.end(SCOPE, "association", ids["worn"])
    assert [v.value for v in await side.backend.newest(SCOPE, ids["patient"])] == [95]
    side.clock.follow(T0 + 20 * S)
    await side.backend.end(SCOPE, "encounter", ids["stay"])
    again = {"patient": ids["patient"], "kind": "home", "start": T0 + 30 * S}
    side.clock.follow(T0 + 30 * S)
    await side.backend.create(SCOPE, "encounter", again)
    assert list(await side.backend.newest(SCOPE, ids["patient"])) == [], "of an earlier stay"


async def test_roster_and_latest_start_a_wall(side: Side):
    ids = await furnish(side)
    await side.measure("oxi", "spo2", 97, T0 + S)
    await side.measure("oxi", "spo2", 96, T0 + 2 * S)
    (entry,) = await side.backend.roster(SCOPE)
    assert (entry.name, entry.bed_label, entry.ward_name, entry.home) == ("Rosa", "A-01", "Ward A", False)
    device, hand = entry.devices
    assert (device.manual, hand.manual) == (False, True)
    assert (device.device, device.gateway, device.interval_s) == ("oxi", "gw-1", 2)
    assert [s.value for s in await side.backend.latest(SCOPE) if s.metric == "spo2"] == [96]
    assert (await side.backend.last_seen(SCOPE))["oxi"] == T0 + 2 * S
    assert ids


async def test_what_happens_is_told_to_subscribers(side: Side):
    await furnish(side)
    async with side.backend.subscribe() as events:
        await side.measure("oxi", "spo2", 84, T0 + S)
        arrived = await next_of(events, ReadingsArrived)
        assert [(s.device, s.value) for s in arrived.samples] == [("oxi", 84)]
        changed = await next_of(events, AlarmChanged)
        assert changed.alarm.condition == "active"
        await side.backend.create(SCOPE, "ward", {"name": "New"})
        assert (await next_of(events, DirectoryChanged)).tenant == "main"


async def test_a_listener_that_is_too_slow_is_told_what_it_missed(tmp_path: Path):
    async with real(tmp_path) as made, made.backend.subscribe() as events:
        for _ in range(feed.MAX_WAITING + 1):
            made.service.feed.publish(feed.ClockMoved(T0))
        assert (await next_of(events, EventsMissed)).tenant == "main"


async def test_an_alarm_begins_is_accepted_and_ends(side: Side):
    ids = await furnish(side)
    await side.measure("oxi", "spo2", 84, T0 + S)
    (found,) = await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))
    assert (found.patient, found.rule, found.priority, found.limit) == (
        ids["patient"],
        "spo2-low",
        "high",
        "< 90",
    )
    assert found.text["en"] == "SpO2 84 < 90"
    assert found.text["zh"]
    assert found.onset == T0 + S
    done = await side.backend.answer(SCOPE, found.id, Act("accept", "Li Na", note="going"))
    assert done is not None
    assert (done.accepted_by, done.accepted_name) == ("Li Na", "Li Na"), "an old row holds a name"
    detail = await side.backend.alarm(SCOPE, found.id)
    assert detail is not None
    assert (detail.transitions[-1].kind, detail.transitions[-1].actor) == ("accept", "Li Na")
    assert await side.backend.answer(SCOPE, "none", Act("accept", "x")) is None
    await side.measure("oxi", "spo2", 97, T0 + 2 * S)
    assert list(await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))) == []
    with pytest.raises(RuleError):
        await side.backend.answer(SCOPE, found.id, Act("accept", "late"))


async def test_the_audit_keeps_what_was_done(side: Side):
    who = Principal("usr_x", "X", "main", frozenset({Role.ADMIN}))
    await side.backend.audit(who, "view_patient", "patient", target="pat_1", detail={"n": 1})
    await side.backend.audit(who, "view_audit", "audit", outcome="refused")
    first, second = await side.backend.audit_entries(SCOPE)
    assert (first.outcome, second.target, second.detail) == ("refused", "pat_1", {"n": 1})
    assert (await side.backend.dead_letters(SCOPE, Asked())).items == []
    assert await side.backend.ready() == {}


async def test_readiness_names_each_part_in_trouble(tmp_path: Path):
    async with real(tmp_path) as side:
        await furnish(side)
        await side.source.wait_connected()
        assert await side.backend.ready() == {}
        failing, store = asyncio.Event(), side.store.append_many

        async def full(*_: Any) -> Any:
            failing.set()
            msg = "disk full"
            raise StoreUnavailable(msg)

        side.store.append_many = full  # type: ignore[method-assign]
        measuring = asyncio.create_task(side.measure("oxi", "spo2", 97, T0 + S))
        await failing.wait()
        await asyncio.sleep(0)
        assert "cannot be written" in (await side.backend.ready())["ingest"]
        side.store.append_many = store  # type: ignore[method-assign]
        await measuring
        assert await side.backend.ready() == {}
        side.source.cut()
        assert list(await side.backend.ready()) == ["broker"]
    assert set(await side.backend.ready()) == {"ingest", "broker"}


async def test_a_failed_delivery_is_seen_on_its_alarm(tmp_path: Path):
    """Also what nobody has tried to send yet."""
    async with real(tmp_path) as side:
        await furnish(side)
        await side.measure("oxi", "spo2", 84, T0 + S)
        (row,) = await side.backend.alarms(SCOPE, AlarmQuery())

        async def told() -> list[tuple[str, str, int, str]]:
            seen = await side.backend.alarm(SCOPE, row.id)
            assert seen is not None
            return [(d.channel, d.state, d.attempt, d.reason) for d in seen.deliveries]

        assert await told() == [("in_app", "queued", 0, "")]
        channel, telemetry = FakeChannel("in_app"), Telemetry()
        channel.fail(DeliveryTemporary("line busy"), DeliveryPermanent("no such number"))
        notifier = Notifier(side.records, [channel], side.clock, SeededIds(1), telemetry)
        await notifier.send_due()
        side.clock.advance(3600)
        await notifier.send_due()
        assert await told() == [
            ("in_app", "temporary", 1, "line busy"),
            ("in_app", "failed", 2, "no such number"),
        ]
        assert telemetry.value("deliveries_total", channel="in_app", outcome="failed") == 1


async def test_correcting_an_association_attributes_anew(side: Side):
    """Whose the readings are is found when they are read; those that come later follow the correction."""
    ids = await furnish(side)
    for n in range(4):
        await side.measure("oxi", "spo2", 95 + n, T0 + (n + 1) * S)

    async def values(patient: str) -> list[float | None]:
        found = await side.backend.readings(SCOPE, ReadingQuery(patient=ids[patient]))
        return [v.value for v in found]

    corrected = await side.backend.change(
        SCOPE, "association", ids["worn"], {"patient": ids["second"], "start": T0 + 2 * S}
    )
    assert corrected is not None
    assert (await values("patient"), await values("second")) == ([], [96, 97, 98])
    await side.measure("oxi", "spo2", 84, T0 + 9 * S)
    assert (await values("second"))[-1] == 84
    (alarm_now,) = await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))
    assert alarm_now.patient == ids["second"]
    (entry,) = [e for e in await side.backend.roster(SCOPE) if e.patient == ids["patient"]]
    assert [d.manual for d in entry.devices] == [True], "only what is entered by hand"


async def test_the_application_over_the_real_service_serves_a_wall(tmp_path: Path):
    async with real(tmp_path) as side:
        ids = await furnish(side)
        await side.person("nurse", Role.NURSE, frozenset({ids["ward"]}))
        app = create_app(side.service, telemetry=Telemetry())
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://ward.test") as client,
        ):
            login = {"login": "nurse", "password": PASSWORD}
            token = (await client.post("/api/v1/login", json=login)).json()["token"]
            client.headers["authorization"] = f"Bearer {token}"
            await side.measure("oxi", "spo2", 84, T0 + S)
            tiles: list[dict[str, Any]] = []
            async with asyncio.timeout(20):
                while not tiles or not tiles[0]["a"]:
                    await asyncio.sleep(0.01)
                    tiles = (await client.get("/api/v1/wall")).json()["tiles"]
            assert tiles[0]["v"]["spo2"][:2] == ["84", "live"]
            assert tiles[0]["a"][0]["text"]["en"] == "SpO2 84 < 90"
            key = tiles[0]["a"][0]["id"]
            done = await client.post(f"/api/v1/alarms/{key}/accept")
            assert done.json()["accepted_name"] == "Nurse"
            stored = await client.get("/api/v1/readings", params={"patient": ids["patient"]})
            assert [v["value"] for v in stored.json()["items"]] == [84]
            again = await client.post(f"/api/v1/alarms/{key}/accept")
            assert again.status_code in {200, 409}
        entries = await side.backend.audit_entries(SCOPE)
        assert "accept_alarm" in {e.action for e in entries}


async def test_why_an_alarm_fired_is_told_within_the_scope(side: Side):
    ids = await furnish(side)
    await side.measure("oxi", "spo2", 84, T0 + S)
    (alarm,) = await side.backend.alarms(SCOPE, AlarmQuery())
    found = await side.backend.why(SCOPE, alarm.id)
    assert found is not None
    assert (found.id, found.kind, found.patient, found.state) == (alarm.id, "alarm", ids["patient"], "active")
    assert (found.rule.id, found.onset, found.accepted_by) == ("spo2-low", T0 + S, None)
    assert found.text["en"] == "SpO2 84 < 90"
    assert await side.backend.why(SCOPE, "none") is None
    assert await side.backend.why(Scope("main", frozenset({ids["other"]})), alarm.id) is None
    assert await side.backend.why(Scope("main", patient=ids["second"]), alarm.id) is None
    assert await side.backend.why(Scope("main", patient=ids["patient"]), alarm.id) is not None


async def test_why_a_rule_did_not_fire_is_told_within_the_scope(side: Side):
    ids = await furnish(side)
    await side.measure("oxi", "spo2", 96, T0 + S)
    who = Principal("usr_1", "Dr Li", "main", frozenset({Role.DOCTOR}))
    await side.backend.set_limit(SCOPE, ids["patient"], LimitDraft("spo2-low", "limit", 92, "COPD"), who=who)
    await side.measure("oxi", "spo2", 93, T0 + 5 * S)
    found = await side.backend.why_not(SCOPE, ids["patient"], "spo2-low", T0 + 5 * S)
    assert found is not None
    assert (found.outcome, found.alarm) == ("blocked", None)
    assert [r.code for r in found.reasons] == ["not_met"]
    assert "SpO2 93 % is not below 92" in found.text["en"]
    assert "limit set by Dr Li" in found.text["en"]
    assert found.predicates is not None
    assert (found.predicates.value, found.predicates.limit, found.predicates.blocks) == (93, 92, True)
    await side.measure("oxi", "spo2", 80, T0 + 10 * S)
    found = await side.backend.why_not(SCOPE, ids["patient"], "spo2-low", T0 + 10 * S)
    assert found is not None
    assert (found.outcome, found.alarm) == ("fired", (await side.backend.alarms(SCOPE, AlarmQuery()))[0].id)
    elsewhere = Scope("main", frozenset({ids["other"]}))
    assert await side.backend.why_not(elsewhere, ids["patient"], "spo2-low", T0 + S) is None
    assert await side.backend.why_not(SCOPE, "none", "spo2-low", T0 + S) is None
    for rule, when, field, code in (
        ("none", T0 + S, "rule", "unknown"),
        ("spo2-low", T0 + 900 * S, "at", "future"),
    ):
        with pytest.raises(DirectoryError) as caught:
            await side.backend.why_not(SCOPE, ids["patient"], rule, when)
        assert (caught.value.field, caught.value.code) == (field, code)
