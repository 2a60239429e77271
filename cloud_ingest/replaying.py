"""Dead letters put through the intake again, as of now: what is good by now is stored and judged.

A replay sends no receipt and keeps gateway, boot and numbers: the store knows rows that it has, so nothing
is doubled, and whose they are is asked by device and time as ever. A letter is marked in the transaction of
its decisions; one that was let in is not touched again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.dead_letters import State, numbers_of, pack_numbers, ranges_of
from cloud_ingest.entry import manual_patient
from cloud_ingest.frames import Found, Frames
from cloud_ingest.intake import CLONED, UNDECIDED, Dead, Intake, Part
from cloud_ingest.loss_ledger import Tally
from cloud_ingest.manual import MANUAL, ManualEntry, ManualIntake
from cloud_ingest.receipts import BlockState
from cloud_ingest.records import Records
from cloud_ingest.records.dead_letters import find_one, open_ids
from cloud_ingest.records.models import DeadLetter
from cloud_ingest.refusals import INTERNAL_ERROR, OTHER_TIME
from cloud_ingest.sources.base import Message
from cloud_ingest.stores.base import Outcome
from hearthward.core.clock import Clock
from hearthward.core.errors import StoreError
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wave_blocks import carries_waves
from hearthward.core.wire import Block, Frame, carries_decisions, decode_block, encode_block

__all__ = ["MOST", "Came", "Replayed", "Replayer"]

log = logging.getLogger(__name__)

MOST: Final = 100
"""Letters in one go."""
UNREAD: Final = frozenset({"malformed", "version", "oversized", "reserved"})
"""Why a block is refused as a whole: what is wrong with its rows is not known yet."""


@dataclass(slots=True)
class Came:
    """What a letter's readings came to (a message that is no frame counts as one).

    ``known``: stored already from elsewhere; ``waves``: chunks of waveforms; ``refused`` by reason.
    ``settled``: what was refused is in letters of its own.
    """

    stored: int = 0
    known: int = 0
    judged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    settled: bool = False
    waves: int = 0

    @property
    def state(self) -> State:
        """What the letter is then."""
        return State.REFUSED if self.refused.total() and not self.settled else State.REPLAYED

    def told(self, dead: Sequence[Dead]) -> Came:
        """With what was refused again; what the rules failed on is not judged."""
        refused = self.refused.copy()
        for letter in dead:
            refused[letter.reason] += letter.holds
        judged = 0 if refused[UNDECIDED] else self.judged
        return replace(self, judged=judged, refused=refused)

    def __str__(self) -> str:
        counts = {"stored": self.stored, "known": self.known, "judged": self.judged, "waves": self.waves}
        counts |= {f"refused:{reason}": n for reason, n in sorted(self.refused.items())}
        return " ".join(f"{name}={n}" for name, n in counts.items() if n) or "nothing"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A letter after a replay. ``changed``: this one did it (or would, where it is only tried)."""

    id: int
    reason: str
    state: State
    outcome: str
    changed: bool


class Replayer:
    """Replays letters one by one, each in a turn and a transaction of its own."""

    def __init__(
        self,
        tenant: str,
        records: Records,
        frames: Frames,
        manual: ManualIntake,
        *,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._tenant, self._records, self._frames, self._manual = tenant, records, frames, manual
        self._clock, self._telemetry = clock, telemetry

    async def waiting(self, reason: str, after: int = 0) -> Sequence[int]:
        """The ids of the next ``MOST`` letters of a reason that were not let in, the oldest first."""
        return await self._records.read(lambda s: open_ids(s, self._tenant, reason, after, MOST))

    async def replay(self, ident: int, by: str, *, dry_run: bool = False) -> Replayed | None:
        """Replay one letter for ``by``; None when there is none. ``dry_run`` only says what it came to.

        Who goes away meanwhile does not tear it in two. Raises StoreUnavailable.
        """
        done: list[Replayed | None] = []

        async def work() -> None:
            async with self._frames.busy:
                done.append(await self._replay(ident, by, dry_run=dry_run))

        await self._frames.turns.whole(work())
        return done[0]

    async def _replay(self, ident: int, by: str, *, dry_run: bool) -> Replayed | None:
        letter = await self._records.read(lambda s: find_one(s, self._tenant, ident))
        if letter is None:
            return None
        if letter.state == State.REPLAYED:
            return Replayed(letter.id, letter.reason, State.REPLAYED, letter.outcome or "", changed=False)
        try:
            came = await self._look(letter) if dry_run else await self._let_in(letter, by)
        except StoreError:
            await self._frames.start_over()
            raise
        except Exception as error:
            log.exception("dead letter %d could not be replayed", ident)
            await self._frames.start_over()
            came = Came(refused=Counter({INTERNAL_ERROR: max(1, letter.readings)}))
            self._frames.turns.technical(INTERNAL_ERROR, None, f"dead letter {ident}: {type(error).__name__}")
            if not dry_run:
                await self._mark(letter, came, by)
        if not dry_run:
            self._telemetry.count("dead_letters_replayed_total", outcome=came.state)
        return Replayed(letter.id, letter.reason, came.state, str(came), changed=True)

    async def _let_in(self, letter: DeadLetter, by: str) -> Came:
        """Everything a letter comes to, committed with the mark on it."""
        if letter.boot is None:
            return await self._frame(letter, by)
        if letter.reason == CLONED:
            came = Came(refused=Counter({CLONED: letter.readings}))
        elif letter.gateway == MANUAL:
            came = await self._entry(letter)
        elif carries_decisions(letter.payload):
            return await self._words(letter, letter.boot, by)
        elif carries_waves(letter.payload):
            return await self._waves(letter, letter.boot, by)
        elif letter.reason in UNREAD:
            return await self._block(letter, letter.boot, by)
        else:
            return await self._rows(letter, letter.boot, by)
        await self._mark(letter, came, by)
        return came

    # -- whole frames, of which no receipt was sent

    async def _frame(self, letter: DeadLetter, by: str) -> Came:
        frame, refused = self._opened(letter)
        if frame is None:
            came = Came(refused=Counter([refused]))
            await self._mark(letter, came, by)
            return came
        intake, came = Intake(), Came(settled=True)  # what is wrong with its rows gets letters of its own
        await self._frames.recall([(frame.gateway, frame.boot)])
        self._frames.inspector.take(frame, letter.topic, self._clock.now_ns(), intake)
        await self._frames.prove(intake)
        intake.receipts.clear()
        came.waves = await self._frames.waves.keep(intake)
        found = await self._frames.append(intake)
        count(came, found)
        came.known += intake.repeated

        def mark(session: Session) -> None:
            self._write(session, letter, came.told(intake.dead), by)

        await self._frames.commit(intake, found, mark)
        return came.told(intake.dead)

    def _opened(self, letter: DeadLetter) -> tuple[Frame | None, str]:
        """The frame of a letter, or why it is none."""
        dead: list[Dead] = []
        frame = self._frames.inspector.open(Message(letter.topic, letter.payload), dead)
        if frame is None:
            return None, dead[0].reason
        if frame.event_time is not self._clock.event_driven:
            return None, OTHER_TIME
        return frame, ""

    # -- blocks and rows of frames that were receipted without them

    async def _block(self, letter: DeadLetter, boot: str, by: str) -> Came:
        """A block that nobody could read: read now, its rows are sorted as of any other."""
        seqs, intake, came = numbers_of(letter.seqs), Intake(), Came()
        source = letter.gateway or "", boot
        block = Block(seqs[0], len(seqs), letter.payload)
        self._frames.inspector.read(source, letter.topic, block, seqs, self._clock.now_ns(), intake)
        if any(dead.payload is letter.payload for dead in intake.dead):
            came.refused[intake.dead[0].reason] += len(seqs)
            await self._mark(letter, came, by)
            return came
        came.settled = True
        intake.tally.read_at_last(source, len(seqs), letter.reason, letter.at)
        found = await self._frames.append(intake)
        count(came, found)

        def mark(session: Session) -> None:
            self._write(session, letter, came.told(intake.dead), by)

        await self._frames.commit(intake, found, mark)
        return came.told(intake.dead)

    async def _words(self, letter: DeadLetter, boot: str, by: str) -> Came:
        """What a gateway has decided; what is not taken now, either, stays in the letter."""
        seqs, intake = numbers_of(letter.seqs), Intake(replayed=True)
        source, now = (letter.gateway or "", boot), self._clock.now_ns()
        block = Block(seqs[0], len(seqs), letter.payload)
        self._frames.inspector.read(source, letter.topic, block, seqs, now, intake)
        came = Came(judged=sum(len(d.words) for d in intake.decisions))

        def mark(session: Session) -> None:
            self._write(session, letter, _of_words(came, intake.dead), by)

        await self._frames.commit(intake, [], mark)
        return _of_words(came, intake.dead)

    async def _waves(self, letter: DeadLetter, boot: str, by: str) -> Came:
        """Chunks of waveforms; what is not taken now, either, stays in the letter."""
        seqs, intake = numbers_of(letter.seqs), Intake(replayed=True)
        source, now = (letter.gateway or "", boot), self._clock.now_ns()
        block = Block(seqs[0], len(seqs), letter.payload)
        self._frames.inspector.read(source, letter.topic, block, seqs, now, intake)
        await self._frames.waves.keep(intake)
        came = Came(waves=sum(len(part.chunks) for part in intake.waves)).told(intake.dead)
        await self._mark(letter, came, by)
        return came

    async def _rows(self, letter: DeadLetter, boot: str, by: str) -> Came:
        """Rows that were refused, or stored and not judged; what is bad still stays in the letter."""
        source, seqs, pending = (letter.gateway or "", boot), numbers_of(letter.seqs), self._pending(letter)
        batch = decode_block(letter.payload).take(pending)
        intake, found = self._sorted(letter, source, batch, [seqs[i] for i in pending])
        came = Came()
        if letter.reason == UNDECIDED:
            intake.stored_before = True
            came.judged = len(batch)
        else:
            found = await self._frames.append(intake)
            intake.tally = Tally()
            for part, outcomes in found:
                intake.tally.stored(part.source, part.batch, outcomes, part.now)
                intake.tally.let_in(part.source, part.batch, letter.reason)
            count(came, found)
        intake.replayed = True

        def mark(session: Session) -> None:
            bad = {n for dead in intake.dead for n in dead.seqs}
            done = [*numbers_of(letter.done), *(i for i in pending if seqs[i] not in bad)]
            self._write(session, letter, came.told(intake.dead), by, done=done)

        await self._frames.commit(intake, found, mark)
        return came.told(intake.dead)

    def _sorted(
        self, letter: DeadLetter, source: tuple[str, str], batch: ReadingBatch, seqs: list[int]
    ) -> tuple[Intake, Found]:
        """Rows as they are to be taken in now."""
        intake, now = Intake(), self._clock.now_ns()
        block = Block(seqs[0], len(seqs), encode_block(batch))
        if letter.reason == UNDECIDED:
            part = Part(source, letter.topic, batch, seqs, now)
            intake.parts.append(part)
            return intake, [(part, [Outcome.NEW] * len(batch))]
        self._frames.inspector.read(source, letter.topic, block, seqs, now, intake)
        intake.future.clear()
        return intake, []

    @staticmethod
    def _pending(letter: DeadLetter) -> list[int]:
        """The rows that no replay has let in."""
        done = ranges_of(letter.done)
        return [i for i in range(len(numbers_of(letter.seqs))) if i not in done]

    async def _entry(self, letter: DeadLetter) -> Came:
        """An entry by hand that is stored and was not judged."""
        batch = decode_block(letter.payload)
        patients = [manual_patient(device) or "" for device in batch.device]
        if await self._manual.again(ManualEntry(batch, patients)):
            return Came(judged=len(batch))
        return Came(refused=Counter({UNDECIDED: len(batch)}))

    # -- what it would come to

    async def _look(self, letter: DeadLetter) -> Came:
        """What a replay would come to, as far as it can be told without the store."""
        now, came, inspector = self._clock.now_ns(), Came(), self._frames.inspector
        if letter.boot is None:
            frame, refused = self._opened(letter)
            if frame is None:
                return Came(refused=Counter([refused]))
            source = frame.gateway, frame.boot
            await self._frames.recall([source])
            account = inspector.ledger.of(*source)
            for block in frame.blocks:
                state = account.judge(block)
                if state in {BlockState.COMMITTED, BlockState.UNSURE}:
                    came.known += block.count
                elif state is BlockState.CLONED:
                    came.refused[CLONED] += block.count
                else:
                    self._foresee(source, letter.topic, block, range(block.first, block.last + 1), now, came)
            return came
        seqs = numbers_of(letter.seqs)
        source = letter.gateway or "", letter.boot
        if letter.reason == CLONED:
            came.refused[CLONED] = letter.readings
        elif carries_decisions(letter.payload) or carries_waves(letter.payload):
            self._foresee(source, letter.topic, Block(seqs[0], len(seqs), letter.payload), seqs, now, came)
        elif letter.reason == UNDECIDED:
            came.judged = len(self._pending(letter))
        elif letter.reason in UNREAD:
            self._foresee(source, letter.topic, Block(seqs[0], len(seqs), letter.payload), seqs, now, came)
        else:
            pending = self._pending(letter)
            batch = decode_block(letter.payload).take(pending)
            block = Block(seqs[pending[0]], len(pending), encode_block(batch))
            self._foresee(source, letter.topic, block, [seqs[i] for i in pending], now, came)
        return came

    def _foresee(
        self, source: tuple[str, str], topic: str, block: Block, seqs: Sequence[int], now: int, came: Came
    ) -> None:
        intake = Intake()
        self._frames.inspector.read(source, topic, block, seqs, now, intake)
        came.stored += sum(len(part.batch) for part in intake.parts)
        came.judged += sum(len(d.words) for d in intake.decisions)
        came.waves += sum(len(part.chunks) for part in intake.waves)
        for dead in intake.dead:
            came.refused[dead.reason] += dead.holds

    # -- the mark on the letter

    async def _mark(self, letter: DeadLetter, came: Came, by: str) -> None:
        await self._records.run(lambda s: self._write(s, letter, came, by))

    def _write(
        self,
        session: Session,
        letter: DeadLetter,
        came: Came,
        by: str,
        *,
        done: Sequence[int] = (),
    ) -> None:
        """In the transaction of what was let in; a transaction that is tried again writes the same."""
        row = find_one(session, self._tenant, letter.id)
        if row is None:
            return  # dropped for its age meanwhile
        row.state, row.outcome = came.state, str(came)
        row.replayed_at, row.replayed_by = self._records.wall.now_ns(), by
        if done:
            row.done = pack_numbers(sorted(done))


def _of_words(came: Came, dead: Sequence[Dead]) -> Came:
    """With the decisions that were not taken."""
    refused = came.told(dead).refused
    return Came(judged=max(0, came.judged - refused.total()), refused=refused)


def count(came: Came, found: Found) -> None:
    """Add what the store said."""
    for _part, outcomes in found:
        known = sum(outcome is Outcome.DUPLICATE for outcome in outcomes)
        came.known += known
        came.stored += len(outcomes) - known


def outcome_of(text: str) -> Mapping[str, int]:
    """What ``str(Came)`` says -> counts by name."""
    return {name: int(n) for name, _, n in (part.partition("=") for part in text.split()) if n.isdigit()}
