"""From an alarm's transition to the hand-over to a channel, with 100 alarms in the same second.

The pipeline, the records (on disk, every commit fsynced) and the notifier are the product's; frames come
from a source in memory, one a patient, and the channels are local: when they take it is what is measured.
Each alarm tells its ward's wall, and two nurses in the app and by SMS; five seconds later the ward's doctor
is sent an SMS and called. The delay runs from the moment at which the rules were given the readings. A few
alarms go before, which are not measured: a server that has been running for a while has told of some.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bench.figures import Outcome
from bench.processes import work_folder
from bench.ward import RULE, write_rule
from cloud_ingest.channels.base import Handover, Message
from cloud_ingest.notifier import Notifier
from cloud_ingest.reach import Reach
from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.models import Alarm, Notification, TransitionRow, User
from cloud_ingest.service import CloudService
from cloud_ingest.sources.fake import MemorySource
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.app.edge import background
from hearthward.app.process import settle
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.ids import RandomIds, digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.settings import CloudSettings
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, Frame, encode_block, topic
from hearthward.trust.access import Scope
from rules import RuleSet, load_rules
from rules.response.policy import Policy, Step, Target, Timetable

__all__ = ["measure"]

ALARMS: Final = 100
WARDS: Final = 5
ROUNDS: Final = {"at once": 0.0, "spread over the second": 1.0}
"""How long it takes until the last of them has come (s)."""
WARM_UP: Final = 10
ESCALATES_S: Final = 5.0
TARGET_MS: Final = 250.0
PATIENCE_S: Final = 60.0
NAMES: Final = ("in_app", "sms", "voice")
TENANT: Final = "main"
SCOPE: Final = Scope.system(TENANT)
_PERSONAL: Final = ("in_app", "sms")
POLICY: Final = Policy(
    "default",
    1,
    {"en": "bench", "zh": "测量"},
    {
        "physiological.high": Timetable(
            (
                Step(0.0, (Target("wall"), Target("assigned")), _PERSONAL),
                Step(ESCALATES_S, (Target("on_duty", role="doctor"),), ("sms", "voice")),
            )
        )
    },
)


class Local:
    """A channel that takes everything at once, and remembers when."""

    confirms = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.taken: dict[str, int] = {}

    async def send(self, message: Message) -> Handover:
        """Take it."""
        self.taken.setdefault(message.id, time.time_ns())
        return Handover(message.id)

    async def check(self) -> None:
        """It is always there."""

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """What is measured."""

    records: Records
    source: MemorySource
    channels: dict[str, Local]


def measure() -> Outcome:
    """Both rounds, each with patients of its own."""
    return asyncio.run(_measure())


async def _measure() -> Outcome:
    outcome = Outcome(
        "escalation",
        f"{ALARMS} alarms in the same second, {WARDS} wards, 5 hops each, then 2 more after "
        f"{ESCALATES_S:g} s; records on disk, local channels",
    )
    with work_folder() as folder:
        async with _running(folder) as cloud:
            await _arrive(cloud, range(WARM_UP), 1.0)
            await _settled(cloud, WARM_UP)
            for n, (name, seconds) in enumerate(ROUNDS.items()):
                first = WARM_UP + n * ALARMS
                patients = range(first, first + ALARMS)
                await _arrive(cloud, patients, seconds)
                await _settled(cloud, patients.stop)
                _add(outcome, name, await _delays(cloud, patients))
    return outcome


def _add(outcome: Outcome, name: str, delays: dict[str, list[float]]) -> None:
    for what, found in delays.items():
        cut = quantiles(found, n=100, method="inclusive")
        outcome.add(f"{name}, {what}: p50", cut[49], "ms")
        outcome.add(f"{name}, {what}: p99", cut[98], "ms", target=TARGET_MS, note=f"{len(found)} hand-overs")


# -- the cloud


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[Cloud]:
    clock, telemetry, ids = SystemClock(), Telemetry(), RandomIds()
    records = await asyncio.to_thread(Records.open, folder / "records.db", clock=clock, ids=ids)
    store = await asyncio.to_thread(SqliteStore, folder / "series.db")
    await records.run(_furnish(records, clock.now_ns() - SECOND))
    source, channels = MemorySource(), {name: Local(name) for name in NAMES}
    rules = RuleSet((load_rules(write_rule(folder / "rules")).by_id[RULE],))
    service = CloudService(
        records=records,
        store=store,
        source=source,
        rules=rules,
        clock=clock,
        telemetry=telemetry,
        settings=CloudSettings(tenant=TENANT),
        notifier=Notifier(records, list(channels.values()), clock, ids, telemetry),
        reach=Reach(dict(channels), policies={POLICY.id: POLICY}),
    )
    try:
        async with background(service.run, "cloud"):
            await service.started.wait()
            await source.wait_connected()
            settle()
            yield Cloud(records, source, channels)
    finally:
        await store.close()
        await records.close()


def _furnish(records: Records, since: int) -> Callable[[Session], None]:
    def furnish(session: Session) -> None:
        directory = Directory(session, now=since, ids=records.ids)
        for ward in range(WARDS):
            directory.wards.create(SCOPE, name=f"Ward {ward}", ident=f"w{ward}")
            for n, role in enumerate(("nurse", "nurse", "doctor")):
                user = f"usr_{ward}_{n}"
                phone = f"+4930{ward}{n}00000"
                session.add(
                    User(
                        tenant=TENANT,
                        id=user,
                        login=user,
                        name=user,
                        roles=[role],
                        wards=[f"w{ward}"],
                        phone=phone,
                        created=since,
                    )
                )
        for n in range(WARM_UP + len(ROUNDS) * ALARMS):
            patient = f"pat_{n}"
            directory.gateways.create(SCOPE, ident=f"gw-{n}", ward=f"w{n % WARDS}")
            directory.devices.create(
                SCOPE, gateway=f"gw-{n}", transport="ble", address=f"A{n}", ident=f"d{n}"
            )
            directory.patients.create(SCOPE, name=f"Patient {n}", ident=patient)
            directory.encounters.create(
                SCOPE, patient=patient, kind="home", ward=f"w{n % WARDS}", start=since
            )
            directory.associations.create(SCOPE, device=f"d{n}", patient=patient, start=since)

    return furnish


# -- the second


async def _arrive(cloud: Cloud, patients: range, seconds: float) -> None:
    """Readings that breach the limit, each from a gateway of its own."""
    loop = asyncio.get_running_loop()
    start = loop.time() + 0.1
    for n, patient in enumerate(patients):
        await asyncio.sleep(max(0.0, start + seconds * n / len(patients) - loop.time()))
        cloud.source.deliver(topic(TENANT, f"gw-{patient}", "frame"), _frame(patient))


def _frame(n: int) -> bytes:
    now = time.time_ns()
    reading = Reading(
        device=f"d{n}",
        metric="spo2",
        value=82.0,
        code=None,
        device_time=None,
        received=now,
        corrected=now,
        digest=digest63(str(n).encode()),
        profile="0123456789abcdef",
    )
    block = Block(1, 1, encode_block(ReadingBatch.of([reading])))
    frame = Frame(f"gw-{n}", f"boot-{n}", (block,), mono=time.monotonic_ns(), wall=now, synchronised=True)
    return frame.encode()


async def _settled(cloud: Cloud, alarms: int) -> None:
    """Wait until every alarm has taken its second step and nothing waits to be sent."""
    escalated = select(func.count()).select_from(TransitionRow).where(TransitionRow.kind == "tell")
    waiting = select(func.count()).select_from(Notification).where(Notification.state == "queued")
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await asyncio.sleep(0.5)
            told = await cloud.records.read(lambda s: s.scalar(escalated))
            left = await cloud.records.read(lambda s: s.scalar(waiting))
            if told == alarms and not left:
                return


async def _delays(cloud: Cloud, patients: range) -> dict[str, list[float]]:
    """Milliseconds from the decision to the hand-over, for each step and the channels together."""
    query = (
        select(Notification, TransitionRow.recorded)
        .join(
            TransitionRow,
            (TransitionRow.alarm == Notification.alarm)
            & (TransitionRow.seq == Notification.seq)
            & (TransitionRow.ordinal == Notification.ordinal),
        )
        .join(Alarm, Alarm.id == Notification.alarm)
        .where(Alarm.patient.in_([f"pat_{n}" for n in patients]))
    )
    out: defaultdict[str, list[float]] = defaultdict(list)
    for row, decided in await cloud.records.read(lambda s: s.execute(query).all()):
        handed = cloud.channels[row.channel].taken[row.message or row.id]
        out["second step" if row.step else "first step"].append((handed - decided) / 1e6)
    return dict(out)
