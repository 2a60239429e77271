"""One device's readings on their way into the sink: bounded, in order, nothing dropped silently."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from devices.consuming import Consumer, Sleep
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.ids import Ids
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry

__all__ = ["CAPACITY", "Delivery", "Payload", "Sink"]

logger = logging.getLogger(__name__)

CAPACITY: Final = 1024
"""Payloads that wait for the sink at most: a quarter of an hour of a monitor that sends once a second."""
MERGED_READINGS: Final = 512
"""Readings of several payloads handed to the sink at once at most."""

Sink = Callable[[ReadingBatch], Awaitable[None]]
"""Takes a batch and returns when it is safe; StoreUnavailable: the same again later; StoreRejected: never."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload's readings, and the bytes they were decoded from."""

    source: str
    raw: bytes
    batch: ReadingBatch


class Delivery(Consumer[Payload]):
    """A bounded queue with one consumer; a payload leaves it only when the sink has taken or refused it.

    ``on_pressure(True)`` is called when it is three quarters full, ``on_pressure(False)`` when it is
    down to one quarter again; ``on_refused`` for a payload that the sink refuses for good.
    """

    def __init__(
        self,
        device: str,
        sink: Sink,
        *,
        ids: Ids,
        telemetry: Telemetry,
        on_pressure: Callable[[bool], None],
        on_refused: Callable[[Payload, StoreRejected], None],
        capacity: int = CAPACITY,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(ids=ids, sleep=sleep)
        self._device = device
        self._sink = sink
        self._telemetry = telemetry
        self._on_pressure = on_pressure
        self._on_refused = on_refused
        self._capacity = capacity
        self._single = 0
        self._moved = asyncio.Event()
        self._strain = asyncio.Event()
        self.pressed = False
        self.offered = 0
        """Payloads queued so far: the last one's ticket."""
        self.left = 0
        """Payloads that were taken or refused: the tickets up to this one."""

    def offer(self, payload: Payload) -> bool:
        """Queue one payload; False when there is no room for it: it is lost, and counted as ``dropped``."""
        if len(self._waiting) >= self._capacity:
            self._telemetry.count("readings_dropped_total", len(payload.batch), device=self._device)
            return False
        self._add(payload)
        self.offered += 1
        self._press()
        return True

    async def settled(self) -> None:
        """Return when nothing waits: all that came was taken, or refused for good."""
        while self._waiting:
            self._moved.clear()
            await self._moved.wait()

    async def strained(self) -> None:
        """Return when so much waits that no more should be asked for."""
        await self._strain.wait()

    async def relieved(self) -> None:
        """Return when there is room for more."""
        while self.pressed:
            self._moved.clear()
            await self._moved.wait()

    async def _deliver(self) -> bool:
        """Try the oldest payloads once; returns False when they must be tried again."""
        count, batch = self._oldest()
        try:
            await self._sink(batch)
        except StoreUnavailable as error:
            self._retry(str(error))
            return False
        except StoreRejected as error:
            if count > 1:  # find the one that is refused
                self._single = count
                return True
            self._on_refused(self._waiting[0], error)
        except Exception as error:
            logger.exception("device %s: handing over its readings failed", self._device)
            self._retry(type(error).__name__)
            return False
        for _ in range(count):
            self._waiting.popleft()
        self.left += count
        self._moved.set()
        self._single = max(0, self._single - count)
        self._press()
        return True

    def _oldest(self) -> tuple[int, ReadingBatch]:
        first = self._waiting[0].batch
        if self._single or len(self._waiting) == 1:
            return 1, first
        merged = first.take(range(len(first)))
        count = 1
        while count < len(self._waiting) and len(merged) + len(self._waiting[count].batch) <= MERGED_READINGS:
            merged.extend(self._waiting[count].batch)
            count += 1
        return count, merged

    def _retry(self, why: str) -> None:
        self._telemetry.count("device_sink_retries_total", device=self._device)
        logger.warning("device %s: %d payloads wait for the store: %s", self._device, len(self._waiting), why)

    def _press(self) -> None:
        """Hysteresis of the queue's filling."""
        filled = len(self._waiting)
        pressed = filled * 4 >= self._capacity * 3 if not self.pressed else filled * 4 > self._capacity
        if pressed is not self.pressed:
            self.pressed = pressed
            (self._strain.set if pressed else self._strain.clear)()
            self._on_pressure(pressed)
