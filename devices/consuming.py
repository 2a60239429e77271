"""A queue with one consumer, which tries the oldest ever more slowly until its sink takes or refuses it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from hearthward.core.ids import Ids

__all__ = ["Consumer", "Sleep", "backoff"]

T = TypeVar("T")

RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0

Sleep = Callable[[float], Awaitable[None]]


def backoff(attempt: int, first_s: float, max_s: float, ids: Ids) -> float:
    """Seconds until the next try: doubled at each attempt (from 0), capped, and the upper half jittered."""
    whole = min(max_s, first_s * 2.0 ** min(attempt, 30))
    return whole * (0.5 + 0.5 * ids.uniform())


class Consumer(ABC, Generic[T]):
    """What waits (``_waiting``, the oldest first), and ``run``, which hands it over."""

    def __init__(self, *, ids: Ids, sleep: Sleep) -> None:
        self._ids, self._sleep = ids, sleep
        self._waiting: deque[T] = deque()
        self._work = asyncio.Event()
        self._finishing = False

    def __len__(self) -> int:
        return len(self._waiting)

    @abstractmethod
    async def _deliver(self) -> bool:
        """Try the oldest once, and take it out; returns False when it must be tried again."""

    def _add(self, item: T) -> None:
        self._waiting.append(item)
        self._work.set()

    def finish(self) -> None:
        """Let ``run`` end as soon as nothing waits."""
        self._finishing = True
        self._work.set()

    async def run(self) -> None:
        """Consume until finished and empty, or cancelled."""
        failures = 0
        while True:
            while not self._waiting:
                if self._finishing:
                    return
                self._work.clear()
                await self._work.wait()
            if await self._deliver():
                failures = 0
                continue
            await self._sleep(backoff(failures, RETRY_FIRST_S, RETRY_MAX_S, self._ids))
            failures += 1
