"""Logging in and out: users and sessions together with password hashing, off the writer thread."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.records.engine import Records
from cloud_ingest.records.models import User
from cloud_ingest.records.scoping import refuse
from cloud_ingest.records.users import principal_of
from hearthward.core.clock import SECOND
from hearthward.core.errors import AccessError, StoreError
from hearthward.trust.access import Principal, Scope
from hearthward.trust.passwords import Passwords
from hearthward.trust.sessions import Token, hash_token, new_token

__all__ = ["Accounts"]

HASHES_AT_ONCE: Final = 2
"""Each takes tens of milliseconds of a core, and its memory."""
NOTED_EVERY_NS: Final = 300 * SECOND
"""That a session is used is written so often at most: reading a page writes nothing otherwise."""
NOTED_AT_MOST: Final = 10_000
"""Sessions kept in mind for it."""


class Accounts:
    """What the login page and the command line need, as whole acts."""

    def __init__(self, records: Records, passwords: Passwords) -> None:
        self._records = records
        self._passwords = passwords
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self._noted: dict[str, int] = {}

    async def add(
        self,
        scope: Scope,
        *,
        login: str,
        name: str,
        roles: Collection[str],
        password: str | None = None,
        wards: Collection[str] | None = None,
        patient: str | None = None,
        language: str | None = None,
    ) -> User:
        """Add a user. Raises ConfigError naming the field."""
        hashed = None if password is None else await self._hash(password)
        return await self._records.run(
            lambda session: self._records.users(session).add(
                scope,
                login=login,
                name=name,
                roles=roles,
                password_hash=hashed,
                wards=wards,
                patient=patient,
                language=language,
            )
        )

    async def set_password(self, scope: Scope, login: str, password: str) -> User:
        """Set a user's password and log them out everywhere. Raises ConfigError."""
        hashed = await self._hash(password)

        def write(session: Session) -> User:
            users = self._records.users(session)
            user = users.by_login(scope, login)
            if user is None:
                refuse(
                    "login", f"there is no login {login!r}; see `hearthward users list`", reason="not_found"
                )
            return users.set_password(scope, user.id, hashed)

        return await self._records.run(write)

    async def authenticate(self, scope: Scope, login: str, password: str) -> Principal:
        """Who this is. Raises AccessError, the same for an unknown login, a wrong password, a disabled user.

        After repeated failures a login has to wait (details: ``reason=throttled``, ``wait_s``).
        """
        user = await self._records.run(lambda session: self._records.users(session).begin_login(scope, login))
        hashed = None if user is None else user.password_hash
        async with self._hashing:
            right = await asyncio.to_thread(self._passwords.verify, hashed, password)
        if not right or user is None or hashed is None or user.disabled is not None:
            msg = "login or password is wrong"
            raise AccessError(msg, authenticated=False, reason="credentials")
        newer = await self._hash(password) if self._passwords.outdated(hashed) else None
        await self._records.run(lambda session: self._succeeded(session, scope, user, newer))
        return principal_of(user)

    async def open_session(self, principal: Principal, *, agent: str = "") -> Token:
        """Log a principal in; the token's secret goes into the cookie and nowhere else."""
        token, scope = new_token(), Scope.system(principal.tenant)
        await self._records.run(
            lambda session: self._records.sessions(session).open(
                scope, principal.user, token.hash, agent=agent
            )
        )
        self._noted[token.hash] = self._records.wall.now_ns()
        return token

    async def principal(self, scope: Scope, secret: str) -> Principal | None:
        """Whose session a cookie's secret is, or None; that it is used is noted every few minutes."""
        hashed = hash_token(secret)
        found = await self._records.read(
            lambda session: self._records.sessions(session).principal(scope, hashed)
        )
        if found is not None:
            await self._note_use(scope, hashed)
        return found

    async def _note_use(self, scope: Scope, hashed: str) -> None:
        now = self._records.wall.now_ns()
        if now < self._noted.get(hashed, 0) + NOTED_EVERY_NS:
            return
        if len(self._noted) >= NOTED_AT_MOST:
            self._noted.clear()
        self._noted[hashed] = now
        try:
            await self._records.run(
                lambda session: self._records.sessions(session).used(scope, hashed), durable=False
            )
        except StoreError:  # no reason to refuse a page: the next one notes it again
            self._noted.pop(hashed, None)

    async def close_session(self, scope: Scope, secret: str) -> None:
        """Log out."""
        hashed = hash_token(secret)
        await self._records.run(lambda session: self._records.sessions(session).close(scope, hashed))

    async def make_link(self, scope: Scope, user: str) -> Token:
        """A one-time link's secret for a user (by id)."""
        token = new_token()
        await self._records.run(
            lambda session: self._records.sessions(session).add_link(scope, user, token.hash)
        )
        return token

    async def use_link(self, scope: Scope, secret: str, *, password: str | None = None) -> Principal:
        """Use a one-time link up and, with ``password``, set it and log its user out elsewhere: both or none.

        Raises AccessError for the link, ConfigError for the password; then the link can still be used.
        """
        link = hash_token(secret)
        hashed = None if password is None else await self._hash(password)

        def write(session: Session) -> Principal:
            principal = self._records.sessions(session).use_link(scope, link)
            if hashed is not None:
                self._records.users(session).set_password(scope, principal.user, hashed)
            return principal

        return await self._records.run(write)

    async def _hash(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self._passwords.hash, password)

    def _succeeded(self, session: Session, scope: Scope, user: User, newer: str | None) -> None:
        users = self._records.users(session)
        users.login_succeeded(scope, user.login)
        if newer is not None:
            users.rehash(scope, user.id, newer)
