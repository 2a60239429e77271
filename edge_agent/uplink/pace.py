"""How much of a backlog is under way: as much as is receipted soon, so that nothing live waits behind it.

It needs to know neither the broker's queue nor the ingestor's: what the last frames took says how full they
are, also when a hundred gateways come back at once.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FRAME_MOST", "MOST", "Pace"]

TARGET_NS: Final = 100_000_000
"""A backlog frame shall be receipted within this: a live one just behind it waits about as long."""
FIRST: Final = 2_000
LEAST: Final = 400
MOST: Final = 16_000
FRAME_LEAST: Final = 200
FRAME_MOST: Final = 4_000
FLIGHTS: Final = 2
"""Backlog frames at a time: one on its way while the other is being stored."""
_GROWTH: Final = 8
_SHRINK: Final = 0.5


class Pace:
    """``limit`` is how many numbers of the backlog may be under way, ``frame`` how many in one frame."""

    def __init__(self) -> None:
        self.limit = FIRST

    @property
    def frame(self) -> int:
        """Numbers in the next frame of the backlog."""
        return min(FRAME_MOST, max(FRAME_LEAST, self.limit // FLIGHTS))

    def answered(self, took_ns: int) -> None:
        """A frame that was sent once was receipted after so long."""
        if took_ns <= TARGET_NS:
            self.limit = min(MOST, self.limit + self.limit // _GROWTH)
        else:
            self.limit = max(LEAST, int(self.limit * max(_SHRINK, TARGET_NS / took_ns)))

    def unanswered(self) -> None:
        """A frame had to be sent again: the way may be full."""
        self.limit = max(LEAST, self.limit // 2)
