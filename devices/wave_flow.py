"""One device's waveforms on their way into their sink: beside the readings, never in their way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from devices.consuming import Consumer, Sleep
from devices.waves import WaveStamper
from firmware_profiles import Profile
from hearthward.core.clock import SECOND
from hearthward.core.errors import DecodeError, StoreRejected, StoreUnavailable
from hearthward.core.ids import Ids, digest63
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.waves import WaveformChunk, in_range

__all__ = ["WAVES_WAITING", "WaveFlow", "WaveSink"]

logger = logging.getLogger(__name__)

WAVES_WAITING: Final = 120
"""Chunks that wait for the sink at most: two minutes of one waveform."""
MERGED: Final = 32
"""Chunks handed to the sink at once at most."""
ASIDE_NS: Final = 300 * SECOND
"""A reading whose time is further from its receipt was stored in the device: waves were not."""

WaveSink = Callable[[Sequence[WaveformChunk]], Awaitable[None]]
"""Takes chunks and returns when they are safe; StoreUnavailable: again later; StoreRejected: never."""


class WaveFlow(Consumer[WaveformChunk]):
    """Decodes, stamps and queues the waves of one device; one consumer (``run``) hands them to the sink.

    ``pressed`` says whether readings wait: as long as they do, waves are dropped. Counted by device and
    reason (``pressure``, ``queue``, ``range``, ``refused``, ``stopped``): ``wave_samples_dropped_total``;
    what is dropped is a gap in the chunks' numbers. ``wave_payloads_rejected_total`` by reason: payloads
    whose samples cannot be read.
    """

    def __init__(
        self,
        device: str,
        sink: WaveSink | None,
        *,
        ids: Ids,
        telemetry: Telemetry,
        pressed: Callable[[], bool],
        capacity: int = WAVES_WAITING,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(ids=ids, sleep=sleep)
        self._device, self._sink, self._telemetry = device, sink, telemetry
        self._pressed, self._capacity = pressed, capacity
        self._stamper: WaveStamper | None = None
        self._offset = 0
        self._last = 0
        self._dropping = False

    def take(
        self, profile: Profile, source: str, payload: bytes, now: int, readings: ReadingBatch | None
    ) -> None:
        """The waves of a payload received at ``now``, whose ``readings`` were taken already. Never raises."""
        decoder = profile.wave_decoders.get(source) or profile.wave_decoders.get(source.lower())
        if decoder is None or self._sink is None:
            return
        if self._stamper is None:
            self._stamper = WaveStamper(self._device, digest63(self._ids.new("waves").encode()), self._last)
        if readings is not None and len(readings):
            offset = readings.corrected[-1] - readings.received[-1]
            self._offset = offset if abs(offset) <= ASIDE_NS else 0
        try:
            self._offer(
                self._stamper.take(decoder(payload), now, now + self._offset, profile.part_of(source).hash)
            )
        except DecodeError as error:
            self._reject(error.reason)
        except Exception:
            logger.exception("device %s: profile %s failed to decode its waves", self._device, profile.id)
            self._reject("internal")

    def _reject(self, reason: str) -> None:
        self._telemetry.count("wave_payloads_rejected_total", reason=reason, device=self._device)
        self.lost()

    def lost(self) -> None:
        """A payload of the device could not be read."""
        if self._stamper is not None:
            self._offer(self._stamper.lost())

    def disconnected(self) -> None:
        """The connection has ended: what came is handed over, what comes next is another run."""
        if self._stamper is not None:
            self._offer(self._stamper.flush())
            self._last = self._stamper.last
        self._stamper, self._offset = None, 0

    def _offer(self, chunks: Iterable[WaveformChunk]) -> None:
        for chunk in chunks:
            if not in_range(chunk.samples):  # the sink would refuse all that comes with it
                self._drop([chunk], "range")
            elif self._pressed():
                self._drop([chunk], "pressure")
            elif len(self._waiting) >= self._capacity:
                self._drop([chunk], "queue")
            else:
                self._dropping = False
                self._add(chunk)

    def _drop(self, chunks: Sequence[WaveformChunk], reason: str) -> None:
        samples = sum(len(chunk.samples) for chunk in chunks)
        self._telemetry.count("wave_samples_dropped_total", samples, reason=reason, device=self._device)
        if not self._dropping:
            logger.warning("device %s: waves are dropped (%s)", self._device, reason)
        self._dropping = True

    def abandon(self) -> None:
        """What waits is handed over no more."""
        if self._waiting:
            self._drop(tuple(self._waiting), "stopped")
            self._waiting.clear()

    async def _deliver(self) -> bool:
        """Try the oldest chunks once; returns False when they must be tried again."""
        chunks = [self._waiting[i] for i in range(min(MERGED, len(self._waiting)))]
        if self._sink is None:
            return True
        try:
            await self._sink(chunks)
        except StoreUnavailable:
            self._telemetry.count("wave_sink_retries_total", device=self._device)
            return False
        except StoreRejected:
            self._drop(chunks, "refused")
        except Exception:
            logger.exception("device %s: handing over its waves failed", self._device)
            self._telemetry.count("wave_sink_retries_total", device=self._device)
            return False
        for _ in chunks:
            self._waiting.popleft()
        return True
