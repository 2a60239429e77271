"""Who somebody is on a shared wall: a PIN or a badge, hashed off the writer thread, guesses throttled.

They are for a wall that is logged in already: they say who accepts an alarm there, and open no session.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.records.engine import Records
from cloud_ingest.records.models import User
from cloud_ingest.records.scoping import refuse_code
from cloud_ingest.records.staff import AT_WORK, check_pin
from cloud_ingest.records.users import normal_login, principal_of
from hearthward.core.errors import AccessError
from hearthward.trust.access import Principal, Scope
from hearthward.trust.passwords import Passwords

__all__ = ["Proofs", "badge_hash", "normal_badge"]

HASHES_AT_ONCE: Final = 2
"""Each takes tens of milliseconds of a core, and its memory."""
FREE_BADGES: Final = 20
"""Unknown badges in a row at one wall before waiting begins: those of visitors and other houses."""
BADGE: Final = re.compile(r"[0-9A-Z]{4,64}")
_COST: Final = {"n": 2**14, "r": 8, "p": 1}
"""Of scrypt (RFC 7914) for interactive use: a chip's number has few bits, and is found by its hash."""


class Proofs:
    """PINs and badges as whole acts."""

    def __init__(self, records: Records, passwords: Passwords) -> None:
        self._records = records
        self._passwords = passwords
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)

    async def set_pin(self, scope: Scope, user: str, pin: str | None) -> User:
        """Set a user's PIN (4 to 8 digits), or take it away. Raises ConfigError."""
        hashed = None
        if pin is not None:
            check_pin(pin)
            async with self._hashing:
                hashed = await asyncio.to_thread(self._passwords.hash, _secret(user, pin))
        return await self._records.run(lambda s: self._records.staff(s).set_pin(scope, user, hashed))

    async def set_badge(self, scope: Scope, user: str, code: str | None) -> User:
        """Set what a user's badge says when it is read, or take it away. Raises ConfigError (``taken``)."""
        hashed = None if code is None else await self._badge(scope, normal_badge(code))
        return await self._records.run(lambda s: self._records.staff(s).set_badge(scope, user, hashed))

    async def by_pin(self, scope: Scope, login: str, pin: str) -> Principal:
        """Who this is. Raises AccessError: wrong, none set, unknown or disabled (all alike), or throttled."""
        name = f"pin:{normal_login(login)}"

        def begin(session: Session) -> User | None:
            users = self._records.users(session)
            users.begin_guess(scope, name, "too many wrong PINs")
            return users.by_login(scope, login)

        user = await self._records.run(begin)
        hashed = None if user is None else user.pin_hash
        secret = _secret("" if user is None else user.id, pin)
        async with self._hashing:
            right = await asyncio.to_thread(self._passwords.verify, hashed, secret)
        if not right or user is None or not _present(user):
            msg = "the PIN is wrong"
            raise AccessError(msg, authenticated=False, reason="credentials")
        await self._records.run(lambda s: self._records.users(s).guess_succeeded(scope, name))
        return principal_of(user)

    async def confirm_pin(self, scope: Scope, user: str, pin: str) -> Principal:
        """``by_pin`` for a user known by id; an unknown one is answered like a wrong PIN."""
        login = await self._records.read(lambda s: _login(s, scope, user))
        return await self.by_pin(scope, login, pin)

    async def present(self, scope: Scope, user: str) -> Principal | None:
        """Who a user is now; None: there is none (any more) who works here."""

        def read(session: Session) -> Principal | None:
            row = session.get(User, (scope.tenant, user))
            return principal_of(row) if row is not None and _present(row) else None

        return await self._records.read(read)

    async def by_badge(self, scope: Scope, code: str, *, wall: str = "") -> Principal:
        """Whose badge was read at a ``wall`` (its user's id). Raises AccessError: nobody's, or throttled."""
        name = f"badge:{wall}"
        unknown = "this badge is not known here; ask for it to be entered, or use the PIN"
        await self._records.run(
            lambda s: self._records.users(s).begin_guess(
                scope, name, "too many unknown badges at this wall", free=FREE_BADGES
            )
        )
        read = _stripped(code)
        user = None
        if BADGE.fullmatch(read):
            hashed = await self._badge(scope, read)
            user = await self._records.read(lambda s: self._records.staff(s).by_badge(scope, hashed))
        if user is None or not _present(user):
            raise AccessError(unknown, authenticated=False, reason="credentials")
        await self._records.run(lambda s: self._records.users(s).guess_succeeded(scope, name))
        return principal_of(user)

    async def _badge(self, scope: Scope, code: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(badge_hash, scope.tenant, code)


def normal_badge(code: str) -> str:
    """What a badge says without what readers put between. Raises ConfigError: empty, or no such code."""
    read = _stripped(code)
    if not BADGE.fullmatch(read):
        refuse_code("badge", "badge", "", "give the 4 to 64 letters and digits that the reader shows")
    return read


def badge_hash(tenant: str, code: str) -> str:
    """The hash by which a badge is found; takes tens of milliseconds on purpose."""
    raw = hashlib.scrypt(code.encode(), salt=f"badge:{tenant}".encode(), dklen=32, **_COST)
    return raw.hex()


def _stripped(code: str) -> str:
    return re.sub(r"[\s:.-]", "", code[:200]).upper()


def _secret(user: str, pin: str) -> str:
    """What is hashed: long enough for a password, and of no use for another user."""
    return f"pin of {user}: {pin}"


def _present(user: User) -> bool:
    return user.disabled is None and bool(AT_WORK & {*user.roles})


def _login(session: Session, scope: Scope, user: str) -> str:
    row = session.get(User, (scope.tenant, user))
    return f"?{user}" if row is None else row.login
