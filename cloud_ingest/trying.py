"""A changed rule tried on the stored history of some patients, read and never written.

Patient after patient, so that no more than one patient's readings are in memory. What is too much is left
out, and said to be.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from sys import intern
from typing import Any, Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.asof import limits_of
from cloud_ingest.attribution import Attribution, Span, load_attribution
from cloud_ingest.contexts import contexts
from cloud_ingest.entry import manual_device
from cloud_ingest.outcome import rows_to_judge
from cloud_ingest.records.models import PatientLimit
from cloud_ingest.stores.base import TimeSeriesStore
from firmware_profiles import Catalog
from hearthward.core.clock import SECOND
from rules.context import Context
from rules.replay import Track
from rules.rule import Rule
from rules.whatif import Trial, try_one

__all__ = ["MOST_OF_ONE", "MOST_READINGS", "HistoryTrier", "Progress", "Trier", "TryAsked"]

Progress = Callable[[int, int], None]
"""Is told how many patients have been looked at, and of how many."""
Read = Callable[[Callable[[Session], Any]], Awaitable[Any]]

SLICE: Final = 6 * 3600 * SECOND
"""So much is read at once."""
MOST_OF_ONE: Final = 1_500_000
"""Of more readings of one patient the newest are looked at: 17 days of one a second."""
MOST_READINGS: Final = 30_000_000
"""After so many readings no further patient is looked at."""


@dataclass(frozen=True, slots=True)
class TryAsked:
    """Two versions of one rule, and on whose readings of [start, end) (UTC ns) they are tried.

    ``zone`` is whose days are counted.
    """

    before: Rule
    after: Rule
    patients: tuple[str, ...]
    start: int
    end: int
    zone: str = "UTC"

    @property
    def metrics(self) -> list[str]:
        """The signals that either version looks at, or that what it looks at is computed from."""
        return sorted(self.before.looks_at | self.after.looks_at)

    def to_data(self) -> dict[str, Any]:
        """As plain data; ``of`` is the way back."""
        return {
            "before": self.before.content(),
            "after": self.after.content(),
            "patients": list(self.patients),
            "start": self.start,
            "end": self.end,
            "zone": self.zone,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> TryAsked:
        """What ``to_data`` gave."""
        rules = (Rule.from_content(data["before"]), Rule.from_content(data["after"]))
        return cls(*rules, tuple(data["patients"]), data["start"], data["end"], data["zone"])


class Trier(Protocol):
    """Tries a change, wherever that is done."""

    async def __call__(self, asked: TryAsked, progress: Progress) -> Trial:
        """What came of it. Raises StoreUnavailable, ConfigError. May be cancelled."""
        ...


class HistoryTrier:
    """Tries it here, over one tenant's records and store."""

    def __init__(self, read: Read, store: TimeSeriesStore, tenant: str, catalog: Catalog) -> None:
        self._read, self._store, self._tenant, self._catalog = read, store, tenant, catalog

    async def __call__(self, asked: TryAsked, progress: Progress) -> Trial:
        """See Trier."""
        attribution: Attribution = await self._read(lambda s: load_attribution(s, self._tenant))
        known = await self._known(asked, asked.end)
        out = Trial(asked.start, asked.end)
        for n, patient in enumerate(asked.patients):
            progress(n, len(asked.patients))
            if out.readings >= MOST_READINGS:
                out.left.append(patient)
                continue
            spans = [s for s in attribution.spans(patient) if _part(s, asked.start, asked.end) is not None]
            if patient not in known and spans:
                worn = min(asked.end, max(asked.end if s.end is None else s.end for s in spans))
                known |= {patient: (await self._known(asked, worn - 1)).get(patient, Context())}
            await self._one(asked, patient, spans, known.get(patient), out)
        progress(len(asked.patients), len(asked.patients))
        out.settle()
        return out

    async def _known(self, asked: TryAsked, at: int) -> dict[str, Context]:
        """What was known at ``at`` of the patients asked for; what was expected is from the start on.

        Of their limits all that were ever set, each with when it held.
        """
        rows = select(PatientLimit).where(PatientLimit.tenant == self._tenant)
        found: dict[str, Context] = await self._read(lambda s: contexts(s, self._tenant, at, self._catalog))
        held: dict[str, list[PatientLimit]] = {}
        for row in await self._read(lambda s: s.scalars(rows).all()):
            held.setdefault(row.patient, []).append(row)
        return {
            p: replace(_from(found[p], asked.start), limits=limits_of(held.get(p, ())))
            for p in asked.patients
            if p in found
        }

    async def _one(
        self, asked: TryAsked, patient: str, spans: Sequence[Span], context: Context | None, out: Trial
    ) -> None:
        start = await self._start(asked, patient, spans)
        track = Track(patient, received=array("q"), quality=array("q"))
        for span in (*spans, Span(manual_device(patient), patient, 0)):
            part = _part(span, start, asked.end)
            if part is not None:
                await self._gather(track, span.device, asked.metrics, part)
        if not len(track):
            return
        track.sort()
        track.seen(track.time[0])
        track.seen(track.time[-1])
        for span in spans:
            track.seen(min(asked.end, asked.end if span.end is None else span.end))
        since = None if start == asked.start else start
        versions = asked.before, asked.after
        await asyncio.to_thread(try_one, versions, track, context, out, zone=asked.zone, since=since)

    async def _start(self, asked: TryAsked, patient: str, spans: Sequence[Span]) -> int:
        """From when on this patient is looked at: later than asked for where there is too much."""
        count = 0
        for span in (*spans, Span(manual_device(patient), patient, 0)):
            part = _part(span, asked.start, asked.end)
            if part is not None:
                count += await self._store.count(self._tenant, [span.device], asked.metrics, *part)
        if count <= MOST_OF_ONE:
            return asked.start
        return asked.end - (asked.end - asked.start) * MOST_OF_ONE // count

    async def _gather(self, track: Track, device: str, metrics: Sequence[str], part: tuple[int, int]) -> None:
        first, last = part
        assert track.received is not None  # noqa: S101 - as it was made
        assert track.quality is not None  # noqa: S101 - as it was made
        for begin in range(first, last, SLICE):
            batch = await self._store.read(self._tenant, [device], metrics, begin, min(begin + SLICE, last))
            rows = rows_to_judge(batch, [track.patient] * len(batch))
            track.device += map(intern, rows.device)
            track.metric += map(intern, rows.metric)
            track.value.extend(nan if v is None else v for v in rows.value)
            track.time.extend(rows.time)
            track.received.extend(rows.received)
            track.quality.extend(rows.quality)


def _part(span: Span, start: int, end: int) -> tuple[int, int] | None:
    first, last = max(span.start, start), end if span.end is None else min(span.end, end)
    return (first, last) if first < last else None


def _from(context: Context, start: int) -> Context:
    """What was expected before the period is expected from its beginning: nothing is read of before."""
    if context.expected is None:
        return context
    return replace(context, expected={m: max(since, start) for m, since in context.expected.items()})
