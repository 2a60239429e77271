"""The two threads that do the outbox's blocking work: one writes, one reads beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["DiskThreads"]

T = TypeVar("T")


class DiskThreads:
    """Blocking work one piece after the other in each; ``busy`` says whether anything waits for the disk."""

    def __init__(self) -> None:
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="outbox-write")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="outbox-read")
        self._under_way = 0

    @property
    def busy(self) -> bool:
        """Whether work is under way at this moment."""
        return self._under_way > 0

    async def write(self, work: Callable[[], T]) -> T:
        """Run it in the thread that writes, and see it through even when cancelled."""
        return await self._run(self._writing, work)

    async def read(self, work: Callable[[], T]) -> T:
        """Run it in the thread that reads, and see it through even when cancelled."""
        return await self._run(self._reading, work)

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        task = asyncio.get_running_loop().run_in_executor(thread, work)
        self._under_way += 1
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):  # the cancellation is what the caller gets
                await asyncio.wait([task])
            raise
        finally:
            self._under_way -= 1

    def end(self) -> None:
        """Let the threads end, once their work is done."""
        self._reading.shutdown()
        self._writing.shutdown()
