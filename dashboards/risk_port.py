"""The port of the web that is about the learned risk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dashboards.risk_models import Risk
from hearthward.trust.access import Scope

__all__ = ["RiskPort"]


class RiskPort(Protocol):
    """What the web needs to show the risk of deterioration beside the hard rules."""

    async def risks(self, scope: Scope) -> Mapping[str, Risk]:
        """The risk of each patient in scope now; without those for whom the model is not meant.

        Empty where no rule on it is in force.
        """
        ...

    async def risk(self, scope: Scope, patient: str) -> Risk | None:
        """One patient's; None: not in scope, or the model is not meant for them."""
        ...
