"""The port's trials of changed rules over the real records and store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.service import CloudService
from cloud_ingest.trying import HistoryTrier, Progress, Trier, TryAsked
from hearthward.trust.access import Scope
from rules.whatif import Trial

__all__ = ["CloudWhatIf"]


class CloudWhatIf:
    """The part of ``CloudBackend`` that tries changes; by ``trier``, or else in this very process."""

    def __init__(self, service: CloudService, trier: Trier | None) -> None:
        self._records: Records = service.records
        read: Callable[[Callable[[Session], Any]], Awaitable[Any]] = service.records.read
        here = HistoryTrier(read, service.store, service.tenant, service.catalog)
        self._trier: Trier = here if trier is None else trier

    async def try_rule(self, scope: Scope, asked: TryAsked, progress: Progress) -> Trial:
        """See the port."""
        if scope.confined:
            seen = await self._records.read(
                lambda s: {p.id for p in self._records.directory(s).patients.list(scope, ended=True)}
            )
            asked = replace(asked, patients=tuple(p for p in asked.patients if p in seen))
        return await self._trier(asked, progress)
