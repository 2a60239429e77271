"""The port's learned risk over the state of the rules: as it was told to them, nothing is computed here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from cloud_ingest.service import CloudService
from dashboards.risk_models import Risk, risk_view
from hearthward.trust.access import Scope
from rules.risk_now import risk_now

__all__ = ["CloudRisk"]


class CloudRisk(ABC):
    """The part of ``CloudBackend`` that is about the learned risk."""

    def __init__(self, service: CloudService) -> None:
        self._service = service

    @abstractmethod
    async def _visible(self, scope: Scope) -> frozenset[str] | None:
        """The patients in scope; None for all of the tenant."""

    async def risks(self, scope: Scope) -> Mapping[str, Risk]:
        """See the port."""
        return await self._told(scope, [s for s in self._service.pipeline.state.contexts if ":" not in s])

    async def risk(self, scope: Scope, patient: str) -> Risk | None:
        """See the port."""
        known = self._service.pipeline.state.contexts
        return (await self._told(scope, [patient] if patient in known else [])).get(patient)

    async def _told(self, scope: Scope, patients: Iterable[str]) -> dict[str, Risk]:
        if scope.tenant != self._service.tenant:
            return {}
        visible = await self._visible(scope)
        state, now = self._service.pipeline.state, self._service.clock.now_ns()
        seen = (p for p in patients if visible is None or p in visible)
        found = ((patient, risk_now(state, patient, now)) for patient in seen)
        return {patient: risk_view(risk) for patient, risk in found if risk is not None}
