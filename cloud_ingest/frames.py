"""Batches of frames from what arrived to what is told of it.

Order: check, store the new readings, and then in one turn of the rules' state decide and commit journal +
ranges + alarms + notifications + dead letters in ONE transaction; only then send receipts. A crash anywhere
before the commit leaves frames without a receipt: they come again, the store knows their rows
(``Outcome.SAME``), and they are decided then. A commit that fails for good takes the decision back with it.

While the store is away nobody waits for it in a turn: timers and people's acts go on, gaps and what the
edges have decided are taken in, and readings wait without a receipt (``holding``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.appraising import appraise, count_verdicts
from cloud_ingest.attribution import Attribution, load_attribution, load_owners
from cloud_ingest.clocks import GatewayClocks
from cloud_ingest.dead_letter_flood import Flood, of_last_hour
from cloud_ingest.dead_letters import write_dead
from cloud_ingest.edge_words import EdgeWords
from cloud_ingest.facts import FAILING, Facts
from cloud_ingest.feed import ClockMoved, Feed, ReadingsStored
from cloud_ingest.holding import Arrived, Holding
from cloud_ingest.intake import Dead, Inspector, Intake, Part
from cloud_ingest.judging import Judging
from cloud_ingest.lineage import BootSeen, Lineage, load_lineage, write_lineage
from cloud_ingest.outcome import Stored
from cloud_ingest.proving import Proving
from cloud_ingest.receipt_sender import ReceiptSender
from cloud_ingest.receipts import Ledger, Source, load_account, load_ledger, write_blocks, write_gaps
from cloud_ingest.records import Records
from cloud_ingest.records.ledger import write_tally
from cloud_ingest.refusals import Refusals
from cloud_ingest.sources.base import Message
from cloud_ingest.stores.base import Outcome, TimeSeriesStore
from cloud_ingest.turns import Committed, Turns
from cloud_ingest.waves.base import WaveStore
from cloud_ingest.waves.keeping import WaveKeeper
from hearthward.core.clock import Clock, EventClock
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from rules.model import subject_key

__all__ = ["STORE", "Found", "Frames"]

log = logging.getLogger(__name__)

STORE: Final = subject_key("component", "store")
"""The time-series store, as the rules know it."""

Found = list[tuple[Part, list[Outcome]]]
"""Parts that were stored, and what the store said of their rows."""


class Frames:
    """Takes batches of messages through all of it.

    ``alive`` is told of each gateway whose frame is good, ``delivered`` of what devices have delivered.
    ``attribution`` is which device is on whom, when. ``facts`` are told while the store is away. ``busy`` is
    held by who uses the ``inspector``, whose ledger is ahead between a batch and its commit.
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
        delivered: Callable[[ReadingBatch], None],
        facts: Facts,
        waves: WaveStore,
    ) -> None:
        self.tenant = tenant
        self.attribution = Attribution()
        self._owners: dict[str, str] = {}
        self.turns = turns
        self.hooks = turns.hooks
        self._records, self._store, self._receipts = records, store, receipts
        self._feed, self._clock, self._telemetry = feed, clock, telemetry
        self.inspector = Inspector(tenant, Ledger(), skew)
        self._proving = Proving(tenant, records, store, turns.patience, clock=clock, skew=skew)
        self.flood = Flood(clock, facts)
        self._refusals = Refusals(tenant, records, turns, clock, telemetry, self.flood)
        self._decide = Judging(turns, telemetry).decide
        self._holding = Holding(clock)
        self.waves = WaveKeeper(tenant, waves, clock, telemetry)
        self._clocks = GatewayClocks(skew)
        self.lineage = Lineage(facts, clock, telemetry)
        self._alive, self._delivered, self._facts = alive, delivered, facts
        self.busy = asyncio.Lock()

    @property
    def store_away(self) -> bool:
        """Whether readings wait for the store."""
        return self._holding.away

    @property
    def wait_s(self) -> float | None:
        """Seconds until ``process`` has something to do though nothing arrives; None: it has not."""
        return self._holding.wait_s

    @property
    def ledger(self) -> Ledger:
        """Which numbers are committed; between a batch and its commit it is ahead."""
        return self.inspector.ledger

    async def load(self) -> None:
        """Begin with what is committed: ranges, and which device is on whom."""
        await self._load_ledger()
        read, patiently = self._records.read, self.turns.patience.until_done
        self.lineage.begin(await patiently(lambda: read(lambda s: load_lineage(s, self.tenant))))
        self.attribution = await patiently(lambda: read(lambda s: load_attribution(s, self.tenant)))
        self._owners = await patiently(lambda: read(lambda s: load_owners(s, self.tenant)))
        now = self._clock.now_ns()
        self.flood.begin(*await patiently(lambda: read(lambda s: of_last_hour(s, self.tenant, now))))

    async def start_over(self) -> None:
        """Nothing of what was tried is left, neither in the ledger nor in the rules' state."""
        await self._load_ledger()
        async with self.turns.taken(patiently=True):
            """A turn begins with what is committed."""

    async def _load_ledger(self) -> None:
        read, patiently = self._records.read, self.turns.patience.until_done
        self.inspector.ledger = await patiently(lambda: read(lambda s: load_ledger(s, self.tenant)))

    async def recall(self, sources: Iterable[Source]) -> None:
        """Have the accounts of these in memory: before the ``inspector`` takes their frames."""
        wanted, ledger = set(sources), self.ledger
        for gateway, boot in wanted:
            if not ledger.whole and ledger.known((gateway, boot)) is None:
                find = partial(load_account, tenant=self.tenant, source=(gateway, boot))
                account = await self.turns.patience.until_done(partial(self._records.read, find))
                ledger.put((gateway, boot), account)
        ledger.trim(keep=wanted)

    async def reload_attribution(self) -> None:
        """Associations have changed: what is taken from now on is attributed by the new ones. In a turn."""
        self.attribution = await self._records.read(lambda s: load_attribution(s, self.tenant))
        self._owners = await self._records.read(lambda s: load_owners(s, self.tenant))

    async def process(self, batch: Sequence[Message]) -> None:
        """Take messages, and what waits for the store if that may be asked again, through all of it.

        A frame that our own code fails on stops neither the others nor the process.
        """
        async with self.busy:
            dead: list[Dead] = []
            arrived = self._holding.take()
            for message in batch:
                arrived.extend(await self._open(message, dead))
            if not (arrived or dead):
                return
            try:
                await self._pass(arrived, dead)
            except Exception:
                log.exception("a batch of %d frames failed; trying them one by one", len(arrived))
                await self._one_by_one(arrived, dead)

    async def _one_by_one(self, arrived: Sequence[Arrived], dead: Sequence[Dead]) -> None:
        tries: list[tuple[list[Arrived], list[Dead]]] = [([], [letter]) for letter in dead]
        tries += [([one], []) for one in arrived]
        for frames, letters in tries:
            await self.start_over()
            try:
                await self._pass(frames, letters)
            except Exception as error:
                log.exception("a frame failed")
                await self.start_over()
                for one in frames:
                    await self._refusals.give_up(one.topic, one.frame.encode(), error, one.frame.gateway)

    async def _open(self, message: Message, dead: list[Dead]) -> list[Arrived]:
        """The frame in a message; what cannot be believed is refused, and gets no receipt."""
        try:
            unread: list[Dead] = []
            frame = self.inspector.open(message, unread)
            if frame is None:
                dead.extend(self._refusals.unreadable(unread))
                return []
            if frame.event_time is not self._clock.event_driven:
                dead.extend(self._refusals.other_time(message, frame))
                return []
            if frame.event_time and isinstance(self._clock, EventClock) and self._clock.follow(frame.wall):
                self._feed.publish(ClockMoved(frame.wall))
            self._alive(frame.gateway)
            if self.hooks.on_frame is not None:
                self.hooks.on_frame(frame)
        except Exception as error:
            log.exception("a message failed")
            await self._refusals.give_up(message.topic, message.payload, error)
            return []
        seen = self._clocks.see(frame, self._clock.now_ns(), self._clock.monotonic_ns())
        self.lineage.heard(frame.gateway, frame.boot, frame.session, seen.sent)
        if seen.offset:
            self._refusals.wrong_clock(frame, seen.offset)
        if self.hooks.on_clock is not None:
            self.hooks.on_clock(frame.gateway, seen.offset)
        return [Arrived(message.topic, frame, len(message.payload), seen.offset)]

    async def _pass(self, arrived: Sequence[Arrived], dead: Sequence[Dead]) -> None:
        intake, found, waiting = await self._keep(arrived, dead)
        try:
            await self.prove(intake)
        except StoreUnavailable as error:
            # they get no receipt, so they come again
            self._telemetry.count("blocks_unsure_total", len(intake.unsure))
            log.warning("%d blocks get no receipt now: %s", len(intake.unsure), error)
        await self.commit(intake, found)
        await self._receipts.send(intake.receipts)
        for one in waiting:
            if not self._holding.keep(one):
                self._telemetry.count("frames_dropped_total", reason="store_away")

    async def _keep(
        self, arrived: Sequence[Arrived], dead: Sequence[Dead]
    ) -> tuple[Intake, Found, list[Arrived]]:
        """Sort the frames and store what is new, without what its store cannot take now."""
        sources = {(a.frame.gateway, a.frame.boot) for a in arrived}
        await self.recall(sources)
        readings, waves = self._holding.due, self.waves.due
        while True:
            intake, waiting = self._sort(arrived, dead, readings=readings, waves=waves)
            if await self.waves.took(intake):
                try:
                    return intake, await self.append(intake), waiting
                except StoreUnavailable as error:
                    self._store_failed(error)
                    readings = False
            else:
                waves = False
            await self._load_ledger()  # what was taken is not committed
            await self.recall(sources)

    def _sort(
        self, arrived: Sequence[Arrived], dead: Sequence[Dead], *, readings: bool, waves: bool
    ) -> tuple[Intake, list[Arrived]]:
        """What the frames come to, and those of them that have readings which cannot be stored now."""
        intake = Intake(dead=list(dead))
        now = self._clock.now_ns()
        waiting = [
            a
            for a in arrived
            if self.inspector.take(
                a.frame, a.topic, now, intake, readings=readings, waves=waves, offset=a.offset
            )
        ]
        intake.parts.sort(key=lambda p: (p.source, p.seqs[0]))
        return intake, waiting

    async def prove(self, intake: Intake) -> None:
        """Decide on blocks whose numbers are taken, by what. Raises StoreUnavailable with some undecided."""
        if intake.unsure:
            await self._proving.settle(intake, self.inspector)

    async def append(self, intake: Intake) -> Found:
        """Store all new readings; a part that the store refuses for ever becomes a dead letter.

        Raises StoreUnavailable.
        """
        if not intake.parts:
            return []
        self._appraise(intake)
        try:
            outcomes = await self._store.append_many(self.tenant, [p.delivery() for p in intake.parts])
            found = list(zip(intake.parts, outcomes, strict=True))
        except StoreRejected:
            found = []
            for part in intake.parts:
                found += await self._append_what_goes(part, intake)
        for part, rows in found:
            intake.tally.stored(part.source, part.batch, rows, part.now)
        self._store_works()
        return found

    def _appraise(self, intake: Intake) -> None:
        """Say what the readings are worth; where that fails they are stored as they came."""
        try:
            appraise(self.turns.decider.state, intake.parts, self.attribution)
        except Exception:
            self._telemetry.count("appraising_failed_total")
            log.exception("readings are stored without a verdict")

    async def _append_what_goes(self, part: Part, intake: Intake) -> Found:
        """Store a part without what the store refuses of it, which is found by halves."""
        try:
            (rows,) = await self._store.append_many(self.tenant, [part.delivery()])
        except StoreRejected as error:
            if len(part.batch) > 1:
                return [x for half in part.halves() for x in await self._append_what_goes(half, intake)]
            intake.refuse(part.dead("store_refused", str(error)))
            intake.tally.refused(part.source, part.batch, "store_refused")
            return []
        return [(part, rows)]

    def _store_failed(self, error: StoreUnavailable) -> None:
        self._telemetry.count("store_retries_total")
        if self._holding.failed():
            log.error("readings wait for the store: %s", error)
            self._facts.put(STORE, FAILING, 1.0)
            self.turns.technical("store_unavailable", None, error.message)

    def _store_works(self) -> None:
        if self._holding.works():
            log.warning("the store takes readings again; %d frames waited", len(self._holding))
            self._facts.put(STORE, FAILING, 0.0)

    async def commit(
        self,
        intake: Intake,
        found: Found,
        also: Callable[[Session], None] = lambda _session: None,
    ) -> Stored:
        """Decide what was stored and commit all of it, with what ``also`` writes, in a turn; tell of it."""
        async with self.turns.taken(patiently=True) as decider:
            stored = Stored()
            for source, batch, now in intake.future:
                stored.put_aside(source, batch, now, self.attribution)
            for part, outcomes in found:
                stored.sort_in(part, outcomes, self.attribution)
            words = await self._decide(intake, stored, decider, self.attribution, self._owners)
            done, boots = Committed(), self.lineage.unsaved()
            if decider.pending or not intake.empty or intake.replayed:
                now = self._clock.now_ns()
                done = await self.turns.commit(
                    lambda s: self._write(s, intake, words, boots, now, also), patiently=True
                )
            self.inspector.committed(intake)
            self.lineage.saved(boots)
            for (gateway, boot), *_ in intake.clones:
                self.lineage.cloned(gateway, boot)
            self._tell(intake, stored, done)
        return stored

    def _write(
        self,
        session: Session,
        intake: Intake,
        words: EdgeWords,
        boots: list[BootSeen],
        now: int,
        also: Callable[[Session], None],
    ) -> None:
        for source, blocks in intake.blocks.items():
            write_blocks(session, self.tenant, source, blocks)
        for source, gaps in intake.gaps.items():
            write_gaps(session, self.tenant, source, gaps, now)
        if not intake.replayed:
            write_dead(session, self.tenant, intake.dead, now)
        words.write(session, self.tenant)
        write_lineage(session, self.tenant, boots)
        write_tally(session, self.tenant, intake.tally, {*intake.blocks, *intake.gaps}, now)
        also(session)

    def _tell(self, intake: Intake, stored: Stored, done: Committed) -> None:
        if not intake.replayed:
            self._refusals.tell(intake.dead)
        if intake.stored_before:
            self.turns.tell(done)
            return
        self._telemetry.count("readings_stored_total", stored.new)
        self._telemetry.count("readings_duplicate_total", stored.duplicate + intake.repeated)
        for gaps in intake.gaps.values():
            for gap in gaps:
                self._telemetry.count("readings_lost_total", gap.last - gap.first + 1, reason=gap.reason[:64])
        for source, batch in stored.batches.items():
            if not len(batch):
                continue  # all of it was put aside
            count_verdicts(self._telemetry, batch)
            self.tell_stored(batch, stored.patients[source], stored.now[source])
        self.turns.tell(done)

    def tell_stored(self, batch: ReadingBatch, patients: list[str | None], now: int) -> None:
        """Tell feed and observers of readings that are stored."""
        self._delivered(batch)
        self._feed.publish(ReadingsStored(self.tenant, patients, batch, now))
        if self.hooks.on_stored is not None:
            self.hooks.on_stored(batch, patients)
