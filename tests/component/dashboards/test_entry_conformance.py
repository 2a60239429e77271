"""Observations by hand over the port's fake and over the real records, store, shipped rules and service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_ingest.entry import Draft, EntryError
from cloud_ingest.records import Accounts, Records
from cloud_ingest.service import CloudService
from cloud_ingest.sources.fake import MemorySource
from cloud_ingest.stores.sqlite import SqliteStore
from dashboards.app import build_app
from dashboards.backend import AlarmQuery, Backend, ReadingQuery
from dashboards.cloud_backend import CloudBackend
from dashboards.fake_backend import FakeBackend
from hearthward.core.clock import EventClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.settings import CloudSettings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role, Scope
from hearthward.trust.passwords import Passwords
from rules import load_rules

S = 1_000_000_000
T0 = 1_767_225_600 * S
SCOPE = Scope.system("main")
PASSWORD = "right horse battery"  # noqa: S105 - of the tests' own people


@dataclass
class Side:
    """A backend, its clock, and the id of the nurse Li."""

    backend: Backend
    clock: EventClock
    nurse: str


@dataclass
class RealSide(Side):
    """With what only the real product has."""

    service: CloudService
    store: SqliteStore


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[RealSide]:
    clock = EventClock(T0)
    records = Records.open(tmp_path / "records.db", clock=clock, ids=SeededIds(1))
    store = SqliteStore(tmp_path / "readings.db")
    service = CloudService(
        records=records,
        store=store,
        source=MemorySource(),
        rules=load_rules(),
        clock=clock,
        telemetry=Telemetry(),
        settings=CloudSettings(event_clock=True),
    )
    running = asyncio.create_task(service.run(), name="cloud")
    await service.started.wait()
    accounts = Accounts(records, Passwords.cheap())
    added = await accounts.add(SCOPE, login="li", name="Li Na", roles=[Role.NURSE], password=PASSWORD)
    backend = CloudBackend(service, passwords=Passwords.cheap())
    yield RealSide(backend, clock, added.id, service, store)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.close()
    await records.close()


@pytest.fixture
def fake() -> Side:
    clock = EventClock(T0)
    made = FakeBackend(clock)
    made.add_person("li", PASSWORD, Principal("usr_li", "Li Na", "main", frozenset({Role.NURSE})))
    return Side(made, clock, "usr_li")


@pytest.fixture(params=["fake", "real"])
def side(request: pytest.FixtureRequest) -> Side:
    made: Side = request.getfixturevalue(request.param)
    return made


async def furnish(side: Side) -> dict[str, str]:
    make = side.backend.create
    ward = await make(SCOPE, "ward", {"name": "Ward A"})
    other = await make(SCOPE, "ward", {"name": "Ward B"})
    bed = await make(SCOPE, "bed", {"ward": ward.id, "label": "A-01"})
    patient = await make(SCOPE, "patient", {"name": "Rosa", "birth_date": "1948-05-02"})
    stay = {"patient": patient.id, "kind": "ward", "bed": bed.id, "start": T0 - 3600 * S}
    await make(SCOPE, "encounter", stay)
    return {"ward": ward.id, "other": other.id, "patient": patient.id}


async def enter(side: Side, patient: str, values: dict[str, Any], key: str = "ent_1", **more: Any) -> Any:
    draft = Draft(key, values, **more)
    return await side.backend.enter(SCOPE, patient, draft, author=side.nurse)


async def test_what_is_entered_is_found_wherever_readings_are(side: Side):
    ids = await furnish(side)
    values = {"consciousness": "A", "respiratory_rate": 18, "pain": "3"}
    done = await enter(side, ids["patient"], values, at=T0 - 600 * S)
    shown = {(v.metric, v.value, v.code, v.source, v.author_name) for v in done}
    assert shown == {
        ("consciousness", None, "A", "manual", "Li Na"),
        ("respiratory_rate", 18.0, None, "manual", "Li Na"),
        ("pain", 3.0, None, "manual", "Li Na"),
    }
    assert {(v.time, v.received, v.author) for v in done} == {(T0 - 600 * S, T0, side.nurse)}
    assert len({v.group for v in done}) == 1
    order = sorted(done, key=lambda v: v.metric)
    assert await side.backend.newest(SCOPE, ids["patient"]) == order
    for query in (
        ReadingQuery(),
        ReadingQuery(patient=ids["patient"]),
        ReadingQuery(devices=(done[0].device,)),
        ReadingQuery(patient=ids["patient"], devices=(done[0].device,), newest=True),
    ):
        assert sorted(await side.backend.readings(SCOPE, query), key=lambda v: v.metric) == order
    own = Scope("main", patient=ids["patient"])
    seen = [
        *await side.backend.readings(own, ReadingQuery()),
        *await side.backend.newest(own, ids["patient"]),
    ]
    assert len(seen) == 6
    assert {(v.author, v.author_name) for v in seen} == {("ward", None)}, "no names of staff"
    there = Scope("main", frozenset({ids["other"]}))
    here = Scope("main", frozenset({ids["ward"]}))
    assert len(await side.backend.readings(here, ReadingQuery())) == 3
    assert not await side.backend.readings(there, ReadingQuery())
    assert not await side.backend.newest(there, ids["patient"])
    assert await side.backend.enter(there, ids["patient"], Draft("ent_2", {"pain": 1}), author="x") is None
    assert await side.backend.enter(SCOPE, "none", Draft("ent_2", {"pain": 1}), author="x") is None
    samples = {s.metric: s.value for s in await side.backend.latest(SCOPE)}
    assert samples == {"consciousness": 0.0, "respiratory_rate": 18.0, "pain": 3.0}, "A is the first code"
    (entry,) = await side.backend.roster(SCOPE)
    assert [(d.device, d.manual) for d in entry.devices] == [(done[0].device, True)]


async def test_a_repetition_is_one_entry_and_a_refusal_none(side: Side):
    ids = await furnish(side)
    first = await enter(side, ids["patient"], {"pain": 3, "symptom": "nausea"})
    side.clock.advance(30)
    assert await enter(side, ids["patient"], {"pain": 3, "symptom": "nausea"}) == first
    with pytest.raises(EntryError):
        await enter(side, ids["patient"], {"pain": 4})
    with pytest.raises(EntryError):
        await enter(side, ids["patient"], {"pain": 4, "spo2": 130}, "ent_2")
    assert len(await side.backend.readings(SCOPE, ReadingQuery(patient=ids["patient"]))) == 2


async def test_nothing_for_a_patient_who_has_left(side: Side):
    ids = await furnish(side)
    (stay,) = await side.backend.items(SCOPE, "encounter")
    await side.backend.end(SCOPE, "encounter", stay.id)
    await side.backend.end(SCOPE, "patient", ids["patient"])
    with pytest.raises(EntryError, match="no longer in care"):
        await enter(side, ids["patient"], {"pain": 4})


async def alarms(side: Side) -> set[str]:
    return {a.rule for a in await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))}


async def test_the_shipped_rules_decide_before_the_answer(real: RealSide):
    ids = await furnish(real)
    app = build_app(real.backend, telemetry=Telemetry(), ids=SeededIds(3))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ward.test")
    async with client:
        login = await client.post("/api/v1/login", json={"login": "li", "password": PASSWORD})
        client.headers["authorization"] = f"Bearer {login.json()['token']}"
        url = f"/api/v1/patients/{ids['patient']}/entries"
        calm = {"consciousness": "A", "supplemental_oxygen": "air", "respiratory_rate": 16, "pain": 2}
        assert (await client.post(url, json={"values": calm})).status_code == 201
        assert not await alarms(real)
        real.clock.advance(600)
        grave = {"consciousness": "V", "supplemental_oxygen": "oxygen", "respiratory_rate": 26}
        assert (await client.post(url, json={"values": grave})).status_code == 201
        assert "consciousness-changed" in await alarms(real)
        real.clock.advance(301)
        await real.service.pipeline.tick()
        assert {"news2-single-three", "news2-emergency"} <= await alarms(real), "8 points, though incomplete"


async def test_an_entry_that_cannot_be_stored_is_refused_whole_and_taken_later(
    real: RealSide, monkeypatch: pytest.MonkeyPatch
):
    ids = await furnish(real)

    async def full(*_: Any) -> Any:
        msg = "the disk is full"
        raise StoreUnavailable(msg)

    with monkeypatch.context() as broken:
        broken.setattr(real.store, "append_many", full)
        with pytest.raises(StoreUnavailable):
            await enter(real, ids["patient"], {"consciousness": "V"})
    assert not await real.backend.newest(SCOPE, ids["patient"])
    assert not await alarms(real)
    await enter(real, ids["patient"], {"consciousness": "V"})
    assert "consciousness-changed" in await alarms(real)
