"""The one owner of decisions: frames, commands, ticks and configurations pass through here one at a time.

Order of a batch of frames: check, store the new readings, decide, commit journal + ranges + alarms +
notifications + dead letters in ONE transaction, and only then send receipts and tell the listeners. A crash
anywhere before the commit leaves frames without a receipt: they come again, the store knows their rows
(``Outcome.SAME``), and they are decided then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeVar

from sqlalchemy.orm import Session

from cloud_ingest import journal
from cloud_ingest.attribution import Attribution, load_attribution
from cloud_ingest.deciding import Plan, orphans, recover, write_decisions
from cloud_ingest.feed import AlarmChanged, ClockMoved, Feed, ReadingsStored, TechnicalEvent
from cloud_ingest.intake import Dead, Inspector, Intake
from cloud_ingest.notifier import IN_APP, Target
from cloud_ingest.outcome import Stored, rows_to_judge, write_dead
from cloud_ingest.receipts import Ledger, load_ledger, write_blocks, write_gaps
from cloud_ingest.records import Records
from cloud_ingest.records.models import Alarm
from cloud_ingest.sources.base import Message
from cloud_ingest.stores.base import Delivery, Outcome, TimeSeriesStore
from cloud_ingest.waiting import Waiting
from hearthward.core.clock import SECOND, Clock, EventClock
from hearthward.core.errors import StoreRejected, StoreUnavailable, UplinkError
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame, Receipt, topic
from rules import Command, Configuration, Input, Readings, RuleSet, State, Tick, Transition

__all__ = ["Hooks", "Pipeline", "Publish"]

log = logging.getLogger(__name__)
T = TypeVar("T")

SNAPSHOT_EVERY_S: Final = 10.0
FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 5.0
IDLE_SOURCE_NS: Final = 5 * SECOND
"""A gateway not heard of for so long holds no timer back; no timer is held back for longer at all."""
GIVE_UP_AGAIN_NS: Final = 600 * SECOND
"""A gateway's frames that get no receipt are dead-lettered once in this time."""
OTHER_TIME: Final = "other_time"
"""Why frames are refused that go by a recording's time where the cloud does not, or the other way round."""

Publish = Callable[[str, bytes], Awaitable[None]]


@dataclass(slots=True)
class Hooks:
    """Observers of what was committed, for demonstrations and measurements; called in the event loop."""

    on_stored: Callable[[ReadingBatch, list[str | None]], None] | None = None
    on_transitions: Callable[[Sequence[Transition]], None] | None = None
    on_frame: Callable[[Frame], None] | None = None


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
        targets: Sequence[Target] = (IN_APP,),
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        if not store.durable_ack:
            msg = "this store acknowledges before its disk has the rows: it cannot stand behind a receipt"
            raise StoreRejected(msg)
        self.tenant = tenant
        self.hooks = Hooks()
        self.attribution = Attribution()
        self._records, self._store, self._publish = records, store, publish
        self._feed, self._clock, self._telemetry = feed, clock, telemetry
        self._skew = int(future_skew_s * SECOND)
        self._targets, self._wake = targets, wake
        self._state, self._seq = State.empty("cloud"), 0
        self._inspector = Inspector(tenant, Ledger(), self._skew)
        self._waiting = Waiting()
        self._turn = asyncio.Lock()
        self._snapshot_seq, self._snapshot_at = -1, 0
        self._heard: dict[str, tuple[int, int]] = {}
        self._given_up: dict[str, int] = {}
        self._acts: set[asyncio.Task[None]] = set()
        self._stuck = 0

    @property
    def state(self) -> State:
        """The rules' state after the last commit."""
        return self._state

    @property
    def seq(self) -> int:
        """The journal's last sequence number."""
        return self._seq

    @property
    def stuck(self) -> bool:
        """Whether ingest waits for a store or the records that cannot be used now."""
        return self._stuck > 0

    # -- start and stop

    async def start(self, rules: RuleSet) -> None:
        """Recover from the last snapshot and the journal, and put ``rules`` in force if they are others."""
        found = await recover(self._records, self.tenant, self._telemetry)
        self._state, self._seq = found.state, found.seq
        if isinstance(self._clock, EventClock):
            self._clock.follow(found.at)
        await self._load()
        log.info("rules' state recovered: %d inputs stepped again, at %d", found.replayed, found.seq)
        if self._state.rules.hash != rules.hash:
            await self.configure(rules)
        await self._reconcile()

    async def _reconcile(self) -> None:
        """Alarms that the state has lost would stay on the wall for ever: end them, and say why."""
        async with self._turn:
            lost = await self._records.read(lambda s: orphans(s, self.tenant, self._state))
            if not lost:
                return
            log.error("%d active alarms are not in the recovered state; ending them", len(lost))
            self._telemetry.count("alarms_reset_total", len(lost))
            plan = Plan(self._state, self._seq)
            plan.step(partial(Configuration, now=self._clock.now_ns(), rules=self._state.rules))
            plan.reset(lost)
            await self._commit_decisions(plan)
        self._technical("state_lost", None, f"{len(lost)} alarms ended: the state of the rules was lost")

    async def reload_attribution(self) -> None:
        """Associations have changed: attribute what comes from now on by the new ones."""
        async with self._turn:
            self.attribution = await self._records.read(lambda s: load_attribution(s, self.tenant))

    async def close(self) -> None:
        """Keep the state, so that the next start has nothing to step again."""
        if self._acts:
            await asyncio.wait(self._acts)
        async with self._turn:
            if self._seq in {0, self._snapshot_seq}:
                return
            state, seq, now = self._state.to_bytes(), self._seq, self._clock.now_ns()
            await self._records.run(lambda s: journal.save_snapshot(s, self.tenant, seq, now, state))
            self._snapshot_seq = seq

    async def _load(self) -> None:
        self._inspector.ledger = await self._retrying(
            lambda: self._records.read(lambda s: load_ledger(s, self.tenant))
        )
        self.attribution = await self._retrying(
            lambda: self._records.read(lambda s: load_attribution(s, self.tenant))
        )

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
            async with self._turn:
                batch = self._waiting.batch()
                if batch:
                    await self._process_safely(batch)

    async def _process_safely(self, batch: list[Message]) -> None:
        """A frame that our own code fails on must stop neither the others nor the process."""
        try:
            await self._process(batch)
        except Exception:
            log.exception("a batch of %d frames failed; trying them one by one", len(batch))
            for message in batch:
                await self._load()
                try:
                    await self._process([message])
                except Exception as error:
                    log.exception("a frame failed")
                    await self._load()
                    await self._give_up(message, error)

    async def _give_up(self, message: Message, error: Exception) -> None:
        """No receipt: the frame stays at the edge until this is repaired, and comes again meanwhile."""
        self._telemetry.count("frames_failed_total")
        if not self._first_in_a_while(message.topic):
            return
        detail = f"{type(error).__name__}: {error}"[:500]
        dead = Dead(message.topic, None, "internal_error", detail, message.payload)
        now = self._clock.now_ns()
        await self._persist(lambda s: write_dead(s, self.tenant, [dead], now))
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

    async def _process(self, batch: list[Message]) -> None:
        intake = self._inspect(batch)
        stored = await self._append(intake)
        plan = self._decide(intake, stored)
        alarms = await self._commit(plan, intake) if plan.decisions or not intake.empty else []
        await self._receipt(intake)
        self._tell(intake, stored, plan, alarms)

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
            if frame.synchronised or frame.event_time:
                wall = max(frame.wall, self._heard.get(frame.gateway, (0, 0))[0])
                self._heard[frame.gateway] = wall, self._clock.monotonic_ns()
            if self.hooks.on_frame is not None:
                self.hooks.on_frame(frame)
        intake.parts.sort(key=lambda p: (p.source, p.block.first))
        return intake

    async def _append(self, intake: Intake) -> Stored:
        """Store all new readings; a part that the store refuses for ever is dead-lettered."""
        stored = Stored()
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
        return await self._retrying(lambda: self._store.append_many(self.tenant, deliveries))

    def _decide(self, intake: Intake, stored: Stored) -> Plan:
        plan = Plan(self._state, self._seq)
        for source, batch in stored.batches.items():
            rows = rows_to_judge(batch, stored.patients[source])
            if not len(rows):
                continue
            try:
                plan.step(partial(Readings, now=stored.now[source], rows=rows), source)
            except Exception as error:
                # alarms of everybody else must go on; these readings are stored but not decided
                log.exception("the rules failed on readings of gateway %s", source[0])
                self._telemetry.count("rules_failed_total")
                self._technical("rules_failed", source[0], f"{type(error).__name__}: readings not judged")
                for part in (p for p in intake.parts if p.source == source):
                    intake.refuse(part.dead("undecided", f"{type(error).__name__}: {error}", stored=True))
        return plan

    async def _commit(self, plan: Plan, intake: Intake) -> list[Alarm]:
        now = self._clock.now_ns()
        due = self._clock.monotonic_ns() - self._snapshot_at >= SNAPSHOT_EVERY_S * SECOND
        snapshot = plan.state.to_bytes() if due and plan.seq > max(0, self._snapshot_seq) else None

        def write(session: Session) -> list[Alarm]:
            alarms = write_decisions(session, self.tenant, plan.decisions, self._targets)
            for source, blocks in intake.blocks.items():
                write_blocks(session, self.tenant, source, blocks)
            for source, gaps in intake.gaps.items():
                write_gaps(session, self.tenant, source, gaps, now)
            write_dead(session, self.tenant, intake.dead, now)
            if snapshot is not None:
                journal.save_snapshot(session, self.tenant, plan.seq, now, snapshot)
            return alarms

        alarms = await self._persist(write)
        self._state, self._seq = plan.state, plan.seq
        if snapshot is not None:
            self._snapshot_seq, self._snapshot_at = plan.seq, self._clock.monotonic_ns()
        return alarms

    async def _receipt(self, intake: Intake) -> None:
        for (gateway, boot), ranges in intake.receipts.items():
            receipt = Receipt(gateway, boot, tuple(ranges))
            try:
                await self._publish(topic(self.tenant, gateway, "receipt"), receipt.encode())
            except UplinkError:
                # the edge sends again when it is back, and gets its receipt then
                self._telemetry.count("receipts_failed_total")
            else:
                self._telemetry.count("receipts_sent_total")

    def _tell(self, intake: Intake, stored: Stored, plan: Plan, alarms: list[Alarm]) -> None:
        self._telemetry.count("readings_stored_total", stored.new)
        self._telemetry.count("readings_duplicate_total", stored.duplicate + intake.repeated)
        self._count_dead(intake.dead)
        for gaps in intake.gaps.values():
            for gap in gaps:
                self._telemetry.count("readings_lost_total", gap.last - gap.first + 1, reason=gap.reason[:64])
        for dead in intake.dead:
            if dead.reason in {"cloned_gateway", "future", OTHER_TIME}:
                self._technical(dead.reason, dead.gateway, dead.detail)
        for source, batch in stored.batches.items():
            patients = stored.patients[source]
            self._feed.publish(ReadingsStored(self.tenant, patients, batch, stored.now[source]))
            if self.hooks.on_stored is not None:
                self.hooks.on_stored(batch, patients)
        self._tell_decided(plan, alarms)

    def _tell_decided(self, plan: Plan, alarms: list[Alarm]) -> None:
        transitions = plan.transitions
        if not transitions:
            return
        self._wake()
        for transition in transitions:
            self._telemetry.count("transitions_total", kind=transition.kind)
        for alarm in alarms:
            self._feed.publish(AlarmChanged(self.tenant, alarm, alarm.last_transition))
        if self.hooks.on_transitions is not None:
            self.hooks.on_transitions(transitions)

    # -- commands, ticks, configuration

    async def submit(self, kind: Literal["accept"], alarm: str, actor: str, note: str = "") -> None:
        """Apply a person's act on an alarm; returns once committed.

        Raises RuleError when there is no such active alarm, StoreUnavailable when it cannot be written.
        """
        await self._act(lambda now: partial(Command, now=now, kind=kind, alarm=alarm, actor=actor, note=note))

    async def tick(self) -> None:
        """Let the timers end that are due; does nothing, and journals nothing, when none is."""
        if any(due <= self._clock.now_ns() for due in self._state.due.values()):
            await self._act(self._tick)

    def _tick(self, _now: int) -> Callable[[int], Input] | None:
        now = self._watermark()
        return partial(Tick, now=now) if any(due <= now for due in self._state.due.values()) else None

    async def configure(self, rules: RuleSet, closed_patients: frozenset[str] = frozenset()) -> None:
        """Put rules in force and close what belongs to patients who have left."""
        await self._act(
            lambda now: partial(Configuration, now=now, rules=rules, closed_patients=closed_patients)
        )

    async def _act(self, make: Callable[[int], Callable[[int], Input] | None]) -> None:
        """Decide and commit one input in its turn. A caller who goes away does not tear it in two."""

        async def act() -> None:
            async with self._turn:
                made = make(self._clock.now_ns())
                if made is None:
                    return
                plan = Plan(self._state, self._seq)
                decision = plan.step(made)
                if decision.transitions or not isinstance(decision.entry.event, Command):
                    await self._commit_decisions(plan)

        task = asyncio.create_task(act(), name="pipeline-act")
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)
        await asyncio.shield(task)

    async def _commit_decisions(self, plan: Plan) -> None:
        alarms = await self._records.run(
            lambda s: write_decisions(s, self.tenant, plan.decisions, self._targets)
        )
        self._state, self._seq = plan.state, plan.seq
        self._tell_decided(plan, alarms)

    def _watermark(self) -> int:
        """How far time has come for timers: as far as every gateway that is talking has told.

        A reading that ends a breach may be under way while its timer runs out; but no gateway, slow or
        with a wrong clock, holds timers back for more than IDLE_SOURCE_NS.
        """
        now, mono = self._clock.now_ns(), self._clock.monotonic_ns()
        told = [wall for wall, heard in self._heard.values() if mono - heard < IDLE_SOURCE_NS]
        return max(min([now, *told]), now - IDLE_SOURCE_NS)

    # -- helpers

    async def _persist(self, write: Callable[[Session], T]) -> T:
        return await self._retrying(lambda: self._records.run(write))

    async def _retrying(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait out a store that cannot be used now; frames that come meanwhile wait or are dropped."""
        try:
            return await work()
        except StoreUnavailable as error:
            log.error("ingest waits for its store: %s", error)  # noqa: TRY400 - no traceback needed
            self._technical("store_unavailable", None, error.message)
        backoff = FIRST_BACKOFF_S
        self._stuck += 1
        try:
            while True:
                self._telemetry.count("store_retries_total")
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF_S)
                with suppress(StoreUnavailable):
                    return await work()
        finally:
            self._stuck -= 1

    def _count_dead(self, dead: Sequence[Dead]) -> None:
        for letter in dead:
            self._telemetry.count("dead_letters_total", reason=letter.reason)
            self._telemetry.count("readings_rejected_total", letter.readings, reason=letter.reason)

    def _technical(self, kind: str, gateway: str | None, detail: str) -> None:
        event = TechnicalEvent(self.tenant, kind, gateway, detail, self._clock.now_ns())
        self._feed.publish(event)
