"""What this process has sent of one boot: a receipt can only be for that, and only for that very content."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from hearthward.core.messages import StoredBlock
from hearthward.core.ranges import RangeSet

__all__ = ["SentBook", "Verdict"]


class Verdict(Enum):
    """What a receipt's word on a block comes to."""

    NEWS = "news"
    REPEATED = "repeated"
    """It was receipted before: no effect."""
    DIGEST = "digest"
    """Something else was sent under these numbers."""
    NEVER = "never-sent"


class SentBook:
    """Blocks and gaps sent in this session; those not receipted are known with their digests.

    At most ``most`` of them, those sent last: what is forgotten is sent again before it is deleted, as a
    receipt for it then counts as repeated.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sent = RangeSet()
        self._open: dict[int, StoredBlock] = {}
        self._waiting = RangeSet()
        self._gaps = RangeSet()

    def __len__(self) -> int:
        """How many blocks wait for their receipt."""
        return len(self._open)

    def note(self, blocks: Iterable[StoredBlock]) -> None:
        """These are being sent (again)."""
        for block in blocks:
            self.done(block)
            self._sent.add(block.first, block.last)
            self._open[block.first] = block
            self._waiting.add(block.first, block.last)
        while len(self._open) > self._most:
            self.done(next(iter(self._open.values())))

    def note_gap(self, first: int, last: int) -> None:
        """These were declared lost."""
        self._gaps.add(first, last)

    def judge(self, block: StoredBlock) -> Verdict:
        """Compare what a receipt says with what was sent; changes nothing."""
        if self._open.get(block.first) == block:
            return Verdict.NEWS
        if not self._sent.covers(block.first, block.last):
            return Verdict.NEVER
        waiting = self._waiting.common(block.first, block.last)
        return Verdict.DIGEST if waiting else Verdict.REPEATED

    def declared(self, first: int, last: int) -> bool:
        """Whether these were declared lost."""
        return self._gaps.covers(first, last)

    def done(self, block: StoredBlock) -> None:
        """It is receipted: from now on it can only be repeated."""
        if (known := self._open.pop(block.first, None)) is not None:
            self._waiting.remove(known.first, known.last)

    def drop(self, gone: RangeSet) -> None:
        """These are not in the outbox any more: nobody waits for their receipt."""
        if not gone.pieces():
            return
        for block in [b for b in self._open.values() if gone.covers(b.first, b.last)]:
            self.done(block)
