"""The port of the web that says why an alarm fired and why a rule did not."""

from __future__ import annotations

from typing import Protocol

from dashboards.why_models import Why, WhyNot
from hearthward.trust.access import Scope

__all__ = ["WhyPort"]


class WhyPort(Protocol):
    """Answers both questions."""

    async def why(self, scope: Scope, alarm: str) -> Why | None:
        """Why an alarm, an entry of the worklist or of a trial is there; None when there is none in scope."""
        ...

    async def why_not(self, scope: Scope, patient: str, rule: str, at: int) -> WhyNot | None:
        """Why a rule did not fire for a patient at ``at`` (UTC ns), or that it did.

        None when there is no such patient in scope. Raises DirectoryError: ``rule`` unknown, ``at`` still to
        come.
        """
        ...
