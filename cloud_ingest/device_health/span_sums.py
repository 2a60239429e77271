"""What every device's days of a span come to, added up once and kept until days are written anew."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from cloud_ingest.device_health.sums import DOUBTS, NUMBERS, Totals, quality_of
from cloud_ingest.records import Records
from cloud_ingest.records.fleet_days import sums_of_span

__all__ = ["SpanBook", "SpanSums"]

MOST: Final = 4
"""Spans that are kept: those that the pages offer, and one more. 1.5 MB each with 10,000 devices."""
NOTHING: Final = 2.0
"""Comes after every share."""
_USED: Final = NUMBERS.index("used")


class SpanSums:
    """Of each device that has days in the span; as columns, so that they cost little to keep.

    ``rows`` are a device, then its numbers in the order of ``Totals``, then its ``DOUBTS``.
    """

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self._at: dict[str, int] = {}
        self._columns = tuple(array("q") for _ in range(len(NUMBERS) + len(DOUBTS)))
        self._worst = array("d")
        for device, *sums in rows:
            self._at[device] = len(self._worst)
            for column, n in zip(self._columns, sums, strict=True):
                column.append(int(n))
            worst = quality_of(_totals(sums)).worst
            self._worst.append(NOTHING if worst is None else worst)

    def totals(self, devices: Iterable[str]) -> Totals:
        """Of these devices together."""
        places = [at for device in devices if (at := self._at.get(device)) is not None]
        return _totals([sum(map(column.__getitem__, places)) for column in self._columns])

    def used(self, device: str) -> int:
        """Hours with a reading."""
        at = self._at.get(device)
        return 0 if at is None else self._columns[_USED][at]

    def worst(self, device: str) -> float:
        """The least share of its quality; 2 where there is nothing to judge by."""
        at = self._at.get(device)
        return NOTHING if at is None else self._worst[at]


def _totals(sums: Sequence[int]) -> Totals:
    doubts = {name: n for name, n in zip(DOUBTS, sums[len(NUMBERS) :], strict=True) if n}
    return Totals(**dict(zip(NUMBERS, sums, strict=False)), doubts=doubts)


class SpanBook:
    """Of one tenant. Who writes counts of days calls ``forget`` once they are committed."""

    def __init__(self, tenant: str, records: Records) -> None:
        self._tenant, self._records = tenant, records
        self._kept: OrderedDict[int, SpanSums] = OrderedDict()
        self._written = 0

    async def of(self, first: int) -> SpanSums:
        """Of the days from ``first`` on. Raises StoreUnavailable."""
        found = self._kept.get(first)
        if found is None:
            written = self._written
            found = await self._records.read(lambda s: SpanSums(sums_of_span(s, self._tenant, first)))
            if written != self._written:
                return found  # days were written meanwhile: it may be of before
            self._kept[first] = found
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(first)
        return found

    def forget(self) -> None:
        """Days have been written anew."""
        self._written += 1
        self._kept.clear()
