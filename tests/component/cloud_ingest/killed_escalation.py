"""A ward whose alarms escalate, killed again and again: ``python -m ... FOLDER SEED KILLS``.

Like ``killed``, with people on duty, a timetable of seconds, everything that people can do with an alarm,
and a notifier that hands messages to channels on this machine. Each line that those write is a message that
somebody got; the file outlives every kill.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import zlib
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud_ingest import notifier as notifying
from cloud_ingest.channels.base import Handover, Message
from cloud_ingest.duty import load_duty
from cloud_ingest.feed import Feed
from cloud_ingest.notifier import Notifier, Undelivered
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.records import Records
from cloud_ingest.records.models import Notification, Ward
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.core.clock import SECOND, EventClock, SystemClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary, RuleError
from hearthward.core.ids import RandomIds, SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame
from rules import Context, RuleSet, load_rules
from rules.model import Command
from rules.response.model import Response
from rules.response.policy import Policy, Step, Target, Timetable
from rules.rule import Kind, Priority
from tests.component.cloud_ingest import killed
from tests.component.cloud_ingest.killed import GATEWAYS, SENT_AGAIN, next_frame
from tests.unit.cloud_ingest.ward import SCOPE, T0, TENANT, block, enrol, frame, message, reading

WARD = "ward-1"
STAFF = {
    "usr_1": (("nurse",), ("nurse",), "+12025550101"),
    "usr_2": (("nurse",), ("nurse",), "+12025550102"),
    "usr_3": (("nurse",), ("charge",), None),
    "usr_4": (("doctor",), ("doctor",), "+12025550104"),
}
"""Roles, what they are on duty as, and telephone; the charge nurse has none."""
NURSES = tuple(STAFF)[:3]
TABLE = Timetable(
    (
        Step(0.0, (Target("wall"), Target("assigned")), ("in_app", "sms")),
        Step(3.0, (Target("on_duty", role="nurse"),), ("sms",)),
        Step(7.0, (Target("on_duty", role="charge"), Target("on_duty", role="doctor")), ("in_app", "voice")),
    ),
    repeat_s=6.0,
    remind_s=5.0,
    redirect_s=2.0,
)
KINDS: tuple[Kind, ...] = ("physiological", "technical")
PRIORITIES: tuple[Priority, ...] = ("high", "medium", "low")
SHORT = Policy(
    "default", 1, {"en": "Short", "zh": "短"}, {f"{k}.{p}": TABLE for k in KINDS for p in PRIORITIES}
)
CHANNELS = ("in_app", "sms", "voice")
RULES = RuleSet(tuple(r for r in load_rules() if r.id in {"spo2-low", "spo2-very-low", "heart-rate-high"}))
LESS: dict[str, Priority] = {"spo2-low": "medium", "spo2-very-low": "high"}
OTHER = RuleSet(tuple(replace(r, priority=LESS[r.id]) for r in RULES if r.id in LESS))
"""At times the one is less urgent and the other not looked for: alarms get worse, better, and are reset."""
HANDED = "handed.jsonl"
KNOWN = {f"pat_{i}": Context(setting="ward", adult=True) for i in (1, 2, 3)}


class Told:
    """A channel to a file: what is written there, somebody has got. Some of its hand-overs fail.

    How is by the message: refused for good (never written), at first not reached, or taken without an
    answer (written, and yet to be tried again).
    """

    confirms = False

    def __init__(self, name: str, file: int) -> None:
        self.name = name
        self._file = file
        self._tried: set[str] = set()
        self.taken: list[str] = []

    async def send(self, message: Message) -> Handover:
        fate, first = zlib.crc32(message.id.encode()) % 10, message.id not in self._tried
        self._tried.add(message.id)
        if fate == 0 and self.name == "sms":
            msg = "refused"
            raise DeliveryPermanent(msg)
        if fate == 1 and first:
            msg = "not reached"
            raise DeliveryTemporary(msg)
        got = [message.id, self.name, message.target, message.text]
        os.write(self._file, json.dumps(got).encode() + b"\n")
        await asyncio.sleep(0)  # between the hand-over and its record
        if fate == 2 and first:
            msg = "no answer in time"
            raise DeliveryTemporary(msg)
        self.taken.append(message.id)
        return Handover(f"ref-{message.id}")

    async def check(self) -> None:
        """It can be used."""

    async def close(self) -> None:
        """There is nothing to close: the file is the life's."""


def frame_of(n: int) -> Frame:
    """One second of three patients: each is ill for half a minute, badly at times, not all at once."""
    gateway = n % len(GATEWAYS)
    device = f"dev_{gateway + 1}"
    ill, worse = (n + 25 * gateway) % 75 < 36, (n + 25 * gateway) % 75 in range(10, 22)
    rng = random.Random(n)
    low = rng.randint(70, 78) if worse else rng.randint(82, 88)
    rows = []
    for back in (2.0, 1.0, 0.0):
        at = n - back
        rows += [
            reading(at, float(low if ill else 97), device=device),
            reading(at, float(150 if ill and gateway else 72), device=device, metric="heart_rate"),
        ]
    return frame(block(20 * n + 1, *rows), gateway=GATEWAYS[gateway], at=float(n))


def rules_at(n: int) -> RuleSet:
    return RULES if n // 15 % 2 == 0 else OTHER


def settle_in(records: Records) -> None:
    """The ward, its patients and staff; all on duty for a month."""
    for i, gateway in enumerate(GATEWAYS, 1):
        enrol(records, gateway, (f"dev_{i}",))

    def write(session: Session) -> None:
        directory = records.directory(session)
        directory.wards.create(SCOPE, name="Ward", ident=WARD)
        for i in (1, 2, 3):
            bed = directory.beds.create(SCOPE, ward=WARD, label=f"{i}")
            directory.encounters.create(SCOPE, patient=f"pat_{i}", kind="ward", bed=bed.id, start=T0 - SECOND)
        for user, (roles, duties, phone) in STAFF.items():
            records.users(session).add(SCOPE, login=user, name=user, roles=roles, ident=user)
            records.staff(session).set_contacts(SCOPE, user, phone=phone, email=None)
            for role in duties:
                records.shifts(session).add(
                    SCOPE, user=user, role=role, ward=WARD, start=T0 - SECOND, end=T0 + 30 * 86_400 * SECOND
                )
        for i, user in enumerate(NURSES[:2], 1):
            records.assignments(session).assign(SCOPE, f"pat_{i}", user=user, by="usr_3")

    records.run_now(write)


async def live(folder: Path, until: int, ready: int | None) -> None:
    """One life; one that comes to ``until`` sends all that is due before it ends."""
    notifying.FIRST_WAIT_S = 0.002  # type: ignore[misc]
    clock = EventClock(T0)
    records = Records.open(folder / "records.db", clock=clock, ids=SeededIds(1), tenant=TENANT)
    store = SqliteStore(folder / "series.db")
    if await records.read(lambda s: s.scalar(select(func.count()).select_from(Ward))) == 0:
        await asyncio.to_thread(settle_in, records)
    file = os.open(folder / HANDED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    told = [Told(name, file) for name in CHANNELS]
    life = _Life(records, store, clock, told)
    first = await records.read(next_frame)
    await life.pipeline.start(rules_at(first))
    await life.know()
    sending = asyncio.create_task(life.notifier.run(), name="notifier")
    if ready is not None:
        os.write(ready, b"r")
    for n in range(max(0, first - SENT_AGAIN), until):
        life.pipeline.offer(message(frame_of(n)))
        await life.pipeline.process_waiting()
        await life.pipeline.tick()
        await life.act(n)
    await life.sent()
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    await life.pipeline.close()
    await store.close()
    await records.close()
    os.close(file)


class _Life:
    """Pipeline and notifier as the cloud joins them, and the people."""

    def __init__(self, records: Records, store: SqliteStore, clock: EventClock, channels: list[Told]) -> None:
        telemetry = Telemetry()
        self.records, self.channels = records, channels
        self.notifier = Notifier(
            records, channels, SystemClock(), RandomIds(), telemetry, undelivered=self.undelivered
        )
        self.pipeline = Pipeline(
            TENANT,
            records,
            store,
            _nowhere,
            feed=Feed(),
            clock=clock,
            telemetry=telemetry,
            wake=self.notifier.wake,
        )

    async def undelivered(self, what: Undelivered) -> None:
        to = f"{what.channel}:{what.who}"
        await self.pipeline.act(Command(0, 0, "undelivered", what.alarm, "@notifier", what.reason, to=to))

    async def know(self) -> None:
        load = partial(load_duty, tenant=TENANT, now=T0, channels=CHANNELS, endpoints={}, shipped=[SHORT])
        await self.pipeline.know(KNOWN, await self.records.read(load))

    async def act(self, n: int) -> None:
        """What somebody does about then with the alarms that there are."""
        pipeline = self.pipeline
        if n % 15 == 0:
            await pipeline.configure(rules_at(n))
        if n % 9 == 4 and (taken := self.channels[1].taken):
            await self.notifier.confirmed(taken[-1], "failed", "30003")
        rng = random.Random(1000 + n)
        found = sorted(pipeline.state.responses.open.values(), key=lambda r: (r.started, r.alarm))
        if not found or rng.random() < 0.4:
            return
        with suppress(RuleError):
            await pipeline.act(rng.choice(deeds(rng.choice(found), rng, T0 + n * SECOND)))

    async def sent(self) -> None:
        """Return when nothing waits to be sent or to be told to escalation."""
        waiting = select(func.count()).where(
            (Notification.state == "queued") | Notification.unreported.is_not(None)
        )
        while await self.records.read(lambda s: s.scalar(waiting)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


def deeds(alarm: Response, rng: random.Random, now: int) -> list[Command]:
    """What somebody may do about an alarm, whether or not they can."""
    user, other, name = rng.choice(tuple(STAFF)), rng.choice(tuple(STAFF)), alarm.alarm
    out = [
        Command(0, 0, "accept", name, user),
        Command(0, 0, "redirect", name, user, to=other),
        Command(0, 0, "note", name, user, "seen"),
        Command(0, 0, "pause_audio", name, user, until=now + 4 * SECOND),
        Command(0, 0, "pause_alarms", "", user, "washing", alarm.subject, now + 5 * SECOND),
        Command(0, 0, "resume", "", user, subject=alarm.subject),
    ]
    if alarm.owner is None:
        return [*out, Command(0, 0, "reject", name, user, "busy"), Command(0, 0, "acknowledge", name, user)]
    return [
        Command(0, 0, "release", name, alarm.owner),
        Command(0, 0, "take_over", name, user),
        Command(0, 0, "acknowledge", name, alarm.owner),
        out[1],
    ]


async def _nowhere(_topic: str, _payload: bytes) -> None:
    """Receipts get lost, too."""


if __name__ == "__main__":
    killed.main(live, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), longer=3)
