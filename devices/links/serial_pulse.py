"""Whether this process came by its ports in time: what it finds after a stall was measured a while ago."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["BEAT_S", "STALL_S", "Pulse"]

BEAT_S: Final = 1.0
STALL_S: Final = 5.0
"""A process that did nothing for so long (stopped, swapped out) finds bytes that are as old."""


class Pulse:
    """Beats while the event loop runs; ``stalled_s`` is asked at each read, before the next beat."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last = now()
        self._stalled = 0.0

    def stalled_s(self) -> float:
        """How old (s) what is read now may be; 0: it came just now.

        After a stall that holds until a beat came in time: a port's bytes come in several reads.
        """
        late = self._now() - self._last
        return max(late if late > STALL_S else 0.0, self._stalled)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            self.beat()

    def beat(self) -> None:
        """The event loop came by."""
        self._stalled = 0.0
        self._stalled, self._last = self.stalled_s(), self._now()
