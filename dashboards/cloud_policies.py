"""The port's escalation policies over the real records: the shipped ones, and a site's own versions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.escalation import policy_in
from cloud_ingest.service import CloudService
from dashboards.policy_views import check_people, read_policy, shipped_text, version_view
from dashboards.staff_models import PolicyVersion
from dashboards.staff_refusals import or_none
from hearthward.trust.access import Principal, Scope
from rules.response.policy import Policy

__all__ = ["CloudPolicies"]


class CloudPolicies:
    """The part of ``CloudStaff`` that is about policies."""

    _records: Records
    _service: CloudService

    def _shipped(self) -> dict[str, Policy]:
        return dict(self._service.reach.policies)

    async def policies(self, scope: Scope) -> Sequence[PolicyVersion]:
        """See the port."""
        return [v for v in await self._versions(scope) if v.active]

    async def policy(self, scope: Scope, key: str) -> Sequence[PolicyVersion] | None:
        """See the port."""
        return [v for v in await self._versions(scope) if v.id == key] or None

    async def _versions(self, scope: Scope) -> list[PolicyVersion]:
        """All versions by id, the newest of each first, the shipped one last."""

        def read(session: Session) -> tuple[Sequence[rows.PolicyVersion], dict[str, str]]:
            found = self._records.policies(session).list(scope)
            people = select(rows.User.id, rows.User.name).where(rows.User.tenant == scope.tenant)
            return found, {row.id: row.name for row in session.execute(people)}

        found, names = await self._records.read(read)
        own = {row.id for row in found if row.active}
        views = [
            version_view(
                policy_in(row),
                active=row.active,
                by=names.get(row.by, row.by),
                at=row.at,
                text=row.source,
            )
            for row in found
        ]
        for key, policy in self._shipped().items():
            views.append(version_view(policy, active=key not in own, shipped=True, text=shipped_text(policy)))
        return sorted(views, key=lambda v: (v.id, v.shipped, -v.version))

    async def draft_policy(self, scope: Scope, text: str, *, who: Principal) -> PolicyVersion:
        """See the port."""
        policy = read_policy(text)
        shipped = self._shipped().get(policy.id)

        def write(session: Session) -> rows.PolicyVersion:
            users = select(rows.User.id).where(rows.User.tenant == scope.tenant)
            check_people(policy, session.scalars(users))
            after = 0 if shipped is None else shipped.version
            return self._records.policies(session).add(scope, policy, by=who.user, source=text, after=after)

        row = await self._records.run(write)
        return version_view(policy_in(row), active=False, by=who.name, at=row.at, text=text)

    async def activate_policy(
        self, scope: Scope, key: str, version: int, *, who: Principal
    ) -> PolicyVersion | None:
        """See the port."""
        del who
        shipped = self._shipped().get(key)
        if shipped is not None and shipped.version == version:
            await self._records.run(lambda s: self._records.policies(s).withdraw(scope, key))
        else:
            done = await or_none(
                self._records.run(lambda s: self._records.policies(s).activate(scope, key, version)), "policy"
            )
            if done is None:
                return None
        await self._service.duty_changed()
        found = await self.policy(scope, key) or ()
        return next((v for v in found if v.version == version), None)
