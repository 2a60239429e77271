"""Puts the waveforms of a batch into their store before anything of it is receipted.

A store that is away keeps nobody waiting: blocks of waveforms then get no receipt and come again, readings
and decisions go their way. What the store refuses for ever becomes a dead letter.
"""

from __future__ import annotations

import logging

from cloud_ingest.holding import Holding
from cloud_ingest.taken import MAX_DETAIL, Dead, Intake
from cloud_ingest.waves.base import WaveStore
from cloud_ingest.waves.taking import WavePart
from hearthward.core.clock import Clock
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.telemetry import Telemetry
from hearthward.core.wave_blocks import encode_waves

__all__ = ["WaveKeeper"]

log = logging.getLogger(__name__)


class WaveKeeper:
    """The way of a tenant's waveforms into ``store``."""

    def __init__(self, tenant: str, store: WaveStore, clock: Clock, telemetry: Telemetry) -> None:
        self._tenant, self.store, self._telemetry = tenant, store, telemetry
        self._backoff = Holding(clock)

    @property
    def due(self) -> bool:
        """Whether the store may be asked now: it is, unless it failed a moment ago."""
        return self._backoff.due

    async def took(self, intake: Intake) -> bool:
        """Store what is in it; False: the store is away, and nothing of it may be receipted."""
        try:
            await self.keep(intake)
        except StoreUnavailable as error:
            self._telemetry.count("wave_store_retries_total")
            if self._backoff.failed():
                log.error("waveforms wait for their store: %s", error)  # noqa: TRY400 - no fault of ours
            return False
        return True

    async def keep(self, intake: Intake) -> int:
        """Store what is in it; how many chunks were new. Raises StoreUnavailable: some may be stored then."""
        if not intake.waves:
            return 0
        try:
            new = await self.store.append(self._tenant, [part.parcel() for part in intake.waves])
        except StoreRejected:
            new = 0
            for part in intake.waves:
                for one in part.each():
                    new += await self._one(one, intake)
        if self._backoff.works():
            log.warning("the store of waveforms takes them again")
        every = sum(len(part.chunks) for part in intake.waves)
        self._telemetry.count("wave_chunks_stored_total", new)
        self._telemetry.count("wave_chunks_known_total", every - new)
        return new

    async def _one(self, part: WavePart, intake: Intake) -> int:
        try:
            return await self.store.append(self._tenant, [part.parcel()])
        except StoreRejected as error:
            source, seqs = part.source, part.seqs
            detail = f"boot {source[1]}, waveform {seqs[0]}: {error}"[:MAX_DETAIL]
            payload = encode_waves(part.chunks)
            intake.refuse(Dead(part.topic, source[0], "store_refused", detail, payload, 0, source[1], seqs))
            return 0
