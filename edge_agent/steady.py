"""What time it is for the rules at the edge, whatever becomes of the wall clock.

A clock that is set while patients are watched must not make anybody silent, nor anybody's values old. So time
goes on by the monotonic clock, following the wall clock only while the two agree. A jump is not believed
until it has stood for some minutes; what was stamped by the clock that jumped is put right meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hearthward.core.clock import SECOND, Clock
from hearthward.core.model import Quality, ReadingBatch

__all__ = ["BELIEVE_S", "JUMP_S", "SteadyTime"]

log = logging.getLogger(__name__)

JUMP_S: Final = 10.0
"""By less than this a clock is corrected in its stride."""
BELIEVE_S: Final = 300.0
"""A clock that has jumped and goes on from there for so long is taken for right."""


class SteadyTime:
    """The time as of the clock before its last jump; where a recording is played, the player's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._follow()

    def _follow(self) -> None:
        self._wall, self._mono = self._clock.now_ns(), self._clock.monotonic_ns()
        self._believed = self._clock.synchronised()
        self._jump: tuple[int, int] | None = None

    def now(self) -> int:
        """UTC nanoseconds."""
        if self._clock.event_driven:
            return self._clock.now_ns()
        return self._wall + self._clock.monotonic_ns() - self._mono

    def look(self) -> int:
        """Compare the clocks; returns by how much (ns) time has just been set, nearly always 0."""
        if self._clock.event_driven:
            return 0
        off, mono = self._clock.now_ns() - self.now(), self._clock.monotonic_ns()
        if abs(off) <= JUMP_S * SECOND:
            self._follow()
            return 0
        if self._jump is None or abs(off - self._jump[0]) > JUMP_S * SECOND:
            log.warning("the clock has jumped by %.0f s", off / SECOND)
            self._jump = off, mono
        if self._believed and mono - self._jump[1] < BELIEVE_S * SECOND:
            return 0
        log.warning("the clock is taken for right, %.0f s from what it was", off / SECOND)
        self._follow()
        return off

    def right(self, times: Iterable[int]) -> list[int]:
        """Times as stamped -> as they are by this clock: nearer to the clock that jumped, it is its stamp."""
        found = list(times)
        if self._jump is None:
            return found
        wall, now = self._clock.now_ns(), self.now()
        return [t - (wall - now) if abs(t - wall) < abs(t - now) else t for t in found]

    def righted(self, batch: ReadingBatch) -> tuple[ReadingBatch, list[int]]:
        """The readings with their times put right, and when each came (UTC ns).

        What has no time but that of its receipt came then; else the receive time, as a part of a key, may
        have run ahead of a clock that was put back.
        """
        now = self.now()
        made = replace(batch, corrected=self.right(batch.corrected), received=[])
        made.received = [min(r, now) for r in self.right(batch.received)]
        came = [
            corrected if dated is None or quality & Quality.CLOCK_UNSET else received
            for dated, quality, corrected, received in zip(
                made.device_time, made.quality, made.corrected, made.received, strict=True
            )
        ]
        return made, came
