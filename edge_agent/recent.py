"""The newest blocks of the outbox, kept in memory so that sending what was just committed reads no disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block

__all__ = ["MOST", "Recent"]

MOST: Final = 64


class Recent:
    """Every block that waits from the first of them on: without a hole, or none at all.

    Who asks for numbers takes it that what is missing between two blocks was settled, and sends it never.
    """

    def __init__(self, most: int = MOST) -> None:
        self._blocks: deque[Block] = deque(maxlen=most)
        self._following = 1

    def take_in(self, blocks: Sequence[Block], following: int, settled: RangeSet) -> None:
        """New ``blocks`` came, the next number is ``following``, and ``settled`` waits no more.

        Where a number between what was known and ``following`` is in none of them, what was before it is
        forgotten.
        """
        kept = list(self._blocks)
        for block in blocks:
            if block.first != self._following:
                kept = []
            kept.append(block)
            self._following = block.last + 1
        if self._following != following:
            kept, self._following = [], following
        waiting = [b for b in kept if not settled.covers(b.first, b.last)]
        self._blocks = deque(waiting, maxlen=self._blocks.maxlen)

    def clear(self) -> None:
        """Forget them: until new ones come the disk is asked."""
        self._blocks.clear()

    def find(self, after: int, until: int, max_readings: int, max_bytes: int) -> list[Block] | None:
        """The blocks from number ``after + 1`` to ``until`` within limits, at least one if there is one.

        None when that begins before what is known here.
        """
        if not self._blocks or self._blocks[0].first > after + 1:
            return None
        wanted = (b for b in self._blocks if b.last > after and b.first <= until)
        return _limited(wanted, max_readings, max_bytes)


def _limited(blocks: Iterable[Block], max_readings: int, max_bytes: int) -> list[Block]:
    out: list[Block] = []
    readings = size = 0
    for block in blocks:
        readings += block.count
        size += len(block.payload)
        if out and (readings > max_readings or size > max_bytes):
            break
        out.append(block)
    return out
