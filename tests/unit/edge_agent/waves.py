"""Chunks of waveforms for the tests of the edge."""

from __future__ import annotations

import math

from hearthward.core.clock import SECOND
from hearthward.core.waves import WaveformChunk


def make_chunk(n: int, device: str = "oxi-1", *, rate_hz: float = 75.0, at: int = 10**18) -> WaveformChunk:
    """The ``n``-th second of a pleth of that rate: a beat of 70 a minute."""
    size = round(rate_hz)
    first = n * size
    samples = tuple(
        round(128 + 80 * math.sin(2 * math.pi * 70 / 60 * i / rate_hz)) for i in range(first, first + size)
    )
    received = at + n * SECOND
    return WaveformChunk(
        device, "pleth", received, received, 7, first, rate_hz, 1.0, "1", samples, 0, "0123456789abcdef"
    )
