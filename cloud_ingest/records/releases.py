"""Releases of rules: the way of a site's own version from a draft into force, and back.

draft -> shadow (decided, never signalled) -> approved (by somebody else than the author; still on trial)
-> active -> retired (a newer one took over) or rolled back (the one before is in force again). Until it is
active it may be withdrawn. What a release says never changes: it is known by the hash of its content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import select

from cloud_ingest.records.models import RuleRelease, RuleVersion
from cloud_ingest.records.rule_versions import keep_versions
from cloud_ingest.records.scoping import Repository, refuse, require_whole
from hearthward.core.errors import AccessError
from hearthward.trust.access import Principal, Scope
from rules import Rule

__all__ = ["STEPS", "Act", "ReleaseState", "Releases", "Step", "check_person", "check_step"]

ReleaseState = Literal["draft", "shadow", "approved", "active", "retired", "rolled_back", "withdrawn"]
Act = Literal["shadow", "approve", "activate", "withdraw", "rollback"]
MAX_NOTE: Final = 500


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a release: where from, where to."""

    sources: tuple[ReleaseState, ...]
    target: ReleaseState


STEPS: Final[dict[Act, Step]] = {
    "shadow": Step(("draft",), "shadow"),
    "approve": Step(("shadow",), "approved"),
    "activate": Step(("approved",), "active"),
    "withdraw": Step(("draft", "shadow", "approved"), "withdrawn"),
    "rollback": Step(("active",), "rolled_back"),
}
"""The whole life of a release; nothing else is possible."""
ON_TRIAL: Final = ("shadow", "approved")


def check_person(who: Principal) -> None:
    """Raise AccessError unless ``who`` is a person: a token of the command line signs nothing."""
    if who.kind != "user":
        msg = f"{who.name} is no person: rules are released by people, log in as one"
        raise AccessError(msg, user=who.user)


def check_step(act: Act, state: str, author: str, who: Principal) -> ReleaseState:
    """The state after ``act``. Raises ConfigError (``conflict``), and AccessError for one's own approval."""
    step = STEPS[act]
    if state not in step.sources:
        wanted = " or ".join(step.sources)
        text = f"it is {state.replace('_', ' ')}; only one that is {wanted} can go there"
        refuse("state", text, reason="conflict", code="state", value=state)
    if act == "approve" and who.user == author:
        msg = f"{who.name} wrote it: a second person approves a rule"
        raise AccessError(msg, user=who.user, code="own")
    return step.target


class Releases(Repository):
    """The releases of a tenant's rules; they concern the whole organisation."""

    def draft(self, scope: Scope, rule: Rule, source: str, *, note: str, who: Principal) -> RuleRelease:
        """Enter a draft. Raises ConfigError: the version's number or the content is taken; AccessError."""
        require_whole(scope, "a rule")
        check_person(who)
        digest = rule.hash
        same = select(RuleVersion).where(
            RuleVersion.tenant == scope.tenant,
            RuleVersion.rule == rule.id,
            RuleVersion.version == rule.version,
            RuleVersion.hash != digest,
        )
        other = self.session.scalars(same).first()
        if other is not None:
            text = f"version {rule.version} of {rule.id} is known with other content ({other.hash}); raise it"
            refuse("version", text, reason="conflict", code="taken", value=rule.version)
        keep_versions(self.session, scope.tenant, [rule], self.now, {digest: source})
        row = RuleRelease(
            tenant=scope.tenant,
            id=self.ids.new("rel"),
            rule=rule.id,
            version=rule.version,
            hash=digest,
            source=source,
            state="draft",
            author=who.user,
            author_name=who.name,
            created=self.now,
            note=note.strip()[:MAX_NOTE],
        )
        self.session.add(row)
        self.session.flush()
        return row

    def advance(self, scope: Scope, release: str, act: Act, *, who: Principal) -> RuleRelease:
        """Take one step. Raises ConfigError: not there, not in such a state, another is on trial."""
        require_whole(scope, "a rule")
        check_person(who)
        row = self.get(scope, release)
        state = check_step(act, row.state, row.author, who)
        if act == "shadow":
            self._free_trial(scope, row)
            row.shadowed_at = self.now
        elif act == "approve":
            row.approved_by, row.approved_by_name, row.approved_at = who.user, who.name, self.now
        elif act == "activate":
            self._retire(scope, row, who)
            row.activated_by, row.activated_by_name, row.activated_at = who.user, who.name, self.now
        else:
            row.ended_by, row.ended_by_name, row.ended_at = who.user, who.name, self.now
        row.state = state
        self.session.flush()
        if act == "rollback":
            self._bring_back(scope, row)
        return row

    def active(self, scope: Scope, rule: str) -> RuleRelease | None:
        """The release of a rule that is in force; None: the shipped one, or none at all."""
        return self._one(scope, rule, "active")

    def in_force(self, scope: Scope) -> Sequence[RuleRelease]:
        """All that are decided by: active ones, and those on trial."""
        query = select(RuleRelease).where(
            RuleRelease.tenant == scope.tenant, RuleRelease.state.in_(("active", *ON_TRIAL))
        )
        return self.session.scalars(query.order_by(RuleRelease.rule, RuleRelease.id)).all()

    def get(self, scope: Scope, release: str) -> RuleRelease:
        """One release. Raises ConfigError (``not_found``)."""
        return self._find(RuleRelease, scope, release, "release")

    def list(self, scope: Scope, *, rule: str | None = None) -> Sequence[RuleRelease]:
        """The releases, the newest first."""
        query = select(RuleRelease).where(RuleRelease.tenant == scope.tenant)
        if rule is not None:
            query = query.where(RuleRelease.rule == rule)
        return self.session.scalars(query.order_by(RuleRelease.created.desc(), RuleRelease.id.desc())).all()

    def _one(self, scope: Scope, rule: str, *states: str) -> RuleRelease | None:
        query = select(RuleRelease).where(
            RuleRelease.tenant == scope.tenant, RuleRelease.rule == rule, RuleRelease.state.in_(states)
        )
        return self.session.scalars(query).first()

    def _free_trial(self, scope: Scope, row: RuleRelease) -> None:
        other = self._one(scope, row.rule, *ON_TRIAL)
        if other is not None:
            text = f"{other.id} (version {other.version}) of this rule is on trial; activate or withdraw it"
            refuse("state", text, reason="conflict", code="trial", value=other.id)

    def _retire(self, scope: Scope, row: RuleRelease, who: Principal) -> None:
        old = self.active(scope, row.rule)
        if old is None:
            return
        row.replaces = old.id
        old.state = "retired"
        old.ended_by, old.ended_by_name, old.ended_at = who.user, who.name, self.now
        self.session.flush()  # one active release a rule: this one leaves before the next comes

    def _bring_back(self, scope: Scope, row: RuleRelease) -> None:
        if row.replaces is None:
            return
        old = self.get(scope, row.replaces)
        old.state = "active"
        old.ended_by = old.ended_by_name = old.ended_at = None
        self.session.flush()
