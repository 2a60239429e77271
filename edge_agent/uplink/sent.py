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
    """Blocks and gaps sent in this session; those not receipted are known with their digests."""

    def __init__(self) -> None:
        self._sent = RangeSet()
        self._open: dict[int, StoredBlock] = {}
        self._gaps = RangeSet()

    def __len__(self) -> int:
        """How many blocks wait for their receipt."""
        return len(self._open)

    def note(self, blocks: Iterable[StoredBlock]) -> None:
        """These are being sent (again)."""
        for block in blocks:
            self._sent.add(block.first, block.last)
            self._open[block.first] = block

    def note_gap(self, first: int, last: int) -> None:
        """These were declared lost."""
        self._gaps.add(first, last)

    def judge(self, block: StoredBlock) -> Verdict:
        """Compare what a receipt says with what was sent; changes nothing."""
        if self._open.get(block.first) == block:
            return Verdict.NEWS
        if not self._sent.covers(block.first, block.last):
            return Verdict.NEVER
        waiting = any(b.first <= block.last and block.first <= b.last for b in self._open.values())
        return Verdict.DIGEST if waiting else Verdict.REPEATED

    def declared(self, first: int, last: int) -> bool:
        """Whether these were declared lost."""
        return self._gaps.covers(first, last)

    def done(self, block: StoredBlock) -> None:
        """It is receipted: from now on it can only be repeated."""
        self._open.pop(block.first, None)

    def drop(self, gone: RangeSet) -> None:
        """These are not in the outbox any more: nobody waits for their receipt."""
        lost = [b.first for b in self._open.values() if gone.covers(b.first, b.last)]
        for first in lost:
            del self._open[first]
