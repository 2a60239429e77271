"""The port of the web that is about trends and the export of readings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from dashboards.models import Value
from dashboards.trend_models import Trend
from hearthward.trust.access import Scope

__all__ = ["EXPORTED_AT_ONCE", "TrendPort"]

EXPORTED_AT_ONCE: Final = 1_000
"""About so many readings of an export are in memory."""


class TrendPort(Protocol):
    """What the web needs to draw what was measured."""

    async def trend(
        self, scope: Scope, patient: str, metric: str, start: int, end: int, points: int = 600
    ) -> Trend:
        """A patient's values in about ``points`` buckets, with the limits that held and the alarms.

        Times are UTC ns. Nothing but empty lists for a patient who is not in scope. A scope of one patient
        gets no limits: they are for staff.
        """
        ...

    async def measured(self, scope: Scope, patient: str) -> Sequence[str]:
        """The metrics of which a number of the patient is stored, by name; none outside the scope."""
        ...

    def export(
        self, scope: Scope, patient: str, metrics: Sequence[str], start: int, end: int
    ) -> AsyncIterator[Sequence[Value]]:
        """All readings of a period in order of their time, a bounded number at once; none outside the scope.

        No ``metrics``: all of them. Raises StoreUnavailable, also on the way.
        """
        ...
