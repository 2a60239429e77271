"""The port's fake and the real records, store, rules and service, to be asked the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from cloud_ingest.device_health.remaining_life import Learned
from cloud_ingest.records import Accounts, Records
from cloud_ingest.service import CloudService
from cloud_ingest.sources.fake import MemorySource
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.waves import SqliteWaves
from dashboards.backend import (
    Backend,
    LiveEvent,
)
from dashboards.cloud_backend import CloudBackend
from dashboards.fake_backend import FakeBackend
from dashboards.models import Gateway
from hearthward.core.clock import EventClock
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


@cache
def empty_records() -> bytes:
    """A database that the migrations have made: made once, every real side begins with a copy."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        Records.open(path, clock=EventClock(T0), ids=SeededIds(1)).close_now()
        return path.read_bytes()


class RealSide(Side):
    def __init__(
        self,
        folder: Path,
        rules: RuleSet = RULES,
        lives: Mapping[str, Learned] | None = None,
        settings: CloudSettings | None = None,
    ) -> None:
        self.clock = EventClock(T0)
        (folder / "records.db").write_bytes(empty_records())
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
            settings=settings or CloudSettings(event_clock=True),
            lives=lives,
        )
        self.backend = CloudBackend(self.service, passwords=Passwords.cheap())
        self.accounts = Accounts(self.records, Passwords.cheap())
        self.seq = 0

    async def measure(self, device: str, metric: str, value: float, at: int, **more: Any) -> None:
        row = made_reading(device, metric, value, at, **more)
        await self._send(1, encode_block(ReadingBatch.of([row])), at)

    async def report(self, readings: Sequence[Reading]) -> None:
        """Many readings arrive at once."""
        await self._send(len(readings), encode_block(ReadingBatch.of(readings)), readings[-1].received)

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
    async with lived(RealSide(folder, RULES)) as side:
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


def user(**more: Any) -> dict[str, Any]:
    return {"login": "li.na", "name": "Li Na", "roles": [Role.NURSE], **more}
