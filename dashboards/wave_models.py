"""Waveforms as the web shows them: which there are, and the samples of a period with what is missing."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import AskedInstant, Instant
from hearthward.core.clock import SECOND

__all__ = ["FULL_NS", "LONGEST_NS", "MAX_POINTS", "WaveGap", "WaveHeld", "WavePiece", "WaveView"]

FULL_NS: Final = 60 * SECOND
"""A period up to this is given with every sample, a longer one as an envelope."""
LONGEST_NS: Final = 3600 * SECOND
MAX_POINTS: Final = 2000
"""Buckets of an envelope at most."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WaveHeld(_View):
    """That a waveform of a patient is stored, from when until when; there may be gaps in between."""

    metric: str
    device: str = Field(description="the one that gave the newest sample")
    first: Instant = Field(description="time of the oldest sample that is kept")
    newest: Instant = Field(description="time of the newest sample")


class WavePiece(_View):
    """Samples without a gap: ``values``, or of an envelope the ``low`` and ``high`` of each bucket."""

    device: str | None = Field(None, description="null in an envelope, which may join devices")
    unit: str | None = Field(None, description="UCUM; null: none is known, or an envelope")
    start: Instant = Field(description="time of the first value; of an envelope where the bucket begins")
    end: Instant = Field(description="time of the last value; of an envelope where the last bucket ends")
    step: float = Field(description="from value to value, or from bucket to bucket, in nanoseconds")
    quality: list[str] = Field(default_factory=list, description="what is known against it; empty: good")
    values: list[float] = Field(default_factory=list)
    low: list[float] = Field(default_factory=list)
    high: list[float] = Field(default_factory=list)


class WaveGap(_View):
    """A part of the period of which there is no sample."""

    start: AskedInstant
    end: AskedInstant


class WaveView(_View):
    """One waveform of one patient over a period; ``pieces`` and ``gaps`` are by time."""

    metric: str
    unit: str | None = Field(None, description="UCUM; as the newest samples have it")
    start: AskedInstant
    end: AskedInstant
    envelope: bool = Field(description="true: low and high of buckets; false: every sample")
    pieces: list[WavePiece] = Field(default_factory=list)
    gaps: list[WaveGap] = Field(default_factory=list)
    cut_off: bool = Field(
        default=False, description="there were more samples than are given at once: ask for less time"
    )
