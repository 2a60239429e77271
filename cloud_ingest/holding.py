"""Frames whose readings wait for a store that is away: bounded, tried again ever more slowly."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from hearthward.core.clock import SECOND, Clock
from hearthward.core.wire import Frame

__all__ = ["Arrived", "Holding"]

FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 5.0
MAX_FRAMES: Final = 512
MAX_BYTES: Final = 16 << 20
AT_ONCE_BYTES: Final = 1 << 20
"""Tried in one go, but at least one frame."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame that could be read, and the topic on which it came; ``size`` is its bytes on the wire.

    ``offset`` is what to add to times of its gateway's clock, which is wrong then (ns).
    """

    topic: str
    frame: Frame
    size: int
    offset: int = 0


class Holding:
    """Whether the store is away, when it is asked again, and what waits for that, the oldest first.

    What does not fit is let go: it got no receipt, so the edge sends it again.
    """

    def __init__(self, clock: Clock, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_frames, self._max_bytes = max_frames, max_bytes
        self._frames: deque[Arrived] = deque()
        self._bytes = 0
        self._backoff = FIRST_BACKOFF_S
        self._ask_at: int | None = None

    @property
    def away(self) -> bool:
        """Whether the store did not take what it was last given."""
        return self._ask_at is not None

    @property
    def due(self) -> bool:
        """Whether the store may be asked now."""
        return self._ask_at is None or self._clock.monotonic_ns() >= self._ask_at

    @property
    def wait_s(self) -> float | None:
        """Seconds until something is to be tried though nothing arrives; None: nothing is."""
        if self._ask_at is None:
            return 0.0 if self._frames else None
        return max(0.0, (self._ask_at - self._clock.monotonic_ns()) / SECOND)

    def failed(self) -> bool:
        """The store did not take it; returns whether that is news."""
        news = self._ask_at is None
        self._backoff = FIRST_BACKOFF_S if news else min(self._backoff * 2, LAST_BACKOFF_S)
        self._ask_at = self._clock.monotonic_ns() + round(self._backoff * SECOND)
        return news

    def works(self) -> bool:
        """The store took it; returns whether that is news."""
        news, self._ask_at = self._ask_at is not None, None
        return news

    def keep(self, arrived: Arrived) -> bool:
        """Keep a frame until the store is back, or say that there is no room."""
        if len(self._frames) >= self._max_frames or self._bytes + arrived.size > self._max_bytes:
            return False
        self._frames.append(arrived)
        self._bytes += arrived.size
        return True

    def take(self) -> list[Arrived]:
        """The next frames to be tried, if that is due."""
        taken: list[Arrived] = []
        size = 0
        while self.due and self._frames and (not taken or size + self._frames[0].size <= AT_ONCE_BYTES):
            taken.append(self._frames.popleft())
            size += taken[-1].size
        self._bytes -= size
        return taken

    def __len__(self) -> int:
        return len(self._frames)
