"""The port's staff over the real records; each change counts for alarms once the service knows of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy.orm import Session

from cloud_ingest.records import Proofs, Records
from cloud_ingest.records import models as rows
from cloud_ingest.service import CloudService
from dashboards.backend import DirectoryError
from dashboards.cloud_policies import CloudPolicies
from dashboards.cloud_shifts import CloudShifts
from dashboards.people_port import HandOverDraft, TeamDraft
from dashboards.staff_models import Assignment, HandOver, StaffMember, Team
from dashboards.staff_refusals import or_none, refuse_people
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Principal, Scope
from hearthward.trust.passwords import Passwords
from rules.response.duty import Duty

__all__ = ["CloudStaff"]

T = TypeVar("T")


class CloudStaff(CloudShifts, CloudPolicies):
    """The part of ``CloudBackend`` that is about staff."""

    def __init__(self, service: CloudService, passwords: Passwords) -> None:
        self._service = service
        self._records: Records = service.records
        self._proofs = Proofs(service.records, passwords)

    # --- who can be told ------------------------------------------------------------------------
    async def staff(self, scope: Scope) -> Sequence[StaffMember]:
        """See the port."""
        found = await self._records.read(lambda s: self._records.staff(s).list(scope))
        return [self._member(row) for row in found]

    async def staff_member(self, scope: Scope, user: str) -> StaffMember | None:
        """See the port."""
        row = await or_none(self._records.read(lambda s: self._records.staff(s).get(scope, user)), "user")
        return None if row is None else self._member(row)

    def _member(self, row: rows.User) -> StaffMember:
        known = self._service.duty.people.get(row.id)
        return StaffMember(
            id=row.id,
            login=row.login,
            name=row.name,
            roles=row.roles,
            wards=row.wards,
            phone=row.phone,
            email=row.email,
            channels=[] if known is None else list(known.channels),
            pin=row.pin_hash is not None,
            badge=row.badge_hash is not None,
        )

    async def set_contacts(
        self, scope: Scope, user: str, *, phone: str | None, email: str | None
    ) -> StaffMember | None:
        """See the port."""
        act = self._records.run(
            lambda s: self._records.staff(s).set_contacts(scope, user, phone=phone, email=email)
        )
        row = await or_none(act, "user")
        if row is None:
            return None
        await self._service.duty_changed()
        return self._member(row)

    async def set_pin(self, scope: Scope, user: str, pin: str | None) -> StaffMember | None:
        """See the port."""
        row = await or_none(self._proofs.set_pin(scope, user, pin), "user")
        return None if row is None else self._member(row)

    async def set_badge(self, scope: Scope, user: str, badge: str | None) -> StaffMember | None:
        """See the port."""
        try:
            row = await or_none(self._proofs.set_badge(scope, user, badge), "user")
        except DirectoryError as error:
            raise DirectoryError(field=error.field, code=error.code) from error  # not whose it is
        return None if row is None else self._member(row)

    async def duty(self, scope: Scope) -> Duty:
        """See the port."""
        del scope  # the service has one tenant; what of it is shown is for the caller
        return self._service.duty

    # --- teams and assignments ----------------------------------------------------------------------
    async def teams(self, scope: Scope) -> Sequence[Team]:
        """See the port."""

        def read(session: Session) -> list[Team]:
            repository = self._records.teams(session)
            members = repository.members(scope)
            return [_team(row, members.get(row.id, ())) for row in repository.list(scope)]

        return await self._records.read(read)

    async def add_team(self, scope: Scope, draft: TeamDraft) -> Team:
        """See the port."""

        def write(session: Session) -> Team:
            repository = self._records.teams(session)
            row = repository.create(scope, name=draft.name, ward=draft.ward, members=draft.members)
            return _team(row, draft.members)

        return await self._changed(write)

    async def change_team(self, scope: Scope, key: str, draft: TeamDraft) -> Team | None:
        """See the port."""

        def write(session: Session) -> Team:
            repository = self._records.teams(session)
            row = repository.change(scope, key, name=draft.name, ward=draft.ward, members=draft.members)
            return _team(row, draft.members)

        return await self._changed_or_none(write, "team")

    async def end_team(self, scope: Scope, key: str) -> Team | None:
        """See the port."""
        return await self._changed_or_none(
            lambda s: _team(self._records.teams(s).end(scope, key), ()), "team"
        )

    async def assignments(self, scope: Scope) -> Sequence[Assignment]:
        """See the port."""
        found = await self._records.read(lambda s: self._records.assignments(s).list(scope))
        return [_assignment(row) for row in found]

    async def assign(
        self, scope: Scope, patient: str, *, user: str | None, team: str | None, who: Principal
    ) -> Assignment | None:
        """See the port."""
        return await self._changed_or_none(
            lambda s: _assignment(
                self._records.assignments(s).assign(scope, patient, user=user, team=team, by=who.user)
            ),
            "patient",
        )

    async def unassign(self, scope: Scope, key: str) -> Assignment | None:
        """See the port."""
        return await self._changed_or_none(
            lambda s: _assignment(self._records.assignments(s).end(scope, key)), "assignment"
        )

    # --- hand-over ----------------------------------------------------------------------------------
    async def hand_over(self, scope: Scope, draft: HandOverDraft, *, who: Principal) -> HandOver:
        """See the port."""
        del who

        def write(session: Session) -> rows.Handover:
            return self._records.handovers(session).hand_over(
                scope,
                by=draft.by,
                to=draft.to,
                ward=draft.ward,
                note=draft.note,
                alarms=draft.alarms,
                patients=draft.patients,
            )

        row = await self._changed(write)
        (view,) = await self._hand_over_views(scope, [row])
        return view

    async def hand_overs(self, scope: Scope, *, limit: int = 50, reader: str = "") -> Sequence[HandOver]:
        """See the port."""
        found = await self._records.read(
            lambda s: self._records.handovers(s).list(scope, limit=limit, reader=reader)
        )
        return await self._hand_over_views(scope, found)

    async def _hand_over_views(self, scope: Scope, found: Sequence[rows.Handover]) -> list[HandOver]:
        """Hand-overs with names; of patients only those whom the scope covers."""
        people = {user for row in found for user in (row.by, row.to)}
        patients = {patient for row in found for patient in row.patients}

        def read(session: Session) -> tuple[dict[str, str], frozenset[str]]:
            users = {key: session.get(rows.User, (scope.tenant, key)) for key in people}
            seen = self._records.lookup(session).called(scope, {"patient": patients})["patient"]
            return {k: u.name for k, u in users.items() if u is not None}, frozenset(p.id for p in seen)

        names, seen = await self._records.read(read)
        return [
            HandOver(
                id=row.id,
                at=row.at,
                ward=row.ward,
                by=row.by,
                by_name=names.get(row.by, row.by),
                to=row.to,
                to_name=names.get(row.to, row.to),
                note=row.note,
                patients=[p for p in row.patients if p in seen],
                alarms=row.alarms,
            )
            for row in found
        ]

    # -- helpers
    async def _changed(self, write: Callable[[Session], T]) -> T:
        """Write, and let deciding know. Raises DirectoryError."""
        try:
            done = await self._records.run(write)
        except ConfigError as error:
            refuse_people(error)
        await self._service.duty_changed()
        return done

    async def _changed_or_none(self, write: Callable[[Session], T], what: str) -> T | None:
        """The same; None when there is no such ``what`` in scope."""
        done = await or_none(self._records.run(write), what)
        if done is not None:
            await self._service.duty_changed()
        return done


def _team(row: rows.Team, members: Sequence[str]) -> Team:
    return Team(id=row.id, name=row.name, ward=row.ward, members=sorted(members))


def _assignment(row: rows.Assignment) -> Assignment:
    return Assignment(
        id=row.id, patient=row.patient, user=row.user, team=row.team, start=row.start, by=row.by
    )
