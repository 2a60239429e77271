"""The port of the web that is about waveforms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from dashboards.wave_models import WaveHeld, WavePiece, WaveView
from hearthward.trust.access import Scope

__all__ = ["WavePort"]


class WavePort(Protocol):
    """What the web needs to show waveforms; a patient's are those of the devices on them at that time."""

    async def waves(self, scope: Scope, patient: str) -> Sequence[WaveHeld]:
        """Which waveforms of the patient are stored, by metric; none outside the scope.

        Raises StoreUnavailable.
        """
        ...

    async def wave(
        self, scope: Scope, patient: str, metric: str, start: int, end: int, points: int = 1200
    ) -> WaveView:
        """The samples with ``start <= time < end`` (UTC ns); more than FULL_NS as about ``points`` buckets.

        Nothing but one gap for a patient who is not in scope. Raises StoreUnavailable.
        """
        ...

    def wave_samples(
        self, scope: Scope, patient: str, metric: str, start: int, end: int
    ) -> AsyncIterator[Sequence[WavePiece]]:
        """Every sample of a period in order of its time, a bounded number at once; none outside the scope.

        Raises StoreUnavailable, also on the way.
        """
        ...
