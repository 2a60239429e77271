"""What the quality gate said of stored readings, counted: the doubts of a data-quality board, with reasons.

``sums.quality_of`` has the four shares that the ledger's counts give; this has what stands behind the values
that were stored: ``plausible`` (neither bad, nor jumping, flat or zero) and ``consistent`` (no other signal
says otherwise), per device and signal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cloud_ingest.stores.base import TimeSeriesStore
from hearthward.core.model import JUDGED, Quality, ReadingBatch, quality_names

__all__ = ["MOST", "Verdicts", "verdicts", "verdicts_of"]

MOST: Final = 5_000
"""Readings of one device that are looked at: the newest of the time asked for."""
_REASONS: Final = int(JUDGED & ~(Quality.SUSPECT | Quality.BAD))


@dataclass(slots=True)
class Verdicts:
    """Of one signal of one device: how many values came, were suspect, were bad, and why (by reason)."""

    values: int = 0
    suspect: int = 0
    bad: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, quality: int) -> None:
        """One value more."""
        self.values += 1
        self.suspect += bool(quality & Quality.SUSPECT)
        self.bad += bool(quality & Quality.BAD)
        self.reasons.update(quality_names(quality & _REASONS))

    @property
    def consistent(self) -> float | None:
        """The share that no other signal contradicts; None: nothing came."""
        return 1 - self.reasons["disagrees"] / self.values if self.values else None

    @property
    def plausible(self) -> float | None:
        """The share that nothing of its own speaks against; None: nothing came."""
        doubted = self.reasons.total() - self.reasons["disagrees"]
        return 1 - min(doubted, self.values) / self.values if self.values else None


def verdicts_of(batch: ReadingBatch) -> dict[tuple[str, str], Verdicts]:
    """By device and metric; words and codes are no values."""
    found: dict[tuple[str, str], Verdicts] = {}
    for device, metric, value, quality in zip(
        batch.device, batch.metric, batch.value, batch.quality, strict=True
    ):
        if value is not None:
            found.setdefault((device, metric), Verdicts()).add(quality)
    return found


async def verdicts(
    store: TimeSeriesStore, tenant: str, devices: Iterable[str], first: int, last: int
) -> dict[tuple[str, str], Verdicts]:
    """Of the readings of some devices measured in [first, last) UTC ns, ``MOST`` of each device.

    Raises StoreUnavailable.
    """
    found: dict[tuple[str, str], Verdicts] = {}
    for device in devices:
        batch = await store.read(tenant, [device], None, first, last, limit=MOST, newest=True)
        found |= verdicts_of(batch)
    return found
