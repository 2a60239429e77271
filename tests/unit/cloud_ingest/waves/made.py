"""Waveforms made by hand."""

from __future__ import annotations

import math
from typing import Any

from hearthward.core.clock import SECOND
from hearthward.core.wave_blocks import encode_waves
from hearthward.core.waves import WaveformChunk
from hearthward.core.wire import Block

__all__ = ["RATE", "T0", "chunk", "wave_block"]

T0 = 1_767_225_600 * SECOND
RATE = 75.0


def chunk(n: int = 0, **changes: Any) -> WaveformChunk:
    """The ``n``-th second of a run of 75 samples a second; its first sample is ``n`` s after T0."""
    size = changes.pop("size", 75)
    begins = changes.pop("begins", T0 + n * SECOND)
    rate = changes.get("rate_hz", RATE)
    ends = begins + round((size - 1) * SECOND / rate)
    samples = tuple(round(128 + 100 * math.sin((n * 75 + i) / 12)) for i in range(size))
    fields: dict[str, Any] = {
        "device": "dev_1",
        "metric": "pleth",
        "received": ends,
        "corrected": ends,
        "run": 7,
        "first": n * 75,
        "rate_hz": RATE,
        "scale": 1.0,
        "unit": "1",
        "samples": samples,
        "profile": "0123456789abcdef",
        **changes,
    }
    return WaveformChunk(**fields)


def wave_block(first: int, *chunks: WaveformChunk) -> Block:
    return Block(first, len(chunks), encode_waves(chunks))
