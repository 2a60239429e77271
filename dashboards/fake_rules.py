"""The fake's rules: limits, orders and releases in memory, by the same checks as the real records.

The shipped library is in force. Nothing is decided by a release here: trials count what was put in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

from cloud_ingest.asof import limits_of
from cloud_ingest.calibrating import Calibrator
from cloud_ingest.records.limits import LimitDraft, check_limit, check_order, check_reason
from cloud_ingest.records.models import PatientLimit, PatientOrder, RuleRelease, RuleVersion
from cloud_ingest.records.releases import ON_TRIAL, Act, check_person, check_step
from cloud_ingest.rulebook import TRIAL_NS, Entry, RuleHistory, Trial, staged, tried
from dashboards.backend import DirectoryChanged, DirectoryError, LiveEvent
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
from hearthward.core.clock import Clock
from hearthward.core.errors import AccessError, ConfigError
from hearthward.core.ids import Ids
from hearthward.trust.access import Principal, Scope
from rules import Limit as HeldLimit
from rules import Rule, RuleFileError, RuleSet, load_rules
from rules.loader import LIBRARY, load_rule

__all__ = ["FakeRules"]

R = TypeVar("R", PatientLimit, PatientOrder)


@cache
def _library() -> RuleSet:
    return load_rules()


@dataclass(slots=True)
class _Book:
    limits: list[PatientLimit] = field(default_factory=list)
    orders: list[PatientOrder] = field(default_factory=list)
    releases: list[RuleRelease] = field(default_factory=list)
    contents: dict[str, tuple[Rule, int]] = field(default_factory=dict)


class FakeRules(ABC):
    """The part of ``FakeBackend`` that is about rules."""

    clock: Clock
    ids: Ids
    calibrator: Calibrator | None = None

    def __init__(self) -> None:
        self.shipped: RuleSet | None = None
        """The rules that count as shipped (None: the library)."""
        self.texts: dict[str, str] = {}
        """The files of those that count as shipped, where they are not the library's."""
        self._books: dict[str, _Book] = {}

    @abstractmethod
    def _sees(self, scope: Scope, patient: str) -> bool:
        """Whether there is such a patient in scope."""

    @abstractmethod
    def _publish(self, event: LiveEvent) -> None: ...

    def _book(self, scope: Scope) -> _Book:
        return self._books.setdefault(scope.tenant, _Book())

    def _scale(self, tenant: str, patient: str) -> Literal[1, 2]:
        """The scale of SpO2 that is ordered for a patient."""
        now, rows = self.clock.now_ns(), self._books.setdefault(tenant, _Book()).orders
        ordered = any(o.patient == patient and o.kind == "spo2_scale_2" and _present(o, now) for o in rows)
        return 2 if ordered else 1

    def _rules(self) -> RuleSet:
        return _library() if self.shipped is None else self.shipped

    # --- what is set for one patient ------------------------------------------------------------
    async def limits(self, scope: Scope, patient: str) -> Sequence[Limit] | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        mine = [row for row in self._book(scope).limits if row.patient == patient]
        return [self._limit(scope, row) for row in reversed(mine)]

    async def set_limit(
        self, scope: Scope, patient: str, draft: LimitDraft, *, who: Principal
    ) -> Limit | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        now = self.clock.now_ns()
        try:
            timezone = check_limit(self._in_force(scope), draft, now)
        except ConfigError as error:
            refuse_for_web(error)
        first, last = draft.daily or (None, None)
        row = PatientLimit(
            tenant=scope.tenant,
            id=self.ids.new("lim"),
            patient=patient,
            rule=draft.rule,
            parameter=draft.parameter,
            value=draft.value,
            daily_from=first,
            daily_to=last,
            timezone=timezone,
            set_by=who.user,
            set_by_name=who.name,
            set_at=now,
            reason=draft.reason,
            starts=now,
            expires=draft.expires,
        )
        book = self._book(scope)
        for old in book.limits:
            same = (old.patient, old.rule, old.parameter, old.daily_from, old.daily_to)
            if _present(old, now) and same == (patient, draft.rule, draft.parameter, first, last):
                _end(old, now, who, draft.reason)
                old.superseded_by = row.id
        book.limits.append(row)
        return self._limit(scope, row)

    async def end_limit(
        self, scope: Scope, patient: str, key: str, *, reason: str, who: Principal
    ) -> Limit | None:
        """See the port."""
        row = self._ended(scope, patient, self._book(scope).limits, key, "limit", reason, who)
        return None if row is None else self._limit(scope, row)

    async def orders(self, scope: Scope, patient: str) -> Sequence[Order] | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        mine = [row for row in self._book(scope).orders if row.patient == patient]
        return [order_view(row, self.clock.now_ns()) for row in reversed(mine)]

    async def give_order(
        self, scope: Scope, patient: str, kind: str, *, reason: str, expires: int | None, who: Principal
    ) -> Order | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        now, book = self.clock.now_ns(), self._book(scope)
        try:
            check_order(kind, reason, expires, now)
        except ConfigError as error:
            refuse_for_web(error)
        if any(o.patient == patient and o.kind == kind and _present(o, now) for o in book.orders):
            raise DirectoryError(field="kind", code="taken", value=kind)
        row = PatientOrder(
            tenant=scope.tenant,
            id=self.ids.new("ord"),
            patient=patient,
            kind=kind,
            given_by=who.user,
            given_by_name=who.name,
            given_at=now,
            reason=reason,
            expires=expires,
        )
        book.orders.append(row)
        self._publish(DirectoryChanged(scope.tenant))
        return order_view(row, now)

    async def end_order(
        self, scope: Scope, patient: str, key: str, *, reason: str, who: Principal
    ) -> Order | None:
        """See the port."""
        row = self._ended(scope, patient, self._book(scope).orders, key, "order", reason, who)
        self._publish(DirectoryChanged(scope.tenant))
        return None if row is None else order_view(row, self.clock.now_ns())

    def _limits_of(self, scope: Scope, patient: str) -> tuple[HeldLimit, ...]:
        return limits_of(row for row in self._book(scope).limits if row.patient == patient)

    def _ended(
        self, scope: Scope, patient: str, rows: list[R], key: str, what: str, reason: str, who: Principal
    ) -> R | None:
        row = next((r for r in rows if r.id == key and r.patient == patient), None)
        if row is None or not self._sees(scope, patient):
            return None
        try:
            check_reason(reason)
        except ConfigError as error:
            refuse_for_web(error)
        now = self.clock.now_ns()
        if not _present(row, now):
            raise DirectoryError(field=what, code="ended", value=key)
        _end(row, now, who, reason)
        return row

    def _limit(self, scope: Scope, row: PatientLimit) -> Limit:
        return limit_view(row, self._in_force(scope), self.clock.now_ns())

    # --- rules ------------------------------------------------------------------------------------
    async def rules(self, scope: Scope) -> Sequence[RuleView]:
        """See the port."""
        return [rule_view(entry) for entry in self._entries(scope).values()]

    async def rule(self, scope: Scope, key: str) -> RuleDetail | None:
        """See the port."""
        entry = self._entries(scope).get(key)
        releases = [r for r in reversed(self._book(scope).releases) if r.rule == key]
        if entry is None and not releases:
            return None
        kept = [(rule, at) for rule, at in self._book(scope).contents.values() if rule.id == key]
        shown = entry.shown if entry is not None else None
        if shown is not None and shown.hash not in self._book(scope).contents:
            kept.append((shown, 0))
        versions = [
            RuleVersion(
                tenant=scope.tenant,
                hash=rule.hash,
                rule=key,
                version=rule.version,
                content=rule.content(),
                first_seen=at,
            )
            for rule, at in sorted(kept, key=lambda pair: -pair[1])
        ]
        source = next((r.source for r in releases if r.state == "active"), self._text(key))
        return detail_view(key, RuleHistory(entry, source, releases, versions))

    def _text(self, key: str) -> str:
        file = LIBRARY / f"{key}.yaml"
        if self.shipped is None and file.is_file():
            return file.read_text("utf-8")
        return self.texts.get(key, "")

    async def releases(self, scope: Scope) -> Sequence[Release]:
        """See the port."""
        return [release_view(row) for row in reversed(self._book(scope).releases)]

    async def draft_rule(self, scope: Scope, text: str, *, note: str, who: Principal) -> Release:
        """See the port."""
        _whole(scope)
        check_person(who)
        try:
            rule = load_rule(text, "draft").rule
        except RuleFileError as error:
            raise file_error(error) from error
        book, now = self._book(scope), self.clock.now_ns()
        entry = self._entries(scope).get(rule.id)
        if entry is not None and entry.rule is not None and entry.rule.hash == rule.hash:
            raise DirectoryError(field="text", code="taken", value=rule.hash)
        known = [r for r, _ in book.contents.values()] + list(self._rules())
        if any((r.id, r.version) == (rule.id, rule.version) and r.hash != rule.hash for r in known):
            raise DirectoryError(field="version", code="taken", value=rule.version)
        book.contents.setdefault(rule.hash, (rule, now))
        row = RuleRelease(
            tenant=scope.tenant,
            id=self.ids.new("rel"),
            rule=rule.id,
            version=rule.version,
            hash=rule.hash,
            source=text,
            state="draft",
            author=who.user,
            author_name=who.name,
            created=now,
            note=note.strip(),
        )
        book.releases.append(row)
        return release_view(row)

    async def advance_release(self, scope: Scope, key: str, act: Act, *, who: Principal) -> Release | None:
        """See the port."""
        _whole(scope)
        check_person(who)
        row = next((r for r in self._book(scope).releases if r.id == key), None)
        if row is None:
            return None
        try:
            if act == "shadow":
                tried(row.source)
            state = check_step(act, row.state, row.author, who)
            if act in {"shadow", "activate"}:
                staged(self._book(scope).contents[row.hash][0], self._entries(scope).values(), act)
        except ConfigError as error:
            refuse_for_web(error)
        self._advance(scope, row, act, who)
        row.state = state
        return release_view(row)

    def _advance(self, scope: Scope, row: RuleRelease, act: Act, who: Principal) -> None:
        now = self.clock.now_ns()
        mine = [r for r in self._book(scope).releases if r.rule == row.rule]
        if act == "shadow":
            other = next((r for r in mine if r.state in ON_TRIAL), None)
            if other is not None:
                raise DirectoryError(field="state", code="trial", value=other.id)
            row.shadowed_at = now
        elif act == "approve":
            row.approved_by, row.approved_by_name, row.approved_at = who.user, who.name, now
        elif act == "activate":
            row.activated_by, row.activated_by_name, row.activated_at = who.user, who.name, now
            old = next((r for r in mine if r.state == "active"), None)
            if old is not None:
                row.replaces = old.id
                old.state, old.ended_by, old.ended_by_name, old.ended_at = "retired", who.user, who.name, now
        else:
            row.ended_by, row.ended_by_name, row.ended_at = who.user, who.name, now
            back = next((r for r in mine if act == "rollback" and r.id == row.replaces), None)
            if back is not None:
                back.state = "active"
                back.ended_by = back.ended_by_name = back.ended_at = None

    def _entries(self, scope: Scope) -> dict[str, Entry]:
        book, now = self._book(scope), self.clock.now_ns()
        active = {r.rule: r for r in book.releases if r.state == "active"}
        trials = {r.rule: r for r in book.releases if r.state in ON_TRIAL}
        found: dict[str, Entry] = {}
        for key in sorted({*(r.id for r in self._rules()), *active, *trials}):
            rule = self._rules().by_id.get(key)
            if key in active:
                rule = book.contents[active[key].hash][0]
            trial = None
            if key in trials:
                row = trials[key]
                since = max(row.shadowed_at or 0, now - TRIAL_NS)
                trial = Trial(row, book.contents[row.hash][0], since, 0, 0)
            found[key] = Entry(key, rule, active.get(key), trial)
        return found

    def _in_force(self, scope: Scope) -> RuleSet:
        return RuleSet(tuple(e.rule for e in self._entries(scope).values() if e.rule is not None))


def _present(row: Any, now: int) -> bool:
    return row.ended_at is None and (row.expires is None or row.expires > now)


def _end(row: Any, now: int, who: Principal, reason: str) -> None:
    row.ended_at, row.ended_by, row.ended_by_name, row.ended_reason = now, who.user, who.name, reason


def _whole(scope: Scope) -> None:
    if scope.confined:
        msg = "a rule concerns the whole organisation"
        raise AccessError(msg)
