"""Whom patients let see something of theirs, what, and until when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import or_, select

from cloud_ingest.records.models import Consent, User
from cloud_ingest.records.scoping import Repository, refuse_code
from hearthward.trust.access import Role, Scope

__all__ = ["PARTS", "Consents"]

PARTS: Final = ("values", "alarms", "plan")
"""What can be let be seen."""


class Consents(Repository):
    """The consents of a tenant's patients; goes by real time."""

    def list(self, scope: Scope, patient: str) -> Sequence[Consent]:
        """All that a patient ever gave, the newest first; nothing of a patient out of scope."""
        query = select(Consent).where(
            Consent.tenant == scope.tenant,
            Consent.patient == patient,
            *self._patient_limit(Consent.patient, scope),
        )
        return self.session.scalars(query.order_by(Consent.given.desc(), Consent.id)).all()

    def in_force(self, scope: Scope, person: str) -> Consent | None:
        """What somebody may see now, of a patient in scope."""
        query = select(Consent).where(
            Consent.tenant == scope.tenant,
            Consent.person == person,
            Consent.revoked.is_(None),
            Consent.start <= self.wall,
            or_(Consent.until.is_(None), Consent.until > self.wall),
            *self._patient_limit(Consent.patient, scope),
        )
        return self.session.scalars(query.order_by(Consent.given.desc(), Consent.id)).first()

    def relatives(self, scope: Scope, patient: str) -> Sequence[User]:
        """Who has a login as a relative of a patient in scope, by name; those let in no longer, too."""
        query = select(User).where(
            User.tenant == scope.tenant, User.patient == patient, *self._patient_limit(User.patient, scope)
        )
        found = self.session.scalars(query.order_by(User.name, User.id))
        return [user for user in found if Role.FAMILY in user.roles]

    def give(
        self, scope: Scope, patient: str, person: str, *, sees: Collection[str], until: int | None, by: str
    ) -> Consent:
        """Let a relative see ``sees`` from now until ``until``; it takes the place of an earlier one.

        Raises ConfigError: no such relative of this patient, nothing chosen, or ``until`` has passed.
        """
        self._relative(scope, patient, person)
        chosen = [part for part in PARTS if part in sees]
        if not chosen or set(sees) - set(PARTS):
            code, value = ("invalid", ", ".join(sorted(sees))) if sees else ("required", "")
            refuse_code("sees", code, value, f"choose at least one of {', '.join(PARTS)}")
        if until is not None and until <= self.wall:
            refuse_code("until", "past", "", "has passed already; choose a later day, or none")
        self._end(scope, patient, person, by)
        row = Consent(
            tenant=scope.tenant,
            id=self.ids.new("con"),
            patient=patient,
            person=person,
            sees=chosen,
            start=self.wall,
            until=until,
            given=self.wall,
            given_by=by,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def revoke(self, scope: Scope, key: str, *, by: str) -> Consent:
        """Take a consent back, and whatever took its place: from an old page, too, its person sees nothing.

        Raises ConfigError (``not_found``).
        """
        row = self._find(Consent, scope, key, "consent", *self._patient_limit(Consent.patient, scope))
        self._end(scope, row.patient, row.person, by)
        return row

    def _end(self, scope: Scope, patient: str, person: str, by: str) -> None:
        for held in self.list(scope, patient):
            if held.person == person and self._holds(held):
                self._change(held, {"revoked": self.wall, "revoked_by": by})

    def _holds(self, row: Consent) -> bool:
        return row.revoked is None and (row.until is None or row.until > self.wall)

    def _relative(self, scope: Scope, patient: str, person: str) -> User:
        known = {user.id: user for user in self.relatives(scope, patient) if user.disabled is None}
        if person not in known:
            refuse_code("person", "unknown", person, f"there is no relative {person!r} of this patient")
        return known[person]
