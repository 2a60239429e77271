"""The fake's relatives whom a patient invites: logins and consent together, refused as the real ones are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from cloud_ingest.records.invitations import RELATIVES_AT_MOST, Invitee
from dashboards.account_models import Account, NewLink
from dashboards.backend import DirectoryError
from dashboards.consent_models import PARTS
from dashboards.fake_accounts import FakeAccounts
from dashboards.fake_consent import FakeConsent
from dashboards.fake_people import Known
from dashboards.models import User
from hearthward.trust.access import Principal, Role, Scope, scope_of

__all__ = ["FakeRelatives"]


class FakeRelatives(FakeAccounts, FakeConsent):
    """The part of ``FakeBackend`` that is about relatives whom a patient invites."""

    def __init__(self) -> None:
        FakeAccounts.__init__(self)
        FakeConsent.__init__(self)

    async def let_in(self, scope: Scope, login: str, *, allowed: bool) -> Account | None:
        """See the port."""
        done = await super().let_in(scope, login, allowed=allowed)
        if done is not None and not allowed:
            self._end_consents(scope.tenant, done.user.id)
        return done

    async def invite_relative(
        self, who: Principal, invitee: Invitee, *, sees: Collection[str], until: int | None
    ) -> NewLink:
        """See the port."""
        theirs, name = self._relatives(who), invitee.name.strip()
        awaited = next((k for k in theirs.values() if k.user.name == name and not k.password), None)
        there = len(theirs)
        if awaited is None and there >= RELATIVES_AT_MOST:
            raise DirectoryError(field="name", code="many", value=there)
        if not invitee.name.strip():
            raise DirectoryError(field="name", code="required")
        if not sees or set(sees) - set(PARTS):
            raise DirectoryError(field="sees", code="invalid" if sees else "required")
        if until is not None and until <= self.clock.now_ns():
            raise DirectoryError(field="until", code="past")
        if awaited is not None:
            await self.give_consent(who, awaited.user.id, sees=sees, until=until)
            return self._issue(who.tenant, awaited)
        made = await self.invite(who, who.patient or "", replace(invitee, relative=True))
        if made is None:
            raise DirectoryError(field="patient", code="unknown", value=who.patient or "")
        await self.give_consent(who, made.user.id, sees=sees, until=until)
        return made

    async def relative_link(self, who: Principal, person: str) -> NewLink | None:
        """See the port."""
        known = self._relatives(who).get(person)
        return None if known is None else self._issue(who.tenant, known)

    async def dismiss_relative(self, who: Principal, person: str) -> User | None:
        """See the port."""
        known = self._relatives(who).get(person)
        if known is None:
            return None
        held = await self.consent_of(scope_of(who), person)
        if held is not None:
            await self.revoke_consent(who, held.id)
        self._drop_links(who.tenant, known.user.login)
        self._log_out(known)
        gone = known.user.model_copy(update={"disabled": self.clock.now_ns()})
        self._people[who.tenant, known.user.login] = replace(known, user=gone)
        return gone

    def _relatives(self, who: Principal) -> dict[str, Known]:
        return {
            known.user.id: known
            for known in self._about(who.tenant, who.patient or "")
            if Role.FAMILY in known.principal.roles and known.user.disabled is None
        }
