"""The fake's logins and invitations: kept in memory, with the same refusals as the real records."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cloud_ingest.records.contacts import check_phone
from cloud_ingest.records.invitations import Invitee
from cloud_ingest.records.users import AskedUsers
from dashboards.account_models import Account, AccountPage, NewLink, Texted
from dashboards.backend import DirectoryError
from dashboards.fake_people import FakePeople, Known, roles_of, whole_only
from dashboards.models import User
from dashboards.staff_refusals import refuse_people
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError
from hearthward.trust.access import OF_ONE, Principal, Role, Scope, scope_of
from hearthward.trust.sessions import INVITATION_LIFETIME_S

__all__ = ["FakeAccounts"]


class FakeAccounts(FakePeople):
    """The part of ``FakeBackend`` that is about logins; ``texted`` keeps what was sent by SMS."""

    def __init__(self) -> None:
        self.texted: list[tuple[str, str]] = []
        self.sms = True
        """Whether an SMS channel is there."""
        self._phones: dict[str, str] = {}
        self._link_ends: dict[tuple[str, str], int] = {}

    @abstractmethod
    def _sees(self, scope: Scope, patient: str) -> bool:
        """Whether a patient is in scope."""

    @abstractmethod
    def _of(self, tenant: str) -> Any:
        """What is kept of a tenant."""

    # --- an administrator's -------------------------------------------------------------------
    async def find_accounts(self, scope: Scope, asked: AskedUsers) -> AccountPage:
        """See the port."""
        text = asked.text.lower()
        found = [
            u
            for u in await self.users(scope)
            if text in f"{u.login}\n{u.name}".lower()
            and (not asked.role or asked.role in u.roles)
            and (not asked.state or (asked.state == "in") == (u.disabled is None))
        ]
        shown = found[asked.first : asked.first + asked.limit]
        return AccountPage(items=[self._account(scope.tenant, u) for u in shown], total=len(found))

    async def account(self, scope: Scope, login: str) -> Account | None:
        """See the port."""
        whole_only(scope)
        known = self._people.get((scope.tenant, login))
        return None if known is None else self._account(scope.tenant, known.user)

    async def change_account(self, scope: Scope, login: str, fields: Mapping[str, Any]) -> Account | None:
        """See the port."""
        whole_only(scope)
        known = self._people.get((scope.tenant, login))
        if known is None:
            return None
        user = known.user
        roles = sorted(roles_of(fields.get("roles", user.roles)))
        if Role.ADMIN not in roles:
            self._keep_an_admin(scope.tenant, user, "roles")
        if fields.get("wards") is not None:
            self._keep_an_admin(scope.tenant, user, "wards")
        for ward in fields.get("wards") or ():
            if not self._knows("ward", ward):
                raise DirectoryError(field="wards", code="unknown", value=ward)
        if bool(OF_ONE.intersection(roles)) != (user.patient is not None):
            raise DirectoryError(field="patient", code="invalid" if user.patient else "required")
        name = str(fields.get("name", user.name)).strip()
        if not name:
            raise DirectoryError(field="name", code="required")
        changed = user.model_copy(update={**fields, "name": name, "roles": roles})
        who = replace(
            known.principal,
            name=name,
            roles=frozenset(Role(r) for r in roles),
            wards=None if changed.wards is None else frozenset(changed.wards),
        )
        self._sessions = {t: who if p == known.principal else p for t, p in self._sessions.items()}
        self._people[scope.tenant, login] = replace(known, principal=who, user=changed)
        return self._account(scope.tenant, changed)

    async def let_in(self, scope: Scope, login: str, *, allowed: bool) -> Account | None:
        """See the port."""
        whole_only(scope)
        known = self._people.get((scope.tenant, login))
        if known is None:
            return None
        if not allowed:
            self._keep_an_admin(scope.tenant, known.user, "login")
            self._log_out(known)
            self._drop_links(scope.tenant, login)
        marks = {"disabled": None if allowed else self.clock.now_ns()}
        changed = replace(known, user=known.user.model_copy(update=marks))
        self._people[scope.tenant, login] = changed
        return self._account(scope.tenant, changed.user)

    async def log_out(self, scope: Scope, login: str) -> Account | None:
        """See the port."""
        whole_only(scope)
        known = self._people.get((scope.tenant, login))
        if known is None:
            return None
        self._log_out(known)
        self._drop_links(scope.tenant, login)
        return self._account(scope.tenant, known.user)

    async def issue_link(self, scope: Scope, login: str, *, by: str) -> NewLink | None:
        """See the port."""
        del by
        whole_only(scope)
        known = self._people.get((scope.tenant, login))
        return None if known is None else self._issue(scope.tenant, known)

    # --- the care team's --------------------------------------------------------------------------
    async def accounts_about(self, scope: Scope, patient: str) -> Sequence[Account] | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        found = [known.user for known in self._about(scope.tenant, patient)]
        found.sort(key=lambda u: (Role.PATIENT not in u.roles, u.name, u.id))
        return [self._account(scope.tenant, user) for user in found]

    async def invite(self, who: Principal, patient: str, invitee: Invitee) -> NewLink | None:
        """See the port."""
        if not self._sees(scope_of(who), patient):
            return None
        person = self._of(who.tenant).items["patient"][patient]
        if person.ended is not None:
            raise DirectoryError(field="patient", code="ended", value=patient)
        own = [k for k in self._about(who.tenant, patient) if Role.PATIENT in k.principal.roles]
        known = next(iter(sorted(own, key=lambda k: k.user.disabled is not None)), None)
        if invitee.relative and not invitee.name.strip():
            raise DirectoryError(field="name", code="required")
        try:
            number = check_phone(invitee.phone)
        except ConfigError as error:
            refuse_people(error)
        if known is not None and known.user.disabled is not None and not invitee.relative:
            raise DirectoryError(field="login", code="disabled", value=known.user.login)
        if known is None or invitee.relative:
            known = self._invited(who.tenant, patient, invitee, person)
        if number or (not invitee.relative and person.phone):
            self._phones[known.user.id] = number or person.phone
        return self._issue(who.tenant, known)

    async def invite_again(self, who: Principal, patient: str, login: str) -> NewLink | None:
        """See the port."""
        if not self._sees(scope_of(who), patient):
            return None
        known = next((k for k in self._about(who.tenant, patient) if k.user.login == login), None)
        return None if known is None else self._issue(who.tenant, known)

    def can_text(self) -> bool:
        """See the port."""
        return self.sms

    async def text(self, link: NewLink, words: str, language: str) -> Texted:
        """See the port."""
        del language
        if not self.sms:
            return "no_channel"
        if link.phone is None:
            return "no_number"
        self.texted.append((link.phone, words))
        return "handed_over"

    # --- what it is made of -------------------------------------------------------------------------
    def _about(self, tenant: str, patient: str) -> list[Known]:
        return [
            known
            for (of, _), known in self._people.items()
            if of == tenant and known.user.patient == patient and OF_ONE.intersection(known.principal.roles)
        ]

    def _invited(self, tenant: str, patient: str, invitee: Invitee, person: Any) -> Known:
        letter, role = ("f", Role.FAMILY) if invitee.relative else ("p", Role.PATIENT)
        login = f"{letter}{int(self.ids.uniform() * 10**6):06}"
        who = Principal(
            user=self.ids.new("usr"),
            name=invitee.name.strip() if invitee.relative else person.name,
            tenant=tenant,
            roles=frozenset({role}),
            patient=patient,
        )
        self.add_person(login, "", who, language=invitee.language or person.language)
        return self._people[tenant, login]

    def _issue(self, tenant: str, known: Known) -> NewLink:
        login = known.user.login
        if known.user.disabled is not None:
            raise DirectoryError(field="login", code="disabled", value=login)
        self._drop_links(tenant, login)
        token = self.ids.new("lnk")
        self.add_link(token, login)
        expires = self.clock.now_ns() + INVITATION_LIFETIME_S * SECOND
        self._link_ends[tenant, login] = expires
        return NewLink(user=known.user, phone=self._phones.get(known.user.id), expires=expires, secret=token)

    def _drop_links(self, tenant: str, login: str) -> None:
        super()._drop_links(tenant, login)
        self._link_ends.pop((tenant, login), None)

    def _log_out(self, known: Known) -> None:
        self._sessions = {t: p for t, p in self._sessions.items() if p != known.principal}

    def _keep_an_admin(self, tenant: str, user: User, field: str) -> None:
        def manages(one: User) -> bool:
            return Role.ADMIN in one.roles and one.disabled is None and one.wards is None

        others = [k.user for (of, _), k in self._people.items() if of == tenant and k.user.id != user.id]
        if manages(user) and not any(map(manages, others)):
            raise DirectoryError(field=field, code="last", value=user.login)

    def _account(self, tenant: str, user: User) -> Account:
        known = self._people[tenant, user.login]
        open_now = sum(p == known.principal for p in self._sessions.values())
        waiting = self._link_ends.get((tenant, user.login))
        linked = user.login in self._links.values() and (waiting or 0) > self.clock.now_ns()
        return Account(
            user=user,
            phone=self._phones.get(user.id),
            joined=bool(known.password),
            sessions=open_now,
            since=self.clock.now_ns() if open_now else None,
            link_until=waiting if linked else None,
        )
