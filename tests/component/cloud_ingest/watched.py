"""A whole cloud in this process under a clock that the test steps: shipped rules, policies, fake channels.

Everything that gives signs of life does so, until the test takes it away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from shutil import copyfile

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

import rules
from cloud_ingest import books, maintenance, notifier, timers, watch
from cloud_ingest import emergency as emergency_module
from cloud_ingest.channels import FakeChannel
from cloud_ingest.emergency import Emergency
from cloud_ingest.notifier import Notifier
from cloud_ingest.pulse import WEB
from cloud_ingest.reach import Reach
from cloud_ingest.records import Records
from cloud_ingest.records.accounts import Accounts
from cloud_ingest.records.models import Alarm, Notification
from cloud_ingest.service import CloudService
from cloud_ingest.sources import MemorySource
from cloud_ingest.stores import MemoryStore
from cloud_ingest.stores.base import Tell
from cloud_ingest.telling.wording import Wording
from firmware_profiles import load_catalog as profiles
from hearthward.app.seed import WARD_ID, enter_plan
from hearthward.app.ward import PlannedDevice, PlannedPatient, WardPlan
from hearthward.core.clock import SECOND
from hearthward.core.ids import SeededIds
from hearthward.core.settings import CloudSettings
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, ConfigDocument, Frame, Gap, Status, topic
from hearthward.trust.passwords import Passwords
from rules.response import policies
from tests.unit.cloud_ingest.ward import SCOPE, T0, HandClock, block, live, reading

__all__ = ["HOME", "Watched", "furnished", "watched"]

STEP_S = 10.0
"""Every part gives a sign of life in each step."""
SOON_S = 0.004
"""What real parts do every few seconds, these do every few milliseconds."""
WITHIN_S = 20.0
TRIES = 100
HOME = "pat-home"
_REAL_TIMES = (
    (timers, "PROBE_EVERY_S", SOON_S),
    (maintenance, "MAINTENANCE_S", 0.05),
    (notifier, "IDLE_S", SOON_S),
    (emergency_module, "CHECK_S", SOON_S),
    (watch, "LOOK_S", SOON_S),
    (books, "WRITE_S", SOON_S),
    (books, "LOOK_EVERY", 1),
)
_PLAN = WardPlan(
    "Ward",
    "gw-1",
    (
        PlannedPatient("pat-ward", "Ward Patient", "1", (PlannedDevice("ox-1", "masimo", 1.0, "/dev/x"),)),
        PlannedPatient(HOME, "Home Patient", None, (PlannedDevice("cuff", "blood-pressure", 60.0, "AA"),)),
    ),
)


load_rules, load_policies, load_catalog = (
    cache(rules.load_rules),
    cache(policies.load_policies),
    cache(profiles),
)


class TellingStore(MemoryStore):
    """A store with a server behind it, of which it can ``tell`` that it is away."""

    tell: Tell

    async def run(self, tell: Tell) -> None:
        self.tell = tell
        tell(None)


class Watched:
    """The cloud, one gateway in a ward with an instrument on a patient, somebody on duty with a phone.

    ``dead`` names what gives no sign of life: ``gateway``, ``ox-1``, ``web``, ``wall``, or what the test has
    broken and what therefore cannot be waited for: a part of ours, the ``books``.
    """

    def __init__(self, records: Path) -> None:
        self.clock = HandClock(T0, frozen_monotonic=True)
        self.telemetry = Telemetry()
        self.source = MemorySource()
        self.store = TellingStore()
        self.page, self.phone, self.mail = FakeChannel("in_app"), FakeChannel("sms"), FakeChannel("email")
        self.dead: set[str] = set()
        self.config: str | None = None
        """The configuration that the gateway says it runs; None: the one it was given."""
        self.trouble: dict[str, str] = {}
        self.probed = False
        """Whether the web is asked by a real probe."""
        self.records = Records.open(
            records, clock=self.clock, wall=self.clock, ids=SeededIds(1), tenant="main"
        )
        self.looks = 0
        """So often the books were compared."""
        self._next = 1
        channels = [self.page, self.phone, self.mail]
        emergency = Emergency(
            self.records,
            "main",
            channels,
            duty=lambda: self.service.duty,
            ingest_silent_s=lambda: self.service.ingest_silent_s,
            clock=self.clock,
            ids=SeededIds(2),
            telemetry=self.telemetry,
        )
        self.notifier = Notifier(
            self.records,
            channels,
            self.clock,
            SeededIds(3),
            self.telemetry,
            hop=self._hop,
            emergency=emergency,
        )
        self.service = CloudService(
            records=self.records,
            store=self.store,
            source=self.source,
            rules=load_rules(),
            clock=self.clock,
            telemetry=self.telemetry,
            settings=CloudSettings(tick_s=SOON_S),
            notifier=self.notifier,
            reach=Reach({c.name: c for c in channels}, {}, load_policies(), Wording()),
            catalog=load_catalog(),
        )
        self._look = self.service.books.look
        self.service.books.look = self._count_look  # type: ignore[method-assign] - to know of it

    async def _count_look(self) -> None:
        await self._look()
        self.looks += 1

    def _hop(self, channel: str, success: bool) -> None:  # noqa: FBT001 - how an attempt went
        self.service.watch.channels.hop(channel, success)

    async def furnish(self, since: float) -> None:
        """Who lies where for so many seconds, and who is there."""
        await enter_plan(self.records, _PLAN, T0 - round(since * SECOND))
        made = await Accounts(self.records, Passwords()).add(
            SCOPE,
            login="li",
            name="Li",
            roles=["nurse", "doctor", "engineer"],
            wards=[WARD_ID],
            language="en",
        )

        def reach(session: Session) -> None:
            staff = self.records.staff(session)
            staff.set_contacts(SCOPE, made.id, phone="+15005550006", email="li@ward.example")
            self.records.directory(session).wards.change(SCOPE, WARD_ID, wall_expected=True)

        await self.records.run(reach)

    # -- what the gateway does

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return (self.clock.now_ns() - T0) / SECOND

    def send(self, *blocks: Block, gaps: tuple[Gap, ...] = ()) -> None:
        """A frame of the gateway."""
        made: Frame = live(*blocks, at=self.now, gaps=gaps, mono=self.clock.monotonic_ns() + 1, session="s1")
        self.source.deliver(topic("main", "gw-1", "frame"), made.encode())

    def number(self, count: int = 1) -> int:
        """The next number of the gateway's buffer, of so many that are used up."""
        first, self._next = self._next, self._next + count
        return first

    def document(self) -> ConfigDocument:
        """What the gateway was given."""
        return ConfigDocument.decode(self.source.retained[topic("main", "gw-1", "config")])

    def _live(self) -> None:
        """One sign of life of everybody outside who is not dead."""
        if "wall" not in self.dead:
            self.service.walls.seen("wall-1", frozenset({WARD_ID}), audible=True)
        if WEB not in self.dead and not self.probed:
            self.service.pulse.beat(WEB)
        if "gateway" in self.dead:
            return
        config = self.document().digest if self.config is None else self.config
        status = Status(
            online=True,
            boot="boot-1",
            config=config,
            wall=self.clock.now_ns(),
            session="s1",
            trouble=self.trouble,
        )
        self.source.deliver(topic("main", "gw-1", "status"), status.encode())
        if "ox-1" not in self.dead:
            metrics = (("spo2", 97.0), ("pulse_rate", 70.0), ("perfusion_index", 2.0))
            made = [reading(self.now, value, device="ox-1", metric=metric) for metric, value in metrics]
            self.send(block(self.number(len(made)), *made))

    # -- time

    async def pass_(self, seconds: float) -> None:
        """Let time go on; with each step all that live give a sign of it."""
        while seconds > 0:
            self.clock.advance(min(STEP_S, seconds))
            seconds -= STEP_S
            self._live()
            await self._caught_up()

    async def _caught_up(self) -> None:
        """Wait until all that live have given a sign of life, and the books were looked at since."""
        pulse, enough = self.service.pulse, self.looks + 2
        live = [part for part in pulse.parts if part not in self.dead]
        await self.until(
            lambda: (
                all(pulse.silent_s(part) < STEP_S for part in live)
                and ("books" in self.dead or self.looks >= enough)
            )
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what nobody tells of."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(SOON_S)

    # -- what people get

    async def told(
        self, rule: str, subject: str, within_s: float = 0.0, channel: FakeChannel | None = None
    ) -> str:
        """The text of a message about that alarm, as a channel (the phone) took it.

        Time goes on until then, but no longer than ``within_s``.
        """
        channel, end = self.phone if channel is None else channel, self.now + within_s
        tries = 0
        while tries < TRIES:
            for alarm, body in await self._handed_over(channel.name):
                taken = [m.text for m in channel.taken if m.alarm == alarm.id or body in m.text]
                if (alarm.rule, alarm.patient) == (rule, subject) and taken:
                    return taken[0]
            if self.now < end:
                await self.pass_(STEP_S)
            else:
                tries += 1
                await asyncio.sleep(5 * SOON_S)
        msg = f"no message of {rule} of {subject} by {channel.name}; alarms are {await self.alarms()}"
        raise AssertionError(msg)

    async def _handed_over(self, channel: str) -> list[tuple[Alarm, str]]:
        query = (
            select(Alarm, Notification.body)
            .join(Notification, Notification.alarm == Alarm.id)
            .where(Notification.channel == channel, Notification.state == "handed_over")
        )
        return [(alarm, body) for alarm, body in await self.records.read(lambda s: s.execute(query).all())]

    async def alarms(self) -> set[tuple[str, str]]:
        """Rule and subject of all alarms there are."""
        return {(a.rule, a.patient) for a in await self.service.alarms(SCOPE)}


async def furnished(records: Path, since: float = 3600.0) -> Path:
    """The records of a ward in which everybody has been for so many seconds."""
    made = Watched(records)
    await made.furnish(since)
    await made.records.close()
    return records


@asynccontextmanager
async def watched(records: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    """A cloud that runs over a copy of these records, with everything alive and no alarm."""
    for module, name, seconds in _REAL_TIMES:
        monkeypatch.setattr(module, name, seconds)
    cloud = Watched(Path(copyfile(records, folder / "records.db")))
    running = asyncio.create_task(cloud.service.run())
    try:
        async with asyncio.timeout(WITHIN_S):
            await cloud.service.started.wait()
            await cloud.source.wait_connected()
            await cloud.source.wait_published(1)
        cloud.service.pulse.expect(WEB)
        await cloud.pass_(STEP_S)
        assert await cloud.alarms() == set()
        yield cloud
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await cloud.records.close()
