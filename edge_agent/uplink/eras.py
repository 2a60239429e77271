"""By which clock readings were accepted: one that is set right meanwhile does not make them right.

The clock of the wall is compared with the one that only grows. Where it jumps, an *era* ends: what was
accepted in it goes in frames of its own, with the time that its clock would show now, so that the cloud
corrects it as it would have before the jump.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from hearthward.core.clock import SECOND

__all__ = ["ClockEras"]

JUMP_NS: Final = 2 * SECOND
"""A smaller difference is a clock being adjusted gently."""
MAX_ERAS: Final = 64


class ClockEras:
    """Eras of this process, each from a sequence number on; numbers from before it count to its first."""

    def __init__(self, wall: int, mono: int, accepted: int = 0) -> None:
        self._from = [0]
        self._ahead = [wall - mono]
        self._accepted = accepted

    def look(self, wall: int, mono: int, accepted: int) -> None:
        """The clocks show this while ``accepted`` is the last number: notes whether the wall's has jumped.

        What was accepted since the last look was stamped a moment ago, most likely after the jump.
        """
        ahead, begin = wall - mono, self._accepted + 1
        self._accepted = accepted
        if abs(ahead - self._ahead[-1]) <= JUMP_NS:
            self._ahead[-1] = ahead
            return
        if self._from[-1] == begin:
            self._ahead[-1] = ahead  # nothing was accepted in between
            return
        self._from.append(begin)
        self._ahead.append(ahead)
        if len(self._from) > MAX_ERAS:
            del self._from[1], self._ahead[1]

    def restart(self) -> None:
        """The numbers begin anew: only the clock as it is counts."""
        self._from, self._ahead, self._accepted = [0], self._ahead[-1:], 0

    def last(self, first: int) -> int | None:
        """The last number of the era of ``first``; None: it is the present one."""
        after = bisect_right(self._from, first)
        return self._from[after] - 1 if after < len(self._from) else None

    def wall(self, first: int, mono: int) -> int | None:
        """What the clock by which ``first`` was accepted would show at ``mono``; None: the present one's."""
        after = bisect_right(self._from, first)
        return self._ahead[after - 1] + mono if after < len(self._from) else None
