"""The fake of the waveforms' port: a dictionary with the store's key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cloud_ingest.stores.base import Tell
from cloud_ingest.waves.base import MOST_SAMPLES, Held, WaveParcel, check_parcel, weight
from hearthward.core.errors import StoreUnavailable
from hearthward.core.waves import WaveformChunk

__all__ = ["MemoryWaves"]

Key = tuple[str, str, str, str, int, int]
SIZE = 2
"""Bytes that a sample counts for the limit."""


class MemoryWaves:
    """Keeps everything in memory. ``failing``: the next so many appends raise StoreUnavailable."""

    def __init__(self) -> None:
        self._chunks: dict[Key, WaveformChunk] = {}
        self.failing = 0

    def __len__(self) -> int:
        return len(self._chunks)

    async def append(self, tenant: str, parcels: Sequence[WaveParcel]) -> int:
        """Store chunks; see WaveStore."""
        for parcel in parcels:
            check_parcel(parcel)
        if self.failing > 0:
            self.failing -= 1
            msg = "told to fail"
            raise StoreUnavailable(msg)
        return self.put(tenant, parcels)

    def put(self, tenant: str, parcels: Sequence[WaveParcel]) -> int:
        """The same for who cannot wait, and unchecked."""
        before = len(self._chunks)
        for parcel in parcels:
            for c in parcel.chunks:
                self._chunks.setdefault((tenant, parcel.gateway, c.device, c.metric, c.run, c.first), c)
        return len(self._chunks) - before

    async def read(
        self, tenant: str, device: str, metric: str, start: int, end: int, *, most: int = MOST_SAMPLES
    ) -> Sequence[WaveformChunk]:
        """Chunks of a period; see WaveStore."""
        found: list[WaveformChunk] = []
        for chunk in sorted(self._of(tenant, device, start, end), key=lambda c: (c.corrected, c.first)):
            if chunk.metric == metric and most > 0:
                found.append(chunk)
                most -= weight(chunk)
        return found

    async def held(self, tenant: str, devices: Sequence[str], start: int, end: int) -> Sequence[Held]:
        """Which there are; see WaveStore."""
        found: dict[tuple[str, str], Held] = {}
        for device in sorted(set(devices)):
            for c in self._of(tenant, device, start, end):
                now = Held(device, c.metric, max(start, c.begins), min(end - 1, c.corrected))
                old = found.get((device, c.metric), now)
                found[device, c.metric] = Held(
                    device, c.metric, min(old.first, now.first), max(old.last, now.last)
                )
        return [found[key] for key in sorted(found)]

    async def prune(self, before: int, most_bytes: int) -> int:
        """Drop what is old or too much; see WaveStore."""
        there = len(self._chunks)
        by_device: dict[tuple[str, ...], list[Key]] = {}
        sizes: Counter[tuple[str, ...]] = Counter()
        for key, chunk in sorted(self._chunks.items(), key=lambda item: item[1].corrected):
            if chunk.corrected < before:
                del self._chunks[key]
            else:
                by_device.setdefault(key[:3], []).append(key)
                sizes[key[:3]] += SIZE * len(chunk.samples)
        while sizes.total() > most_bytes:
            largest = max(sizes, key=lambda device: sizes[device])
            chunk = self._chunks.pop(by_device[largest].pop(0))
            sizes[largest] -= SIZE * len(chunk.samples)
        return there - len(self._chunks)

    async def run(self, tell: Tell) -> None:
        """Nothing to do."""
        tell(None)

    async def close(self) -> None:
        """Nothing to release."""

    def _of(self, tenant: str, device: str, start: int, end: int) -> list[WaveformChunk]:
        return [
            chunk
            for (owner, _, name, *_), chunk in self._chunks.items()
            if owner == tenant and name == device and chunk.begins < end and chunk.corrected >= start
        ]
