"""One suite over the port's fake and over the real records, store, rules and service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from cloud_ingest import feed
from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.notifier import Notifier
from cloud_ingest.records import Accounts, Records
from cloud_ingest.records.dead_letters import Asked
from cloud_ingest.records.limits import LimitDraft
from cloud_ingest.service import CloudService
from cloud_ingest.sources.fake import MemorySource
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.waves import SqliteWaves
from dashboards import create_app
from dashboards.backend import (
    AlarmChanged,
    AlarmQuery,
    Backend,
    DirectoryChanged,
    DirectoryError,
    EventsMissed,
    GatewayChanged,
    LiveEvent,
    ReadingQuery,
    ReadingsArrived,
)
from dashboards.cloud_backend import CloudBackend
from dashboards.fake_backend import FakeBackend
from dashboards.models import Device, Gateway, Ward
from dashboards.response_models import Act
from hearthward.core.clock import EventClock
from hearthward.core.errors import (
    AccessError,
    DeliveryPermanent,
    DeliveryTemporary,
    RuleError,
    StoreUnavailable,
)
from hearthward.core.ids import SeededIds, digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.settings import CloudSettings
from hearthward.core.telemetry import Telemetry
from hearthward.core.wave_blocks import encode_waves
from hearthward.core.waves import WaveformChunk
from hearthward.core.wire import Block, Frame, Status, encode_block, topic
from hearthward.trust.access import Principal, Role, Scope
from hearthward.trust.passwords import Passwords
from rules import RuleSet
from tests.unit.cloud_ingest.made import made_rule
from tests.unit.dashboards.webworld import alarm

S = 1_000_000_000
T0 = 1_767_225_600 * S
SCOPE = Scope.system("main")
PASSWORD = "right horse battery"  # noqa: S105 - of the tests' own people
RULES = RuleSet((made_rule(),))


class Side:
    """A backend and how to make things happen behind it."""

    backend: Backend
    clock: EventClock

    async def measure(self, device: str, metric: str, value: float, at: int, **more: Any) -> None:
        """One reading arrives, is stored and decided about."""
        raise NotImplementedError

    async def sample(self, *chunks: WaveformChunk) -> None:
        """Chunks of waveforms arrive and are stored."""
        raise NotImplementedError

    async def refuse(self, rejected: dict[str, dict[str, int]]) -> None:
        """The gateway gw-1 tells of frames that it refused."""
        raise NotImplementedError

    async def person(self, login: str, role: Role, wards: frozenset[str] | None = None) -> None:
        """Somebody who can log in with PASSWORD."""
        raise NotImplementedError

    async def link(self, login: str) -> str:
        """A one-time link's token."""
        raise NotImplementedError


def made_reading(device: str, metric: str, value: float, at: int, **more: Any) -> Reading:
    digest = digest63(device.encode(), metric.encode(), repr((at, value)).encode())
    return Reading(device, metric, value, None, None, at, at, digest=digest, profile="p", **more)


class FakeSide(Side):
    def __init__(self) -> None:
        self.clock = EventClock(T0)
        self.backend: FakeBackend = FakeBackend(self.clock)
        self.backend.shipped = RULES

    async def measure(self, device: str, metric: str, value: float, at: int, **more: Any) -> None:
        self.clock.follow(at)
        self.backend.put_readings("main", [made_reading(device, metric, value, at, **more)])
        patient = self.backend._patient_at("main", device, at)
        if metric == "spo2" and value < 90:
            text = {"en": f"SpO2 {value:g} < 90", "zh": f"血氧 {value:g} < 90"}
            self.backend.put_alarm("main", alarm(patient, f"alm_{at}", onset=at, started=at, text=text))
        elif metric == "spo2":
            for old in list(self.backend._of("main").alarms.values()):
                self.backend.put_alarm("main", old.model_copy(update={"condition": "inactive", "ended": at}))

    async def sample(self, *chunks: WaveformChunk) -> None:
        self.clock.follow(max(chunk.corrected for chunk in chunks))
        self.backend.put_waves("main", chunks)

    async def refuse(self, rejected: dict[str, dict[str, int]]) -> None:
        (gateway,) = await self.backend.items(SCOPE, "gateway")
        assert isinstance(gateway, Gateway)
        self.backend.put_gateway("main", gateway.model_copy(update={"online": True, "rejected": rejected}))

    async def person(self, login: str, role: Role, wards: frozenset[str] | None = None) -> None:
        who = Principal(f"usr_{login}", login.title(), "main", frozenset({role}), wards)
        self.backend.add_person(login, PASSWORD, who)

    async def link(self, login: str) -> str:
        self.backend.add_link("token", login)
        return "token"


class RealSide(Side):
    def __init__(self, folder: Path, rules: RuleSet = RULES) -> None:
        self.clock = EventClock(T0)
        self.records = Records.open(folder / "records.db", clock=self.clock, ids=SeededIds(1))
        self.store = SqliteStore(folder / "readings.db")
        self.waves = SqliteWaves(folder / "waves.db")
        self.source = MemorySource()
        self.service = CloudService(
            records=self.records,
            store=self.store,
            waves=self.waves,
            source=self.source,
            rules=rules,
            clock=self.clock,
            telemetry=Telemetry(),
            settings=CloudSettings(event_clock=True),
        )
        self.backend = CloudBackend(self.service, passwords=Passwords.cheap())
        self.accounts = Accounts(self.records, Passwords.cheap())
        self.seq = 0

    async def measure(self, device: str, metric: str, value: float, at: int, **more: Any) -> None:
        row = made_reading(device, metric, value, at, **more)
        await self._send(1, encode_block(ReadingBatch.of([row])), at)

    async def sample(self, *chunks: WaveformChunk) -> None:
        await self._send(len(chunks), encode_waves(chunks), max(chunk.corrected for chunk in chunks))

    async def _send(self, count: int, payload: bytes, at: int) -> None:
        block = Block(self.seq + 1, count, payload)
        self.seq += count
        frame = Frame("gw-1", "boot-1", (block,), wall=at, mono=1, event_time=True)
        sent = len(self.source.published)
        self.source.deliver(topic("main", "gw-1", "frame"), frame.encode())
        await self.source.wait_published(sent + 1)

    async def refuse(self, rejected: dict[str, dict[str, int]]) -> None:
        self.source.deliver(topic("main", "gw-1", "status"), Status(online=True, rejected=rejected).encode())

    async def person(self, login: str, role: Role, wards: frozenset[str] | None = None) -> None:
        await self.accounts.add(
            SCOPE, login=login, name=login.title(), roles=[role], password=PASSWORD, wards=wards
        )

    async def link(self, login: str) -> str:
        user = await self.records.read(lambda s: self.records.users(s).by_login(SCOPE, login))
        assert user is not None
        return (await self.accounts.make_link(SCOPE, user.id)).secret


Real = TypeVar("Real", bound=RealSide)


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[RealSide]:
    async with lived(RealSide(folder)) as side:
        yield side


@asynccontextmanager
async def lived(side: Real) -> AsyncIterator[Real]:
    running = asyncio.create_task(side.service.run(), name="cloud")
    await side.service.started.wait()
    try:
        yield side
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await side.store.close()
        await side.waves.close()
        await side.records.close()


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    async with real(tmp_path) as made:
        yield made


async def furnish(side: Side) -> dict[str, str]:
    """Ward A with a patient in a bed who wears an oximeter; ward B with an empty bed and a cuff."""
    make = side.backend.create
    ward = await make(SCOPE, "ward", {"name": "Ward A"})
    other = await make(SCOPE, "ward", {"name": "Ward B"})
    bed = await make(SCOPE, "bed", {"ward": ward.id, "label": "A-01"})
    free = await make(SCOPE, "bed", {"ward": other.id, "label": "B-01"})
    patient = await make(SCOPE, "patient", {"name": "Rosa", "mrn": "1", "birth_date": "1948-05-02"})
    second = await make(SCOPE, "patient", {"name": "Second"})
    start = T0 - 3600 * S
    stay = await make(
        SCOPE, "encounter", {"patient": patient.id, "kind": "ward", "bed": bed.id, "start": start}
    )
    await make(SCOPE, "gateway", {"id": "gw-1", "label": "Corridor", "ward": ward.id})
    device = await make(
        SCOPE,
        "device",
        {"id": "oxi", "gateway": "gw-1", "transport": "ble", "address": "C4:12:5D:00:AE:91", "interval_s": 2},
    )
    worn = await make(SCOPE, "association", {"device": device.id, "patient": patient.id, "start": start})
    return {
        "ward": ward.id,
        "other": other.id,
        "bed": bed.id,
        "free": free.id,
        "patient": patient.id,
        "second": second.id,
        "stay": stay.id,
        "worn": worn.id,
    }


async def next_of(events: AsyncIterator[LiveEvent], kind: type[Any]) -> Any:
    async with asyncio.timeout(10):
        async for event in events:
            if isinstance(event, kind):
                return event
    return None


async def test_the_directory_is_kept_and_listed(side: Side):
    ids = await furnish(side)
    wards = await side.backend.items(SCOPE, "ward")
    assert [w.name for w in wards] == ["Ward A", "Ward B"]
    stay = await side.backend.item(SCOPE, "encounter", ids["stay"])
    assert stay is not None
    assert (stay.kind, stay.bed, stay.ward, stay.end) == ("ward", ids["bed"], ids["ward"], None)
    assert await side.backend.item(SCOPE, "ward", "none") is None
    assert await side.backend.change(SCOPE, "ward", "none", {"name": "x"}) is None
    assert await side.backend.end(SCOPE, "ward", "none") is None
    changed = await side.backend.change(SCOPE, "patient", ids["patient"], {"name": "Rosa L."})
    assert changed is not None
    assert (changed.name, changed.mrn) == ("Rosa L.", "1")
    assert await side.backend.ward_of(SCOPE, ids["patient"]) == ids["ward"]
    assert await side.backend.ward_of(SCOPE, ids["second"]) is None


async def test_a_ward_says_whether_it_has_a_wall(side: Side):
    backend = side.backend
    made = await backend.create(SCOPE, "ward", {"name": "Ward W", "wall_expected": True})
    without = await backend.create(SCOPE, "ward", {"name": "Ward X"})
    assert isinstance(made, Ward)
    assert isinstance(without, Ward)
    assert (made.wall_expected, without.wall_expected) == (True, False)
    if isinstance(side, RealSide):  # from then on a wall that nobody hears is noticed
        assert {made.id, without.id} & side.service.watch._walled == {made.id}
    changed = await backend.change(SCOPE, "ward", made.id, {"wall_expected": False})
    assert isinstance(changed, Ward)
    assert not changed.wall_expected
    if isinstance(side, RealSide):
        assert made.id not in side.service.watch._walled


@pytest.mark.parametrize(
    ("kind", "fields", "field", "code"),
    [
        ("ward", {"name": "Ward A"}, "name", "taken"),
        ("bed", {"ward": "none", "label": "1"}, "ward", "unknown"),
        ("encounter", {"patient": "$patient", "kind": "home"}, "patient", "taken"),
        ("encounter", {"patient": "$second", "kind": "ward", "bed": "$bed"}, "bed", "taken"),
        ("encounter", {"patient": "$second", "kind": "ward"}, "bed", "required"),
        ("association", {"device": "oxi", "patient": "$second"}, "device", "taken"),
        ("association", {"device": "none", "patient": "$second"}, "device", "unknown"),
        ("gateway", {"id": "gw-1"}, None, "taken"),
    ],
)
async def test_refusals_name_field_and_reason(
    side: Side, kind: Any, fields: dict[str, Any], field: str | None, code: str
):
    ids = await furnish(side)
    given = {k: ids[v[1:]] if str(v).startswith("$") else v for k, v in fields.items()}
    with pytest.raises(DirectoryError) as caught:
        await side.backend.create(SCOPE, kind, given)
    assert caught.value.code == code
    assert field is None or caught.value.field == field


async def test_frames_refused_at_the_edge_are_told_of_gateway_and_device(side: Side):
    await furnish(side)
    (device,) = await side.backend.items(SCOPE, "device")
    assert isinstance(device, Device)
    assert device.rejected == {}
    told = {"oxi": {"truncated": 2, "integrity": 1}, "gone": {"malformed": 3}}
    async with side.backend.subscribe() as events:
        await side.refuse(told)
        event = await next_of(events, GatewayChanged)
    assert event.gateway.rejected == told
    (gateway,) = await side.backend.items(SCOPE, "gateway")
    assert isinstance(gateway, Gateway)
    assert gateway.rejected == told
    found = await side.backend.item(SCOPE, "device", "oxi")
    assert isinstance(found, Device)
    assert found.rejected == {"truncated": 2, "integrity": 1}


async def test_an_optional_label_may_be_cleared(side: Side):
    await furnish(side)
    for kind, key in (("gateway", "gw-1"), ("device", "oxi")):
        for label in ("Named", ""):
            changed = await side.backend.change(SCOPE, kind, key, {"label": label})  # type: ignore[arg-type]
            assert changed is not None
            assert changed.label in {label, key}  # type: ignore[union-attr]


async def test_no_login_for_a_closed_ward(side: Side):
    ids = await furnish(side)
    await side.backend.end(SCOPE, "bed", ids["free"])
    side.clock.advance(1)
    await side.backend.end(SCOPE, "ward", ids["other"])
    with pytest.raises(DirectoryError) as caught:
        await side.backend.add_user(SCOPE, user(wards=[ids["ward"], ids["other"]]), PASSWORD)
    assert (caught.value.field, caught.value.code) == ("wards", "unknown")


async def test_ending_twice_is_refused(side: Side):
    ids = await furnish(side)
    side.clock.advance(10)
    ended = await side.backend.end(SCOPE, "association", ids["worn"])
    assert ended is not None
    assert ended.end == side.clock.now_ns()
    side.clock.advance(10)
    with pytest.raises(DirectoryError) as caught:
        await side.backend.end(SCOPE, "association", ids["worn"])
    assert caught.value.code == "ended"
    assert ids["worn"] not in {a.id for a in await side.backend.items(SCOPE, "association")}


async def test_a_scope_covers_its_ward_and_nothing_else(side: Side):
    ids = await furnish(side)
    await side.measure("oxi", "spo2", 84, T0 + S)
    here = Scope("main", frozenset({ids["ward"]}))
    there = Scope("main", frozenset({ids["other"]}))
    for scope, count in ((here, 1), (there, 0)):
        assert len(await side.backend.items(scope, "patient")) == count
        assert len(await side.backend.readings(scope, ReadingQuery())) == count
        assert len(await side.backend.alarms(scope, AlarmQuery())) == count
        assert len(await side.backend.newest(scope, ids["patient"])) == count
    key = (await side.backend.alarms(here, AlarmQuery()))[0].id
    assert await side.backend.alarm(there, key) is None
    assert await side.backend.answer(there, key, Act("accept", "x")) is None
    other = Scope.system("other")
    assert await side.backend.items(other, "patient") == []
    assert list(await side.backend.readings(other, ReadingQuery())) == []


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


async def test_sessions_open_and_end(side: Side):
    await side.person("nurse", Role.NURSE)
    assert await side.backend.login("nurse", "wrong") is None
    assert await side.backend.login("nobody", PASSWORD) is None
    opened = await side.backend.login("nurse", PASSWORD)
    assert opened is not None
    assert opened.principal.roles == {Role.NURSE}
    assert await side.backend.principal(opened.token) == opened.principal
    assert await side.backend.principal("guess") is None
    await side.backend.logout(opened.token)
    assert await side.backend.principal(opened.token) is None


async def test_a_link_sets_a_password_once(side: Side):
    await side.person("boss", Role.ADMIN)
    token = await side.link("boss")
    assert await side.backend.link_login(token) == "boss"
    with pytest.raises(DirectoryError) as caught:
        await side.backend.use_link(token, "short")
    assert caught.value.field == "password"
    opened = await side.backend.use_link(token, "another long one")
    assert opened is not None
    assert await side.backend.principal(opened.token) == opened.principal
    assert await side.backend.link_login(token) is None
    assert await side.backend.use_link(token, "another long one") is None
    assert await side.backend.login("boss", "another long one") is not None


def user(**more: Any) -> dict[str, Any]:
    return {"login": "li.na", "name": "Li Na", "roles": [Role.NURSE], **more}


async def test_a_user_is_added_listed_and_logs_in(side: Side):
    ids = await furnish(side)
    await side.person("zoe", Role.ADMIN)
    made = await side.backend.add_user(SCOPE, user(login=" Li.Na", wards=[ids["ward"]]), PASSWORD)
    assert (made.login, made.roles, made.wards, made.patient) == ("li.na", ["nurse"], [ids["ward"]], None)
    assert (made.language, made.disabled) == (None, None)
    hers = user(login="rosa", roles=[Role.PATIENT], patient=ids["patient"], language="zh")
    await side.backend.add_user(SCOPE, hers, PASSWORD)
    listed = await side.backend.users(SCOPE)
    assert [(u.login, u.patient, u.language) for u in listed] == [
        ("li.na", None, None),
        ("rosa", ids["patient"], "zh"),
        ("zoe", None, None),
    ]
    assert listed[0] == made
    opened = await side.backend.login("li.na", PASSWORD)
    assert opened is not None
    assert (opened.principal.user, opened.principal.wards) == (made.id, {ids["ward"]})
    assert list(await side.backend.users(Scope.system("other"))) == []


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        (user(login="no blanks"), "login", "invalid"),
        (user(login="zoe"), "login", "taken"),
        (user(roles=[]), "roles", "required"),
        (user(roles=["captain"]), "roles", "invalid"),
        (user(roles=[Role.NURSE, Role.DISPLAY]), "roles", "invalid"),
        (user(wards=["nowhere"]), "wards", "unknown"),
        (user(roles=[Role.PATIENT]), "patient", "required"),
        (user(roles=[Role.PATIENT], patient="nobody"), "patient", "unknown"),
        (user(patient="$patient"), "patient", "invalid"),
    ],
)
async def test_a_refused_user_names_the_field(side: Side, fields: dict[str, Any], field: str, code: str):
    ids = await furnish(side)
    await side.person("zoe", Role.ADMIN)
    given = {k: ids[v[1:]] if str(v).startswith("$") else v for k, v in fields.items()}
    with pytest.raises(DirectoryError) as caught:
        await side.backend.add_user(SCOPE, given, PASSWORD)
    assert (caught.value.field, caught.value.code) == (field, code)
    assert caught.value.message.startswith(field)
    assert len(await side.backend.users(SCOPE)) == 1


async def test_a_new_password_ends_the_old_one_and_its_sessions(side: Side):
    await side.person("nurse", Role.NURSE)
    await side.person("zoe", Role.ADMIN)
    opened, other = await side.backend.login("nurse", PASSWORD), await side.backend.login("zoe", PASSWORD)
    assert opened is not None
    assert other is not None
    changed = await side.backend.set_password(SCOPE, "Nurse", "another long one")
    assert changed is not None
    assert changed.login == "nurse"
    assert await side.backend.principal(opened.token) is None
    assert await side.backend.principal(other.token) == other.principal
    assert await side.backend.login("nurse", PASSWORD) is None
    assert await side.backend.login("nurse", "another long one") is not None
    assert await side.backend.set_password(SCOPE, "nobody", PASSWORD) is None
    assert await side.backend.set_password(Scope.system("other"), "nurse", PASSWORD) is None
    with pytest.raises(DirectoryError) as caught:
        await side.backend.set_password(SCOPE, "nurse", "short")
    assert caught.value.field == "password"


async def test_part_of_the_organisation_manages_no_users(side: Side):
    ids = await furnish(side)
    await side.person("nurse", Role.NURSE)
    for scope in (Scope("main", frozenset({ids["ward"]})), Scope("main", None, ids["patient"])):
        for act in (
            side.backend.users(scope),
            side.backend.add_user(scope, user(), PASSWORD),
            side.backend.set_password(scope, "nurse", PASSWORD),
        ):
            with pytest.raises(AccessError):
                await act


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
