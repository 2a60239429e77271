"""Which of a patient's readings did a task of the care plan: the first in its window that counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cloud_ingest.attribution import Attribution, Span
from cloud_ingest.careplan import Slot
from cloud_ingest.entry import manual_device
from cloud_ingest.stores.base import TimeSeriesStore
from hearthward.core.model import Quality

__all__ = ["measured"]

FEW: Final = 50
"""Readings looked at for one that counts (none of demonstration or test, none with the sensor off)."""


async def measured(
    store: TimeSeriesStore, attribution: Attribution, tenant: str, patient: str, found: Iterable[Slot]
) -> dict[tuple[str, int], int]:
    """When the first reading that counts for each slot was measured (UTC ns), by task and due.

    A device's readings are the patient's while it is on them. Raises StoreUnavailable.
    """
    spans = [*attribution.spans(patient), Span(manual_device(patient), patient, 0)]
    times: dict[tuple[str, int], int] = {}
    for slot in found:
        if slot.task.metric is None:
            continue
        known = [at for span in spans if (at := await _first(store, tenant, span, slot)) is not None]
        if known:
            times[slot.task.id, slot.due] = min(known)
    return times


async def _first(store: TimeSeriesStore, tenant: str, span: Span, slot: Slot) -> int | None:
    start = max(slot.opens, span.start)
    end = slot.closes if span.end is None else min(slot.closes, span.end)
    if start >= end:
        return None
    batch = await store.read(tenant, [span.device], [str(slot.task.metric)], start, end, limit=FEW)
    good = zip(batch.corrected, batch.quality, strict=True)
    return next((at for at, quality in good if Quality(quality).clinical), None)
