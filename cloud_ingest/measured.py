"""Which of a patient's readings did a task of the care plan: the first in its window that counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from cloud_ingest.attribution import Attribution, Span
from cloud_ingest.careplan import Slot
from cloud_ingest.entry import manual_device
from cloud_ingest.stores.base import TimeSeriesStore
from hearthward.core.model import Quality, ReadingBatch

__all__ = ["measured"]

MOST: Final = 2_000
"""Readings of a metric that are looked at together; where there are more, each window is asked for alone."""
FEW: Final = 50
"""Readings of one window that are looked at for one that counts."""


async def measured(
    store: TimeSeriesStore, attribution: Attribution, tenant: str, patient: str, found: Iterable[Slot]
) -> dict[tuple[str, int], int]:
    """When the first reading that counts for each slot was measured (UTC ns), by task and due.

    A device's readings are the patient's while it is on them; those of demonstration or test, and with the
    sensor off, do not count. Raises StoreUnavailable.
    """
    spans = [*attribution.spans(patient), Span(manual_device(patient), patient, 0)]
    by_metric: defaultdict[str, list[Slot]] = defaultdict(list)
    for slot in found:
        if slot.task.metric is not None:
            by_metric[slot.task.metric].append(slot)
    times: dict[tuple[str, int], int] = {}
    for metric, slots in by_metric.items():
        for span in spans:
            for slot, at in await _of_span(store, tenant, span, metric, slots):
                key = slot.task.id, slot.due
                times[key] = min(at, times.get(key, at))
    return times


async def _of_span(
    store: TimeSeriesStore, tenant: str, span: Span, metric: str, slots: Sequence[Slot]
) -> list[tuple[Slot, int]]:
    """Each slot that a reading of this time with the device does, and when."""
    cut = [(slot, max(slot.opens, span.start), _until(slot, span)) for slot in slots]
    cut = [(slot, start, end) for slot, start, end in cut if start < end]
    if not cut:
        return []
    first, last = min(start for _, start, _ in cut), max(end for _, _, end in cut)
    whole = await store.read(tenant, [span.device], [metric], first, last, limit=MOST)
    known: list[tuple[Slot, int]] = []
    for slot, start, end in cut:
        batch = whole
        if len(whole) >= MOST:
            batch = await store.read(tenant, [span.device], [metric], start, end, limit=FEW)
        at = _first(batch, start, end)
        if at is not None:
            known.append((slot, at))
    return known


def _until(slot: Slot, span: Span) -> int:
    return slot.closes if span.end is None else min(slot.closes, span.end)


def _first(batch: ReadingBatch, start: int, end: int) -> int | None:
    good = zip(batch.corrected, batch.quality, strict=True)
    return next((at for at, q in good if start <= at < end and Quality(q).clinical), None)
