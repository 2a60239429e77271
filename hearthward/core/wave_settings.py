"""How long waveforms are kept, and how much of them."""

from __future__ import annotations

from pydantic import Field

from hearthward.core.channel_settings import Part

__all__ = ["WaveSettings"]


class WaveSettings(Part):
    """Waveforms are kept for days, not for years: what is older or too much is dropped, the oldest first."""

    keep_hours: float = Field(72.0, gt=0, le=24 * 366, description="after so long a sample is dropped")
    bytes: int = Field(4 << 30, ge=1 << 24, description="what the samples may take on the disk at most")
