"""The port's answers to why and why not, over the real records and store."""

from __future__ import annotations

from cloud_ingest.service import CloudService
from cloud_ingest.why_desk import WhyDesk
from dashboards.backend import DirectoryError
from dashboards.patient_eyes import why_seen
from dashboards.why_models import Why, WhyNot
from hearthward.core.clock import iso
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Scope

__all__ = ["CloudWhy"]


class CloudWhy:
    """The part of ``CloudBackend`` that says why."""

    def __init__(self, service: CloudService) -> None:
        self._why = WhyDesk(service.records, service.store, service.tenant, service.catalog)

    async def why(self, scope: Scope, alarm: str) -> Why | None:
        """See the port."""
        try:
            return why_seen(scope, Why.of(await self._why.why(scope, alarm)))
        except ConfigError as error:
            if error.details.get("reason") == "not_found":
                return None
            raise

    async def why_not(self, scope: Scope, patient: str, rule: str, at: int) -> WhyNot | None:
        """See the port."""
        try:
            return WhyNot.of(await self._why.why_not(scope, patient, rule, at))
        except ConfigError as error:
            field = error.details.get("field")
            if field == "patient":
                return None
            if field == "at":
                raise DirectoryError(field="at", code="future", value=iso(at)) from error
            if field == "rule" and error.details.get("reason") == "not_found":
                raise DirectoryError(field="rule", code="unknown", value=rule) from error
            raise
