"""A wall clock that jumps do not reach at once: time goes on evenly until a jump has stood for a while.

A wrong time from a time server, or a hand that sets the clock, must not make the values of patients who are
watched old, or of tomorrow. Small differences are followed at once, as a time server makes them all day.
"""

from __future__ import annotations

import logging
from typing import Final

from hearthward.core.clock import SECOND, Clock, SystemClock

__all__ = ["BELIEVE_S", "JUMP_S", "SteadyClock"]

log = logging.getLogger(__name__)

JUMP_S: Final = 10.0
"""What a clock differs by more than this from what has passed since is a jump."""
BELIEVE_S: Final = 300.0
"""A clock that has jumped and goes on from there for so long is taken for right."""


class SteadyClock:
    """The Clock of a process that runs for months.

    A clock that was not even set (see ``synchronised``) is believed at once when it jumps.
    """

    event_driven = False

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._anchor = self._clock.now_ns(), self._clock.monotonic_ns()
        self._jump: tuple[int, int] | None = None
        self._set = self._clock.synchronised()

    def now_ns(self) -> int:
        """Wall time, UTC nanoseconds; may be asked from any thread."""
        wall, elapsed = self._clock.now_ns(), self._clock.monotonic_ns()
        anchor, since = self._anchor
        steady = anchor + elapsed - since
        off = wall - steady
        if abs(off) > JUMP_S * SECOND and self._set and not self._stands(off, elapsed):
            return steady
        self._anchor, self._jump = (wall, elapsed), None
        self._set = self._clock.synchronised()
        return wall

    def _stands(self, off: int, elapsed: int) -> bool:
        """Whether the clock has been off by as much for long enough."""
        jump = self._jump
        if jump is None or abs(off - jump[0]) > JUMP_S * SECOND:
            log.warning("the clock has jumped by %.0f s; it is believed if that lasts", off / SECOND)
            self._jump = off, elapsed
            return False
        if elapsed - jump[1] < BELIEVE_S * SECOND:
            return False
        log.warning("the clock is taken for right, %.0f s from what it was", off / SECOND)
        return True

    def monotonic_ns(self) -> int:
        """Monotonic nanoseconds."""
        return self._clock.monotonic_ns()

    def synchronised(self) -> bool:
        """Whether wall time is believed to be right: not as long as it is open what is true after a jump."""
        self.now_ns()  # a jump may not have been seen yet
        return self._clock.synchronised() and self._jump is None
