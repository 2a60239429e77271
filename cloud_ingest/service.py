"""The cloud's half in one object: source, pipeline, notifier, configuration and timers in one TaskGroup."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from cloud_ingest import pulse
from cloud_ingest.around import AroundBoard
from cloud_ingest.arrivals import Arrivals
from cloud_ingest.asks import Asks
from cloud_ingest.attribution import Attribution
from cloud_ingest.books import Books
from cloud_ingest.channels.base import Channel
from cloud_ingest.config_publisher import ConfigPublisher
from cloud_ingest.device_health.order_telling import OrderTelling
from cloud_ingest.device_health.ordering import rules_of
from cloud_ingest.device_health.remaining_life import Learned
from cloud_ingest.device_health.rounds import HealthRounds
from cloud_ingest.facts import Facts
from cloud_ingest.feed import DirectoryChanged, DutyChanged, Feed
from cloud_ingest.frame_watch import FrameWatches
from cloud_ingest.gateway_trouble import GatewayTrouble
from cloud_ingest.gateways import GatewayBoard
from cloud_ingest.knowing import Knowing
from cloud_ingest.level_watch import LevelWatch
from cloud_ingest.maintenance import Maintenance
from cloud_ingest.message_push import MessagePush
from cloud_ingest.notifier import Notifier
from cloud_ingest.outdated import Outdated
from cloud_ingest.pipeline import Hooks, Pipeline
from cloud_ingest.pulse import Pulse
from cloud_ingest.reach import Reach
from cloud_ingest.records import Records
from cloud_ingest.records.alarms import Alarms
from cloud_ingest.records.models import Alarm
from cloud_ingest.reminders import CHANNELS, Reminders
from cloud_ingest.retention import Retention
from cloud_ingest.sources.base import FrameSource
from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.timers import offers, probes, ticks
from cloud_ingest.walls import WallBoard
from cloud_ingest.watch import Watch
from cloud_ingest.waves.base import NoWaves, WaveStore
from firmware_profiles import Catalog, load_catalog
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.settings import CloudSettings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from hearthward.trust.keys import SigningKey
from rules.model import Command
from rules.response.duty import Duty
from rules.rule import RuleSet

__all__ = ["STORE_SERVER", "WAVES", "CloudService"]

log = logging.getLogger(__name__)

SILENT_S: Final = 30.0
"""A part of ours that has not been heard of for so long is not well."""
STORE_SERVER: Final = "component:store-server"
"""The server behind the store, where there is one."""
WAVES: Final = "component:waves"
"""The file of waveforms, once it has failed."""


class CloudService:
    """Ingest, rules, notifications and configuration of one tenant.

    ``records``, ``store`` and ``waves`` (None: waveforms are refused) belong to the caller, who closes them
    after ``run``. ``clock`` must be an EventClock when ``settings.event_clock`` is set: it then follows the
    frames. ``catalog`` says what devices deliver (None: the shipped one), ``key`` signs receipts and
    documents (None: a new one), ``reach`` how people can be told (None: on the pages only). ``lives`` is what
    was learned of instruments' lives, by profile.
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
        lives: Mapping[str, Learned] | None = None,
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
        asks = Asks(self.tenant, source, self.key, records.wall)
        self.around = AroundBoard(asks, records.wall, telemetry)
        self.frames = FrameWatches(asks, records.wall, telemetry)
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
        self.pipeline = self._piped()
        self.books = self._booked()
        self.pipeline.hooks.on_frame = self.gateways.heard
        self.pipeline.hooks.on_clock = self.gateways.clock
        self._expect_signs()
        self.retention = Retention(self.tenant, records, settings.retention, telemetry)
        self._knowing = self._known()
        self._maintenance = self._maintained()
        self.health = self._rounds(lives)
        self._levels = LevelWatch(lambda: self.pipeline.state, self.pipeline.act, telemetry)
        self._arrivals = Arrivals(
            tenant=self.tenant,
            pipeline=self.pipeline,
            gateways=self.gateways,
            publisher=self.publisher,
            books=self.books,
            around=self.around,
            frames=self.frames,
            telemetry=telemetry,
        )
        self.started = asyncio.Event()

    def _piped(self) -> Pipeline:
        return Pipeline(
            self.tenant,
            self.records,
            self.store,
            self.source.publish,
            feed=self.feed,
            clock=self.clock,
            telemetry=self.telemetry,
            future_skew_s=self.settings.future_skew_s,
            wake=lambda: None if self.notifier is None else self.notifier.wake(),
            wording=self.reach.wording,
            watch=self.watch,
            key=self.key,
            facts=self.watch.facts,
            waves=self.waves,
        )

    def _booked(self) -> Books:
        return Books(
            self.tenant,
            self.records,
            ledger=lambda: self.pipeline.ledger,
            facts=self.watch.facts,
            online=self.gateways.online,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    def _known(self) -> Knowing:
        return Knowing(
            self.tenant,
            self.records,
            self.pipeline,
            watch=self.watch,
            feed=self.feed,
            catalog=self.catalog,
            reach=lambda: self.reach,
            clock=self.clock,
        )

    def _maintained(self) -> Maintenance:
        return Maintenance(
            tenant=self.tenant,
            records=self.records,
            pipeline=self.pipeline,
            knowing=self._knowing,
            publisher=self.publisher,
            gateways=self.gateways,
            around=self.around,
            frames=self.frames,
            outdated=Outdated(self.facts, self.clock),
            trouble=GatewayTrouble(self.facts, self.clock, self.pipeline.mishaps),
            retention=self.retention,
            waves=self.waves,
            kept=self.settings.waves,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    def _rounds(self, lives: Mapping[str, Learned] | None) -> HealthRounds:
        return HealthRounds(
            tenant=self.tenant,
            records=self.records,
            store=self.store,
            gateways=self.gateways,
            around=self.around,
            catalog=self.catalog,
            orders=OrderTelling(self.tenant, self.records, lambda: self.reach, self.clock, self.telemetry),
            clock=self.clock,
            telemetry=self.telemetry,
            lives=lives,
            rules=rules_of(self.settings.work_orders),
            service_hours=self._service_hours(),
        )

    def _service_hours(self) -> Mapping[str, int]:
        """The settings' intervals by profile. Raises ConfigError for a profile that there is not."""
        for profile in self.settings.service_hours:
            try:
                self.catalog.get(profile)
            except ConfigError as error:
                key = f"cloud.service_hours.{profile}"
                msg = f"{key}: {error.message}"
                raise ConfigError(msg, key=key) from error
        return self.settings.service_hours

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
        self._knowing.begin()
        await self._know()
        self.publisher.set_rules(self.rules)
        await self.publisher.refresh()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.pipeline.run(), name="cloud-pipeline")
                group.create_task(
                    self.source.run(self._arrivals.take, self.publisher.publish_all), name="cloud-source"
                )
                group.create_task(
                    ticks(self.pipeline, self.settings.tick_s, self.telemetry), name="cloud-ticks"
                )
                group.create_task(self._maintenance.run(), name="cloud-maintenance")
                group.create_task(self.health.run(), name="cloud-device-health")
                group.create_task(offers(self.publisher, self.gateways), name="cloud-offers")
                group.create_task(self.books.run(), name="cloud-books")
                group.create_task(self.watch.run(), name="cloud-watch")
                group.create_task(self._levels.run(), name="cloud-levels")
                group.create_task(self.store.run(self.facts.of_part(STORE_SERVER)), name="cloud-store")
                group.create_task(self.waves.run(self.facts.of_part(WAVES)), name="cloud-waves")
                group.create_task(probes(self.source, self.pulse, self.telemetry), name="cloud-broker-probe")
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
        seen: str = "",
    ) -> None:
        """Apply a person's act (``rules.response.orders.COMMANDS``); returns when committed.

        ``actor`` is a user's id, ``seen`` the rule that the alarm was shown with (empty: not known). Raises
        RuleError, whose details have a ``code``, when it is refused.
        """
        await self.pipeline.act(Command(0, 0, kind, alarm, actor, note, subject, until, to), seen)

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
        await self._knowing.close_patients()
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

    async def _know(self) -> None:
        await self._knowing.know()

    async def _rest(self) -> None:
        try:
            await self.pipeline.close()
            await self.books.write()
            await self._maintenance.save_gateways()
        except StoreUnavailable as error:
            # nothing is lost: the journal has it all, the next start steps it again
            log.warning("the last snapshot was not written: %s", error)
        self.feed.close()
