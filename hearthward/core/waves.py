"""Waveforms as chunks of evenly spaced samples; the blocks in which they travel: ``core.wave_blocks``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hearthward.core.clock import SECOND

__all__ = ["MAX_RATE_HZ", "MAX_SAMPLES", "MIN_RATE_HZ", "SAMPLE_LIMIT", "WaveformChunk", "in_range"]

MAX_SAMPLES: Final = 4096
"""Samples in one chunk at most."""
SAMPLE_LIMIT: Final = 2**31
"""A sample is an integer of 32 bits: from -SAMPLE_LIMIT to SAMPLE_LIMIT - 1."""
MIN_RATE_HZ: Final = 0.1
MAX_RATE_HZ: Final = 100_000.0


@dataclass(frozen=True, slots=True)
class WaveformChunk:
    """Consecutive samples of one waveform by one device; value = sample * ``scale`` in ``unit`` (UCUM).

    ``received`` is the gateway's receive time of the last sample (UTC ns, strictly increasing from chunk
    to chunk of a device and metric within a run), ``corrected`` the best estimate of when the last one was
    taken. ``run`` tells the runs of a device's session apart; ``first`` counts the samples of this waveform
    in this run from 0, those that were lost on the way included: a chunk whose ``first`` is not the end of
    the one before follows a gap. Device, metric, run and first together are a chunk's identity: the same
    again is a repeat.
    """

    device: str
    metric: str
    received: int
    corrected: int
    run: int
    first: int
    rate_hz: float
    scale: float
    unit: str | None
    samples: tuple[int, ...]
    quality: int = 0
    profile: str = ""

    @property
    def begins(self) -> int:
        """When the first sample was taken (UTC ns), by ``corrected`` and the rate."""
        return self.corrected - round((len(self.samples) - 1) * SECOND / self.rate_hz)

    @property
    def end(self) -> int:
        """The ``first`` of the chunk that follows without a gap."""
        return self.first + len(self.samples)


def in_range(samples: Sequence[int]) -> bool:
    """Whether each sample (there is one at least) is an integer of 32 bits."""
    return min(samples) >= -SAMPLE_LIMIT and max(samples) < SAMPLE_LIMIT
