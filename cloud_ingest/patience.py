"""Waiting for a store that cannot be used now: disk full, locked, or a server that is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from hearthward.core.errors import StoreUnavailable
from hearthward.core.telemetry import Telemetry

__all__ = ["Patience"]

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 5.0


class Patience:
    """Does a piece of work again until the store takes it; ``on_wait`` is told why, once for each wait."""

    def __init__(self, telemetry: Telemetry, on_wait: Callable[[str], None]) -> None:
        self._telemetry = telemetry
        self._on_wait = on_wait
        self._stuck = 0

    @property
    def stuck(self) -> bool:
        """Whether something waits now."""
        return self._stuck > 0

    async def until_done(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait out a store that cannot be used now; other errors are raised as they come."""
        try:
            return await work()
        except StoreUnavailable as error:
            log.error("ingest waits for its store: %s", error)  # noqa: TRY400 - no traceback needed
            self._on_wait(error.message)
        backoff = FIRST_BACKOFF_S
        self._stuck += 1
        try:
            while True:
                self._telemetry.count("store_retries_total")
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF_S)
                with suppress(StoreUnavailable):
                    return await work()
        finally:
            self._stuck -= 1
