"""What time it is for the rules at the edge: that of the clock by which readings are stamped, at once.

Whether a clock that jumps is believed is the business of the clock alone (``hearthward.core.steady_clock``),
so that readings, the frames that carry them and decisions always go by the same time. Here it is noticed that
a clock has been set, and what was stamped before and is decided on after that is put right.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hearthward.core.clock import SECOND, Clock, told_by_device
from hearthward.core.model import Quality, ReadingBatch
from hearthward.core.steady_clock import JUMP_S

__all__ = ["FORMER_S", "SteadyTime"]

log = logging.getLogger(__name__)

FORMER_S: Final = 600.0
"""For so long there may be readings to decide on that a clock stamped before it was set."""


class SteadyTime:
    """The time of a clock, and that of the same clock before it was last set.

    Where a recording is played the time is the player's, and right by definition.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.now_ns() - clock.monotonic_ns()
        self._former: list[tuple[int, int]] = []
        self._late: int | None = None

    @property
    def behind(self) -> int:
        """By how much (ns) at least the clock is known to be behind; 0: nothing speaks against it."""
        late = self._late
        return 0 if late is None or late <= JUMP_S * SECOND else late

    def told(self, at: int) -> None:
        """The cloud has said that it is ``at`` (UTC ns), now or some time ago."""
        self._late = None if self._clock.event_driven else at - self.now()

    def now(self) -> int:
        """UTC nanoseconds."""
        return self._clock.now_ns()

    def look(self) -> int:
        """By how much (ns) the clock has been set since the last look, nearly always 0."""
        if self._clock.event_driven:
            return 0
        ahead = self._clock.now_ns() - self._clock.monotonic_ns()
        by, self._ahead = ahead - self._ahead, ahead
        if abs(by) <= JUMP_S * SECOND:
            return 0
        log.warning("the clock has been set by %.0f s; deciding goes on by the new time", by / SECOND)
        if self._late is not None:
            self._late -= by
        self.was_set(by)
        return by

    def was_set(self, by: int) -> None:
        """What waits to be decided on may be stamped by the clock as it was until it was set by ``by`` ns."""
        mono = self._clock.monotonic_ns()
        former = [(by + before, until) for before, until in self._former if until > mono]
        self._former = [*former, (by, mono + round(FORMER_S * SECOND))]

    def right(self, times: Sequence[int]) -> list[int]:
        """Times as stamped -> as they are by this clock: what is nearer to a former one is its stamp."""
        if not self._former:
            return list(times)
        now, mono = self.now(), self._clock.monotonic_ns()
        offsets = [0, *(by for by, until in self._former if until > mono)]
        return [t + min(offsets, key=lambda by: abs(t + by - now)) for t in times]

    def righted(self, batch: ReadingBatch) -> tuple[ReadingBatch, list[int]]:
        """The readings with their times put right, and when each came (UTC ns), never later than now.

        What has no time but that of its receipt came then; else the receive time, as a part of a key, may
        have run ahead of a clock that was put back. A time that a device itself has told stays.
        """
        now = self.now()
        corrected, received = self.right(batch.corrected), self.right(batch.received)
        told = [
            not quality & Quality.CLOCK_UNSET and told_by_device(dated, at)
            for dated, quality, at in zip(batch.device_time, batch.quality, batch.corrected, strict=True)
        ]
        made = replace(
            batch,
            corrected=[
                old if own else new for own, old, new in zip(told, batch.corrected, corrected, strict=True)
            ],
            received=[min(at, now) for at in received],
        )
        came = [
            min(at, now) if dated is None or quality & Quality.CLOCK_UNSET else came
            for dated, quality, at, came in zip(
                made.device_time, made.quality, made.corrected, made.received, strict=True
            )
        ]
        return made, came
