"""``hearthward users``: through the running cloud, or straight in its records when none runs.

The lock on the cloud's folder decides: who holds it owns the records. While a cloud holds it, its REST API is
asked, with the token that it left for this user (owner.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

from sqlalchemy.orm import Session

from cloud_ingest.records import Accounts, Records, RecordsAuditLog
from cloud_ingest.records.invitations import Issued, issue
from cloud_ingest.records.models import User
from cloud_ingest.records.users import LOGIN
from hearthward.app.desk import must_have_records, records_opened, taken
from hearthward.app.rest import Rest
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from hearthward.trust.access import Action, Scope
from hearthward.trust.audit import AuditEvent
from hearthward.trust.passwords import Passwords, readable_password

__all__ = ["add_user", "let_in", "list_users", "log_out", "new_link", "new_password"]

USERS: Final = "/api/v1/users"
COMMAND_LINE: Final = "command-line"
T = TypeVar("T")


async def add_user(
    settings: Settings,
    login: str,
    *,
    roles: Sequence[str],
    name: str | None,
    wards: Sequence[str],
    patient: str | None,
) -> str:
    """Add a login and tell its password. No wards means every ward. Raises HearthwardError."""
    fields: dict[str, Any] = {
        "login": login,
        "name": name or login,
        "roles": list(roles),
        "wards": list(wards) or None,
        "patient": patient,
    }
    async with _desk(settings, new=True) as desk:
        entry, password = await desk.add(fields)
    where = "" if entry.wards is None else f" for {', '.join(entry.wards)}"
    return f"added {entry.login} ({entry.name}): {', '.join(entry.roles)}{where}\n{_told(password)}"


async def new_password(settings: Settings, login: str) -> str:
    """Give a login a new password and tell it; its sessions end. Raises HearthwardError."""
    async with _desk(settings) as desk:
        known, password = await desk.password(_login(login))
    return f"{known} has a new password and is logged out everywhere\n{_told(password)}"


async def new_link(settings: Settings, login: str) -> str:
    """Make a one-time link by which somebody chooses a password, and tell it. Raises HearthwardError."""
    async with _desk(settings) as desk:
        known, url = await desk.link(_login(login))
    return f"{known} chooses a password here, once (shown only now):\n{url}"


async def let_in(settings: Settings, login: str, *, allowed: bool) -> str:
    """Let a login in again, or no longer: its sessions and links end. Raises HearthwardError."""
    async with _desk(settings) as desk:
        known = await desk.let_in(_login(login), allowed=allowed)
    return (
        f"{known} may log in again" if allowed else f"{known} is let in no longer and logged out everywhere"
    )


async def log_out(settings: Settings, login: str) -> str:
    """End a login's sessions. Raises HearthwardError."""
    async with _desk(settings) as desk:
        known = await desk.log_out(_login(login))
    return f"{known} is logged out everywhere"


async def list_users(settings: Settings) -> str:
    """Who may log in, one line each. Raises HearthwardError."""
    async with _desk(settings) as desk:
        entries = await desk.all()
    if not entries:
        return "nobody may log in yet: hearthward users add LOGIN --role admin"
    table = [("LOGIN", "ROLES", "WARDS", "NAME"), *(_line(entry) for entry in entries)]
    widths = [max(len(line[n]) for line in table) for n in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]])
        for line in table
    )


def _login(login: str) -> str:
    """A login as it is kept. Raises ConfigError: no login is called so."""
    kept = login.strip().lower()
    if not LOGIN.fullmatch(kept):
        raise _unknown(login)
    return kept


def _unknown(login: str) -> ConfigError:
    return ConfigError(f"login: there is no login {login!r}; see `hearthward users list`", field="login")


def _told(password: str) -> str:
    return f"password (shown only now): {password}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A login as it is shown."""

    login: str
    name: str
    roles: Sequence[str]
    wards: Sequence[str] | None
    patient: str | None
    disabled: bool

    @classmethod
    def of(cls, user: User) -> _Entry:
        """From the records."""
        return cls(user.login, user.name, user.roles, user.wards, user.patient, user.disabled is not None)

    @classmethod
    def told(cls, user: Any) -> _Entry:
        """From the API."""
        shown = {name: user[name] for name in ("login", "name", "roles", "wards", "patient")}
        return cls(**shown, disabled=user["disabled"] is not None)


def _line(entry: _Entry) -> tuple[str, str, str, str]:
    wards = "all" if entry.wards is None else ", ".join(entry.wards) or "none"
    wards = "-" if entry.patient is not None else wards
    marks = [f"patient {entry.patient}"] * (entry.patient is not None) + ["disabled"] * entry.disabled
    name = f"{entry.name} ({', '.join(marks)})" if marks else entry.name
    return entry.login, ", ".join(entry.roles), wards, name


class _Desk(Protocol):
    """Where logins are managed."""

    async def add(self, fields: Mapping[str, Any]) -> tuple[_Entry, str]:
        """Add a login; it and its password."""
        ...

    async def password(self, login: str) -> tuple[str, str]:
        """A new password; the login as it is kept, and the password."""
        ...

    async def link(self, login: str) -> tuple[str, str]:
        """A one-time link; the login as it is kept, and the address."""
        ...

    async def let_in(self, login: str, *, allowed: bool) -> str:
        """Let in again, or no longer; the login as it is kept."""
        ...

    async def log_out(self, login: str) -> str:
        """End the sessions; the login as it is kept."""
        ...

    async def all(self) -> Sequence[_Entry]:
        """Every login."""
        ...


@asynccontextmanager
async def _desk(settings: Settings, *, new: bool = False) -> AsyncIterator[_Desk]:
    """Take the folder if it is free, else go to who has it. ``new`` may make the records."""
    if not new:
        must_have_records(settings, "there are no logins here yet", otherwise=", or use hearthward users add")
    tenant = settings.cloud.tenant
    with taken(settings) as rest:
        if rest is not None:
            yield _Running(rest)
            return
        async with records_opened(settings.data / "cloud", tenant) as records:
            yield _Records(records, tenant, _address(settings))


def _address(settings: Settings) -> str:
    """Where the pages will be once a cloud runs."""
    web = settings.web
    if web.public_url is not None:
        return web.public_url
    host = f"[{web.host}]" if ":" in web.host else web.host
    return f"{'http' if web.tls_certificate is None else 'https'}://{host}:{web.port}"


class _Records:
    """The desk when no cloud runs; audited like the API."""

    def __init__(self, records: Records, tenant: str, address: str) -> None:
        self._address = address
        self._records = records
        self._accounts = Accounts(records, Passwords())
        self._scope = Scope.system(tenant)

    async def add(self, fields: Mapping[str, Any]) -> tuple[_Entry, str]:
        """See _Desk."""
        password = readable_password()
        row = await self._accounts.add(self._scope, **fields, password=password)
        given = ",".join(sorted(name for name, value in fields.items() if value is not None))
        await self._audit(row.id, do="create", roles=",".join(row.roles), fields=given)
        return _Entry.of(row), password

    async def password(self, login: str) -> tuple[str, str]:
        """See _Desk."""
        password = readable_password()
        row = await self._accounts.set_password(self._scope, login, password)
        await self._audit(row.id, do="password")
        return row.login, password

    async def link(self, login: str) -> tuple[str, str]:
        """See _Desk."""

        def write(session: Session, row: User) -> Issued:
            return issue(self._records, session, row, by=COMMAND_LINE)

        made = await self._with(login, write)
        await self._audit(made.user.id, do="link")
        return made.user.login, f"{self._address}/link/{made.secret}"

    async def let_in(self, login: str, *, allowed: bool) -> str:
        """See _Desk."""

        def write(session: Session, row: User) -> User:
            users = self._records.users(session)
            if allowed:
                return users.enable(self._scope, row.id)
            self._records.sessions(session).drop_links(self._scope, row.id)
            return users.disable(self._scope, row.id)

        row = await self._with(login, write)
        await self._audit(row.id, do="enable" if allowed else "disable")
        return row.login

    async def log_out(self, login: str) -> str:
        """See _Desk."""

        def write(session: Session, row: User) -> User:
            self._records.sessions(session).close_all(self._scope, row.id)
            return row

        row = await self._with(login, write)
        await self._audit(row.id, do="logout")
        return row.login

    async def _with(self, login: str, act: Callable[[Session, User], T]) -> T:
        def write(session: Session) -> T:
            row = self._records.users(session).by_login(self._scope, login)
            if row is None:
                raise _unknown(login)
            return act(session, row)

        return await self._records.run(write)

    async def all(self) -> Sequence[_Entry]:
        """See _Desk."""
        found = await self._records.read(lambda session: self._records.users(session).list(self._scope))
        return [_Entry.of(row) for row in found]

    async def _audit(self, user: str, **detail: str) -> None:
        event = AuditEvent(
            at=self._records.wall.now_ns(),
            tenant=self._scope.tenant,
            actor=COMMAND_LINE,
            action=Action.MANAGE_USERS,
            resource_kind="user",
            resource_id=user,
            detail=dict(detail),
        )
        await RecordsAuditLog(self._records).append(event)


def _path(login: str, act: str) -> str:
    return f"{USERS}/{quote(login, safe='')}/{act}"


class _Running:
    """The desk of a running cloud, over its REST API."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def add(self, fields: Mapping[str, Any]) -> tuple[_Entry, str]:
        """See _Desk."""
        given = {name: value for name, value in fields.items() if value is not None}
        return await self._rest.ask(
            "POST", USERS, lambda a: (_Entry.told(a["user"]), str(a["password"])), given
        )

    async def password(self, login: str) -> tuple[str, str]:
        """See _Desk."""
        path = _path(login, "password")
        return await self._rest.ask("POST", path, lambda a: (str(a["login"]), str(a["password"])))

    async def link(self, login: str) -> tuple[str, str]:
        """See _Desk."""
        return await self._rest.ask(
            "POST", _path(login, "link"), lambda a: (str(a["login"]), str(a["url"])), {}
        )

    async def let_in(self, login: str, *, allowed: bool) -> str:
        """See _Desk."""
        path = _path(login, "enable" if allowed else "disable")
        return await self._rest.ask("POST", path, lambda a: str(a["user"]["login"]))

    async def log_out(self, login: str) -> str:
        """See _Desk."""
        return await self._rest.ask("POST", _path(login, "logout"), lambda a: str(a["user"]["login"]))

    async def all(self) -> Sequence[_Entry]:
        """See _Desk."""
        return await self._rest.ask("GET", USERS, lambda a: [_Entry.told(user) for user in a["items"]])
