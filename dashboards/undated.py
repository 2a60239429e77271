"""Values out of devices' memories of which nobody knows when they were measured: beside the newest ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cloud_ingest.stores.base import FOREVER, TimeSeriesStore
from dashboards.models import Value
from hearthward.core.model import Quality, ReadingBatch

__all__ = ["is_undated", "newest_by_metric", "parted", "with_dated"]

LOOKED_AT: Final = 500
"""Readings of a metric among which the newest with a time is looked for: more than most memories hold."""
_NAME: Final = Quality.TIME_UNKNOWN.name.lower() if Quality.TIME_UNKNOWN.name else ""


def is_undated(value: Value) -> bool:
    """Whether nobody knows when it was measured."""
    return _NAME in value.quality


def parted(values: Iterable[Value]) -> tuple[list[Value], list[Value]]:
    """Those of a known time, and the others."""
    known: list[Value] = []
    undated: list[Value] = []
    for value in values:
        (undated if is_undated(value) else known).append(value)
    return known, undated


def newest_by_metric(values: Iterable[Value]) -> list[Value]:
    """The newest of each metric, by their names; an undated one that came later stands beside it."""
    last: dict[tuple[str, bool], Value] = {}
    for value in values:
        key = value.metric, is_undated(value)
        if key not in last or value.time >= last[key].time:
            last[key] = value
    return [
        value
        for (metric, undated), value in sorted(last.items())
        if not undated or (metric, False) not in last or value.received > last[metric, False].received
    ]


async def with_dated(store: TimeSeriesStore, tenant: str, latest: ReadingBatch) -> ReadingBatch:
    """What a store gives as the latest, and where that is undated the newest before it that is not.

    Raises StoreUnavailable.
    """
    found = latest.take(range(len(latest)))
    for device, metric, quality in zip(latest.device, latest.metric, latest.quality, strict=True):
        if not quality & Quality.TIME_UNKNOWN:
            continue
        before = await store.read(tenant, [device], [metric], 0, FOREVER, limit=LOOKED_AT, newest=True)
        dated = [i for i, q in enumerate(before.quality) if not q & Quality.TIME_UNKNOWN]
        found.extend(before.take(dated[-1:]))
    return found
