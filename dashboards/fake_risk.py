"""The fake's learned risk: what was put in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from dashboards.risk_models import Risk
from hearthward.trust.access import Scope

__all__ = ["FakeRisk"]


class FakeRisk:
    """The part of ``FakeBackend`` that is about the learned risk."""

    def __init__(self) -> None:
        self._risks: dict[tuple[str, str], Risk] = {}

    @abstractmethod
    def _sees(self, scope: Scope, patient: str) -> bool:
        """Whether the scope reaches the patient."""

    def put_risk(self, tenant: str, patient: str, risk: Risk | None) -> None:
        """Set a patient's risk; None: the model is not meant for them."""
        if risk is None:
            self._risks.pop((tenant, patient), None)
        else:
            self._risks[tenant, patient] = risk

    async def risks(self, scope: Scope) -> Mapping[str, Risk]:
        """See the port."""
        mine = ((patient, risk) for (tenant, patient), risk in self._risks.items() if tenant == scope.tenant)
        return {patient: risk for patient, risk in mine if self._sees(scope, patient)}

    async def risk(self, scope: Scope, patient: str) -> Risk | None:
        """See the port."""
        return (await self.risks(scope)).get(patient)
