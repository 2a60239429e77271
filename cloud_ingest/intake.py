"""Looking at what arrived: parts of frames to store, parts to refuse with a reason, ranges to receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from cloud_ingest.adopting import Decided, read_decisions
from cloud_ingest.clocks import correct
from cloud_ingest.receipts import BlockState, Committed, Ledger, Source, Unsure
from cloud_ingest.screening import FUTURE, check_columns, screen
from cloud_ingest.sources.base import Message
from cloud_ingest.taken import MAX_DETAIL, Answer, Clone, Dead, Intake, Part
from cloud_ingest.waves.taking import WavePart, read_waves
from hearthward.core.errors import DecodeError
from hearthward.core.model import ReadingBatch
from hearthward.core.wave_blocks import samples_in
from hearthward.core.wire import Block, Frame, decode_block, encode_block, parse_topic

__all__ = [
    "CLONED",
    "FUTURE",
    "MAX_DETAIL",
    "OTHER_TIME",
    "UNDECIDED",
    "UNREADABLE",
    "Answer",
    "Dead",
    "Inspector",
    "Intake",
    "Part",
    "check_columns",
    "decoded",
    "screen",
]

KEPT_OF_OVERSIZED: Final = 65_536
CLONED: Final = "cloned_gateway"
"""Why a block is refused whose numbers stand for other readings already."""
UNDECIDED: Final = "undecided"
"""Why readings that are stored are kept here, too: the rules failed on them."""
OTHER_TIME: Final = "other_time"
"""Why frames are refused that go by a recording's time where the cloud does not, or the other way round."""
UNREADABLE: Final = frozenset({"topic", "tenant", "identity", "malformed", "version", "oversized"})
"""Why a message is no frame that can be believed; blocks may be refused for some of these, too."""
TOGETHER: Final = 500
MOST_SAMPLES: Final = 1 << 22
"""After so many samples of waveforms in one batch the blocks that follow get no receipt: they come again."""
MAX_CLONES: Final = 1_024
"""Blocks that are remembered as dead-lettered, or found, under numbers that are taken."""
_MAX_INT: Final = 2**63 - 1
_TO_STORE: Final = {BlockState.NEW, BlockState.UNSURE}
"""What takes the store to say more of it."""


class Inspector:
    """Checks frames of one tenant against what is committed (``ledger``, which it keeps up to date)."""

    def __init__(self, tenant: str, ledger: Ledger, future_skew_ns: int) -> None:
        self._tenant = tenant
        self.ledger = ledger
        self._skew = future_skew_ns
        self._clones: dict[Clone, None] = {}

    def open(self, message: Message, dead: list[Dead]) -> Frame | None:
        """The frame in a message, or None when it cannot be believed: ``dead``, and without a receipt."""
        gateway: str | None = None
        try:
            tenant, gateway, _ = parse_topic(message.topic)
            if tenant != self._tenant:
                msg = f"a frame for tenant {tenant!r}; this is {self._tenant!r}"
                raise DecodeError(msg, reason="tenant")
            frame = Frame.decode(message.payload)
            _check_ranges(frame)
            if frame.gateway != gateway:
                msg = f"a frame of {frame.gateway!r} on the topic of {gateway!r}"
                raise DecodeError(msg, reason="identity")
        except DecodeError as error:
            kept = message.payload[:KEPT_OF_OVERSIZED] if error.reason == "oversized" else message.payload
            dead.append(Dead(message.topic, gateway, error.reason, str(error)[:MAX_DETAIL], kept))
            return None
        return frame

    def take(
        self,
        frame: Frame,
        topic: str,
        now: int,
        intake: Intake,
        *,
        readings: bool = True,
        waves: bool = True,
        offset: int = 0,
    ) -> int:
        """Sort a frame's blocks and gaps into ``intake``; everything that it took will be receipted.

        But for ``intake.unsure``: what is known of these has to be looked up first.
        Without ``readings`` new blocks of readings are left out, as nothing can be stored now: returns how
        many readings that were. Without ``waves``, and beyond MOST_SAMPLES, blocks of waveforms are left
        out: they come again.
        ``offset`` is what to add to times of the gateway's clock (ns).
        """
        source = frame.gateway, frame.boot
        answer = intake.receipts.setdefault((*source, frame.session), Answer())
        wall = frame.wall + offset
        if (frame.synchronised or frame.event_time or offset) and abs(now - wall) <= self._skew:
            intake.walls[source] = max(wall, intake.walls.get(source, 0))
        account = self.ledger.of(*source)
        fresh: list[Block] = []
        left: list[Block] = []
        for block in frame.blocks:
            state = self._judge(account, source, block, intake)
            room = waves and intake.samples < MOST_SAMPLES
            if state in _TO_STORE and not (room if block.waves else readings or block.decisions):
                left.append(block)
            elif state is BlockState.UNSURE and not block.waves:
                intake.unsure.append(Unsure(source, frame.session, topic, block, now, offset))
            else:
                intake.samples += samples_in(block.payload) if block.waves and state in _TO_STORE else 0
                answer.blocks[block.stored()] = None
                if state is BlockState.NEW:
                    account.add(block)
                    intake.blocks[source].append(block)
                    fresh.append(block)
                else:
                    self._take_again(state, source, topic, block, now, intake, offset)
        self._take_fresh(source, topic, fresh, now, intake, offset)
        for gap in frame.gaps:
            answer.gaps[gap.first, gap.last] = None
            intake.gaps[source].extend(account.declare(gap))
        if (left or intake.unsure) and not (answer.blocks or answer.gaps):
            del intake.receipts[*source, frame.session]
        return sum(block.count for block in left if not block.waves)

    def _take_again(
        self,
        state: BlockState,
        source: Source,
        topic: str,
        block: Block,
        now: int,
        intake: Intake,
        offset: int,
    ) -> None:
        """A block whose numbers are committed."""
        if state is BlockState.CLONED:
            self.refuse_clone(source, topic, block, now, intake)
            return
        intake.repeated += block.count
        if state is BlockState.UNSURE:  # of waveforms: their store knows what it has, nothing is there twice
            self._read_waves(source, topic, block, _numbers(block), now, intake, offset)
            intake.kept.append((source, block.first, block.digest()))

    def _take_fresh(
        self, source: Source, topic: str, blocks: Sequence[Block], now: int, intake: Intake, offset: int
    ) -> None:
        with_readings: list[Block] = []
        for block in blocks:
            if block.decisions:
                intake.tally.decided(source, block.count, now)
                self.read(source, topic, block, _numbers(block), now, intake, offset)
            elif block.waves:
                intake.tally.sampled(source, block.count, now)
                self._read_waves(source, topic, block, _numbers(block), now, intake, offset)
            else:
                with_readings.append(block)
        for together in _in_groups(with_readings):
            self._read_together(source, topic, together, now, intake, offset)

    def _judge(self, account: Committed, source: Source, block: Block, intake: Intake) -> BlockState:
        """Compare a block with what is there; what was looked up a short while ago is known."""
        state = account.judge(block)
        if state is BlockState.UNSURE and self._known_clone((source, block.first, block.digest()), intake):
            return BlockState.COMMITTED
        return state

    def committed(self, intake: Intake) -> None:
        """What was taken into ``intake`` is committed."""
        for mark in (*intake.clones, *intake.kept):
            self._clones[mark] = None
            if len(self._clones) > MAX_CLONES:
                del self._clones[next(iter(self._clones))]

    def read(
        self,
        source: Source,
        topic: str,
        block: Block,
        seqs: Sequence[int],
        now: int,
        intake: Intake,
        offset: int = 0,
    ) -> None:
        """Sort the rows (decisions, waveforms) of a block, numbered by ``seqs``, into ``intake``."""
        if block.decisions:
            self._read_decisions(source, topic, block, seqs, now, intake, offset)
            return
        if block.waves:
            self._read_waves(source, topic, block, seqs, now, intake, offset)
            return
        try:
            batch = decoded(block)
            check_columns(batch)
        except DecodeError as error:
            intake.refuse(_unreadable(source, topic, block, "readings", error))
            intake.tally.unreadable(source, block.count, error.reason, now)
            return
        self._screen(source, topic, batch, seqs, now, intake, offset)

    def _read_together(
        self, source: Source, topic: str, blocks: Sequence[Block], now: int, intake: Intake, offset: int
    ) -> None:
        """The same for several blocks at once: small ones cost more than their readings."""
        batch, seqs = ReadingBatch(), [n for b in blocks for n in range(b.first, b.last + 1)]
        try:
            for block in blocks:
                batch.extend(decoded(block))
            check_columns(batch)
        except DecodeError:
            for block in blocks:  # one of them: the others are good
                self.read(source, topic, block, _numbers(block), now, intake, offset)
            return
        self._screen(source, topic, batch, seqs, now, intake, offset)

    def _screen(
        self,
        source: Source,
        topic: str,
        batch: ReadingBatch,
        seqs: Sequence[int],
        now: int,
        intake: Intake,
        offset: int,
    ) -> None:
        """Sort rows that can be read, numbered by ``seqs``, into ``intake``."""
        where = f"boot {source[1]}, readings {seqs[0]}-{seqs[-1]}"
        if offset:
            correct(batch, offset)
        refused = screen(batch, now + self._skew)
        bad = {i for rows in refused.values() for i, _ in rows}
        for reason, rows in refused.items():
            detail = f"{where}: {rows[0][1]}" + (f" (and {len(rows) - 1} more)" if len(rows) > 1 else "")
            aside = batch.take([i for i, _ in rows])
            dead = Dead(topic, source[0], reason, detail[:MAX_DETAIL], encode_block(aside), len(rows))
            intake.refuse(replace(dead, boot=source[1], seqs=[seqs[i] for i, _ in rows]))
            intake.tally.refused(source, aside, reason)
            if reason == FUTURE:
                intake.future.append((source, aside, now))
        good = [i for i in range(len(seqs)) if i not in bad]
        if good:
            rows_kept = batch if not bad else batch.take(good)
            intake.parts.append(Part(source, topic, rows_kept, [seqs[i] for i in good], now, offset))

    @staticmethod
    def _read_decisions(
        source: Source,
        topic: str,
        block: Block,
        seqs: Sequence[int],
        now: int,
        intake: Intake,
        offset: int,
    ) -> None:
        """What cannot be read of it becomes dead letters; the rest is taken all the same."""
        try:
            found, bad = read_decisions(block.payload, len(seqs), offset)
        except DecodeError as error:
            intake.refuse(_unreadable(source, topic, block, "decisions", error))
            return
        words = [(seqs[i], word) for i, word in found]
        intake.decisions.append(Decided(source, topic, block.payload, words, now))
        for i, part, wrong in bad:
            intake.refuse(_rows(source, topic, "decision", [seqs[i]], wrong.reason, str(wrong), part))

    def _read_waves(
        self,
        source: Source,
        topic: str,
        block: Block,
        seqs: Sequence[int],
        now: int,
        intake: Intake,
        offset: int,
    ) -> None:
        """Chunks that cannot be become dead letters, but no readings are lost by it; the rest is taken."""
        try:
            found, bad = read_waves(block.payload, len(seqs), now + self._skew, offset)
        except DecodeError as error:
            intake.refuse(replace(_unreadable(source, topic, block, "waveforms", error), readings=0))
            return
        if found:
            chunks, numbers = [chunk for _, chunk in found], [seqs[i] for i, _ in found]
            intake.waves.append(WavePart(source, topic, chunks, numbers))
        for part in bad:
            more = f" (and {len(part.places) - 1} more)" if len(part.places) > 1 else ""
            numbers = [seqs[i] for i in part.places]
            said = f"{part.detail}{more}"
            intake.refuse(_rows(source, topic, "waveform", numbers, part.reason, said, part.payload()))

    def refuse_clone(
        self, source: Source, topic: str, block: Block, now: int, intake: Intake, *, proven: bool = True
    ) -> None:
        """Keep a block aside whose numbers are taken; without proof of a clone nobody is told of one."""
        mark = source, block.first, block.digest()
        if self._known_clone(mark, intake):
            intake.repeated += block.count
            return
        (intake.clones if proven else intake.kept).append(mark)
        why = (
            "other readings are stored under these numbers; two gateways use one identity or one outbox file "
            "was copied"
            if proven
            else "these numbers are taken, and it cannot be shown any more that this is what they stood for"
        )
        detail = f"boot {source[1]}, readings {block.first}-{block.last}: {why}"
        intake.refuse(_dead(source, topic, block, CLONED, detail))
        intake.tally.cloned(source, block.count, now)

    def _known_clone(self, mark: Clone, intake: Intake) -> bool:
        """Whether a block was found, or is in the dead letters, already."""
        return mark in self._clones or mark in intake.clones or mark in intake.kept


def _dead(source: Source, topic: str, block: Block, reason: str, detail: str) -> Dead:
    """A whole block, as a dead letter."""
    return Dead(topic, source[0], reason, detail, block.payload, block.count, source[1], _numbers(block))


def _unreadable(source: Source, topic: str, block: Block, what: str, error: DecodeError) -> Dead:
    """A whole block of which nothing can be read."""
    detail = f"boot {source[1]}, {what} {block.first}-{block.last}: {error}"[:MAX_DETAIL]
    return _dead(source, topic, block, error.reason, detail)


def _rows(
    source: Source, topic: str, what: str, numbers: list[int], reason: str, said: str, payload: bytes
) -> Dead:
    """Rows of a block that are no readings, as a dead letter."""
    detail = f"boot {source[1]}, {what} {numbers[0]}: {said}"[:MAX_DETAIL]
    return Dead(topic, source[0], reason, detail, payload, 0, source[1], numbers)


def _numbers(block: Block) -> range:
    return range(block.first, block.last + 1)


def decoded(block: Block) -> ReadingBatch:
    """A block's readings. Raises DecodeError."""
    batch = decode_block(block.payload)
    if len(batch) != block.count:
        msg = f"a block announced as {block.count} readings has {len(batch)}"
        raise DecodeError(msg, reason="malformed")
    return batch


def _in_groups(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Neighbours in groups of TOGETHER readings, or somewhat less: what a store refuses is refused in one."""
    group: list[Block] = []
    size = 0
    for block in blocks:
        if group and (size + block.count > TOGETHER or group[-1].last + 1 != block.first):
            yield group
            group, size = [], 0
        group.append(block)
        size += block.count
    if group:
        yield group


def _check_ranges(frame: Frame) -> None:
    ends: Iterable[int] = [*(b.last for b in frame.blocks), *(g.last for g in frame.gaps), frame.wall]
    if any(not 0 <= end <= _MAX_INT for end in ends):
        msg = "frame with numbers beyond 63 bits"
        raise DecodeError(msg, reason="malformed")
