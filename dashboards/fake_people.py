"""The fake's people: who may log in, kept in memory, with the same refusals as the real records."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from cloud_ingest.life_words import Unnamed
from dashboards.account_models import OwnSession
from dashboards.backend import DirectoryError, Login
from dashboards.models import User
from hearthward.core.clock import Clock
from hearthward.core.errors import AccessError
from hearthward.core.ids import Ids
from hearthward.trust.access import ALONE, OF_ONE, Principal, Role, Scope
from hearthward.trust.sessions import hash_token, session_key

__all__ = ["FakePeople", "Known", "roles_of", "whole_only"]

MIN_PASSWORD: Final = 10
LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")


@dataclass(slots=True)
class Known:
    """A login as it is kept."""

    password: str
    principal: Principal
    user: User


class FakePeople(ABC):
    """The part of ``FakeBackend`` that is about logins and sessions."""

    def __init__(self, clock: Clock, tenant: str, ids: Ids) -> None:
        self.clock = clock
        self.tenant = tenant
        self.ids = ids
        self._people: dict[tuple[str, str], Known] = {}
        self._links: dict[str, str] = {}
        self._sessions: dict[str, Principal] = {}
        self._opened: dict[str, tuple[str, int]] = {}
        """Token -> what logged in, and when; of the sessions that a login opened."""

    @abstractmethod
    def _knows(self, kind: Literal["ward", "patient"], key: str) -> bool:
        """Whether the tenant has such an entry."""

    # --- putting things in -----------------------------------------------------------------------
    def add_person(
        self, login: str, password: str, principal: Principal, *, language: str | None = None
    ) -> User:
        """Somebody who can log in."""
        user = User(
            id=principal.user,
            login=login,
            name=principal.name,
            roles=sorted(principal.roles),
            wards=None if principal.wards is None else sorted(principal.wards),
            patient=principal.patient,
            language=language,
            created=self.clock.now_ns(),
        )
        self._people[principal.tenant, login] = Known(password, principal, user)
        return user

    def _names(self, tenant: str) -> dict[str, str]:
        """Names by ids of users; of those who are registered before those who only have a session."""
        sessions = {p.user: p.name for p in self._sessions.values() if p.tenant == tenant}
        people = [p.principal for (t, _), p in self._people.items() if t == tenant]
        return sessions | {p.user: p.name for p in people}

    def _names_for(self, scope: Scope) -> Mapping[str, str]:
        """The same as the scope may learn them: a patient nobody's but their own."""
        names = self._names(scope.tenant)
        if scope.patient is None:
            return names
        known = [*self._sessions.values(), *(p.principal for p in self._people.values())]
        own = {p.user for p in known if (p.tenant, p.patient) == (scope.tenant, scope.patient)}
        return Unnamed({user: names[user] for user in own})

    def _name(self, tenant: str, user: str | None) -> str | None:
        return None if user is None else self._names(tenant).get(user)

    def disable_person(self, user: str) -> None:
        """Let somebody of the own tenant in no longer, and log them out."""
        for key, person in list(self._people.items()):
            if key[0] == self.tenant and person.user.id == user:
                gone = person.user.model_copy(update={"disabled": self.clock.now_ns()})
                self._people[key] = replace(person, user=gone)
        self._sessions = {t: p for t, p in self._sessions.items() if p.user != user}

    def add_link(self, token: str, login: str) -> None:
        """A one-time link for a person."""
        self._links[token] = login

    def open_session(self, principal: Principal, agent: str = "") -> str:
        """A token for a principal (also a service's)."""
        token = self.ids.new("ses")
        self._sessions[token] = principal
        self._opened[token] = agent, self.clock.now_ns()
        return token

    # --- the port --------------------------------------------------------------------------------
    async def login(self, login: str, password: str, *, agent: str = "") -> Login | None:
        """See the port."""
        known = self._people.get((self.tenant, login))
        if known is None or not known.password or known.password != password:
            return None
        if known.user.disabled is not None:
            return None
        return Login(self.open_session(known.principal, agent), known.principal)

    async def principal(self, token: str) -> Principal | None:
        """See the port."""
        return self._sessions.get(token)

    async def logout(self, token: str) -> None:
        """See the port."""
        self._sessions.pop(token, None)

    async def link_login(self, token: str) -> str | None:
        """See the port."""
        login = self._links.get(token)
        known = self._people.get((self.tenant, login or ""))
        return None if known is None or known.user.disabled is not None else login

    async def use_link(self, token: str, password: str, *, agent: str = "") -> Login | None:
        """See the port."""
        login = self._links.get(token)
        if login is None or await self.set_password(Scope.system(self.tenant), login, password) is None:
            return None
        return await self.login(login, password, agent=agent)

    async def own_sessions(self, who: Principal, token: str) -> Sequence[OwnSession]:
        """See the port."""
        mine = [t for t, p in self._sessions.items() if (p.tenant, p.user) == (who.tenant, who.user)]
        mine.sort(key=lambda t: self._opened.get(t, ("", 0))[1], reverse=True)
        return [self._session_view(t, token) for t in mine]

    async def end_session(self, who: Principal, token: str, key: str) -> OwnSession | None:
        """See the port."""
        for one in await self.own_sessions(who, token):
            if one.id == key:
                self._sessions = {
                    t: p for t, p in self._sessions.items() if session_key(hash_token(t)) != key
                }
                return one
        return None

    async def end_other_sessions(self, who: Principal, token: str) -> int:
        """See the port."""
        others = [one.id for one in await self.own_sessions(who, token) if not one.here]
        for key in others:
            await self.end_session(who, token, key)
        return len(others)

    def _session_view(self, token: str, asks: str) -> OwnSession:
        agent, at = self._opened.get(token, ("", self.clock.now_ns()))
        key = session_key(hash_token(token))
        return OwnSession(id=key, device=agent, created=at, used=at, here=token == asks)

    async def language_of(self, principal: Principal) -> str | None:
        """See the port."""
        found = self._known(principal)
        return None if found is None else found.user.language

    async def set_own_language(self, who: Principal, language: str) -> bool:
        """See the port."""
        found = self._known(who)
        if found is None or found.user.language == language:
            return False
        found.user = found.user.model_copy(update={"language": language})
        return True

    def _known(self, who: Principal) -> Known | None:
        found = (k for (tenant, _), k in self._people.items() if tenant == who.tenant)
        return next((k for k in found if k.user.id == who.user), None)

    async def users(self, scope: Scope) -> Sequence[User]:
        """See the port."""
        whole_only(scope)
        return [p.user for (tenant, _), p in sorted(self._people.items()) if tenant == scope.tenant]

    async def add_user(self, scope: Scope, fields: Mapping[str, Any], password: str | None) -> User:
        """See the port."""
        whole_only(scope)
        if password is not None:
            _long_enough(password)
        login = str(fields["login"]).strip().lower()
        roles, wards, patient = fields["roles"], fields.get("wards"), fields.get("patient")
        if not LOGIN.fullmatch(login):
            raise DirectoryError(field="login", code="invalid", value=login)
        if (scope.tenant, login) in self._people:
            raise DirectoryError(field="login", code="taken", value=login)
        chosen = roles_of(roles)
        for ward in wards or ():
            if not self._knows("ward", ward):
                raise DirectoryError(field="wards", code="unknown", value=ward)
        if bool(chosen & OF_ONE) != (patient is not None):
            raise DirectoryError(field="patient", code="invalid" if patient else "required", value=patient)
        if patient is not None and not self._knows("patient", patient):
            raise DirectoryError(field="patient", code="unknown", value=patient)
        principal = Principal(
            user=self.ids.new("usr"),
            name=fields["name"],
            tenant=scope.tenant,
            roles=chosen,
            wards=None if wards is None else frozenset(wards),
            patient=patient,
            kind="display" if Role.DISPLAY in chosen else "user",
        )
        return self.add_person(login, password or "", principal, language=fields.get("language"))

    async def set_password(self, scope: Scope, login: str, password: str) -> User | None:
        """See the port."""
        whole_only(scope)
        _long_enough(password)
        known = self._people.get((scope.tenant, login.strip().lower()))
        if known is None:
            return None
        known.password = password
        mine = [token for token, who in self._sessions.items() if who == known.principal]
        for token in mine:
            del self._sessions[token]
        self._drop_links(scope.tenant, known.user.login)
        return known.user

    def _drop_links(self, tenant: str, login: str) -> None:
        if tenant == self.tenant:
            self._links = {t: of for t, of in self._links.items() if of != login}


def whole_only(scope: Scope) -> None:
    """Raise AccessError unless the scope is the whole tenant."""
    if scope.confined:
        msg = "managing users concerns the whole organisation"
        raise AccessError(msg)


def _long_enough(password: str) -> None:
    if len(password) < MIN_PASSWORD:
        raise DirectoryError(field="password", code="short")


def roles_of(roles: Sequence[str]) -> frozenset[Role]:
    """The roles that somebody can have together. Raises DirectoryError."""
    known = frozenset(Role)
    chosen = frozenset(Role(r) for r in roles if r in known)
    unknown = [r for r in roles if r not in known]
    alone = chosen & ALONE
    if unknown or not chosen or (alone and len(chosen) > 1):
        code = "invalid" if roles else "required"
        raise DirectoryError(field="roles", code=code, value=", ".join(unknown or roles))
    return chosen
