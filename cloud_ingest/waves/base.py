"""The store of waveforms as a port: it takes and gives chunks, and writing twice is writing once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cloud_ingest.stores.base import Tell
from hearthward.core.clock import SECOND
from hearthward.core.errors import StoreRejected
from hearthward.core.waves import MAX_RATE_HZ, MAX_SAMPLES, MIN_RATE_HZ, WaveformChunk, in_range

__all__ = [
    "LEAST",
    "LONGEST_NS",
    "MOST_SAMPLES",
    "Held",
    "NoWaves",
    "WaveParcel",
    "WaveStore",
    "check_parcel",
    "weight",
]

LONGEST_NS: Final = 120 * SECOND
"""From the first to the last sample of one chunk at most."""
MOST_SAMPLES: Final = 250_000
"""Read at once at most: a minute of 4 kHz."""
LEAST: Final = 25
"""So many samples a chunk counts for at least: chunks that are nearly empty are as dear to read."""
_LIMIT: Final = 2**63


@dataclass(frozen=True, slots=True)
class WaveParcel:
    """Chunks that came from one gateway: one unit of ``append``."""

    gateway: str
    chunks: Sequence[WaveformChunk]


@dataclass(frozen=True, slots=True)
class Held:
    """That there are samples of a waveform of a device: the times of the first and of the last (UTC ns)."""

    device: str
    metric: str
    first: int
    last: int


class WaveStore(Protocol):
    """Keeps chunks under the key (tenant, gateway, device, metric, run, first).

    The samples of a chunk are at ``begins + i / rate_hz``; the last one is at ``corrected``.
    """

    async def append(self, tenant: str, parcels: Sequence[WaveParcel]) -> int:
        """Store all of it in one transaction, safe from a power cut; returns how many chunks were new.

        Raises StoreUnavailable (nothing of it is stored; try again) and StoreRejected (a chunk that can
        never be stored; nothing of it is).
        """
        ...

    async def read(
        self,
        tenant: str,
        device: str,
        metric: str,
        start: int,
        end: int,
        *,
        most: int = MOST_SAMPLES,
    ) -> Sequence[WaveformChunk]:
        """Whole chunks with a sample in ``start <= time < end``, by the time of their last sample.

        No more once ``most`` samples (by ``weight``) are reached: the later ones are left out. Raises
        StoreUnavailable.
        """
        ...

    async def held(self, tenant: str, devices: Sequence[str], start: int, end: int) -> Sequence[Held]:
        """Which waveforms of these devices have samples in ``start <= time < end``, by device and metric.

        ``first`` and ``last`` lie in that period, too. Raises StoreUnavailable.
        """
        ...

    async def prune(self, before: int, most_bytes: int) -> int:
        """Drop chunks that ended before ``before`` (UTC ns), and what is beyond ``most_bytes``.

        That is taken from the device (of one gateway) that has most, its oldest first: who sends much drives
        out nobody else. Returns how many are gone; some may be left for the next time. Raises
        StoreUnavailable.
        """
        ...

    async def run(self, tell: Tell) -> None:
        """Do what is to be done in the background, and tell why it does not do its work: until cancelled."""
        ...

    async def close(self) -> None:
        """Finish what was begun and release everything; the store cannot be used afterwards."""
        ...


class NoWaves:
    """Of a cloud that has no place for waveforms: it refuses them, and there are none."""

    async def append(self, tenant: str, parcels: Sequence[WaveParcel]) -> int:
        """Raises StoreRejected."""
        msg = f"tenant {tenant} keeps no waveforms: {sum(len(p.chunks) for p in parcels)} chunks refused"
        raise StoreRejected(msg)

    async def read(
        self, tenant: str, device: str, metric: str, start: int, end: int, *, most: int = MOST_SAMPLES
    ) -> Sequence[WaveformChunk]:
        """Nothing."""
        del tenant, device, metric, start, end, most
        return []

    async def held(self, tenant: str, devices: Sequence[str], start: int, end: int) -> Sequence[Held]:
        """None."""
        del tenant, devices, start, end
        return []

    async def prune(self, before: int, most_bytes: int) -> int:
        """Nothing to drop."""
        del before, most_bytes
        return 0

    async def run(self, tell: Tell) -> None:
        """Nothing to do."""
        tell(None)

    async def close(self) -> None:
        """Nothing to release."""


def weight(chunk: WaveformChunk) -> int:
    """As how many samples a chunk counts when it is read."""
    return max(LEAST, len(chunk.samples))


def check_parcel(parcel: WaveParcel) -> None:
    """Refuse what no store may take. Raises StoreRejected naming what."""
    for chunk in parcel.chunks:
        if (wrong := _wrong(chunk)) is not None:
            msg = f"a chunk of {chunk.metric or 'no metric'} of device {chunk.device or '(none)'}: {wrong}"
            raise StoreRejected(msg, device=chunk.device, metric=chunk.metric)


def _wrong(chunk: WaveformChunk) -> str | None:
    if not (chunk.device and chunk.metric):
        return "without device or metric"
    if any(not 0 <= n < _LIMIT for n in (chunk.received, chunk.corrected, chunk.run, chunk.first)):
        return "a time or number outside 0..2^63-1"
    if not (MIN_RATE_HZ <= chunk.rate_hz <= MAX_RATE_HZ and math.isfinite(chunk.scale) and chunk.scale):
        return f"rate {chunk.rate_hz:g} Hz or scale {chunk.scale:g} cannot be"
    return _wrong_samples(chunk)


def _wrong_samples(chunk: WaveformChunk) -> str | None:
    if not 0 < len(chunk.samples) <= MAX_SAMPLES:
        return f"{len(chunk.samples)} samples, not 1..{MAX_SAMPLES}"
    if (len(chunk.samples) - 1) * SECOND > LONGEST_NS * chunk.rate_hz:
        return f"longer than {LONGEST_NS // SECOND} s"
    if not in_range(chunk.samples):
        return "a sample of more than 32 bits"
    return None
