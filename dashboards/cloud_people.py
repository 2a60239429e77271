"""The port's people over the real records: logging in and out, and who may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from cloud_ingest.records import Accounts, Records
from cloud_ingest.records import models as rows
from dashboards.account_models import OwnSession
from dashboards.backend import REASONS, DirectoryError, Login, Throttled
from dashboards.cloud_views import directory_error
from dashboards.models import User
from hearthward.core.errors import AccessError, ConfigError
from hearthward.trust.access import Principal, Scope
from hearthward.trust.passwords import Passwords
from hearthward.trust.sessions import expired, hash_token, session_key

__all__ = ["CloudPeople", "refusal", "user_of"]


class CloudPeople:
    """The part of ``CloudBackend`` that is about logins and sessions."""

    def __init__(self, records: Records, tenant: str, passwords: Passwords) -> None:
        self.tenant = tenant
        self._records = records
        self._accounts = Accounts(records, passwords)
        self._system = Scope.system(tenant)

    async def login(self, login: str, password: str, *, agent: str = "") -> Login | None:
        """See the port."""
        try:
            principal = await self._accounts.authenticate(self._system, login, password)
        except AccessError as error:
            if error.details.get("reason") == "throttled":
                raise Throttled(float(error.details.get("wait_s") or 1)) from error
            return None
        return await self._open(principal, agent)

    async def _open(self, principal: Principal, agent: str) -> Login:
        token = await self._accounts.open_session(principal, agent=agent)
        return Login(token.secret, principal)

    async def principal(self, token: str) -> Principal | None:
        """See the port."""
        return await self._accounts.principal(self._system, token)

    async def logout(self, token: str) -> None:
        """See the port."""
        await self._accounts.close_session(self._system, token)

    async def link_login(self, token: str) -> str | None:
        """See the port."""
        hashed, now = hash_token(token), self._records.wall.now_ns()

        def read(session: Session) -> str | None:
            link = session.get(rows.OneTimeLink, hashed)
            if link is None or link.tenant != self.tenant or link.used or expired(link.expires, now):
                return None
            user = session.get(rows.User, (link.tenant, link.user))
            return None if user is None or user.disabled is not None else user.login

        return await self._records.read(read)

    async def use_link(self, token: str, password: str, *, agent: str = "") -> Login | None:
        """See the port."""
        if await self.link_login(token) is None:
            return None  # before a password is hashed for it
        try:
            principal = await self._accounts.use_link(self._system, token, password=password)
        except AccessError:
            return None
        except ConfigError as error:
            raise DirectoryError(field="password", code="short") from error
        return await self._open(principal, agent)

    async def own_sessions(self, who: Principal, token: str) -> Sequence[OwnSession]:
        """See the port."""
        mine = hash_token(token)

        def read(session: Session) -> list[OwnSession]:
            found = self._records.sessions(session).of_user(Scope.system(who.tenant), who.user)
            return [_session_view(row, mine) for row in found]

        return await self._records.read(read)

    async def end_session(self, who: Principal, token: str, key: str) -> OwnSession | None:
        """See the port."""
        mine = hash_token(token)

        def write(session: Session) -> OwnSession | None:
            ended = self._records.sessions(session).close_one(Scope.system(who.tenant), who.user, key)
            return None if ended is None else _session_view(ended, mine)

        return await self._records.run(write)

    async def end_other_sessions(self, who: Principal, token: str) -> int:
        """See the port."""
        scope, mine = Scope.system(who.tenant), hash_token(token)
        return await self._records.run(
            lambda s: self._records.sessions(s).close_others(scope, who.user, mine)
        )

    async def language_of(self, principal: Principal) -> str | None:
        """See the port."""
        if principal.kind == "service":
            return None

        def read(session: Session) -> str | None:
            user = session.get(rows.User, (principal.tenant, principal.user))
            return None if user is None else user.language

        return await self._records.read(read)

    async def users(self, scope: Scope) -> Sequence[User]:
        """See the port."""
        found = await self._records.read(lambda s: self._records.users(s).list(scope))
        return [user_of(row) for row in found]

    async def add_user(self, scope: Scope, fields: Mapping[str, Any], password: str | None) -> User:
        """See the port."""
        try:
            return user_of(await self._accounts.add(scope, **fields, password=password))
        except ConfigError as error:
            raise refusal(error, fields) from error

    async def set_password(self, scope: Scope, login: str, password: str) -> User | None:
        """See the port."""
        try:
            return user_of(await self._accounts.set_password(scope, login, password))
        except ConfigError as error:
            if error.details.get("reason") == "not_found":
                return None
            raise DirectoryError(field="password", code="short") from error


def _session_view(row: rows.WebSession, mine: str) -> OwnSession:
    return OwnSession(
        id=session_key(row.token_hash),
        device=row.agent or "",
        created=row.created,
        used=row.used or row.created,
        expires=row.expires,
        here=row.token_hash == mine,
    )


def user_of(row: rows.User) -> User:
    """A login as the web shows it."""
    return User(**{name: getattr(row, name) for name in User.model_fields})


def refusal(error: ConfigError, fields: Mapping[str, Any]) -> ConfigError:
    """The records' refusal by the name of the input: an unknown ward is one of ``wards``."""
    if error.details.get("field") == "ward":
        error.details["field"] = "wards"
        error.message = error.message.replace("ward:", "wards:", 1)
    code = error.details.get("code")
    if code in REASONS:
        field, value = str(error.details.get("field")), error.details.get("value", "")
        return DirectoryError(field=field, code=str(code), value=value)
    return directory_error(error, fields)
