"""Invented waveforms for twins: a pulse that repeats with the heart."""

from __future__ import annotations

import math

from devices.twins.wire import width
from firmware_profiles.schema_fields import FieldSpec

__all__ = ["pulse_samples"]

_DICROTIC = 0.25


def pulse_samples(spec: FieldSpec, first: int, count: int, per_minute: float) -> tuple[int, ...]:
    """``count`` samples of the field's waveform from the sample number ``first`` on, ``per_minute`` beats.

    Whole numbers between an eighth and seven eighths of what the field holds (never negative).
    """
    bits = spec.bits[1] - spec.bits[0] + 1 if spec.bits else width(spec.type)
    top = (1 << bits - spec.type.startswith("s")) - 1
    rate = spec.wave.rate_hz if spec.wave else 1.0
    per_sample = per_minute / 60 / rate
    return tuple(round(top * (0.125 + 0.75 * _beat((first + n) * per_sample % 1))) for n in range(count))


def _beat(phase: float) -> float:
    """0 to 1 over one beat: a steep rise, a slower fall with a second, small wave."""
    if phase < 0.15:  # noqa: PLR2004 - a share of the beat
        return math.sin(phase / 0.15 * math.pi / 2)
    fall = (phase - 0.15) / 0.85
    second = _DICROTIC * math.exp(-(((fall - 0.3) / 0.1) ** 2))
    return min(1.0, (1 - fall) * math.sqrt(1 - fall) + second * fall)
