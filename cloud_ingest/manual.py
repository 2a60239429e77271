"""Readings entered by hand: checked as a whole, stored and decided once however often they are sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from cloud_ingest.dead_letters import write_dead
from cloud_ingest.deciding import Decider
from cloud_ingest.intake import UNDECIDED, Dead, screen
from cloud_ingest.mishaps import RULES_FAILED
from cloud_ingest.outcome import rows_to_judge
from cloud_ingest.records import Records
from cloud_ingest.records.models import JournalRow
from cloud_ingest.stores.base import Delivery, Origins, Outcome, TimeSeriesStore
from cloud_ingest.turns import Turns
from hearthward.core.clock import Clock
from hearthward.core.errors import HearthwardError, StoreRejected
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import encode_block
from rules.model import Readings

__all__ = ["MANUAL", "ManualEntry", "ManualIntake", "NotJudgedError"]

log = logging.getLogger(__name__)

MANUAL: Final = "manual"
"""What stands in the place of a gateway in store and journal."""
SOURCE: Final = "@manual"
"""The source of what people enter, for the rules; no gateway can be called so."""


class NotJudgedError(HearthwardError):
    """An entry is stored, but the rules failed on it."""

    def __init__(self) -> None:
        super().__init__(
            "stored, but the rules failed on it: no alarm comes of this entry. Judge it yourself"
        )


@dataclass(frozen=True, slots=True)
class ManualEntry:
    """One form: its readings with one patient each. Its identity is the digest that all of them carry."""

    batch: ReadingBatch
    patients: Sequence[str]

    @property
    def id(self) -> str:
        """The entry's identity, in the place of a gateway's boot."""
        return f"{self.batch.digest[0]:016x}"

    def check(self, latest: int) -> None:
        """Raise StoreRejected naming everything that is wrong; ``latest`` as for ``screen``."""
        batch = self.batch
        if not len(batch):
            msg = "nothing was entered"
            raise StoreRejected(msg)
        if len(self.patients) != len(batch) or not all(self.patients):
            msg = f"{len(batch)} readings with {len(self.patients)} patients"
            raise StoreRejected(msg)
        if len(set(batch.digest)) != 1:
            msg = "the readings of one entry must carry one digest"
            raise StoreRejected(msg)
        wrong = [detail for rows in screen(batch, latest).values() for _, detail in rows]
        if wrong:
            msg = "; ".join(wrong)
            raise StoreRejected(msg)

    def delivery(self) -> Delivery:
        """As the store takes it."""
        return Delivery(self.batch, Origins(MANUAL, self.id, range(1, len(self.batch) + 1)))

    def new(self, outcomes: Sequence[Outcome]) -> tuple[ReadingBatch, list[str]]:
        """What the store did not have from elsewhere."""
        fresh = [i for i, outcome in enumerate(outcomes) if outcome is not Outcome.DUPLICATE]
        return self.batch.take(fresh), [self.patients[i] for i in fresh]

    def known(self, session: Session, tenant: str) -> bool:
        """Whether it was decided before (within the time for which the journal is kept)."""
        mine = JournalRow.tenant == tenant, JournalRow.gateway == MANUAL, JournalRow.boot == self.id
        return bool(session.scalar(select(exists().where(*mine))))


class ManualIntake:
    """Takes entries, each in a turn of its own; ``tell`` is told what was stored."""

    def __init__(
        self,
        tenant: str,
        records: Records,
        store: TimeSeriesStore,
        turns: Turns,
        *,
        clock: Clock,
        skew: int,
        tell: Callable[[ReadingBatch, list[str | None], int], None],
    ) -> None:
        self._tenant, self._records, self._store, self._turns = tenant, records, store, turns
        self._clock, self._skew, self._told = clock, skew, tell

    async def enter(self, entry: ManualEntry) -> None:
        """Store and decide one entry. A caller who goes away does not tear it in two.

        Raises StoreRejected (nothing of it is stored), StoreUnavailable (it can be sent again) and
        NotJudgedError (it is stored; sent again, it is judged anew).
        """
        entry.check(self._clock.now_ns() + self._skew)
        await self._turns.whole(self._enter(entry))

    async def again(self, entry: ManualEntry) -> bool:
        """Judge an entry that is stored (in a turn of its own); whether the rules do not fail on it now.

        One that was judged since is left alone. Raises StoreUnavailable.
        """
        try:
            await self._enter(entry, keep=False)
        except NotJudgedError:
            return False
        return True

    async def _enter(self, entry: ManualEntry, *, keep: bool = True) -> None:
        async with self._turns.taken() as decider:
            if await self._records.read(lambda s: entry.known(s, self._tenant)):
                return
            (outcomes,) = await self._store.append_many(self._tenant, [entry.delivery()])
            batch, patients = entry.new(outcomes)
            now = self._clock.now_ns()
            dead = await self._decide(entry, batch, patients, now, decider)
            done = await self._turns.commit(lambda s: write_dead(s, self._tenant, dead if keep else (), now))
            if len(batch):
                self._told(batch, list(patients), now)
            self._turns.tell(done)
            if dead:
                raise NotJudgedError

    async def _decide(
        self, entry: ManualEntry, batch: ReadingBatch, patients: list[str], now: int, decider: Decider
    ) -> list[Dead]:
        """Step the entry; where the rules fail it is stored but not judged, and that is said."""
        rows = rows_to_judge(batch, patients)
        try:
            decider.step(partial(Readings, now=now, rows=rows, source=SOURCE, wall=now), (MANUAL, entry.id))
        except Exception as error:
            log.exception("the rules failed on an entry by hand")
            self._turns.technical(RULES_FAILED, None, f"{type(error).__name__}: entry not judged")
            await decider.go_back()
            dead = Dead("", MANUAL, UNDECIDED, type(error).__name__, encode_block(batch))
            return [replace(dead, boot=entry.id, seqs=range(1, len(batch) + 1))]
        return []
