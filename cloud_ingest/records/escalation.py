"""A site's own escalation policies: versions that never change, of which one at a time is in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import func, select

from cloud_ingest.records.models import PolicyVersion
from cloud_ingest.records.scoping import Repository, refuse_code, require_whole
from hearthward.core.ids import check_id
from hearthward.trust.access import Scope
from rules.response.policy import Policy

__all__ = ["Policies", "policy_in"]


class Policies(Repository):
    """The policies of a tenant. One in force takes the place of the shipped one of the same id."""

    def add(
        self, scope: Scope, policy: Policy, *, by: str, source: str | None = None, after: int = 0
    ) -> PolicyVersion:
        """Keep a new version, not in force yet; ``source`` is the text that it was read from.

        It gets the number that it says, or else the next one after all there are and ``after`` (the shipped
        one's). ``policy`` has been checked (``rules.response.policies``).
        """
        require_whole(scope, "escalation policies")
        check_id(policy.id, "policy")
        newest = self.session.scalar(
            select(func.max(PolicyVersion.version)).where(
                PolicyVersion.tenant == scope.tenant, PolicyVersion.id == policy.id
            )
        )
        version = max(policy.version, (newest or 0) + 1, after + 1)
        row = PolicyVersion(
            tenant=scope.tenant,
            id=policy.id,
            version=version,
            content=replace(policy, version=version).content(),
            source=source,
            by=by,
            at=self.now,
            active=False,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def activate(self, scope: Scope, policy: str, version: int) -> PolicyVersion:
        """Put a version in force instead of the one that is. Raises ConfigError (``not_found``)."""
        require_whole(scope, "escalation policies")
        row = self.get(scope, policy, version)
        if not row.active:
            self.withdraw(scope, policy)
            self._change(row, {"active": True})
        return row

    def withdraw(self, scope: Scope, policy: str) -> bool:
        """Put none of the site's versions in force: the shipped one is again. Whether one was."""
        require_whole(scope, "escalation policies")
        found = self.session.scalars(
            select(PolicyVersion).where(
                PolicyVersion.tenant == scope.tenant, PolicyVersion.id == policy, PolicyVersion.active
            )
        ).all()
        for row in found:
            self._change(row, {"active": False})
        return bool(found)

    def get(self, scope: Scope, policy: str, version: int) -> PolicyVersion:
        """One version. Raises ConfigError (``not_found``)."""
        row = self.session.get(PolicyVersion, (scope.tenant, policy, version))
        if row is None or scope.patient is not None:
            text = f"there is no version {version} of a policy {policy!r} here; choose one of the list"
            refuse_code("policy", "unknown", policy, text, "not_found")
        return row

    def list(
        self, scope: Scope, *, policy: str | None = None, active: bool = False
    ) -> Sequence[PolicyVersion]:
        """The versions by id, the newest first of each; ``active``: only those in force."""
        if scope.patient is not None:
            return []
        query = select(PolicyVersion).where(PolicyVersion.tenant == scope.tenant)
        if policy is not None:
            query = query.where(PolicyVersion.id == policy)
        if active:
            query = query.where(PolicyVersion.active)
        return self.session.scalars(query.order_by(PolicyVersion.id, PolicyVersion.version.desc())).all()


def policy_in(row: PolicyVersion) -> Policy:
    """The policy that a row keeps."""
    return Policy.of(row.content)
