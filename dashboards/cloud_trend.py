"""The port's trends and export over the real store, records and rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from sqlalchemy import select

from cloud_ingest.asof import limits_of
from cloud_ingest.attribution import Span, load_attribution
from cloud_ingest.entry import manual_device
from cloud_ingest.records import Records
from cloud_ingest.records.models import Encounter, Patient, PatientLimit
from cloud_ingest.service import CloudService
from cloud_ingest.stores.base import FOREVER
from cloud_ingest.stores.summaries import Summary, joined, newest_shown
from dashboards.alarm_query import AlarmQuery
from dashboards.cloud_views import values_of
from dashboards.models import Alarm, Item, Kind, Value
from dashboards.trend_models import Trend, step_for
from dashboards.trend_port import EXPORTED_AT_ONCE
from dashboards.trend_views import Drawn, trend_of
from hearthward.core.clock import SECOND
from hearthward.core.model import Reading, ReadingBatch
from hearthward.trust.access import Scope
from rules.context import Context

__all__ = ["CloudTrend"]

ALARMS_DRAWN: Final = 1_000
"""The newest ones of a patient that began before the end of a trend."""
NEWEST_READ: Final = 100
FIRST_WINDOW_NS: Final = 600 * SECOND
LONGEST_WINDOW_NS: Final = 86_400 * SECOND
"""How much time an export asks the store for at once: as much as gives about EXPORTED_AT_ONCE readings."""


class CloudTrend(ABC):
    """The part of ``CloudBackend`` that is about trends."""

    def __init__(self, service: CloudService) -> None:
        self._service = service
        self._records: Records = service.records

    @abstractmethod
    async def item(self, scope: Scope, kind: Kind, key: str) -> Item | None:
        """See the port."""

    @abstractmethod
    async def alarms(self, scope: Scope, query: AlarmQuery) -> Sequence[Alarm]:
        """See the port."""

    @abstractmethod
    async def _names(self, scope: Scope, batch: ReadingBatch) -> Mapping[str, str]:
        """The names of those who entered readings by hand."""

    async def trend(
        self, scope: Scope, patient: str, metric: str, start: int, end: int, points: int = 600
    ) -> Trend:
        """See the port."""
        about = Drawn(metric, start, end, step_for(start, end, points))
        if await self.item(scope, "patient", patient) is None:
            return trend_of(about, ())
        parts: list[Summary] = []
        for span in await self._spans(scope, patient):
            begin, stop = max(start, span.start), end if span.end is None else min(end, span.end)
            if begin < stop:
                parts += await self._service.store.summaries(
                    scope.tenant, span.device, metric, begin, stop, about.step
                )
        alarms = await self.alarms(scope, AlarmQuery(patient=patient, end=end, limit=ALARMS_DRAWN))
        known = None if scope.patient is not None else await self._known(scope, patient)
        found = joined(parts)
        newest = await self._newest(scope, patient, about, found[-1].time) if found else None
        return trend_of(about, found, list(self._service.rules), known, alarms, newest)

    async def _newest(
        self, scope: Scope, patient: str, about: Drawn, bucket: int
    ) -> tuple[int, float] | None:
        """The newest value of all devices in the last bucket that has one: when, and what.

        None where a sensor was off for so long that NEWEST_READ readings do not show it.
        """
        rows: list[Reading] = []
        for span in await self._spans(scope, patient):
            begin, stop = max(about.start, bucket, span.start), min(about.end, bucket + about.step, FOREVER)
            stop = stop if span.end is None else min(stop, span.end)
            if begin < stop:
                rows += await self._service.store.read(
                    scope.tenant, [span.device], [about.metric], begin, stop, limit=NEWEST_READ, newest=True
                )
        return newest_shown(rows)

    async def measured(self, scope: Scope, patient: str) -> Sequence[str]:
        """See the port."""
        if await self.item(scope, "patient", patient) is None:
            return []
        devices = sorted({s.device for s in await self._spans(scope, patient)})
        newest = await self._service.store.latest(scope.tenant, devices)
        return sorted({m for m, v in zip(newest.metric, newest.value, strict=True) if v is not None})

    async def export(
        self, scope: Scope, patient: str, metrics: Sequence[str], start: int, end: int
    ) -> AsyncIterator[Sequence[Value]]:
        """See the port."""
        if await self.item(scope, "patient", patient) is None:
            return
        end = min(end, FOREVER)
        spans = await self._spans(scope, patient)
        edges = {t for s in spans for t in (s.start, s.end) if t is not None and start < t < end}
        for begin, stop in pairwise(sorted({start, end, *edges})):
            devices = [s.device for s in spans if s.start <= begin and (s.end is None or begin < s.end)]
            async for batch in self._windows(scope.tenant, devices, metrics, begin, stop):
                yield values_of(batch, [patient] * len(batch), await self._names(scope, batch))

    async def _windows(
        self, tenant: str, devices: Sequence[str], metrics: Sequence[str], start: int, end: int
    ) -> AsyncIterator[ReadingBatch]:
        """What was stored, in pieces of which none is much larger than EXPORTED_AT_ONCE."""
        at, width = start, FIRST_WINDOW_NS
        while at < end:
            until = min(end, at + width)
            most = None if width == 1 else 2 * EXPORTED_AT_ONCE
            batch = await self._service.store.read(
                tenant, devices, list(metrics) or None, at, until, limit=most
            )
            if most is not None and len(batch) >= most:
                width = max(1, width // 2)
                continue
            if len(batch):
                yield batch
            at = until
            if len(batch) < EXPORTED_AT_ONCE // 2:
                width = min(2 * width, LONGEST_WINDOW_NS)

    async def _spans(self, scope: Scope, patient: str) -> list[Span]:
        """The devices that were on the patient, by time, and what was entered by hand."""
        attribution = await self._records.read(lambda s: load_attribution(s, scope.tenant, patient=patient))
        worn = sorted(attribution.spans(patient), key=lambda s: (s.start, s.device))
        return [Span(manual_device(patient), patient, 0), *worn]

    async def _known(self, scope: Scope, patient: str) -> Context:
        """The patient as the rules know them, with everything that was ever set."""
        tenant = scope.tenant
        stays = select(Encounter).where(
            Encounter.tenant == tenant, Encounter.patient == patient, Encounter.end.is_(None)
        )
        rows = select(PatientLimit).where(PatientLimit.tenant == tenant, PatientLimit.patient == patient)
        stay = await self._records.read(lambda s: s.scalars(stays).first())
        person = await self._records.read(lambda s: s.get(Patient, (tenant, patient)))
        held = await self._records.read(lambda s: limits_of(s.scalars(rows).all()))
        return Context(
            setting="home" if stay is not None and stay.kind == "home" else "ward" if stay else None,
            pregnant=person is not None and person.pregnant,
            limits=held,
        )
