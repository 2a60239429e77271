"""What is looked after every half minute: gateways, their configurations, and what is old."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from cloud_ingest.around import AroundBoard
from cloud_ingest.config_publisher import ConfigPublisher
from cloud_ingest.frame_watch import FrameWatches
from cloud_ingest.gateway_trouble import GatewayTrouble
from cloud_ingest.gateways import GatewayBoard, write_notes
from cloud_ingest.knowing import Knowing
from cloud_ingest.outdated import Outdated
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.records import Records
from cloud_ingest.retention import Retention
from cloud_ingest.waves.base import WaveStore
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.telemetry import Telemetry
from hearthward.core.wave_settings import WaveSettings

__all__ = ["Maintenance"]

log = logging.getLogger(__name__)

MAINTENANCE_S: Final = 30.0
"""Gateways' last-seen times are saved and timed configuration changes looked for this often."""
PRUNE_EVERY: Final = 120
"""Maintenance rounds between two prunings: an hour."""
PRUNE_WAVES_EVERY: Final = 4
"""The same for waveforms, of which there are many: two minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Of one tenant; ``kept`` says how long and how much of waveforms."""

    tenant: str
    records: Records
    pipeline: Pipeline
    knowing: Knowing
    publisher: ConfigPublisher
    gateways: GatewayBoard
    around: AroundBoard
    frames: FrameWatches
    outdated: Outdated
    trouble: GatewayTrouble
    retention: Retention
    waves: WaveStore
    kept: WaveSettings
    clock: Clock
    telemetry: Telemetry

    async def run(self) -> None:
        """Look after everything again and again, until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(MAINTENANCE_S)
            self.around.forget()
            self.frames.book.forget()
            try:
                await self.save_gateways()
                await self.knowing.know()
                await self.publisher.refresh()
                for state in self.gateways.all():
                    await self.publisher.runs(state.gateway, state.config)
                self.outdated.look(self.gateways.all(), self.publisher.document)
                self.trouble.look(self.gateways, self.publisher.document)
                if rounds % PRUNE_EVERY == 0:
                    await self.retention.prune(self.clock.now_ns())
                if rounds % PRUNE_WAVES_EVERY == 0:
                    await self._prune_waves()
                self.pipeline.flood.look()
            except StoreUnavailable as error:
                log.warning("maintenance waits for the records: %s", error)
            rounds += 1

    async def save_gateways(self) -> None:
        """Write down when gateways were last seen, and what they run. Raises StoreUnavailable."""
        notes = self.gateways.unsaved()
        if notes:
            await self.records.run(lambda s: write_notes(s, self.tenant, notes))
            self.gateways.saved(notes)

    async def _prune_waves(self) -> None:
        """Drop waveforms that are too old or too many."""
        before = self.clock.now_ns() - round(self.kept.keep_hours * 3600 * SECOND)
        try:
            gone = await self.waves.prune(before, self.kept.bytes)
        except StoreUnavailable as error:
            log.warning("old waveforms are not dropped now: %s", error)
        else:
            self.telemetry.count("wave_chunks_dropped_total", gone)
