"""Waveforms as chunks of evenly spaced samples, and the blocks in which they travel inside frames."""

from __future__ import annotations

from dataclasses import dataclass

from hearthward.core.clock import SECOND

__all__ = ["MAX_SAMPLES", "WaveformChunk"]

MAX_SAMPLES = 4096
"""Samples in one chunk at most."""


@dataclass(frozen=True, slots=True)
class WaveformChunk:
    """Consecutive samples of one waveform by one device; value = sample * ``scale`` in ``unit`` (UCUM).

    ``received`` is the gateway's receive time of the last sample (UTC ns, strictly increasing from chunk
    to chunk of a device and metric), ``corrected`` the best estimate of when the last one was taken.
    ``first`` counts the samples of this run of the device's session from 0: a chunk whose ``first`` is
    not the end of the one before follows a gap. ``run`` tells the runs apart.
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
