"""``hearthward demo``: a recording, or the virtual ward, through every part, and the account of it."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import click

from edge_agent import EdgeAgent
from hearthward.app.cloud import Cloud, cloud_running, open_records
from hearthward.app.edge import background, edge_running
from hearthward.app.files import check_writable, write_atomically
from hearthward.app.listener import LiveListener
from hearthward.app.player import EPOCH_NS, HOLD_S, Books, Player
from hearthward.app.recording import Recording, read_recording
from hearthward.app.report import Api, alarms_of, books_balance, stored_of
from hearthward.app.seed import demo_logins, enter_plan, enter_staff
from hearthward.app.start import broker_running, remove_folder, show_logins
from hearthward.app.tracker import Acknowledgements, Tracker
from hearthward.app.twins import Ward, live_ward, open_ward
from hearthward.app.ward import CARRIED, WardPlan, plan_for_recording, virtual_ward
from hearthward.core.clock import SECOND, Clock, EventClock, SystemClock
from hearthward.core.errors import ConfigError, LinkError
from hearthward.core.model import ReadingBatch
from hearthward.core.settings import Settings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role
from rules import Transition

__all__ = ["own_folder", "run_demo"]

log = logging.getLogger(__name__)

DRAIN_S: Final = 30.0
READY_S: Final = 60.0
STAGES: Final = ("stored", "alarm", "live")


async def run_demo(
    settings: Settings,
    *,
    play: Path | None,
    speed: float,
    seconds: float | None,
    report: Path | None,
    keep: bool,
) -> None:
    """Run until the recording or the time ends, then drain, account and write the report."""
    recording = None if play is None else await asyncio.to_thread(read_recording, play)
    if report is not None:
        check_writable(report)
    async with own_folder(settings, keep=keep) as own:
        account = await _Demo(own, recording, speed).run(seconds)
    _say(account)
    if report is not None:
        write_atomically(report, json.dumps(account, indent=1).encode())


@asynccontextmanager
async def own_folder(settings: Settings, *, keep: bool) -> AsyncIterator[Settings]:
    """Settings with a data folder of the demonstration's own: the named one (``keep``), or a passing one.

    Raises ConfigError when the named one holds data.
    """
    if keep:
        if (settings.data / "cloud" / "records.db").exists():
            msg = (
                f"{settings.data} already holds data, which would mix with the demonstration's: "
                "name an empty folder with --data, or none"
            )
            raise ConfigError(msg, folder=str(settings.data))
        yield settings
        return
    folder = Path(tempfile.mkdtemp(prefix="hearthward-demo-"))
    try:
        yield settings.model_copy(update={"data": folder})
    finally:
        await asyncio.to_thread(remove_folder, folder)


class _Demo:
    """One demonstration: its clock, its parts, and the observers on them."""

    def __init__(self, settings: Settings, recording: Recording | None, speed: float) -> None:
        self.settings = settings
        self.recording = recording
        self.speed = speed
        self.clock: Clock = SystemClock() if recording is None else EventClock(EPOCH_NS)
        self.telemetry = Telemetry()
        self.tracker = Tracker(SystemClock())
        self.acks = Acknowledgements()
        self.started = self.clock.now_ns()
        self.books = Books()
        self.complete = False

    async def run(self, seconds: float | None) -> dict[str, Any]:
        """Start everything, act, drain, and return the account."""
        gateway, tenant = self.settings.edge.gateway, self.settings.cloud.tenant
        plan = (
            virtual_ward(gateway, tenant)
            if self.recording is None
            else plan_for_recording(self.recording, gateway, tenant)
        )
        async with AsyncExitStack() as stack:
            records = await stack.enter_async_context(open_records(self.settings))
            broker_url = await stack.enter_async_context(broker_running(self.settings, self.telemetry))
            ward = await stack.enter_async_context(open_ward(plan))
            await enter_plan(records, ward.plan, self.started - SECOND)
            logins = await demo_logins(records, plan)
            records.clock = self.clock  # a recording's people are on duty in its own time
            await enter_staff(records, plan, self.started - SECOND)
            cloud = await stack.enter_async_context(
                cloud_running(
                    self.settings,
                    records,
                    broker_url=broker_url,
                    clock=self.clock,
                    telemetry=self.telemetry,
                )
            )
            listener = self._observe(cloud)
            await stack.enter_async_context(background(listener.run, "live listener"))
            agent = await stack.enter_async_context(
                edge_running(
                    self.settings,
                    broker_url=broker_url,
                    clock=self.clock,
                    telemetry=self.telemetry,
                    virtual=ward.world.virtual,
                    cloud_key=cloud.service.key.public,
                    on_accepted=self._accepted,
                    on_refused=self._refused,
                )
            )
            show_logins(cloud.url, logins)
            await self._act(ward, agent, seconds)
            await self._drain(agent, ward)
            return await self._account(plan)

    def _observe(self, cloud: Cloud) -> LiveListener:
        """Watch what is stored and decided; read as a nurse of the tenant, because that is whom it is for."""
        token = cloud.token + "-reader"
        roles = frozenset({Role.NURSE, Role.ENGINEER})
        reader = Principal("demo", "demo", self.settings.cloud.tenant, roles, kind="service")
        cloud.app.state.services[token] = reader
        self.reader = Api(cloud.url, token)
        listener = LiveListener(cloud.url, token, self.tracker)

        def stored(batch: ReadingBatch, patients: list[str | None]) -> None:
            listener.stored(batch, patients)
            self.tracker.reached("stored", zip(batch.device, batch.received, strict=True))

        cloud.service.hooks.on_stored = stored
        cloud.service.hooks.on_transitions = self._decided
        return listener

    def _decided(self, transitions: Sequence[Transition]) -> None:
        for transition in transitions:
            self.tracker.decided(transition, played=self.recording is not None)

    def _accepted(self, batch: ReadingBatch, _first: int, _last: int) -> None:
        for device, payloads in self.tracker.accepted(batch).items():
            self.acks.taken(device, payloads)

    def _refused(self, device: str) -> None:
        self.tracker.refused(device)
        self.acks.taken(device)

    async def _act(self, ward: Ward, agent: EdgeAgent, seconds: float | None) -> None:
        if self.recording is None or not isinstance(self.clock, EventClock):
            await live_ward(ward, seconds=seconds, acks=self.acks, tracker=self.tracker, books=self.books)
            self.complete = True
            return
        player = Player(
            self.recording,
            ward.by_patient(),
            clock=self.clock,
            speed=self.speed,
            acks=self.acks,
            tracker=self.tracker,
            on_step=lambda _at: _decided_there(agent),
        )
        twins = {t for routes in ward.by_patient().values() for t in routes.values()}
        try:
            async with asyncio.timeout(READY_S):
                await asyncio.gather(*(twin.wait_ready() for twin in twins))
        except TimeoutError:
            deaf = ", ".join(sorted(t.id for t in twins if not t.ready()))
            msg = f"the edge did not subscribe to these virtual devices within {READY_S:.0f} s: {deaf}"
            raise LinkError(msg) from None
        await player.play(seconds)
        self.books, self.complete = player.books, player.complete

    async def _drain(self, agent: EdgeAgent, ward: Ward) -> None:
        """Wait until the outbox is empty and two ticks have passed; at most DRAIN_S."""
        try:
            async with asyncio.timeout(DRAIN_S):
                await self.acks.settled(ward.twins, DRAIN_S)
                while agent.outbox.backlog():  # noqa: ASYNC110 - the outbox tells nobody that it is empty
                    await asyncio.sleep(0.05)
                await asyncio.sleep(2 * self.settings.cloud.tick_s)
        except TimeoutError:
            log.warning("not everything was stored within %.0f s", DRAIN_S)

    async def _account(self, plan: WardPlan) -> dict[str, Any]:
        patients = {p.id: p.name for p in plan.patients}
        stored, twice = await stored_of(self.reader, patients, CARRIED)
        rejected = dict(self.books.rejected)
        for reason, n in self.telemetry.by_label("readings_rejected_total", "reason").items():
            rejected[reason] = rejected.get(reason, 0) + int(n)
        return {
            "complete": self.complete,
            "sent": self.books.sent(),
            "stored": stored,
            "duplicates": twice,
            "rejected": rejected,
            "skipped": dict(self.books.skipped),
            "alarms": await alarms_of(
                self.reader, patients, epoch=EPOCH_NS if self.recording else self.started
            ),
            "latency_ms": self.tracker.summary(STAGES),
        }


async def _decided_there(agent: EdgeAgent) -> None:
    """Wait until the gateway has decided on the moments before; it has a minute for that in life, too."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HOLD_S):
            while agent.decider is not None and not agent.decider.settled:  # noqa: ASYNC110 - tells nobody
                await asyncio.sleep(0.002)


def _say(account: dict[str, Any]) -> None:
    sent = sum(m["count"] for metrics in account["sent"].values() for m in metrics.values())
    stored = sum(m["count"] for metrics in account["stored"].values() for m in metrics.values())
    balance = "the books balance" if books_balance(account["sent"], account["stored"]) else "NOT the same"
    click.echo(f"sent {sent}, stored {stored}: {balance}; stored twice {account['duplicates']}")
    click.echo(f"rejected {account['rejected'] or 'none'}; no twin carries {account['skipped'] or 'nothing'}")
    click.echo(f"alarms {len(account['alarms'])}; latency in ms from the device's bytes:")
    for stage, figures in account["latency_ms"].items():
        click.echo(f"  {stage:7} p50 {figures['p50']}  p99 {figures['p99']}")
