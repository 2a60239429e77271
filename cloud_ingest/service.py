"""The cloud's half in one object: source, pipeline, notifier, configuration and timers in one TaskGroup."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloud_ingest import pulse
from cloud_ingest.around import AroundBoard
from cloud_ingest.attribution import Attribution
from cloud_ingest.books import Books
from cloud_ingest.channels.base import Channel
from cloud_ingest.config_publisher import ConfigPublisher
from cloud_ingest.contexts import devices_heard, ended_stays, load_contexts, scored_by
from cloud_ingest.duty import load_duty
from cloud_ingest.facts import Facts
from cloud_ingest.feed import DirectoryChanged, DutyChanged, Feed
from cloud_ingest.gateway_trouble import GatewayTrouble
from cloud_ingest.gateways import GatewayBoard, write_notes
from cloud_ingest.message_push import MessagePush
from cloud_ingest.notifier import Notifier
from cloud_ingest.outdated import Outdated
from cloud_ingest.pipeline import Hooks, Pipeline
from cloud_ingest.pulse import Pulse
from cloud_ingest.records import Records
from cloud_ingest.records.alarms import Alarms
from cloud_ingest.records.models import Alarm
from cloud_ingest.reminders import CHANNELS, Reminders
from cloud_ingest.retention import Retention
from cloud_ingest.sources.base import FrameSource, Message
from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.telling.wording import Wording
from cloud_ingest.walls import WallBoard, wards_with_walls
from cloud_ingest.watch import Watch
from cloud_ingest.waves.base import NoWaves, WaveStore
from firmware_profiles import Catalog, load_catalog
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DecodeError, StoreUnavailable, UplinkError
from hearthward.core.model import ReadingBatch
from hearthward.core.settings import CloudSettings
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Status, parse_topic
from hearthward.trust.access import Scope
from hearthward.trust.keys import SigningKey
from rules.conditions import HEARTBEAT
from rules.context import Context
from rules.grace import Grace
from rules.model import Command, subject_key
from rules.response.duty import Duty
from rules.response.policy import Policy
from rules.rule import RuleSet

__all__ = ["CloudService", "Reach"]

log = logging.getLogger(__name__)

MAINTENANCE_S: Final = 30.0
"""Gateways' last-seen times are saved and timed configuration changes looked for this often."""
PRUNE_EVERY: Final = 120
"""Maintenance rounds between two prunings: an hour."""
PRUNE_WAVES_EVERY: Final = 4
"""The same for waveforms, of which there are many: two minutes."""
SILENT_S: Final = 30.0
"""A part of ours that has not been heard of for so long is not well."""
PROBE_EVERY_S: Final = 5.0
OFFER_EVERY_S: Final = 1.0
RECORDS_WAIT_S: Final = 1.0
"""Timers that the records could not take are tried again after so long."""
_DIGEST_CHARACTERS: Final = 64
STORE_SERVER: Final = "component:store-server"
"""The server behind the store, where there is one."""
WAVES: Final = "component:waves"
"""The file of waveforms, once it has failed."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How people can be told: channels by name, endpoints that the settings give them, policies, wording.

    ``public_url`` is where they reach the pages from outside.
    """

    channels: Mapping[str, Channel] = field(default_factory=dict)
    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    wording: Wording | None = None
    public_url: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The channels in use; the pages always are."""
        return tuple(dict.fromkeys(("in_app", *self.channels)))


class CloudService:
    """Ingest, rules, notifications and configuration of one tenant.

    ``records``, ``store`` and ``waves`` (None: waveforms are refused) belong to the caller, who closes them
    after ``run``. ``clock`` must be an EventClock when ``settings.event_clock`` is set: it then follows the
    frames. ``catalog`` says what devices deliver (None: the shipped one), ``key`` signs receipts and
    documents (None: a new one), ``reach`` how people can be told (None: on the pages only).
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        *,
        records: Records,
        store: TimeSeriesStore,
        source: FrameSource,
        rules: RuleSet,
        clock: Clock,
        telemetry: Telemetry,
        settings: CloudSettings | None = None,
        notifier: Notifier | None = None,
        reach: Reach | None = None,
        catalog: Catalog | None = None,
        key: SigningKey | None = None,
        waves: WaveStore | None = None,
    ) -> None:
        settings = settings or CloudSettings()
        self.tenant = settings.tenant
        self.records = records
        self.store = store
        self.waves: WaveStore = NoWaves() if waves is None else waves
        self.source = source
        self.rules = rules
        self.clock = clock
        self.telemetry = telemetry
        self.settings = settings
        self.key = key or SigningKey.new()
        self.catalog = load_catalog() if catalog is None else catalog
        self.feed = Feed()
        self.gateways = GatewayBoard(self.tenant, self.feed, clock, telemetry)
        self.publisher = ConfigPublisher(
            self.tenant, records, source, catalog=self.catalog, clock=clock, telemetry=telemetry, key=self.key
        )
        self.around = AroundBoard(self.tenant, source, self.key, records.wall, telemetry)
        self.notifier = notifier
        self.reach = reach or Reach()
        self.pulse = Pulse(clock)
        self.watch = Watch(
            clock,
            telemetry,
            list(self.reach.channels.values()),
            duty=lambda: self.duty,
            pulse=self.pulse,
        )
        self.pipeline = Pipeline(
            self.tenant,
            records,
            store,
            source.publish,
            feed=self.feed,
            clock=clock,
            telemetry=telemetry,
            future_skew_s=settings.future_skew_s,
            wake=notifier.wake if notifier is not None else lambda: None,
            wording=self.reach.wording,
            watch=self.watch,
            key=self.key,
            facts=self.watch.facts,
            waves=self.waves,
        )
        self.books = Books(
            self.tenant,
            records,
            ledger=lambda: self.pipeline.ledger,
            facts=self.watch.facts,
            online=self.gateways.online,
            clock=clock,
            telemetry=telemetry,
        )
        self.pipeline.hooks.on_frame = self.gateways.heard
        self.pipeline.hooks.on_clock = self.gateways.clock
        self._expect_signs()
        self.retention = Retention(self.tenant, records, settings.retention, telemetry)
        self._grace = Grace(self.pipeline.state, 0)
        self._ended: set[str] = set()
        self._scoring: Mapping[str, tuple[object, ...]] = {}
        self._outdated = Outdated(self.facts, clock)
        self._trouble = GatewayTrouble(self.facts, clock, self.pipeline.mishaps)
        self.started = asyncio.Event()

    def _expect_signs(self) -> None:
        """Of which of our parts signs of life are expected; the web's wiring adds its own."""
        self.pulse.expect(pulse.INGEST, lambda: self.pipeline.waiting_s)
        self.pulse.expect(pulse.RULES, lambda: self.ingest_silent_s)
        self.pulse.expect(pulse.BROKER)
        if self.notifier is not None:
            self.pulse.expect(pulse.NOTIFIER, self.notifier.silent_s)

    @property
    def hooks(self) -> Hooks:
        """Observers for demonstrations and measurements."""
        return self.pipeline.hooks

    @property
    def attribution(self) -> Attribution:
        """Which device is on whom, when."""
        return self.pipeline.attribution

    async def run(self) -> None:
        """Recover, then serve until cancelled; everything is at rest when this returns."""
        await self.pipeline.start(self.rules)
        self._grace = Grace(self.pipeline.state, self.clock.now_ns())
        await self._know()
        self.publisher.set_rules(self.rules)
        await self.publisher.refresh()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.pipeline.run(), name="cloud-pipeline")
                group.create_task(
                    self.source.run(self._take, self.publisher.publish_all), name="cloud-source"
                )
                group.create_task(self._ticks(), name="cloud-ticks")
                group.create_task(self._maintenance(), name="cloud-maintenance")
                group.create_task(self._offers(), name="cloud-offers")
                group.create_task(self.books.run(), name="cloud-books")
                group.create_task(self.watch.run(), name="cloud-watch")
                group.create_task(self.store.run(self.facts.of_part(STORE_SERVER)), name="cloud-store")
                group.create_task(self.waves.run(self.facts.of_part(WAVES)), name="cloud-waves")
                group.create_task(self._probe_broker(), name="cloud-broker-probe")
                if self.notifier is not None:
                    group.create_task(self.notifier.run(), name="cloud-notifier")
                if CHANNELS & self.reach.channels.keys():
                    group.create_task(self._reminders().run(), name="cloud-reminders")
                self.started.set()
        finally:
            self.started.clear()
            await self._rest()

    def _reminders(self) -> Reminders:
        push = MessagePush(
            self.tenant,
            self.records,
            self.reach.channels,
            duty=lambda: self.duty,
            clock=self.clock,
            telemetry=self.telemetry,
        )
        return Reminders(
            self.tenant,
            self.records,
            self.store,
            self.reach.channels,
            attribution=lambda: self.attribution,
            clock=self.clock,
            telemetry=self.telemetry,
            public_url=self.reach.public_url,
            others=(push.look,),
        )

    def trouble(self) -> dict[str, str]:
        """What keeps readings from being stored and judged now: part -> reason; empty when all is well."""
        found: dict[str, str] = {}
        if not self.started.is_set():
            found["ingest"] = "is starting or has stopped"
        elif self.pipeline.stuck or self.pipeline.tried > self.pipeline.ticked:
            found["ingest"] = "waits for its store or the records: they cannot be written now; see the log"
        if not self.source.connected:
            found["broker"] = "is not connected; gateways keep their readings until it is"
        return found

    async def act(
        self,
        kind: str,
        *,
        alarm: str = "",
        actor: str = "",
        note: str = "",
        subject: str = "",
        until: int = 0,
        to: str = "",
    ) -> None:
        """Apply a person's act (``rules.response.orders.COMMANDS``); returns when committed.

        ``actor`` is a user's id. Raises RuleError, whose details have a ``code``, when it is refused.
        """
        await self.pipeline.act(Command(0, 0, kind, alarm, actor, note, subject, until, to))

    async def enter(self, batch: ReadingBatch, patients: Sequence[str]) -> None:
        """Store readings that somebody entered by hand, one patient a row, and decide on them.

        All carry one digest, the entry's identity: the same entry again changes nothing. Raises
        StoreRejected with all that is wrong (nothing of it is stored then), and StoreUnavailable.
        """
        await self.pipeline.enter(batch, patients)

    async def alarms(
        self,
        scope: Scope,
        *,
        active_only: bool = False,
        patient: str | None = None,
        since: int | None = None,
        limit: int = 500,
    ) -> Sequence[Alarm]:
        """Alarms in scope, the newest first; rows are detached."""
        return await self.records.read(
            lambda s: Alarms(s, now=self.clock.now_ns(), ids=self.records.ids).list(
                scope, active=True if active_only else None, patient=patient, since=since, limit=limit
            )
        )

    async def directory_changed(self) -> None:
        """To be called after any change of gateways, devices, associations or encounters was committed."""
        await self.pipeline.reload_attribution()
        await self._know()
        await self.publisher.refresh()
        await self._close_patients()
        self.feed.publish(DirectoryChanged(self.tenant))

    async def duty_changed(self) -> None:
        """To be called after any change of staff, teams, shifts, assignments or policies was committed."""
        await self._know()
        self.feed.publish(DutyChanged(self.tenant))

    @property
    def duty(self) -> Duty:
        """Who is there to be told, as deciding knows it."""
        return self.pipeline.state.responses.duty

    @property
    def facts(self) -> Facts:
        """What parts have noticed of gateways and of our own parts, for the rules."""
        return self.watch.facts

    @property
    def walls(self) -> WallBoard:
        """The walls that are connected now."""
        return self.watch.walls

    @property
    def ingest_silent_s(self) -> float:
        """Seconds since the timers were last looked at, and that committed: ingest's own sign of life."""
        return (self.clock.monotonic_ns() - self.pipeline.ticked) / SECOND

    @property
    def hangs_s(self) -> float:
        """Seconds for which nothing has come of the timers, not even that the records cannot be written."""
        if self.pipeline.stuck:
            return 0.0
        return (self.clock.monotonic_ns() - self.pipeline.tried) / SECOND

    @property
    def well(self) -> bool:
        """Whether ingest, records and notifier work."""
        notifier = 0.0 if self.notifier is None else self.notifier.silent_s()
        return (
            self.started.is_set()
            and not self.pipeline.stuck
            and max(self.ingest_silent_s, notifier) < SILENT_S
        )

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels in use, by name."""
        return self.reach.channels

    async def limits_changed(self) -> None:
        """To be called after any change of patients' limits or orders was committed."""
        await self._know()
        await self.publisher.refresh()
        self.feed.publish(DirectoryChanged(self.tenant))

    async def rules_changed(self, rules: RuleSet) -> None:
        """Put other rules in force (those in shadow among them), here and in the gateways' documents."""
        await self.pipeline.configure(rules)
        self.rules = rules
        self.publisher.set_rules(rules)
        await self.publisher.refresh()
        self.feed.publish(DirectoryChanged(self.tenant))

    # -- what comes in

    def _take(self, message: Message) -> None:
        """Frames go to the pipeline, also those with a strange topic: it keeps what it refuses."""
        try:
            tenant, gateway, kind = parse_topic(message.topic)
        except DecodeError:
            self.pipeline.offer(message)
            return
        if kind == "frame":
            self.pipeline.offer(message)
        elif tenant != self.tenant:
            self.telemetry.count("messages_ignored_total", kind=kind)
        elif kind == "status":
            self._take_status(gateway, message)
        elif kind == "applied":
            self._take_applied(gateway, message)
        elif kind == "account":
            self.books.offer(gateway, message.payload)
        elif kind == "sightings":
            self.around.take(gateway, message.payload)

    def _take_status(self, gateway: str, message: Message) -> None:
        if not message.payload:
            return  # a retained status was cleared
        try:
            status = Status.decode(message.payload)
        except DecodeError as error:
            self.telemetry.count("messages_rejected_total", kind="status")
            log.warning("status of gateway %s refused: %s", gateway, error)
            return
        if self.gateways.status(gateway, status):
            self.pipeline.alive(gateway)

    def _take_applied(self, gateway: str, message: Message) -> None:
        digest = message.payload[:_DIGEST_CHARACTERS].decode("ascii", "replace")
        self.gateways.runs(gateway, digest, self.publisher.version_of(gateway, digest))

    # -- timers

    async def _ticks(self) -> None:
        wait, waits = self.settings.tick_s, False
        while True:
            await asyncio.sleep(wait)
            wait = self.settings.tick_s
            try:
                await self.pipeline.tick()
                waits = False
            except StoreUnavailable as error:
                self.telemetry.count("ticks_failed_total")
                if not waits:  # once: the log may be on that disk
                    log.error("timers wait for the records: %s", error)  # noqa: TRY400 - no traceback needed
                wait, waits = max(wait, RECORDS_WAIT_S), True
            except Exception:
                # the pipeline has told of it; readings must go on being stored and judged
                self.telemetry.count("ticks_failed_total")
                log.exception("the rules' timers failed")

    async def _probe_broker(self) -> None:
        """Send a message of our own through the broker, again and again: a port that is open says little."""
        while True:
            try:
                await self.source.probe()
            except UplinkError as error:
                self.telemetry.count("broker_probes_failed_total")
                log.debug("the broker's round trip failed: %s", error)
            else:
                self.pulse.beat(pulse.BROKER)
            await asyncio.sleep(PROBE_EVERY_S)

    async def _offers(self) -> None:
        """Give configuration documents again to gateways that do not run them."""
        while True:
            await asyncio.sleep(OFFER_EVERY_S)
            await self.publisher.publish_again(self.gateways.all())

    async def _maintenance(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(MAINTENANCE_S)
            self.around.forget()
            try:
                await self._save_gateways()
                await self._know()
                await self.publisher.refresh()
                for state in self.gateways.all():
                    await self.publisher.runs(state.gateway, state.config)
                self._outdated.look(self.gateways.all(), self.publisher.document)
                self._trouble.look(self.gateways, self.publisher.document)
                if rounds % PRUNE_EVERY == 0:
                    await self.retention.prune(self.clock.now_ns())
                if rounds % PRUNE_WAVES_EVERY == 0:
                    await self._prune_waves()
                self.pipeline.flood.look()
            except StoreUnavailable as error:
                log.warning("maintenance waits for the records: %s", error)
            rounds += 1

    async def _prune_waves(self) -> None:
        """Drop waveforms that are too old or too many."""
        kept = self.settings.waves
        before = self.clock.now_ns() - round(kept.keep_hours * 3600 * SECOND)
        try:
            gone = await self.waves.prune(before, kept.bytes)
        except StoreUnavailable as error:
            log.warning("old waveforms are not dropped now: %s", error)
        else:
            self.telemetry.count("wave_chunks_dropped_total", gone)

    async def _save_gateways(self) -> None:
        notes = self.gateways.unsaved()
        if notes:
            await self.records.run(lambda s: write_notes(s, self.tenant, notes))
            self.gateways.saved(notes)

    async def _know(self) -> None:
        """Tell the rules what is known of patients and gateways now, as far as it has changed.

        A played recording's gateways are heard of in another time than the recording's, and nothing is
        expected of patients who have left.
        """
        now = self.clock.now_ns()
        found = await load_contexts(self.records, self.tenant, now, self.catalog)
        asked = sorted(found.keys() | self.pipeline.state.subjects.keys())
        ended = await self.records.read(lambda s: ended_stays(s, self.tenant, asked, now))
        equipment = subject_key("gateway", ""), subject_key("device", "")
        left_out = {n for n in found if self.clock.event_driven and n.startswith(equipment)} | ended
        known = {name: context for name, context in found.items() if name not in left_out}
        if not self.clock.event_driven:
            known |= {name: Context(expected={HEARTBEAT: 0}) for name in self.watch.parts()}
        duty = await self._load_duty(now)
        self.watch.expect_walls(await self.records.read(lambda s: wards_with_walls(s, self.tenant)))
        self.pipeline.heartbeats.expect(devices_heard(known))
        await self.pipeline.know(self._grace.give(known), duty)
        self._tell_scoring(known)
        await self._forget_components()
        if ended != self._ended:
            self._ended = ended
            await self._close_patients()

    def _tell_scoring(self, known: Mapping[str, Context]) -> None:
        """An order that ends or a birthday changes nobody's record, but it does how walls score."""
        scoring = scored_by(known)
        if scoring != self._scoring:
            self._scoring = scoring
            self.feed.publish(DirectoryChanged(self.tenant))

    async def _load_duty(self, now: int) -> Duty:
        reach = self.reach
        return await self.records.read(
            lambda s: load_duty(
                s,
                self.tenant,
                now,
                channels=reach.names,
                endpoints=reach.endpoints,
                shipped=list(reach.policies.values()),
            )
        )

    async def _forget_components(self) -> None:
        """End alarms about parts of ours that are not there any more: nothing else would."""
        watched = self.watch.subjects()
        known = {s for s in self.pipeline.state.subjects if s.startswith(subject_key("component", ""))}
        if gone := frozenset(known - watched):
            await self.pipeline.configure(None, gone)

    async def _close_patients(self) -> None:
        """Reset the alarms of patients whose stay has ended, and forget what was known of them."""
        if closed := frozenset(self._ended & self.pipeline.state.subjects.keys()):
            await self.pipeline.configure(None, closed)

    async def _rest(self) -> None:
        try:
            await self.pipeline.close()
            await self.books.write()
            await self._save_gateways()
        except StoreUnavailable as error:
            # nothing is lost: the journal has it all, the next start steps it again
            log.warning("the last snapshot was not written: %s", error)
        self.feed.close()
