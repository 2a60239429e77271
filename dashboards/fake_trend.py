"""The fake's trends and export: out of the readings that were put in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence

from cloud_ingest.stores.summaries import newest_shown, summed_up
from dashboards.alarm_query import AlarmQuery
from dashboards.backend import ReadingQuery
from dashboards.models import Alarm, Encounter, Value
from dashboards.trend_models import Trend, step_for
from dashboards.trend_port import EXPORTED_AT_ONCE
from dashboards.trend_views import Drawn, trend_of
from hearthward.core.model import Reading
from hearthward.trust.access import Scope
from rules import Limit as HeldLimit
from rules import RuleSet
from rules.context import Context

__all__ = ["FakeTrend"]

EVERYTHING = 2**31


class FakeTrend(ABC):
    """The part of ``FakeBackend`` that is about trends."""

    @abstractmethod
    def _sees(self, scope: Scope, patient: str) -> bool:
        """Whether there is such a patient in scope."""

    @abstractmethod
    def _readings_of(self, scope: Scope, patient: str) -> Sequence[Reading]:
        """All that was measured of a patient."""

    @abstractmethod
    def _in_force(self, scope: Scope) -> RuleSet:
        """The rules in force."""

    @abstractmethod
    def _limits_of(self, scope: Scope, patient: str) -> tuple[HeldLimit, ...]:
        """What was ever set for a patient."""

    @abstractmethod
    def _encounter(self, tenant: str, patient: str) -> Encounter | None:
        """Where the patient is now."""

    @abstractmethod
    async def alarms(self, scope: Scope, query: AlarmQuery) -> Sequence[Alarm]:
        """See the port."""

    @abstractmethod
    async def readings(self, scope: Scope, query: ReadingQuery) -> Sequence[Value]:
        """See the port."""

    async def trend(
        self, scope: Scope, patient: str, metric: str, start: int, end: int, points: int = 600
    ) -> Trend:
        """See the port."""
        about = Drawn(metric, start, end, step_for(start, end, points))
        if not self._sees(scope, patient):
            return trend_of(about, ())
        rows = sorted(self._readings_of(scope, patient), key=lambda r: (r.corrected, r.received))
        rows = [r for r in rows if r.metric == metric and start <= r.corrected < end]
        stay = self._encounter(scope.tenant, patient)
        known = Context(setting=stay.kind if stay else None, limits=self._limits_of(scope, patient))
        alarms = await self.alarms(scope, AlarmQuery(patient=patient, limit=EVERYTHING))
        return trend_of(
            about,
            summed_up(rows, about.step),
            list(self._in_force(scope)),
            known if scope.patient is None else None,
            alarms,
            newest_shown(rows),
        )

    async def measured(self, scope: Scope, patient: str) -> Sequence[str]:
        """See the port."""
        if not self._sees(scope, patient):
            return []
        return sorted({r.metric for r in self._readings_of(scope, patient) if r.value is not None})

    async def export(
        self, scope: Scope, patient: str, metrics: Sequence[str], start: int, end: int
    ) -> AsyncIterator[Sequence[Value]]:
        """See the port."""
        query = ReadingQuery(patient=patient, metrics=tuple(metrics), start=start, end=end, limit=EVERYTHING)
        found = await self.readings(scope, query)
        for first in range(0, len(found), EXPORTED_AT_ONCE):
            yield found[first : first + EXPORTED_AT_ONCE]
