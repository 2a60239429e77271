"""The one owner of decisions: frames, commands, ticks and configurations pass through here one at a time.

Order of a batch of frames: check, store the new readings, decide, commit journal + ranges + alarms +
notifications + dead letters in ONE transaction, and only then send receipts and tell the listeners. A crash
anywhere before the commit leaves frames without a receipt: they come again, the store knows their rows
(``Outcome.SAME``), and they are decided then. A commit that fails for good takes the decision back with it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution, load_attribution
from cloud_ingest.deciding import Decider
from cloud_ingest.feed import ClockMoved, Feed, ReadingsStored
from cloud_ingest.heartbeats import Heartbeats
from cloud_ingest.intake import FUTURE, Dead, Inspector, Intake
from cloud_ingest.manual import ManualEntry, ManualIntake
from cloud_ingest.outcome import Stored, write_dead
from cloud_ingest.receipts import Ledger, Source, load_ledger, write_blocks, write_gaps
from cloud_ingest.records import Records
from cloud_ingest.recovery import orphans
from cloud_ingest.sources.base import Message
from cloud_ingest.stores.base import Delivery, Outcome, TimeSeriesStore
from cloud_ingest.telling.wording import Wording
from cloud_ingest.turns import Committed, Hooks, Turns
from cloud_ingest.waiting import Waiting
from hearthward.core.clock import SECOND, Clock, EventClock
from hearthward.core.errors import StoreRejected, StoreUnavailable, UplinkError
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame, Receipt, topic
from hearthward.trust.keys import SigningKey
from rules.context import Context
from rules.model import Command, Configuration, Readings, Rows, Tick, Transition
from rules.response.duty import Duty
from rules.rule import RuleSet
from rules.state import State

__all__ = ["Hooks", "Pipeline", "Publish"]

log = logging.getLogger(__name__)

GIVE_UP_AGAIN_NS: Final = 600 * SECOND
"""A gateway's frames that get no receipt are dead-lettered once in this time."""
OTHER_TIME: Final = "other_time"
"""Why frames are refused that go by a recording's time where the cloud does not, or the other way round."""
CLOUD: Final = "@cloud"
"""The source of what the cloud itself has noticed; no gateway can be called so."""

Publish = Callable[[str, bytes], Awaitable[None]]


class Watching(Protocol):
    """What the cloud notices of itself, such as ``watch.Watch``."""

    def rows(self, now: int) -> Rows | None:
        """What the rules are to be told of it at ``now`` (UTC ns); None: nothing."""
        ...

    def began(self, transitions: Sequence[Transition]) -> None:
        """Look at what was committed."""
        ...


class Pipeline:
    """Takes messages without waiting, processes them in batches; everything else waits its turn."""

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
    ) -> None:
        if not store.durable_ack:
            msg = "this store acknowledges before its disk has the rows: it cannot stand behind a receipt"
            raise StoreRejected(msg)
        self.tenant = tenant
        self.attribution = Attribution()
        self.heartbeats = Heartbeats()
        self.turns = Turns(
            tenant, records, feed=feed, clock=clock, telemetry=telemetry, wake=wake, wording=wording
        )
        self.hooks = self.turns.hooks
        if watch is not None:
            self.turns.began = watch.began
        self._records, self._store, self._publish = records, store, publish
        self._feed, self._clock, self._telemetry = feed, clock, telemetry
        self._skew = int(future_skew_s * SECOND)
        self._inspector = Inspector(tenant, Ledger(), self._skew)
        self._manual = ManualIntake(
            tenant, records, store, self.turns, clock=clock, skew=self._skew, tell=self._tell_stored
        )
        self._waiting = Waiting()
        self._given_up: dict[str, int] = {}
        self._watch = watch
        self._key = key or SigningKey.new()
        self.ticked = clock.monotonic_ns()
        """When the timers were last looked at (monotonic ns): a sign of life."""

    @property
    def state(self) -> State:
        """The rules' state; between a decision and its commit it is ahead of the journal."""
        return self.turns.decider.state

    @property
    def seq(self) -> int:
        """The journal's last sequence number."""
        return self.turns.decider.seq

    @property
    def stuck(self) -> bool:
        """Whether ingest waits for a store or the records that cannot be used now."""
        return self.turns.patience.stuck

    # -- start and stop

    async def start(self, rules: RuleSet) -> None:
        """Recover from the last snapshot and the journal, and put ``rules`` in force if they are others."""
        found = await self.turns.decider.go_back()
        if isinstance(self._clock, EventClock):
            self._clock.follow(found.at)
        await self._load()
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
        self._technical("state_lost", None, f"{len(lost)} alarms ended: the state of the rules was lost")

    async def reload_attribution(self) -> None:
        """Associations have changed: attribute what comes from now on by the new ones."""
        async with self.turns.taken():
            self.attribution = await self._records.read(lambda s: load_attribution(s, self.tenant))

    async def close(self) -> None:
        """Keep the state, so that the next start has nothing to step again."""
        await self.turns.close()

    async def _load(self) -> None:
        read, patiently = self._records.read, self.turns.patience.until_done
        self._inspector.ledger = await patiently(lambda: read(lambda s: load_ledger(s, self.tenant)))
        self.attribution = await patiently(lambda: read(lambda s: load_attribution(s, self.tenant)))

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
            await self._waiting.arrival()
            await self.process_waiting()

    async def process_waiting(self) -> None:
        """Take the next batch of what waits through all of it, in one turn."""
        async with self.turns.taken(patiently=True) as decider:
            batch = self._waiting.batch()
            if batch:
                await self._process_safely(batch, decider)

    async def _process_safely(self, batch: list[Message], decider: Decider) -> None:
        """A frame that our own code fails on must stop neither the others nor the process."""
        try:
            await self._process(batch, decider)
        except Exception:
            log.exception("a batch of %d frames failed; trying them one by one", len(batch))
            for message in batch:
                await self._start_over(decider)
                try:
                    await self._process([message], decider)
                except Exception as error:
                    log.exception("a frame failed")
                    await self._start_over(decider)
                    await self._give_up(message, error)

    async def _start_over(self, decider: Decider) -> None:
        """Nothing of what was tried is left, neither in the ledger nor in the rules' state."""
        await self._load()
        await self.turns.patience.until_done(decider.settle)

    async def _give_up(self, message: Message, error: Exception) -> None:
        """No receipt: the frame stays at the edge until this is repaired, and comes again meanwhile."""
        self._telemetry.count("frames_failed_total")
        if not self._first_in_a_while(message.topic):
            return
        detail = f"{type(error).__name__}: {error}"[:500]
        dead = Dead(message.topic, None, "internal_error", detail, message.payload)
        now = self._clock.now_ns()
        await self.turns.patience.until_done(
            lambda: self._records.run(lambda s: write_dead(s, self.tenant, [dead], now))
        )
        self._count_dead([dead])
        self._technical("internal_error", None, "a frame could not be processed; it got no receipt")

    def _first_in_a_while(self, topic: str) -> bool:
        """Whether a frame without a receipt is to be kept as a dead letter: it comes again and again."""
        mono = self._clock.monotonic_ns()
        if mono - self._given_up.get(topic, -GIVE_UP_AGAIN_NS) < GIVE_UP_AGAIN_NS:
            return False
        self._given_up[topic] = mono
        return True

    def _refuse_other_time(self, message: Message, frame: Frame, intake: Intake) -> None:
        """A played recording's readings would be taken for measured then, and real ones for future ones.

        No receipt: nothing is lost, the gateway has them until it meets a cloud that goes by its time.
        """
        self._telemetry.count("frames_refused_total", reason=OTHER_TIME)
        if self._first_in_a_while(message.topic):
            detail = (
                "plays a recording, but this cloud goes by real time: start it with --event-clock"
                if frame.event_time
                else "goes by real time, but this cloud plays a recording: use a cloud without --event-clock"
            )
            where = f"gateway {frame.gateway} {detail}; it keeps its readings"
            intake.refuse(Dead(message.topic, frame.gateway, OTHER_TIME, where, message.payload))
            log.error("frames refused: %s", where)

    async def _process(self, batch: list[Message], decider: Decider) -> None:
        intake = self._inspect(batch)
        stored = await self._append(intake)
        await self._decide(intake, stored, decider)
        done = Committed()
        if decider.pending or not intake.empty:
            now = self._clock.now_ns()
            done = await self.turns.commit(lambda s: self._write(s, intake, now), patiently=True)
        await self._receipt(intake)
        self._tell(intake, stored, done)

    def _inspect(self, batch: list[Message]) -> Intake:
        intake = Intake()
        for message in batch:
            frame = self._inspector.open(message, intake)
            if frame is None:
                continue
            if frame.event_time is not self._clock.event_driven:
                self._refuse_other_time(message, frame, intake)
                continue
            if frame.event_time and isinstance(self._clock, EventClock) and self._clock.follow(frame.wall):
                self._feed.publish(ClockMoved(frame.wall))
            self._inspector.take(frame, message.topic, self._clock.now_ns(), intake)
            self.alive(frame.gateway)
            if self.hooks.on_frame is not None:
                self.hooks.on_frame(frame)
        intake.parts.sort(key=lambda p: (p.source, p.block.first))
        return intake

    async def _append(self, intake: Intake) -> Stored:
        """Store all new readings; a part that the store refuses for ever is dead-lettered."""
        stored = Stored()
        for source, batch, now in intake.future:
            stored.put_aside(source, batch, now, self.attribution)
        if not intake.parts:
            return stored
        try:
            outcomes = await self._store_all([p.delivery() for p in intake.parts])
            stored.sort_in(intake.parts, outcomes, self.attribution)
        except StoreRejected:
            for part in intake.parts:
                try:
                    outcomes = await self._store_all([part.delivery()])
                    stored.sort_in([part], outcomes, self.attribution)
                except StoreRejected as error:
                    intake.refuse(part.dead("store_refused", str(error)))
        return stored

    async def _store_all(self, deliveries: list[Delivery]) -> list[list[Outcome]]:
        return await self.turns.patience.until_done(lambda: self._store.append_many(self.tenant, deliveries))

    async def _decide(self, intake: Intake, stored: Stored, decider: Decider) -> None:
        """Step the readings, one input for each gateway and boot.

        Where the rules fail on one gateway's, the others are decided without it: their alarms must go on.
        """
        inputs = {
            source: partial(
                Readings,
                now=stored.now[source],
                rows=rows,
                source=source[0],
                wall=intake.walls.get(source, 0),
            )
            for source, rows in stored.to_judge().items()
        }
        while (failed := self._step_all(inputs, decider)) is not None:
            source, error = failed
            del inputs[source]
            self._undecided(source, error, intake)
            await self.turns.patience.until_done(decider.go_back)

    @staticmethod
    def _step_all(
        inputs: Mapping[Source, Callable[[int], Readings]], decider: Decider
    ) -> tuple[Source, Exception] | None:
        """Step all inputs; the first that fails and why, or None."""
        for source, make in inputs.items():
            try:
                decider.step(make, source)
            except Exception as error:
                log.exception("the rules failed on readings of gateway %s", source[0])
                return source, error
        return None

    def _undecided(self, source: Source, error: Exception, intake: Intake) -> None:
        """These readings are stored but not judged: nobody may think that they were."""
        self._telemetry.count("rules_failed_total")
        self._technical("rules_failed", source[0], f"{type(error).__name__}: readings not judged")
        for part in (p for p in intake.parts if p.source == source):
            intake.refuse(part.dead("undecided", f"{type(error).__name__}: {error}", stored=True))

    def _write(self, session: Session, intake: Intake, now: int) -> None:
        for source, blocks in intake.blocks.items():
            write_blocks(session, self.tenant, source, blocks)
        for source, gaps in intake.gaps.items():
            write_gaps(session, self.tenant, source, gaps, now)
        write_dead(session, self.tenant, intake.dead, now)

    async def _receipt(self, intake: Intake) -> None:
        for (gateway, boot, session), answer in intake.receipts.items():
            receipt = Receipt(gateway, boot, session, tuple(answer.blocks), tuple(answer.gaps))
            receipt = receipt.signed(self._key.sign(receipt.signed_part()))
            try:
                await self._publish(topic(self.tenant, gateway, "receipt"), receipt.encode())
            except UplinkError:
                # the edge sends again when it is back, and gets its receipt then
                self._telemetry.count("receipts_failed_total")
            else:
                self._telemetry.count("receipts_sent_total")

    def _tell(self, intake: Intake, stored: Stored, done: Committed) -> None:
        self._telemetry.count("readings_stored_total", stored.new)
        self._telemetry.count("readings_duplicate_total", stored.duplicate + intake.repeated)
        self._count_dead(intake.dead)
        for gaps in intake.gaps.values():
            for gap in gaps:
                self._telemetry.count("readings_lost_total", gap.last - gap.first + 1, reason=gap.reason[:64])
        for dead in intake.dead:
            if dead.reason in {"cloned_gateway", FUTURE, OTHER_TIME}:
                self._technical(dead.reason, dead.gateway, dead.detail)
        for source, batch in stored.batches.items():
            if not len(batch):
                continue  # all of it was put aside
            self._tell_stored(batch, stored.patients[source], stored.now[source])
        self.turns.tell(done)

    def _tell_stored(self, batch: ReadingBatch, patients: list[str | None], now: int) -> None:
        self._feed.publish(ReadingsStored(self.tenant, patients, batch, now))
        if self.hooks.on_stored is not None:
            self.hooks.on_stored(batch, patients)

    # -- commands, ticks, configuration, entries by hand

    async def act(self, command: Command) -> None:
        """Apply a person's act, as of now and under the next number; returns once committed.

        Raises RuleError when it is refused, StoreUnavailable when it cannot be written.
        """
        now = self._clock.now_ns
        await self.turns.act(lambda d: d.step(lambda seq: replace(command, seq=seq, now=now())))

    def alive(self, gateway: str) -> None:
        """A gateway gave a sign of life: the rules are told soon, but not where a recording is played."""
        if not self._clock.event_driven:
            self.heartbeats.heard(gateway, self._clock.now_ns())

    async def tick(self) -> None:
        """Let the timers end that are due; does nothing, and journals nothing, when none is.

        Raises StoreUnavailable when it cannot be written; what else the rules raise is told as
        ``rules_failed``, too.
        """
        decider, now = self.turns.decider, self._clock.now_ns()
        noticed = None if self._watch is None or self._clock.event_driven else self._watch.rows(now)
        if not (decider.ahead or decider.due(now) or self.heartbeats.due(now) or noticed):
            self.ticked = self._clock.monotonic_ns()
            return
        try:
            await self.turns.act(lambda d: self._tick(d, noticed))
            self.ticked = self._clock.monotonic_ns()
        except StoreUnavailable:
            raise
        except Exception as error:
            self._telemetry.count("rules_failed_total")
            self._technical("rules_failed", None, f"{type(error).__name__}: timers do not run")
            raise

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

    # -- helpers

    def _count_dead(self, dead: Sequence[Dead]) -> None:
        for letter in dead:
            self._telemetry.count("dead_letters_total", reason=letter.reason)
            self._telemetry.count("readings_rejected_total", letter.readings, reason=letter.reason)

    def _technical(self, kind: str, gateway: str | None, detail: str) -> None:
        self.turns.technical(kind, gateway, detail)
