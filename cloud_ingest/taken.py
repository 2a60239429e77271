"""What a batch of messages came to: parts to store, what is refused, what will be receipted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cloud_ingest.adopting import Decided
from cloud_ingest.loss_ledger import Tally
from cloud_ingest.receipts import Source, Unsure
from cloud_ingest.stores.base import Delivery, Origins
from cloud_ingest.waves.taking import WavePart
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import Block, Gap, StoredBlock, encode_block

__all__ = ["MAX_DETAIL", "Answer", "Clone", "Dead", "Intake", "Part"]

MAX_DETAIL: Final = 500

Clone = tuple[Source, int, bytes]
"""A block by its outbox, first number and digest."""


@dataclass(frozen=True, slots=True)
class Dead:
    """Something refused: goes to the dead-letter table.

    ``readings`` is how many are lost by it, if known, ``holds`` how many are in it (the same, but where they
    are stored all the same); ``boot`` and ``seqs`` say which they are.
    """

    topic: str
    gateway: str | None
    reason: str
    detail: str
    payload: bytes
    readings: int = 0
    boot: str | None = None
    seqs: Sequence[int] = ()

    @property
    def holds(self) -> int:
        """How many readings are in it (0: not known)."""
        return max(self.readings, len(self.seqs))


@dataclass(frozen=True, slots=True)
class Part:
    """New readings that may be stored, numbered by ``seqs``; ``now`` is their ingest time.

    ``offset`` is what a right clock would have shown more when they were received (ns).
    """

    source: Source
    topic: str
    batch: ReadingBatch
    seqs: list[int]
    now: int
    offset: int = 0

    def delivery(self) -> Delivery:
        """As the store takes it."""
        return Delivery(self.batch, Origins(*self.source, self.seqs))

    def halves(self) -> tuple[Part, Part]:
        """The same as two."""
        n, middle = len(self.seqs), len(self.seqs) // 2
        first = replace(self, batch=self.batch.take(range(middle)), seqs=self.seqs[:middle])
        return first, replace(self, batch=self.batch.take(range(middle, n)), seqs=self.seqs[middle:])

    def dead(self, reason: str, detail: str, *, stored: bool = False) -> Dead:
        """As a dead letter; ``stored``: its readings are kept all the same."""
        where = f"boot {self.source[1]}, readings {self.seqs[0]}-{self.seqs[-1]}: {detail}"[:MAX_DETAIL]
        lost = 0 if stored else len(self.batch)
        payload = encode_block(self.batch)
        return Dead(self.topic, self.source[0], reason, where, payload, lost, self.source[1], self.seqs)


@dataclass(slots=True)
class Answer:
    """What a receipt of one session will name."""

    blocks: dict[StoredBlock, None] = field(default_factory=dict)
    gaps: dict[tuple[int, int], None] = field(default_factory=dict)


@dataclass(slots=True)
class Intake:
    """What a batch of messages came to. ``receipts`` is what may be confirmed once all is committed.

    ``walls`` is how far each gateway's corrected clock has told, where it can be believed; ``future`` the
    rows that were put aside because they are dated in the future, with their ingest time. Of a dead letter
    that is ``replayed`` what is refused again stays in that letter; ``stored_before``: it is judged only.
    """

    parts: list[Part] = field(default_factory=list)
    future: list[tuple[Source, ReadingBatch, int]] = field(default_factory=list)
    walls: dict[Source, int] = field(default_factory=dict)
    blocks: defaultdict[Source, list[Block]] = field(default_factory=lambda: defaultdict(list))
    gaps: defaultdict[Source, list[Gap]] = field(default_factory=lambda: defaultdict(list))
    receipts: dict[tuple[str, str, str], Answer] = field(default_factory=dict)
    dead: list[Dead] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)
    """What gateways' own rules have decided."""
    waves: list[WavePart] = field(default_factory=list)
    """To be stored before anything is receipted; chunks that came again are known to their store."""
    samples: int = 0
    """In blocks of waveforms that were taken."""
    clones: list[Clone] = field(default_factory=list)
    kept: list[Clone] = field(default_factory=list)
    """Other blocks under numbers that are taken whose content is kept, and that accuse nobody."""
    unsure: list[Unsure] = field(default_factory=list)
    """Not receipted yet: ``proving`` decides on them."""
    tally: Tally = field(default_factory=Tally)
    """For the loss ledger."""
    repeated: int = 0
    """Readings that came again."""
    replayed: bool = False
    stored_before: bool = False

    def refuse(self, dead: Dead) -> None:
        """Add a dead letter."""
        self.dead.append(dead)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.blocks or self.gaps or self.dead)
