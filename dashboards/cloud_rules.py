"""The port's rules over the real records: limits and orders of patients, and the release of rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy.orm import Session

from cloud_ingest.calibrating import Calibrator
from cloud_ingest.records import Records
from cloud_ingest.records.limits import LimitDraft, Limits, Orders
from cloud_ingest.records.models import PatientLimit
from cloud_ingest.records.releases import Act
from cloud_ingest.rulebook import Rulebook, Shipped
from cloud_ingest.service import CloudService
from cloud_ingest.trying import Trier
from dashboards.rule_models import Limit, Order, Release, RuleDetail, RuleView
from dashboards.rule_views import (
    detail_view,
    file_error,
    limit_view,
    order_view,
    refuse_for_web,
    release_view,
    rule_view,
)
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Principal, Scope
from rules import RuleFileError

__all__ = ["CloudRules", "Workers"]

T = TypeVar("T")


class Workers(NamedTuple):
    """What does long work on the stored history: tries changed rules, and learns the site's calibration."""

    trier: Trier
    calibrator: Calibrator


class CloudRules:
    """The part of ``CloudBackend`` that is about rules; without a rulebook the service's count as shipped."""

    def __init__(self, service: CloudService, rulebook: Rulebook | None) -> None:
        self._records: Records = service.records
        self._service = service
        self._rulebook = rulebook or Rulebook(service.records, service.tenant, map(Shipped, service.rules))

    # --- what is set for one patient ------------------------------------------------------------
    async def limits(self, scope: Scope, patient: str) -> Sequence[Limit] | None:
        """See the port."""
        found = await _or_none(self._records.read, lambda s: self._limits(s).list(scope, patient, ended=True))
        return None if found is None else [self._limit(row) for row in found]

    async def set_limit(
        self, scope: Scope, patient: str, draft: LimitDraft, *, who: Principal
    ) -> Limit | None:
        """See the port."""
        rules = self._service.rules
        row = await _or_none(
            self._records.run, lambda s: self._limits(s).set(scope, patient, draft, rules=rules, who=who)
        )
        if row is not None:
            await self._service.limits_changed()
        return None if row is None else self._limit(row)

    async def end_limit(
        self, scope: Scope, patient: str, key: str, *, reason: str, who: Principal
    ) -> Limit | None:
        """See the port."""
        row = await _or_none(
            self._records.run, lambda s: self._limits(s).end(scope, patient, key, reason=reason, who=who)
        )
        if row is not None:
            await self._service.limits_changed()
        return None if row is None else self._limit(row)

    async def orders(self, scope: Scope, patient: str) -> Sequence[Order] | None:
        """See the port."""
        found = await _or_none(self._records.read, lambda s: self._orders(s).list(scope, patient, ended=True))
        return None if found is None else [order_view(row, self._now()) for row in found]

    async def give_order(
        self, scope: Scope, patient: str, kind: str, *, reason: str, expires: int | None, who: Principal
    ) -> Order | None:
        """See the port."""
        row = await _or_none(
            self._records.run,
            lambda s: self._orders(s).give(scope, patient, kind, reason=reason, expires=expires, who=who),
        )
        if row is not None:
            await self._service.limits_changed()
        return None if row is None else order_view(row, self._now())

    async def end_order(
        self, scope: Scope, patient: str, key: str, *, reason: str, who: Principal
    ) -> Order | None:
        """See the port."""
        row = await _or_none(
            self._records.run, lambda s: self._orders(s).end(scope, patient, key, reason=reason, who=who)
        )
        if row is not None:
            await self._service.limits_changed()
        return None if row is None else order_view(row, self._now())

    # --- rules ------------------------------------------------------------------------------------
    async def rules(self, scope: Scope) -> Sequence[RuleView]:
        """See the port."""
        del scope  # rules say nothing of patients: everybody of the tenant may see all of them
        return [rule_view(entry) for entry in await self._rulebook.entries(self._now())]

    async def rule(self, scope: Scope, key: str) -> RuleDetail | None:
        """See the port."""
        del scope
        history = await self._rulebook.history(key, self._now())
        return None if history is None else detail_view(key, history)

    async def releases(self, scope: Scope) -> Sequence[Release]:
        """See the port."""
        del scope
        return [release_view(row) for row in await self._rulebook.releases()]

    async def draft_rule(self, scope: Scope, text: str, *, note: str, who: Principal) -> Release:
        """See the port."""
        try:
            return release_view(await self._rulebook.draft(scope, text, note=note, who=who))
        except RuleFileError as error:
            raise file_error(error) from error
        except ConfigError as error:
            refuse_for_web(error)

    async def advance_release(self, scope: Scope, key: str, act: Act, *, who: Principal) -> Release | None:
        """See the port."""
        async with self._rulebook.turn:
            try:
                row = await self._rulebook.advance(scope, key, act, who=who)
            except ConfigError as error:
                if error.details.get("reason") == "not_found":
                    return None
                refuse_for_web(error)
            await self._put_in_force()
        return release_view(row)

    async def _put_in_force(self) -> None:
        rules = await self._rulebook.rules_in_force()
        if rules.hash != self._service.rules.hash:
            await self._service.rules_changed(rules)

    # -- helpers
    def _now(self) -> int:
        return self._records.clock.now_ns()

    def _limits(self, session: Session) -> Limits:
        return Limits(session, now=self._now(), ids=self._records.ids)

    def _orders(self, session: Session) -> Orders:
        return Orders(session, now=self._now(), ids=self._records.ids)

    def _limit(self, row: PatientLimit) -> Limit:
        return limit_view(row, self._service.rules, self._now())


async def _or_none(
    go: Callable[[Callable[[Session], T]], Awaitable[T]], work: Callable[[Session], T]
) -> T | None:
    """What ``work`` gives; None for what is not there. Raises DirectoryError for a refusal."""
    try:
        return await go(work)
    except ConfigError as error:
        if error.details.get("reason") == "not_found":
            return None
        refuse_for_web(error)
