"""A batch of frames from what arrived to what is told of it, in one turn of the rules' state.

Order: check, store the new readings, decide, commit journal + ranges + alarms + notifications + dead letters
in ONE transaction, and only then send receipts and tell the listeners. A crash anywhere before the commit
leaves frames without a receipt: they come again, the store knows their rows (``Outcome.SAME``), and they are
decided then. A commit that fails for good takes the decision back with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution, load_attribution
from cloud_ingest.dead_letters import write_dead
from cloud_ingest.deciding import Decider
from cloud_ingest.feed import ClockMoved, Feed, ReadingsStored
from cloud_ingest.intake import CLONED, FUTURE, UNDECIDED, Dead, Inspector, Intake
from cloud_ingest.outcome import Stored
from cloud_ingest.receipt_sender import ReceiptSender
from cloud_ingest.receipts import Ledger, Source, load_ledger, write_blocks, write_gaps
from cloud_ingest.records import Records
from cloud_ingest.records.ledger import write_tally
from cloud_ingest.sources.base import Message
from cloud_ingest.stores.base import Delivery, Outcome, TimeSeriesStore
from cloud_ingest.turns import Committed, Turns
from hearthward.core.clock import SECOND, Clock, EventClock
from hearthward.core.errors import StoreRejected
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame
from rules.model import Readings

__all__ = ["Frames"]

log = logging.getLogger(__name__)

GIVE_UP_AGAIN_NS: Final = 600 * SECOND
"""A gateway's frames that get no receipt are dead-lettered once in this time."""
OTHER_TIME: Final = "other_time"
"""Why frames are refused that go by a recording's time where the cloud does not, or the other way round."""


class Frames:
    """Takes batches of messages through all of it; ``alive`` is told of each gateway whose frame is good.

    ``attribution`` is which device is on whom, when.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        tenant: str,
        records: Records,
        store: TimeSeriesStore,
        turns: Turns,
        receipts: ReceiptSender,
        *,
        feed: Feed,
        clock: Clock,
        telemetry: Telemetry,
        skew: int,
        alive: Callable[[str], None],
    ) -> None:
        self.tenant = tenant
        self.attribution = Attribution()
        self.turns = turns
        self.hooks = turns.hooks
        self._records, self._store, self._receipts = records, store, receipts
        self._feed, self._clock, self._telemetry = feed, clock, telemetry
        self._inspector = Inspector(tenant, Ledger(), skew)
        self._alive = alive
        self._given_up: dict[str, int] = {}

    async def load(self) -> None:
        """Begin with what is committed: ranges, and which device is on whom."""
        read, patiently = self._records.read, self.turns.patience.until_done
        self._inspector.ledger = await patiently(lambda: read(lambda s: load_ledger(s, self.tenant)))
        self.attribution = await patiently(lambda: read(lambda s: load_attribution(s, self.tenant)))

    async def reload_attribution(self) -> None:
        """Associations have changed: what is taken from now on is attributed by the new ones. In a turn."""
        self.attribution = await self._records.read(lambda s: load_attribution(s, self.tenant))

    async def process(self, batch: list[Message], decider: Decider) -> None:
        """A frame that our own code fails on must stop neither the others nor the process."""
        try:
            await self._pass(batch, decider)
        except Exception:
            log.exception("a batch of %d frames failed; trying them one by one", len(batch))
            for message in batch:
                await self._start_over(decider)
                try:
                    await self._pass([message], decider)
                except Exception as error:
                    log.exception("a frame failed")
                    await self._start_over(decider)
                    await self._give_up(message, error)

    async def _start_over(self, decider: Decider) -> None:
        """Nothing of what was tried is left, neither in the ledger nor in the rules' state."""
        await self.load()
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
        self.turns.technical("internal_error", None, "a frame could not be processed; it got no receipt")

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

    async def _pass(self, batch: list[Message], decider: Decider) -> None:
        intake = self._inspect(batch)
        stored = await self._append(intake)
        await self._decide(intake, stored, decider)
        done = Committed()
        if decider.pending or not intake.empty:
            now = self._clock.now_ns()
            done = await self.turns.commit(lambda s: self._write(s, intake, now), patiently=True)
        await self._receipts.send(intake.receipts)
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
            self._alive(frame.gateway)
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
            for part, found in zip(intake.parts, outcomes, strict=True):
                intake.tally.stored(part.source, part.batch, found, part.now)
        except StoreRejected:
            for part in intake.parts:
                try:
                    outcomes = await self._store_all([part.delivery()])
                    stored.sort_in([part], outcomes, self.attribution)
                    intake.tally.stored(part.source, part.batch, outcomes[0], part.now)
                except StoreRejected as error:
                    intake.refuse(part.dead("store_refused", str(error)))
                    intake.tally.refused(part.source, part.batch, "store_refused")
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
        self.turns.technical("rules_failed", source[0], f"{type(error).__name__}: readings not judged")
        for part in (p for p in intake.parts if p.source == source):
            intake.refuse(part.dead(UNDECIDED, f"{type(error).__name__}: {error}", stored=True))

    def _write(self, session: Session, intake: Intake, now: int) -> None:
        for source, blocks in intake.blocks.items():
            write_blocks(session, self.tenant, source, blocks)
        for source, gaps in intake.gaps.items():
            write_gaps(session, self.tenant, source, gaps, now)
        write_dead(session, self.tenant, intake.dead, now)
        write_tally(session, self.tenant, intake.tally, {*intake.blocks, *intake.gaps}, now)

    def _tell(self, intake: Intake, stored: Stored, done: Committed) -> None:
        self._telemetry.count("readings_stored_total", stored.new)
        self._telemetry.count("readings_duplicate_total", stored.duplicate + intake.repeated)
        self._count_dead(intake.dead)
        for gaps in intake.gaps.values():
            for gap in gaps:
                self._telemetry.count("readings_lost_total", gap.last - gap.first + 1, reason=gap.reason[:64])
        for dead in intake.dead:
            if dead.reason in {CLONED, FUTURE, OTHER_TIME}:
                self.turns.technical(dead.reason, dead.gateway, dead.detail)
        for source, batch in stored.batches.items():
            if not len(batch):
                continue  # all of it was put aside
            self.tell_stored(batch, stored.patients[source], stored.now[source])
        self.turns.tell(done)

    def tell_stored(self, batch: ReadingBatch, patients: list[str | None], now: int) -> None:
        """Tell feed and observers of readings that are stored."""
        self._feed.publish(ReadingsStored(self.tenant, patients, batch, now))
        if self.hooks.on_stored is not None:
            self.hooks.on_stored(batch, patients)

    def _count_dead(self, dead: Sequence[Dead]) -> None:
        for letter in dead:
            self._telemetry.count("dead_letters_total", reason=letter.reason)
            self._telemetry.count("readings_rejected_total", letter.readings, reason=letter.reason)
