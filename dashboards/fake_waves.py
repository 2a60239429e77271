"""The fake's waveforms: out of the chunks that were put in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from cloud_ingest.waves.base import WaveParcel, WaveStore
from cloud_ingest.waves.fake import MemoryWaves
from dashboards.wave_reads import WaveReads
from hearthward.core.waves import WaveformChunk
from hearthward.trust.access import Scope
from rules.attribution import Span

__all__ = ["FakeWaves"]


class FakeWaves(WaveReads):
    """The part of ``FakeBackend`` that is about waveforms."""

    def __init__(self) -> None:
        self.wave_store = MemoryWaves()

    @abstractmethod
    def _associations(self, tenant: str) -> Mapping[str, Any]:
        """Which device is on whom, when."""

    def put_waves(self, tenant: str, chunks: Sequence[WaveformChunk]) -> None:
        """Store chunks."""
        self.wave_store.put(tenant, [WaveParcel("gw", chunks)])

    def _wave_store(self, scope: Scope) -> WaveStore:
        del scope
        return self.wave_store

    async def _devices_on(self, scope: Scope, patient: str) -> Sequence[Span]:
        rows = self._associations(scope.tenant).values()
        found = [Span(a.device, patient, a.start, a.end) for a in rows if a.patient == patient]
        return sorted(found, key=lambda span: (span.start, span.device))
