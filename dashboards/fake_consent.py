"""The fake's consent: kept in memory, with the same refusals as the real records."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from dashboards.backend import DirectoryError
from dashboards.consent_models import PARTS, Consent, Look, Relative
from dashboards.fake_people import FakePeople
from dashboards.looks import Person, Read, looks_of
from hearthward.trust.access import Principal, Role, Scope
from hearthward.trust.audit import said_by

__all__ = ["FakeConsent"]


class FakeConsent(FakePeople):
    """The part of ``FakeBackend`` that is about consent."""

    def __init__(self) -> None:
        self._consents: defaultdict[str, list[Consent]] = defaultdict(list)

    @abstractmethod
    def _sees(self, scope: Scope, patient: str) -> bool:
        """Whether a patient is in scope."""

    @abstractmethod
    def _of(self, tenant: str) -> Any:
        """What is kept of a tenant."""

    def real_now(self) -> int:
        """See the port."""
        return self.clock.now_ns()

    def put_consent(self, tenant: str, given: Consent) -> None:
        """Keep a consent, whoever the person is."""
        self._consents[tenant].append(given)

    def _now_of(self, given: Consent) -> Consent:
        over = given.until is not None and given.until <= self.clock.now_ns()
        return given.model_copy(update={"state": "over"}) if over and given.state == "in_force" else given

    async def relatives(self, scope: Scope, patient: str) -> Sequence[Relative]:
        """See the port."""
        if not self._sees(scope, patient):
            return []
        found = [
            Relative(
                id=known.user.id,
                login=known.user.login,
                name=known.user.name,
                disabled=known.user.disabled is not None,
                joined=bool(known.password),
                consent=await self.consent_of(scope, known.user.id),
            )
            for (tenant, _), known in self._people.items()
            if tenant == scope.tenant and known.user.patient == patient and Role.FAMILY in known.user.roles
        ]
        return sorted(found, key=lambda r: (r.name, r.id))

    async def consents(self, scope: Scope, patient: str) -> Sequence[Consent]:
        """See the port."""
        if not self._sees(scope, patient):
            return []
        return [self._now_of(c) for c in reversed(self._consents[scope.tenant]) if c.patient == patient]

    async def consent_of(self, scope: Scope, person: str) -> Consent | None:
        """See the port."""
        now = [self._now_of(c) for c in self._consents[scope.tenant] if c.person == person]
        return next((c for c in now if c.state == "in_force" and self._sees(scope, c.patient)), None)

    async def give_consent(
        self, who: Principal, person: str, *, sees: Collection[str], until: int | None
    ) -> Consent:
        """See the port."""
        patient, scope = who.patient or "", Scope(who.tenant, None, who.patient)
        known = {r.id: r for r in await self.relatives(scope, patient) if not r.disabled}
        if person not in known:
            raise DirectoryError(field="person", code="unknown", value=person)
        chosen = [part for part in PARTS if part in sees]
        if not chosen or set(sees) - set(PARTS):
            code, value = ("invalid", ", ".join(sorted(sees))) if sees else ("required", "")
            raise DirectoryError(field="sees", code=code, value=value)
        now = self.clock.now_ns()
        if until is not None and until <= now:
            raise DirectoryError(field="until", code="past")
        held = await self.consent_of(scope, person)
        if held is not None:
            await self.revoke_consent(who, held.id)
        given = Consent(
            id=self.ids.new("con"),
            patient=patient,
            person=person,
            person_name=known[person].name,
            sees=chosen,
            start=now,
            until=until,
            state="in_force",
        )
        self._consents[who.tenant].append(given)
        return given

    async def revoke_consent(self, who: Principal, key: str) -> Consent | None:
        """See the port."""
        kept = self._consents[who.tenant]
        place = next((i for i, c in enumerate(kept) if c.id == key and c.patient == who.patient), None)
        if place is None:
            return None
        self._end_consents(who.tenant, kept[place].person)
        return self._now_of(kept[place])

    def _end_consents(self, tenant: str, person: str) -> None:
        """Whatever somebody may see is over."""
        kept = self._consents[tenant]
        for place, given in enumerate(kept):
            if given.person == person and self._now_of(given).state == "in_force":
                marks = {"state": "revoked", "revoked": self.clock.now_ns()}
                kept[place] = given.model_copy(update=marks)

    async def looks(self, scope: Scope, patient: str, since: int) -> Sequence[Look]:
        """See the port."""
        if not self._sees(scope, patient):
            return []
        kept = self._of(scope.tenant)
        about = {patient} | {a.id for a in kept.alarms.values() if a.patient == patient}
        about |= {
            e.id
            for table in ("encounter", "association")
            for e in kept.items[table].values()
            if e.patient == patient
        }
        reads = [
            Read(e.at, e.actor, e.action)
            for e in kept.audit
            if e.target in about
            and e.at >= since
            and e.outcome == "done"
            and (said_by(e.action) or e.detail.get("read") is True)
        ]
        people = {
            known.user.id: Person(known.user.name, frozenset(known.user.roles), known.user.patient)
            for (tenant, _), known in self._people.items()
            if tenant == scope.tenant
        }
        return looks_of(patient, reads, people)
