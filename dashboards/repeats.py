"""Requests that a client sends again because no answer came: by their ``Idempotency-Key`` they act once.

Kept in memory for a while, so a restart forgets them; what must hold for ever is known by the state itself.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from dashboards.backend import DirectoryError
from hearthward.core.clock import SECOND, Clock

__all__ = ["HEADER", "Repeats"]

T = TypeVar("T")

HEADER: Final = "Idempotency-Key"
KEPT_NS: Final = 3600 * SECOND
MOST: Final = 4_096
LONGEST: Final = 128


def _seen(task: asyncio.Task[Any]) -> None:
    """Who asked may be gone when it fails: nobody is told then."""
    if not task.cancelled():
        task.exception()


@dataclass(frozen=True, slots=True)
class _Known:
    what: tuple[Any, ...]
    done: asyncio.Task[Any]
    at: int


class Repeats:
    """What was asked for by which key of whom, with its answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()

    async def once(
        self, who: tuple[str, str], key: str, what: tuple[Any, ...], do: Callable[[], Awaitable[T]]
    ) -> T:
        """Do it, or give the answer of the first time; without a ``key`` it is done each time.

        ``who`` is tenant and user. What failed may be tried again. Raises DirectoryError (taken) for a key
        that has meant something else, or invalid for one too long, and what ``do`` raises.
        """
        if not key:
            return await do()
        if len(key) > LONGEST:
            raise DirectoryError(field=HEADER, code="invalid", value=key[:20])
        self._forget()
        place = *who, key
        known = self._known.get(place)
        if known is not None and known.what != what:
            raise DirectoryError(field=HEADER, code="taken", value=key)
        if known is None:
            task = asyncio.ensure_future(do())
            task.add_done_callback(_seen)
            known = self._known[place] = _Known(what, task, self._clock.monotonic_ns())
        try:
            return cast("T", await asyncio.shield(known.done))
        except Exception:
            if self._known.get(place) is known:
                del self._known[place]
            raise

    def _forget(self) -> None:
        edge = self._clock.monotonic_ns() - KEPT_NS
        while self._known:
            first = next(iter(self._known.values()))
            if first.at >= edge and len(self._known) < MOST:
                return
            self._known.popitem(last=False)
