"""Who can log in: users, their roles and wards, and the throttling of guesses."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict, Unpack

from sqlalchemy import ColumnElement, String, cast, delete, func, or_, select, update

from cloud_ingest.records.models import (
    Consent,
    LoginFailure,
    OneTimeLink,
    Patient,
    User,
    Ward,
    WebSession,
)
from cloud_ingest.records.scoping import (
    Repository,
    check_language,
    check_text,
    refuse,
    refuse_code,
    require_whole,
)
from hearthward.core.clock import SECOND
from hearthward.core.errors import AccessError
from hearthward.trust.access import ALONE, OF_ONE, Principal, Role, Scope

__all__ = ["LOGIN", "AskedUsers", "Users", "principal_of"]

LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
FREE_FAILURES: Final = 4
"""Wrong passwords in a row before waiting begins."""
FIRST_WAIT_S: Final = 15
LONGEST_WAIT_S: Final = 900
FORGOTTEN_S: Final = 3_600
"""Failures older than this no longer count."""


@dataclass(frozen=True, slots=True)
class AskedUsers:
    """Which users: ``text`` is in login or name; ``state`` is ``""``, ``in`` or ``disabled``."""

    text: str = ""
    role: str = ""
    state: str = ""
    first: int = 0
    limit: int = 50


class UserFields(TypedDict, total=False):
    """What can be changed of a user."""

    name: str
    roles: Collection[str]
    wards: Collection[str] | None
    patient: str | None
    language: str | None


def principal_of(user: User) -> Principal:
    """A user as the principal that the policy decides about."""
    roles = frozenset(Role(r) for r in user.roles)
    return Principal(
        user=user.id,
        name=user.name,
        tenant=user.tenant,
        roles=roles,
        wards=None if user.wards is None else frozenset(user.wards),
        patient=user.patient,
        kind="display" if Role.DISPLAY in roles else "user",
    )


def normal_login(login: str) -> str:
    """The form in which login names are kept and compared."""
    return login.strip().lower()[:64]


class Users(Repository):
    """The users of a tenant; only a scope of the whole tenant may touch them.

    Password hashes come from outside, made by ``Accounts`` off the writer thread.
    """

    def add(  # noqa: PLR0913 - the columns
        self,
        scope: Scope,
        *,
        login: str,
        name: str,
        roles: Collection[str],
        password_hash: str | None = None,
        wards: Collection[str] | None = None,
        patient: str | None = None,
        language: str | None = None,
        ident: str | None = None,
    ) -> User:
        """Add a user; without a hash only a one-time link lets them in. Raises ConfigError."""
        require_whole(scope, "managing users")
        login = normal_login(login)
        if not LOGIN.fullmatch(login):
            refuse("login", "give 1-64 of the characters a-z 0-9 . _ @ + -, a letter or digit first")
        if self.by_login(scope, login) is not None:
            refuse("login", f"{login!r} is taken; choose another", reason="conflict")
        self._check_wards(scope, wards)
        row = User(
            tenant=scope.tenant,
            id=self._new_id(User, scope, ident, "usr", "user"),
            login=login,
            name=check_text(name, "name"),
            password_hash=password_hash,
            roles=_roles(roles),
            wards=_sorted(wards),
            patient=patient,
            language=None if language is None else check_language(language),
            created=self.wall,
        )
        self._check_patient(scope, row.roles, patient)
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, user: str, **fields: Unpack[UserFields]) -> User:
        """Change a user; only what is given changes. Present sessions follow at once."""
        row = self.get(scope, user)
        values: dict[str, object] = {}
        if "name" in fields:
            values["name"] = check_text(fields["name"], "name")
        if "roles" in fields:
            values["roles"] = _roles(fields["roles"])
        if "wards" in fields:
            self._check_wards(scope, frozenset(fields["wards"] or ()) - frozenset(row.wards or ()))
            values["wards"] = _sorted(fields["wards"])
        if "language" in fields:
            chosen = fields["language"]
            values["language"] = None if chosen is None else check_language(chosen)
        if "roles" in fields and Role.ADMIN not in fields["roles"]:
            self._keep_an_admin(row, "roles")
        if fields.get("wards") is not None:
            self._keep_an_admin(row, "wards")
        patient = values["patient"] = fields.get("patient", row.patient)
        self._check_patient(scope, _roles(fields.get("roles", row.roles)), patient)
        self._change(row, values)
        return row

    def set_password(self, scope: Scope, user: str, password_hash: str) -> User:
        """Set a password; whoever is logged in as this user is logged out, and no link lets anybody in."""
        row = self.get(scope, user)
        self._change(row, {"password_hash": password_hash})
        self._log_out(row)
        self._drop_links(row)
        self.session.execute(
            delete(LoginFailure).where(LoginFailure.tenant == scope.tenant, LoginFailure.login == row.login)
        )
        return row

    def rehash(self, scope: Scope, user: str, password_hash: str) -> None:
        """Keep the same password under a newer hash."""
        self.get(scope, user).password_hash = password_hash

    def disable(self, scope: Scope, user: str) -> User:
        """Let a user in no longer: sessions, links and consents given to them end.

        Let in again, they see nothing before it is allowed anew. Raises ConfigError for the last
        administrator.
        """
        row = self.get(scope, user)
        self._keep_an_admin(row, "login")
        self._change(row, {"disabled": self.wall})
        self._log_out(row)
        self._drop_links(row)
        self.session.execute(
            update(Consent)
            .where(Consent.tenant == row.tenant, Consent.person == row.id, Consent.revoked.is_(None))
            .where(or_(Consent.until.is_(None), Consent.until > self.wall))
            .values(revoked=self.wall)
        )
        return row

    def enable(self, scope: Scope, user: str) -> User:
        """Let a disabled user in again."""
        row = self.get(scope, user)
        self._change(row, {"disabled": None})
        return row

    def get(self, scope: Scope, user: str) -> User:
        """One user by id. Raises ConfigError (``not_found``)."""
        require_whole(scope, "managing users")
        return self._find(User, scope, user, "user")

    def by_login(self, scope: Scope, login: str) -> User | None:
        """The user of a login name, or None."""
        require_whole(scope, "managing users")
        query = select(User).where(User.tenant == scope.tenant, User.login == normal_login(login))
        return self.session.scalars(query).one_or_none()

    def list(self, scope: Scope, *, disabled: bool = True) -> Sequence[User]:
        """The users by login name."""
        require_whole(scope, "managing users")
        query = select(User).where(User.tenant == scope.tenant)
        if not disabled:
            query = query.where(User.disabled.is_(None))
        return self.session.scalars(query.order_by(User.login)).all()

    def search(self, scope: Scope, asked: AskedUsers) -> tuple[Sequence[User], int]:
        """A page of those asked for, by login name, and how many there are in all."""
        require_whole(scope, "managing users")
        limits: list[ColumnElement[bool]] = [User.tenant == scope.tenant]
        if asked.text:
            limits.append(
                or_(*(column.icontains(asked.text, autoescape=True) for column in (User.login, User.name)))
            )
        if asked.role:
            limits.append(cast(User.roles, String).contains(f'"{asked.role}"', autoescape=True))
        if asked.state:
            limits.append(User.disabled.is_(None) if asked.state == "in" else User.disabled.is_not(None))
        total = self.session.scalar(select(func.count()).select_from(User).where(*limits)) or 0
        query = select(User).where(*limits).order_by(User.login).offset(asked.first).limit(asked.limit)
        return self.session.scalars(query).all(), total

    def of_ids(self, scope: Scope, ids: Collection[str]) -> Sequence[User]:
        """The users of these ids in the tenant, whoever asks: for saying who did something."""
        query = select(User).where(User.tenant == scope.tenant, User.id.in_(ids))
        return self.session.scalars(query).all() if ids else []

    def begin_login(self, scope: Scope, login: str) -> User | None:
        """Count one more guess at a login name, existing or not, before the password is looked at.

        Raises AccessError while that name has to wait: the same whether it exists.
        """
        self.begin_guess(scope, normal_login(login), "too many wrong passwords for this login")
        return self.by_login(scope, login)

    def begin_guess(self, scope: Scope, name: str, problem: str, *, free: int = FREE_FAILURES) -> None:
        """Count one more guess at something before it is looked at; raises AccessError while it has to wait.

        Counting first means that guesses made at once are counted, too. The first ``free`` need no waiting.
        """
        self.session.execute(
            delete(LoginFailure).where(
                LoginFailure.tenant == scope.tenant, LoginFailure.last < self.wall - FORGOTTEN_S * SECOND
            )
        )
        row = self.session.get(LoginFailure, (scope.tenant, name))
        if row is None:
            row = LoginFailure(tenant=scope.tenant, login=name, failures=0, last=0, blocked_until=0)
            self.session.add(row)
        if row.blocked_until > self.wall:
            seconds = -(-(row.blocked_until - self.wall) // SECOND)
            msg = f"{problem}; try again in {seconds} s"
            raise AccessError(msg, authenticated=False, reason="throttled", wait_s=seconds)
        row.failures += 1
        row.last = self.wall
        if row.failures > free:
            wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(row.failures - free - 1, 10))
            row.blocked_until = self.wall + wait * SECOND

    def login_succeeded(self, scope: Scope, login: str) -> None:
        """Forget the failures of a login name."""
        self.guess_succeeded(scope, normal_login(login))

    def guess_succeeded(self, scope: Scope, name: str) -> None:
        """Forget the failures counted by ``begin_guess``."""
        row = self.session.get(LoginFailure, (scope.tenant, name))
        if row is not None:
            self.session.delete(row)

    def _keep_an_admin(self, row: User, field: str) -> None:
        """Refuse what would leave nobody who can manage logins."""
        if Role.ADMIN not in row.roles or row.disabled is not None or row.wards is not None:
            return
        query = select(User).where(
            User.tenant == row.tenant,
            User.id != row.id,
            User.disabled.is_(None),
            cast(User.roles, String).contains(f'"{Role.ADMIN}"', autoescape=True),
        )
        if all(other.wards is not None for other in self.session.scalars(query)):
            refuse_code(
                field, "last", row.login, f"{row.login} is the last administrator: make another one first"
            )

    def _log_out(self, row: User) -> None:
        self.session.execute(
            delete(WebSession).where(WebSession.tenant == row.tenant, WebSession.user == row.id)
        )

    def _drop_links(self, row: User) -> None:
        self.session.execute(
            delete(OneTimeLink).where(
                OneTimeLink.tenant == row.tenant, OneTimeLink.user == row.id, OneTimeLink.used.is_(None)
            )
        )

    def _check_wards(self, scope: Scope, wards: Collection[str] | None) -> None:
        for ward in wards or ():
            if self._find(Ward, scope, ward, "ward").ended is not None:
                refuse("ward", f"the ward {ward!r} is closed; choose another", reason="not_found")

    def _check_patient(self, scope: Scope, roles: Sequence[str], patient: str | None) -> None:
        if bool(OF_ONE.intersection(roles)) != (patient is not None):
            refuse(
                "patient", "a login with the role patient or family, and only such a one, names its patient"
            )
        if patient is not None:
            self._find(Patient, scope, patient, "patient")


def _sorted(wards: Collection[str] | None) -> list[str] | None:
    return None if wards is None else sorted(set(wards))


def _roles(roles: Collection[str]) -> list[str]:
    known = [str(role) for role in Role]
    for role in roles:
        if role not in known:
            refuse("roles", f"{role!r} is no role; choose of {', '.join(known)}")
    chosen = sorted({str(role) for role in roles})
    if not chosen:
        refuse("roles", f"give at least one of {', '.join(known)}")
    alone = {str(role) for role in ALONE} & set(chosen)
    if alone and len(chosen) > 1:
        refuse("roles", f"{min(alone)} cannot be combined with another role; make a second login")
    return chosen
