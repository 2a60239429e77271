"""What clinicians set for one patient: limits of rules within the rules' bounds, and orders.

Nothing is deleted and nothing changed but its end: a newer limit for the same parameter and the same hours
ends the one before and names itself as the successor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import or_, select

from cloud_ingest.records.models import Patient, PatientLimit, PatientOrder
from cloud_ingest.records.scoping import Repository, check_timezone, refuse_code
from cloud_ingest.records.written import legible
from hearthward.core.clock import iso
from hearthward.trust.access import Principal, Scope
from rules import RuleSet
from rules.rule import number

__all__ = [
    "MAX_REASON",
    "ORDER_KINDS",
    "LimitDraft",
    "Limits",
    "Orders",
    "check_limit",
    "check_order",
    "check_reason",
]

MAX_REASON: Final = 500
MINUTES: Final = 1440
ORDER_KINDS: Final = ("spo2_scale_2",)


@dataclass(frozen=True, slots=True)
class LimitDraft:
    """What is asked for. ``daily``: the minutes of the local day in ``timezone`` between which it holds."""

    rule: str
    parameter: str
    value: float
    reason: str
    expires: int | None = None
    daily: tuple[int, int] | None = None
    timezone: str | None = None


class Limits(Repository):
    """The limits of a tenant's patients."""

    def set(
        self, scope: Scope, patient: str, draft: LimitDraft, *, rules: RuleSet, who: Principal
    ) -> PatientLimit:
        """Set a limit from now on. Raises ConfigError naming the field, and the bounds where it is those."""
        self._patient(scope, patient)
        timezone = check_limit(rules, draft, self.now)
        first, last = draft.daily or (None, None)
        row = PatientLimit(
            tenant=scope.tenant,
            id=self.ids.new("lim"),
            patient=patient,
            rule=draft.rule,
            parameter=draft.parameter,
            value=float(draft.value),
            daily_from=first,
            daily_to=last,
            timezone=timezone,
            set_by=who.user,
            set_by_name=who.name,
            set_at=self.now,
            reason=draft.reason.strip(),
            starts=self.now,
            expires=draft.expires,
        )
        for old in self._present(scope, patient):
            if (old.rule, old.parameter, old.daily_from, old.daily_to) == (
                row.rule,
                row.parameter,
                first,
                last,
            ):
                _end(old, self.now, who, row.reason)
                old.superseded_by = row.id
        self.session.add(row)
        self.session.flush()
        return row

    def end(self, scope: Scope, patient: str, limit: str, *, reason: str, who: Principal) -> PatientLimit:
        """End a limit: the rule's own value holds again. Raises ConfigError: not there, ended already."""
        row = self.get(scope, patient, limit)
        check_reason(reason)
        _refuse_ended("limit", row.ended_at, row.expires, self.now)
        _end(row, self.now, who, reason.strip())
        self.session.flush()
        return row

    def get(self, scope: Scope, patient: str, limit: str) -> PatientLimit:
        """One limit of a patient. Raises ConfigError (``not_found``)."""
        limits = self._patient_limit(PatientLimit.patient, scope)
        return self._find(PatientLimit, scope, limit, "limit", PatientLimit.patient == patient, *limits)

    def list(self, scope: Scope, patient: str, *, ended: bool = False) -> Sequence[PatientLimit]:
        """The limits of a patient, the newest first; ended and expired ones only when asked for.

        Raises ConfigError (``not_found``) for a patient whom the scope does not cover.
        """
        self._patient(scope, patient)
        if not ended:
            return self._present(scope, patient)
        query = select(PatientLimit).where(
            PatientLimit.tenant == scope.tenant, PatientLimit.patient == patient
        )
        return self.session.scalars(query.order_by(PatientLimit.set_at.desc(), PatientLimit.id.desc())).all()

    def _present(self, scope: Scope, patient: str) -> Sequence[PatientLimit]:
        query = select(PatientLimit).where(
            PatientLimit.tenant == scope.tenant,
            PatientLimit.patient == patient,
            PatientLimit.ended_at.is_(None),
            or_(PatientLimit.expires.is_(None), PatientLimit.expires > self.now),
        )
        return self.session.scalars(query.order_by(PatientLimit.set_at.desc(), PatientLimit.id.desc())).all()

    def _patient(self, scope: Scope, patient: str) -> Patient:
        return self._find(Patient, scope, patient, "patient", *self._patient_limit(Patient.id, scope))


class Orders(Repository):
    """What doctors ordered for a tenant's patients."""

    def give(
        self,
        scope: Scope,
        patient: str,
        kind: str,
        *,
        reason: str,
        expires: int | None = None,
        who: Principal,
    ) -> PatientOrder:
        """Give an order from now on. Raises ConfigError: unknown kind, no reason, one is in force already."""
        self._patient(scope, patient)
        check_order(kind, reason, expires, self.now)
        if any(o.kind == kind for o in self._present(scope, patient)):
            refuse_code("kind", "taken", kind, "this order is in force already; end it first", "conflict")
        row = PatientOrder(
            tenant=scope.tenant,
            id=self.ids.new("ord"),
            patient=patient,
            kind=kind,
            given_by=who.user,
            given_by_name=who.name,
            given_at=self.now,
            reason=reason.strip(),
            expires=expires,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def end(self, scope: Scope, patient: str, order: str, *, reason: str, who: Principal) -> PatientOrder:
        """End an order. Raises ConfigError: not there, ended already, no reason."""
        row = self.get(scope, patient, order)
        check_reason(reason)
        _refuse_ended("order", row.ended_at, row.expires, self.now)
        _end(row, self.now, who, reason.strip())
        self.session.flush()
        return row

    def get(self, scope: Scope, patient: str, order: str) -> PatientOrder:
        """One order for a patient. Raises ConfigError (``not_found``)."""
        limits = self._patient_limit(PatientOrder.patient, scope)
        return self._find(PatientOrder, scope, order, "order", PatientOrder.patient == patient, *limits)

    def list(self, scope: Scope, patient: str, *, ended: bool = False) -> Sequence[PatientOrder]:
        """The orders for a patient, the newest first; ended and expired ones only when asked for."""
        self._patient(scope, patient)
        if not ended:
            return self._present(scope, patient)
        query = select(PatientOrder).where(
            PatientOrder.tenant == scope.tenant, PatientOrder.patient == patient
        )
        order = PatientOrder.given_at.desc(), PatientOrder.id.desc()
        return self.session.scalars(query.order_by(*order)).all()

    def _present(self, scope: Scope, patient: str) -> Sequence[PatientOrder]:
        query = select(PatientOrder).where(
            PatientOrder.tenant == scope.tenant,
            PatientOrder.patient == patient,
            PatientOrder.ended_at.is_(None),
            or_(PatientOrder.expires.is_(None), PatientOrder.expires > self.now),
        )
        order = PatientOrder.given_at.desc(), PatientOrder.id.desc()
        return self.session.scalars(query.order_by(*order)).all()

    def _patient(self, scope: Scope, patient: str) -> Patient:
        return self._find(Patient, scope, patient, "patient", *self._patient_limit(Patient.id, scope))


def check_limit(rules: RuleSet, draft: LimitDraft, now: int) -> str:
    """The time zone of a limit that may be set. Raises ConfigError naming field, code and value."""
    rule = rules.by_id.get(draft.rule)
    if rule is None or rule.shadow:
        text = f"no rule {draft.rule!r} is in force; see `hearthward rules list`"
        refuse_code("rule", "unknown", draft.rule, text)
    parameter = rule.parameters.get(draft.parameter)
    if parameter is None:
        known = ", ".join(sorted(rule.parameters)) or "none"
        text = f"rule {rule.id} has no parameter {draft.parameter!r}; it has: {known}"
        refuse_code("parameter", "unknown", draft.parameter, text)
    bounds = f"{number(parameter.low)} - {number(parameter.high)}"
    if not (math.isfinite(draft.value) and parameter.low <= draft.value <= parameter.high):
        text = f"{number(draft.value)} lies outside {bounds}, the bounds that rule {rule.id} gives"
        refuse_code("value", "bounds", bounds, text)
    check_reason(draft.reason)
    _check_expires(draft.expires, now)
    if draft.daily is None:
        return "UTC"
    first, last = draft.daily
    if not (0 <= first < MINUTES and 0 <= last < MINUTES) or first == last:
        refuse_code("daily", "invalid", f"{first}-{last}", "give two different times of the day")
    timezone = check_timezone(draft.timezone)
    if timezone is None:
        refuse_code("timezone", "required", "", "is needed with hours of the day, such as Asia/Shanghai")
    return timezone


def check_order(kind: str, reason: str, expires: int | None, now: int) -> None:
    """Raise ConfigError unless such an order may be given."""
    if kind not in ORDER_KINDS:
        refuse_code("kind", "invalid", kind, f"choose one of: {', '.join(ORDER_KINDS)}")
    check_reason(reason)
    _check_expires(expires, now)


def check_reason(reason: str) -> None:
    """Why somebody does it: never empty."""
    text = legible(reason)
    if text == "":
        refuse_code("reason", "required", "", "is required: say why")
    if text is None or len(text) > MAX_REASON or "\n" in text:
        refuse_code("reason", "invalid", "", f"give 1 to {MAX_REASON} printable characters")


def _check_expires(expires: int | None, now: int) -> None:
    if expires is not None and expires <= now:
        refuse_code("expires", "past", iso(expires), f"{iso(expires)} has passed already")


def _refuse_ended(what: str, ended: int | None, expires: int | None, now: int) -> None:
    if ended is not None or (expires is not None and expires <= now):
        when = iso(min(x for x in (ended, expires) if x is not None))
        refuse_code(what, "ended", "", f"ended already at {when}", "conflict")


def _end(row: PatientLimit | PatientOrder, now: int, who: Principal, reason: str) -> None:
    row.ended_at, row.ended_by, row.ended_by_name, row.ended_reason = now, who.user, who.name, reason
