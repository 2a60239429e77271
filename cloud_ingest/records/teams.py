"""Teams: people who look after patients together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypedDict, Unpack

from sqlalchemy import exists, select

from cloud_ingest.records.models import Assignment, Team, TeamMember, User, Ward
from cloud_ingest.records.scoping import Repository, check_text, refuse_code, require_whole
from cloud_ingest.records.staff import works
from hearthward.trust.access import Scope

__all__ = ["Teams"]


class TeamFields(TypedDict, total=False):
    """What can be changed of a team."""

    name: str
    ward: str | None
    members: Collection[str]


class Teams(Repository):
    """The teams of the wards, and those of the whole organisation (``ward`` None)."""

    def create(
        self,
        scope: Scope,
        *,
        name: str,
        ward: str | None = None,
        members: Collection[str] = (),
        ident: str | None = None,
    ) -> Team:
        """Make a team. Raises ConfigError: name taken, no such ward or person."""
        row = Team(
            tenant=scope.tenant,
            id=self._new_id(Team, scope, ident, "tea", "team"),
            name=self._name(scope, name),
            ward=self._ward(scope, ward),
            created=self.now,
        )
        self.session.add(row)
        self.session.flush()
        self._set(scope, row, members)
        return row

    def change(self, scope: Scope, team: str, **fields: Unpack[TeamFields]) -> Team:
        """Change name, ward or members; only what is given changes."""
        row = self._own(scope, team)
        if row.ended is not None:
            refuse_code("team", "ended", team, f"{row.name} does not exist any more", "conflict")
        if "name" in fields and fields["name"] != row.name:
            self._change(row, {"name": self._name(scope, fields["name"])})
        if "ward" in fields and fields["ward"] != row.ward:
            self._change(row, {"ward": self._ward(scope, fields["ward"])})
        if "members" in fields or "ward" in fields:
            self._set(scope, row, fields.get("members", self.members(scope)[row.id]))
        return row

    def end(self, scope: Scope, team: str) -> Team:
        """End a team; what was assigned to it is assigned to it no longer."""
        row = self._own(scope, team)
        self._set(scope, row, ())
        given = select(Assignment).where(
            Assignment.tenant == scope.tenant, Assignment.team == team, Assignment.end.is_(None)
        )
        for assignment in self.session.scalars(given):
            assignment.end = max(self.now, assignment.start + 1)
        if row.ended is None:
            self._change(row, {"ended": self.now})
        return row

    def get(self, scope: Scope, team: str) -> Team:
        """One team. Raises ConfigError (``not_found``)."""
        return self._find(Team, scope, team, "team", *self._staff_limit(Team.ward, scope))

    def list(self, scope: Scope, *, ended: bool = False) -> Sequence[Team]:
        """The teams by name; those that are no more only when asked for."""
        query = select(Team).where(Team.tenant == scope.tenant, *self._staff_limit(Team.ward, scope))
        if not ended:
            query = query.where(Team.ended.is_(None))
        return self.session.scalars(query.order_by(Team.name, Team.id)).all()

    def members(self, scope: Scope) -> Mapping[str, Sequence[str]]:
        """Team -> the ids of its present members, in the order in which they joined."""
        out: dict[str, list[str]] = {team.id: [] for team in self.list(scope)}
        query = select(TeamMember).where(TeamMember.tenant == scope.tenant, TeamMember.end.is_(None))
        for row in self.session.scalars(query.order_by(TeamMember.start, TeamMember.user)):
            if row.team in out:
                out[row.team].append(row.user)
        return out

    def _own(self, scope: Scope, team: str) -> Team:
        """A team that the scope may change: all see the organisation's, few change them."""
        row = self.get(scope, team)
        if row.ward is None:
            require_whole(scope, "a team of no ward")
        return row

    def _set(self, scope: Scope, team: Team, members: Collection[str]) -> None:
        present = select(TeamMember).where(
            TeamMember.tenant == scope.tenant, TeamMember.team == team.id, TeamMember.end.is_(None)
        )
        rows = {row.user: row for row in self.session.scalars(present)}
        for user in sorted(set(members)):
            person = self._find(User, scope, user, "members")
            if person.disabled is not None or not works(person, None if team.ward is None else {team.ward}):
                text = f"{person.name} does not work in this team's ward; choose others"
                refuse_code("members", "ward", person.name, text)
        for user in set(rows) - set(members):
            rows[user].end = self.now
        for user in sorted(set(members) - set(rows)):
            again = self.session.get(TeamMember, (scope.tenant, team.id, user, self.now))
            if again is not None:  # left at this very moment
                again.end = None
                continue
            self.session.add(TeamMember(tenant=scope.tenant, team=team.id, user=user, start=self.now))
        self.session.flush()

    def _ward(self, scope: Scope, ward: str | None) -> str | None:
        if ward is None:
            require_whole(scope, "a team of no ward")
            return None
        if self._find(Ward, scope, ward, "ward", *self._ward_limit(Ward.id, scope)).ended is not None:
            refuse_code("ward", "ended", ward, f"the ward {ward!r} is closed; choose another", "conflict")
        return ward

    def _name(self, scope: Scope, name: str) -> str:
        name = check_text(name, "name")
        taken = exists().where(Team.tenant == scope.tenant, Team.name == name, Team.ended.is_(None))
        if self.session.scalar(select(taken)):
            text = f"there is a team {name!r} already; choose another name"
            refuse_code("name", "taken", name, text, "conflict")
        return name
