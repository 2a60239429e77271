"""The port's consent over the real records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.consents import Consents
from dashboards.consent_models import Consent, ConsentState, Look, Relative
from dashboards.looks import Person, Read, looks_of
from dashboards.staff_refusals import or_none, refuse_people
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["CloudConsent"]

T = TypeVar("T")


class CloudConsent:
    """The part of ``CloudBackend`` that is about consent."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def real_now(self) -> int:
        """See the port."""
        return self._records.wall.now_ns()

    async def relatives(self, scope: Scope, patient: str) -> Sequence[Relative]:
        """See the port."""

        def read(session: Session, consents: Consents) -> list[Relative]:
            return [
                _relative(user, self._consent_view(session, consents.in_force(scope, user.id)))
                for user in consents.relatives(scope, patient)
            ]

        return await self._with(read)

    async def consents(self, scope: Scope, patient: str) -> Sequence[Consent]:
        """See the port."""
        return await self._with(
            lambda session, consents: [
                view for row in consents.list(scope, patient) if (view := self._consent_view(session, row))
            ]
        )

    async def consent_of(self, scope: Scope, person: str) -> Consent | None:
        """See the port."""
        return await self._with(
            lambda session, consents: self._consent_view(session, consents.in_force(scope, person))
        )

    async def give_consent(
        self, who: Principal, person: str, *, sees: Collection[str], until: int | None
    ) -> Consent:
        """See the port."""
        scope = scope_of(who)

        def write(session: Session) -> Consent:
            row = self._records.consents(session).give(
                scope, who.patient or "", person, sees=sees, until=until, by=who.user
            )
            return _shown(row, session.get(rows.User, (row.tenant, row.person)), row.given)

        try:
            return await self._records.run(write)
        except ConfigError as error:
            refuse_people(error)

    async def revoke_consent(self, who: Principal, key: str) -> Consent | None:
        """See the port."""
        scope = scope_of(who)

        def write(session: Session) -> Consent | None:
            return self._consent_view(
                session, self._records.consents(session).revoke(scope, key, by=who.user)
            )

        return await or_none(self._records.run(write), "consent")

    async def looks(self, scope: Scope, patient: str, since: int) -> Sequence[Look]:
        """See the port."""

        def read(session: Session) -> list[Look]:
            found = self._records.audit(session).looks(scope, patient, since)
            reads = [Read(row.at, row.actor, row.action) for row in found]
            known = self._records.users(session).of_ids(scope, {r.actor for r in reads})
            people = {u.id: Person(u.name, frozenset(u.roles), u.patient) for u in known}
            return looks_of(patient, reads, people)

        return await self._records.read(read)

    async def _with(self, read: Callable[[Session, Consents], T]) -> T:
        return await self._records.read(lambda s: read(s, self._records.consents(s)))

    def _consent_view(self, session: Session, row: rows.Consent | None) -> Consent | None:
        if row is None:
            return None
        now = self._records.wall.now_ns()
        return _shown(row, session.get(rows.User, (row.tenant, row.person)), now)


def _state(row: rows.Consent, now: int) -> ConsentState:
    if row.revoked is not None:
        return "revoked"
    return "over" if row.until is not None and row.until <= now else "in_force"


def _shown(row: rows.Consent, person: rows.User | None, now: int) -> Consent:
    return Consent(
        id=row.id,
        patient=row.patient,
        person=row.person,
        person_name="" if person is None else person.name,
        sees=row.sees,
        start=row.start,
        until=row.until,
        state=_state(row, now),
        revoked=row.revoked,
    )


def _relative(user: rows.User, consent: Consent | None) -> Relative:
    return Relative(
        id=user.id,
        login=user.login,
        name=user.name,
        disabled=user.disabled is not None,
        joined=user.password_hash is not None,
        consent=consent,
    )
