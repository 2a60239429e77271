"""Blocking work that may never come back, such as on a network share: nobody has to wait for its thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["Aside"]

_T = TypeVar("_T")
STARTED: Final = "backup"


class Aside:
    """Runs functions in threads of their own, which the end of the process does not wait for."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    async def do(self, work: Callable[[], _T]) -> _T:
        """What ``work`` returns or raises. Cancelled, it leaves the thread alone."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()

        def settle(result: _T | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, failed = None, None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                failed = error
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                loop.call_soon_threadsafe(settle, result, failed)

        thread = threading.Thread(target=run, name=STARTED, daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()] + [thread]
        thread.start()
        return await done

    def last(self, work: Callable[[], None], wait_s: float) -> None:
        """Do ``work`` once no thread is at work any more; wait for that at most so long. Blocking."""
        threads = self._threads

        def run() -> None:
            for thread in threads:
                thread.join()
            work()

        last = threading.Thread(target=run, name=STARTED, daemon=True)
        last.start()
        last.join(wait_s)
