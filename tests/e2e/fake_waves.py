"""Waveforms of the fake ward: a pulse wave with a gap and a poor part, and an ECG that is over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hearthward.core.model import Quality
from hearthward.core.waves import WaveformChunk

if TYPE_CHECKING:
    from tests.e2e.fake_ward import Ward

__all__ = ["begin", "go_on"]

S = 1_000_000_000
PLETH_HZ = 75
ECG_HZ = 250
WORN = ("pulse-1", "pulse-3")
PAST_S = 120


def begin(ward: Ward) -> None:
    """Two minutes up to now, and a quarter of one that ended some minutes ago."""
    now = ward.clock.now_ns()
    for device in WORN:
        seconds = range(-PAST_S, 0)
        ward.backend.put_waves("main", [pleth(device, n, now) for n in seconds if n not in {-46, -45}])
    ward.backend.put_waves("main", [ecg("heart-1", n, now - 400 * S) for n in range(15)])


def go_on(ward: Ward, t: int) -> None:
    """One second more, once it has passed."""
    now = ward.clock.now_ns()
    if t:
        ward.backend.put_waves("main", [pleth(device, t - 1, now - t * S) for device in WORN])


def pleth(device: str, n: int, zero: int) -> WaveformChunk:
    """The ``n``-th second."""
    beats = [((n * PLETH_HZ + i) / PLETH_HZ * 1.2) % 1 for i in range(PLETH_HZ)]
    samples = tuple(
        round(90 + 120 * math.exp(-((x - 0.25) ** 2) / 0.012) + 45 * math.exp(-((x - 0.6) ** 2) / 0.015))
        for x in beats
    )
    ends = zero + (n + 1) * S - S // PLETH_HZ
    quality = Quality.POOR_SIGNAL if -52 <= n <= -50 else 0
    first = (n + PAST_S) * PLETH_HZ
    return WaveformChunk(
        device, "pleth", ends, ends, 1, first, float(PLETH_HZ), 1.0, "1", samples, int(quality)
    )


def ecg(device: str, n: int, zero: int) -> WaveformChunk:
    """The ``n``-th second."""
    beats = [((n * ECG_HZ + i) / ECG_HZ * 1.1) % 1 for i in range(ECG_HZ)]
    samples = tuple(
        round(
            1100 * math.exp(-((x - 0.3) ** 2) / 0.0002)
            - 220 * math.exp(-((x - 0.33) ** 2) / 0.0003)
            + 120 * math.exp(-((x - 0.15) ** 2) / 0.001)
            + 260 * math.exp(-((x - 0.55) ** 2) / 0.003)
        )
        for x in beats
    )
    ends = zero + (n + 1) * S - S // ECG_HZ
    return WaveformChunk(device, "ecg_ii", ends, ends, 1, n * ECG_HZ, float(ECG_HZ), 0.001, "mV", samples)
