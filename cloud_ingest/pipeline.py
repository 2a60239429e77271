"""The one owner of decisions: frames, commands, ticks and configurations pass through here one at a time.

How a batch of frames passes is in ``frames.Frames``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from cloud_ingest.attribution import Attribution
from cloud_ingest.dead_letter_flood import Flood
from cloud_ingest.deciding import Decider
from cloud_ingest.facts import Facts
from cloud_ingest.feed import Feed
from cloud_ingest.frames import Frames
from cloud_ingest.heartbeats import Heartbeats
from cloud_ingest.manual import ManualEntry, ManualIntake
from cloud_ingest.mishaps import RULES_FAILED, STATE_LOST, Mishaps
from cloud_ingest.receipt_sender import Publish, ReceiptSender
from cloud_ingest.receipts import Ledger
from cloud_ingest.records import Records
from cloud_ingest.recovery import orphans
from cloud_ingest.replaying import Replayer
from cloud_ingest.sources.base import Message
from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.telling.wording import Wording
from cloud_ingest.turns import Hooks, Turns
from cloud_ingest.waiting import Waiting
from cloud_ingest.waves.base import NoWaves, WaveStore
from hearthward.core.clock import SECOND, Clock, EventClock
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.trust.keys import SigningKey
from rules.context import Context
from rules.model import Command, Configuration, Readings, Rows, Tick, Transition
from rules.response.duty import Duty
from rules.response.rising import check_seen
from rules.rule import RuleSet
from rules.state import State

__all__ = ["Hooks", "Pipeline", "Publish"]

log = logging.getLogger(__name__)

CLOUD: Final = "@cloud"
"""The source of what the cloud itself has noticed; no gateway can be called so."""


class Watching(Protocol):
    """What the cloud notices of itself, such as ``watch.Watch``."""

    def rows(self, now: int) -> Rows | None:
        """What the rules are to be told of it at ``now`` (UTC ns); None: nothing."""
        ...

    def began(self, transitions: Sequence[Transition]) -> None:
        """Look at what was committed."""
        ...


class Pipeline:
    """Takes messages without waiting, processes them in batches; everything else waits its turn.

    Without ``waves`` there is no place for waveforms: they are refused.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        tenant: str,
        records: Records,
        store: TimeSeriesStore,
        publish: Publish,
        *,
        feed: Feed,
        clock: Clock,
        telemetry: Telemetry,
        future_skew_s: float = 60.0,
        wake: Callable[[], None] = lambda: None,
        wording: Wording | None = None,
        watch: Watching | None = None,
        key: SigningKey | None = None,
        facts: Facts | None = None,
        waves: WaveStore | None = None,
    ) -> None:
        if not store.durable_ack:
            msg = "this store acknowledges before its disk has the rows: it cannot stand behind a receipt"
            raise StoreRejected(msg)
        self.tenant = tenant
        self.heartbeats = Heartbeats()
        facts = Facts() if facts is None else facts
        self.mishaps = Mishaps(facts, clock)
        self.turns = Turns(
            tenant,
            records,
            feed=feed,
            clock=clock,
            telemetry=telemetry,
            wake=wake,
            mishaps=self.mishaps,
            wording=wording,
        )
        self.hooks = self.turns.hooks
        if watch is not None:
            self.turns.began = watch.began
        self._records, self._clock, self._telemetry = records, clock, telemetry
        skew = int(future_skew_s * SECOND)
        self._frames = Frames(
            tenant,
            records,
            store,
            self.turns,
            ReceiptSender(tenant, publish, key or SigningKey.new(), telemetry),
            feed=feed,
            clock=clock,
            telemetry=telemetry,
            skew=skew,
            alive=self.alive,
            delivered=self.delivered,
            facts=facts,
            waves=NoWaves() if waves is None else waves,
        )
        self._manual = ManualIntake(
            tenant, records, store, self.turns, clock=clock, skew=skew, tell=self._frames.tell_stored
        )
        self.replayer = Replayer(
            tenant, records, self._frames, self._manual, clock=clock, telemetry=telemetry
        )
        self._waiting = Waiting()
        self._watch = watch
        self._busy_since = 0
        self.ticked = clock.monotonic_ns()
        """When the timers were last looked at and all was committed (monotonic ns): the rules work."""
        self.tried = self.ticked
        """The same, but records that could not be written also count: no part hangs."""

    @property
    def state(self) -> State:
        """The rules' state; between a decision and its commit it is ahead of the journal."""
        return self.turns.decider.state

    @property
    def attribution(self) -> Attribution:
        """Which device is on whom, when."""
        return self._frames.attribution

    @property
    def flood(self) -> Flood:
        """How much is refused."""
        return self._frames.flood

    @property
    def ledger(self) -> Ledger:
        """Which numbers of each outbox are committed; between a batch and its commit it is ahead."""
        return self._frames.ledger

    @property
    def seq(self) -> int:
        """The journal's last sequence number."""
        return self.turns.decider.seq

    @property
    def stuck(self) -> bool:
        """Whether ingest waits for a store or the records that cannot be used now."""
        return self.turns.patience.stuck or self._frames.store_away

    @property
    def waiting_s(self) -> float:
        """Seconds for which frames wait and none is done: ingest's own sign of life; 0 when none waits."""
        if not self._busy_since:
            return 0.0
        return (self._clock.monotonic_ns() - self._busy_since) / SECOND

    # -- start and stop

    async def start(self, rules: RuleSet) -> None:
        """Recover from the last snapshot and the journal, and put ``rules`` in force if they are others."""
        self.mishaps.begin()
        found = await self.turns.decider.go_back()
        if isinstance(self._clock, EventClock):
            self._clock.follow(found.at)
        await self._frames.load()
        log.info("rules' state recovered: %d inputs stepped again, at %d", found.replayed, found.seq)
        if self.state.rules.hash != rules.hash:
            await self.configure(rules)
        await self._reconcile()

    async def _reconcile(self) -> None:
        """Alarms that the state has lost would stay on the wall for ever: end them, and say why."""
        async with self.turns.taken() as decider:
            lost = await self._records.read(lambda s: orphans(s, self.tenant, decider.state))
            if not lost:
                return
            log.error("%d active alarms are not in the recovered state; ending them", len(lost))
            self._telemetry.count("alarms_reset_total", len(lost))
            decider.step(partial(Configuration, now=self._clock.now_ns(), rules=None))
            decider.reset(lost)
            self.turns.tell(await self.turns.commit())
        self._technical(STATE_LOST, None, f"{len(lost)} alarms ended: the state of the rules was lost")

    async def reload_attribution(self) -> None:
        """Associations have changed: attribute what comes from now on by the new ones."""
        async with self.turns.taken():
            await self._frames.reload_attribution()

    async def close(self) -> None:
        """Keep the state, so that the next start has nothing to step again."""
        await self.turns.close()

    # -- frames

    def offer(self, message: Message) -> bool:
        """Take a frame's message without waiting; False when there is no room (it will come again)."""
        self._telemetry.count("frames_received_total")
        if self._waiting.offer(message):
            return True
        self._telemetry.count("frames_dropped_total", reason="queue_full")
        return False

    async def run(self) -> None:
        """Process what arrives, until cancelled."""
        while True:
            await self._waiting.arrival(self._frames.wait_s)
            self._busy_since = self._clock.monotonic_ns()
            await self.process_waiting()
            self._busy_since = 0

    async def process_waiting(self) -> None:
        """Take the next batch of what waits, here or for the store, through all of it."""
        await self._frames.process(self._waiting.batch())

    # -- commands, ticks, configuration, entries by hand

    async def act(self, command: Command, seen: str = "") -> None:
        """Apply a person's act, as of now and under the next number; returns once committed.

        ``seen`` is the rule that its alarm was shown with: the turn before may have raised it. Raises
        RuleError when it is refused, StoreUnavailable when it cannot be written.
        """
        now = self._clock.now_ns

        def decide(decider: Decider) -> None:
            if seen:
                state = decider.state
                check_seen(state.responses.find(command.alarm), seen, state.rules)
            decider.step(lambda seq: replace(command, seq=seq, now=now()))

        await self.turns.act(decide)

    def delivered(self, batch: ReadingBatch) -> None:
        """Devices delivered something: signs of life as of when it was measured (none of a recording's)."""
        if not self._clock.event_driven:
            self.heartbeats.delivered(dict(zip(batch.device, batch.corrected, strict=True)))

    def alive(self, gateway: str) -> None:
        """A gateway gave a sign of life: the rules are told soon, but not where a recording is played."""
        if not self._clock.event_driven:
            self.heartbeats.heard(gateway, self._clock.now_ns())

    async def tick(self) -> None:
        """Let the timers end that are due; does nothing, and journals nothing, when none is.

        Raises StoreUnavailable when it cannot be written; what else the rules raise is told as
        ``rules_failed``, too.
        """
        self._frames.lineage.tick()
        self.mishaps.look()
        decider, now = self.turns.decider, self._clock.now_ns()
        noticed = None if self._watch is None or self._clock.event_driven else self._watch.rows(now)
        if not (decider.ahead or decider.due(now) or self.heartbeats.due(now) or noticed):
            self._looked()
            return
        try:
            await self.turns.act(lambda d: self._tick(d, noticed))
            self._looked()
        except StoreUnavailable:
            self.tried = self._clock.monotonic_ns()
            raise
        except Exception as error:
            self._telemetry.count("rules_failed_total")
            self._technical(RULES_FAILED, None, f"{type(error).__name__}: timers do not run")
            raise

    def _looked(self) -> None:
        self.ticked = self.tried = self._clock.monotonic_ns()

    def _tick(self, decider: Decider, noticed: Rows | None) -> None:
        now = self._clock.now_ns()
        rows = noticed or Rows()
        if self.heartbeats.due(now):
            rows.extend(self.heartbeats.take(now))
        if len(rows):
            decider.step(partial(Readings, now=now, rows=rows, source=CLOUD, wall=now))
        if decider.due(now):
            decider.step(partial(Tick, now=now))

    async def configure(self, rules: RuleSet | None, closed_patients: frozenset[str] = frozenset()) -> None:
        """Put rules in force (None: as before) and close what belongs to patients who have left."""
        now = self._clock.now_ns
        await self.turns.act(lambda d: d.step(lambda seq: Configuration(seq, now(), rules, closed_patients)))

    async def know(self, contexts: Mapping[str, Context], duty: Duty | None = None) -> None:
        """Have the rules know exactly this of patients and equipment; nothing is journaled for no change.

        ``duty`` is who is there to be told (None: as before).
        """

        def decide(decider: Decider) -> None:
            known = decider.state.contexts
            changed: dict[str, Context | None] = {k: c for k, c in contexts.items() if known.get(k) != c}
            changed |= dict.fromkeys(known.keys() - contexts.keys())
            others = duty if duty is not None and duty != decider.state.responses.duty else None
            if changed or others is not None:
                now = self._clock.now_ns()
                decider.step(lambda seq: Configuration(seq, now, None, contexts=changed, duty=others))

        await self.turns.act(decide)

    async def enter(self, batch: ReadingBatch, patients: Sequence[str]) -> None:
        """Store and decide readings entered by hand; the same entry (digest) again changes nothing.

        Raises StoreRejected with all that is wrong (nothing of it is stored then), StoreUnavailable, and
        NotJudgedError: stored, but the rules failed on it.
        """
        await self._manual.enter(ManualEntry(batch, patients))

    def _technical(self, kind: str, gateway: str | None, detail: str) -> None:
        self.turns.technical(kind, gateway, detail)
