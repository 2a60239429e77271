"""Values that are none of now (of an unknown time, or not valid): they stand beside the newest ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cloud_ingest.stores.base import FOREVER, TimeSeriesStore
from dashboards.models import Value
from hearthward.core.model import ASIDE, ReadingBatch, quality_names

__all__ = ["is_aside", "newest_by_metric", "parted", "with_usual"]

LOOKED_AT: Final = 500
"""Readings of a metric among which the newest usual one is looked for: more than most memories hold."""
_NAMES: Final = frozenset(quality_names(ASIDE))


def is_aside(value: Value) -> bool:
    """Whether nobody knows when it was measured, or its device calls it not valid."""
    return not _NAMES.isdisjoint(value.quality)


def parted(values: Iterable[Value]) -> tuple[list[Value], list[Value]]:
    """The usual ones, and those put aside."""
    usual: list[Value] = []
    aside: list[Value] = []
    for value in values:
        (aside if is_aside(value) else usual).append(value)
    return usual, aside


def newest_by_metric(values: Iterable[Value]) -> list[Value]:
    """The newest of each metric, by their names; one put aside that came later stands beside it."""
    last: dict[tuple[str, bool], Value] = {}
    for value in values:
        key = value.metric, is_aside(value)
        if key not in last or value.time >= last[key].time:
            last[key] = value
    return [
        value
        for (metric, aside), value in sorted(last.items())
        if not aside or (metric, False) not in last or value.received > last[metric, False].received
    ]


async def with_usual(store: TimeSeriesStore, tenant: str, latest: ReadingBatch) -> ReadingBatch:
    """What a store gives as the latest, and where that is put aside the newest that is not.

    Raises StoreUnavailable.
    """
    found = latest.take(range(len(latest)))
    for device, metric, quality in zip(latest.device, latest.metric, latest.quality, strict=True):
        if not quality & ASIDE:
            continue
        before = await store.read(tenant, [device], [metric], 0, FOREVER, limit=LOOKED_AT, newest=True)
        usual = [i for i, q in enumerate(before.quality) if not q & ASIDE]
        found.extend(before.take(usual[-1:]))
    return found
