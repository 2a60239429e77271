"""Blocks whose numbers are committed, but whose digests are not in memory: the same ones, or others?

A receipt deletes at the gateway, so it takes proof that the content is kept: a digest in the tables, or each
reading in the store or in a dead letter. What cannot be proven goes to the dead letters, and is receipted
then. The store is only read: other readings may not be stored under numbers that are taken.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.clocks import correct
from cloud_ingest.dead_letters import ranges_of
from cloud_ingest.intake import Answer, Inspector, Intake, check_columns, decoded, screen
from cloud_ingest.patience import Patience
from cloud_ingest.receipts import BlockState, Source, Unsure, Written, written
from cloud_ingest.records import Records
from cloud_ingest.records.models import DeadLetter
from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.stores.points import Key, key_of
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DecodeError, StoreUnavailable
from hearthward.core.model import Reading
from hearthward.core.ranges import RangeSet
from hearthward.core.wave_blocks import carries_waves
from hearthward.core.wire import carries_decisions, decode_block

__all__ = ["Proving", "spans"]

T = TypeVar("T")

GAP_NS: Final = 600 * SECOND
"""Times of a device that are further apart are looked for one by one."""
LONGEST_NS: Final = 3600 * SECOND
"""Of a device as much is in memory at once."""
FORGOTTEN_NS: Final = 30 * 86_400 * SECOND
"""Readings older than this a server may have dropped: that it has them not proves no clone."""
MOST_LETTERS: Final = 2_000
"""The newest letters of an outbox that are looked at."""
ASK_AGAIN_NS: Final = 30 * SECOND
"""A store that could not be read is left alone for so long: all frames wait while it is asked."""


@dataclass(slots=True)
class _Asked:
    """An unsure block, its rows that were not found yet, and which of these the store would take."""

    unsure: Unsure
    missing: dict[Key, Reading] = field(default_factory=dict)
    good: set[Key] = field(default_factory=set)
    times: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """By device, where the store may have them."""
    readable: bool = False

    @property
    def proven(self) -> bool:
        """Whether each of its readings was found."""
        return self.readable and not self.missing


class _Wanted:
    """Which blocks look for a reading, by its key."""

    def __init__(self, asked: Iterable[_Asked]) -> None:
        self._by_key: defaultdict[Key, list[_Asked]] = defaultdict(list)
        for one in asked:
            for key in one.missing:
                self._by_key[key].append(one)

    def found(self, readings: Iterable[Reading]) -> None:
        """These are kept somewhere."""
        for reading in readings:
            key = key_of(reading)
            for one in self._by_key.get(key, ()):
                if key in one.missing and _same(one.missing[key], reading):
                    del one.missing[key]


class Proving:
    """Decides on ``Intake.unsure``; ``skew`` (ns) is how far times of one reading may differ."""

    def __init__(
        self,
        tenant: str,
        records: Records,
        store: TimeSeriesStore,
        patience: Patience,
        *,
        clock: Clock,
        skew: int,
    ) -> None:
        self._tenant, self._records, self._store, self._patience = tenant, records, store, patience
        self._clock, self._skew = clock, skew
        self._failed_at: int | None = None

    async def settle(self, intake: Intake, inspector: Inspector) -> None:
        """Have each unsure block receipted: known, or in ``intake.dead``.

        Raises StoreUnavailable; what is left in ``intake.unsure`` then gets no receipt.
        """
        by_source: defaultdict[Source, list[Unsure]] = defaultdict(list)
        for unsure in intake.unsure:
            by_source[unsure.source].append(unsure)
        for source, found in by_source.items():
            states = await self._states(source, found)
            for unsure, (state, proven) in zip(found, states, strict=True):
                _decide(unsure, state, intake, inspector, proven=proven)
            intake.unsure = [u for u in intake.unsure if u.source != source]

    async def _states(self, source: Source, found: Sequence[Unsure]) -> list[tuple[BlockState, bool]]:
        """What each block is, and whether that is proven: COMMITTED by its digest, or CLONED."""
        first, last = min(u.block.first for u in found), max(u.block.last for u in found)
        tables: Written = await self._read(
            partial(written, tenant=self._tenant, source=source, first=first, last=last)
        )
        told = {id(u): tables.judge(u.block) for u in found}
        asked = {id(u): self._asked(u) for u in found if told[id(u)] is BlockState.UNSURE}
        wanted = _Wanted(asked.values())
        await self._look_in_store(asked.values(), wanted)
        there = {at for at, one in asked.items() if one.proven}
        there |= {at for at, state in told.items() if state is BlockState.COMMITTED}
        others = RangeSet((u.block.first, u.block.last) for u in found if id(u) not in there)
        letters = await self._look_in_letters(source, others, wanted) if others else set()
        states = []
        for u in found:
            one = asked.get(id(u))
            if id(u) in there or u.block.payload in letters or (one is not None and one.proven):
                states.append((BlockState.COMMITTED, told[id(u)] is BlockState.COMMITTED))
            else:
                states.append((BlockState.CLONED, one is None or _proves_clone(one)))
        return states

    def _asked(self, unsure: Unsure) -> _Asked:
        asked = _Asked(unsure)
        if unsure.block.decisions:
            return asked
        try:
            batch = decoded(unsure.block)
            check_columns(batch)
        except DecodeError:
            return asked
        asked.readable = True
        for device, at in zip(batch.device, batch.corrected, strict=True):
            asked.times[device].add(at)
        if unsure.offset:
            correct(batch, unsure.offset)
            for device, at in zip(batch.device, batch.corrected, strict=True):
                asked.times[device].add(at)
        refused = {i for rows in screen(batch, unsure.now + self._skew).values() for i, _ in rows}
        for i, reading in enumerate(batch):
            asked.missing[key_of(reading)] = reading
            if i not in refused:
                asked.good.add(key_of(reading))
        return asked

    async def _look_in_store(self, asked: Iterable[_Asked], wanted: _Wanted) -> None:
        times: defaultdict[str, set[int]] = defaultdict(set)
        for one in asked:
            for device, found in one.times.items():
                times[device] |= found
        if times and self._failed_at is not None:
            if self._clock.monotonic_ns() - self._failed_at < ASK_AGAIN_NS:
                msg = "the store could not be read a moment ago"
                raise StoreUnavailable(msg)
            self._failed_at = None
        margin = 2 * self._skew + SECOND
        for device in sorted(times):
            for first, last in spans(times[device]):
                start, end = max(0, first - margin), last + margin + 1
                try:
                    kept = await self._store.read(self._tenant, [device], None, start, end)
                except StoreUnavailable:
                    self._failed_at = self._clock.monotonic_ns()
                    raise
                wanted.found(kept)

    async def _look_in_letters(self, source: Source, numbers: RangeSet, wanted: _Wanted) -> set[bytes]:
        """The contents of letters with any of these numbers; rows in them are found."""
        payloads = await self._read(partial(_letters, tenant=self._tenant, source=source, numbers=numbers))
        for payload in payloads:
            if not (carries_decisions(payload) or carries_waves(payload)):
                with suppress(DecodeError):
                    wanted.found(decode_block(payload))
        return set(payloads)

    async def _read(self, work: Callable[[Session], T]) -> T:
        return await self._patience.until_done(lambda: self._records.read(work))


def _decide(unsure: Unsure, state: BlockState, intake: Intake, inspector: Inspector, *, proven: bool) -> None:
    block, source = unsure.block, unsure.source
    answer = intake.receipts.setdefault((*source, unsure.session), Answer())
    answer.blocks[block.stored()] = None
    if state is BlockState.COMMITTED:
        intake.repeated += block.count
        if proven:
            inspector.ledger.of(*source).add(block)
        else:  # its content is kept, maybe under other numbers or as a clone's: this need not be its digest
            intake.kept.append((source, block.first, block.digest()))
    else:
        inspector.refuse_clone(source, unsure.topic, block, unsure.now, intake, proven=proven)


def _proves_clone(asked: _Asked) -> bool:
    """Whether a good reading is missing that the store cannot have dropped."""
    since = asked.unsure.now - FORGOTTEN_NS
    return any(key in asked.good and reading.corrected > since for key, reading in asked.missing.items())


def _same(one: Reading, other: Reading) -> bool:
    """Whether two readings of one key are the same; a server may round a value in its last digits."""
    if one.code != other.code or one.value is None or other.value is None:
        return one.code == other.code and one.value is other.value
    return math.isclose(one.value, other.value, rel_tol=1e-9, abs_tol=1e-12)


def spans(times: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Periods, none very long, that have all of these times and no long time without one."""
    first = last = None
    for at in sorted(times):
        if first is None or last is None:
            first = last = at
        elif at - last > GAP_NS or at - first > LONGEST_NS:
            yield first, last
            first = last = at
        else:
            last = at
    if first is not None and last is not None:
        yield first, last


def _letters(session: Session, tenant: str, source: Source, numbers: RangeSet) -> list[bytes]:
    """What is in the dead letters of one outbox with any of these numbers."""
    row, (gateway, boot) = DeadLetter, source
    mine = row.tenant == tenant, row.gateway == gateway, row.boot == boot, row.seqs.is_not(None)
    newest = select(row.id, row.seqs).where(*mine).order_by(row.at.desc()).limit(MOST_LETTERS)
    ids = [
        ident
        for ident, packed in session.execute(newest)
        if any(numbers.common(*part) for part in ranges_of(packed))
    ]
    return list(session.scalars(select(row.payload).where(row.id.in_(ids)))) if ids else []
