"""The port of the web that is about rules, their release, and limits and orders for one patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cloud_ingest.calibrating import Calibrator
from cloud_ingest.records.limits import LimitDraft
from cloud_ingest.records.releases import Act
from dashboards.rule_models import Limit, Order, Release, RuleDetail, RuleView
from hearthward.trust.access import Principal, Scope

__all__ = ["RulesPort"]


class RulesPort(Protocol):
    """What the web needs of rules. Refusals are DirectoryError (field, code, value) unless named."""

    calibrator: Calibrator | None
    """Learns what the learned risk is worth at the site; None: nobody does here."""

    # --- what is set for one patient ----------------------------------------------------------
    async def limits(self, scope: Scope, patient: str) -> Sequence[Limit] | None:
        """All limits ever set for a patient, newest first; None when there is no such patient in scope."""
        ...

    async def set_limit(
        self, scope: Scope, patient: str, draft: LimitDraft, *, who: Principal
    ) -> Limit | None:
        """Set a limit; the one before for the same hours ends. None when there is no such patient."""
        ...

    async def end_limit(
        self, scope: Scope, patient: str, key: str, *, reason: str, who: Principal
    ) -> Limit | None:
        """End a limit; None when the patient has none of that id."""
        ...

    async def orders(self, scope: Scope, patient: str) -> Sequence[Order] | None:
        """All orders ever given for a patient, newest first; None when there is no such patient in scope."""
        ...

    async def give_order(
        self, scope: Scope, patient: str, kind: str, *, reason: str, expires: int | None, who: Principal
    ) -> Order | None:
        """Give an order; None when there is no such patient."""
        ...

    async def end_order(
        self, scope: Scope, patient: str, key: str, *, reason: str, who: Principal
    ) -> Order | None:
        """End an order; None when the patient has none of that id."""
        ...

    # --- rules --------------------------------------------------------------------------------
    async def rules(self, scope: Scope) -> Sequence[RuleView]:
        """The rules in force and those on trial, by id."""
        ...

    async def rule(self, scope: Scope, key: str) -> RuleDetail | None:
        """One rule in full; None when there never was one of that id."""
        ...

    async def releases(self, scope: Scope) -> Sequence[Release]:
        """All releases, newest first."""
        ...

    async def draft_rule(self, scope: Scope, text: str, *, note: str, who: Principal) -> Release:
        """Enter a site's own version of a rule (YAML). Raises RuleFileError (line), AccessError."""
        ...

    async def advance_release(self, scope: Scope, key: str, act: Act, *, who: Principal) -> Release | None:
        """Take a release one step; returns once it is in force. None: there is no such release.

        Raises AccessError: no person, or one who approves what they wrote.
        """
        ...
