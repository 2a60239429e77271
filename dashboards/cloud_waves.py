"""The port's waveforms over the real store and records."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_ingest.attribution import Span, load_attribution
from cloud_ingest.service import CloudService
from cloud_ingest.waves.base import WaveStore
from dashboards.wave_reads import WaveReads
from hearthward.trust.access import Scope

__all__ = ["CloudWaves"]


class CloudWaves(WaveReads):
    """The part of ``CloudBackend`` that is about waveforms."""

    def __init__(self, service: CloudService) -> None:
        self._waves_of, self._associations = service.waves, service.records

    def _wave_store(self, scope: Scope) -> WaveStore:
        del scope  # one file for all: each read names its tenant
        return self._waves_of

    async def _devices_on(self, scope: Scope, patient: str) -> Sequence[Span]:
        found = await self._associations.read(lambda s: load_attribution(s, scope.tenant, patient=patient))
        return sorted(found.spans(patient), key=lambda span: (span.start, span.device))
