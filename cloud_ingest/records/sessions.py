"""Logged-in browsers and one-time links, by the hash of their secret."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import delete, func, or_, select

from cloud_ingest.records.models import OneTimeLink, User, WebSession
from cloud_ingest.records.scoping import Repository
from cloud_ingest.records.users import principal_of
from hearthward.core.clock import SECOND
from hearthward.core.errors import AccessError
from hearthward.trust.access import OF_ONE, Principal, Role, Scope
from hearthward.trust.sessions import (
    LINK_LIFETIME_S,
    OWN_SESSION_LIFETIME_S,
    SESSION_LIFETIME_S,
    expired,
    session_key,
)

__all__ = ["Sessions", "Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a login stands: open sessions, the newest's beginning, and until when a link waits to be used."""

    sessions: int = 0
    since: int | None = None
    link_until: int | None = None


class Sessions(Repository):
    """Sessions and links of a tenant's users; goes by real time."""

    def open(self, scope: Scope, user: str, token_hash: str, *, agent: str = "") -> WebSession:
        """Keep a session; a wall display's never expires. Expired ones are removed on the way.

        A patient's or a relative's goes on from each use (``used``); others end after a shift.
        """
        owner = self._find(User, scope, user, "user")
        self.session.execute(delete(WebSession).where(WebSession.expires <= self.wall))
        row = WebSession(
            token_hash=token_hash,
            tenant=scope.tenant,
            user=user,
            created=self.wall,
            expires=self._expires(owner),
            agent=agent or None,
            used=self.wall,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def principal(self, scope: Scope, token_hash: str) -> Principal | None:
        """Whose session it is, as they are now; None when unknown, expired or disabled."""
        query = (
            select(User)
            .join(WebSession, (WebSession.tenant == User.tenant) & (WebSession.user == User.id))
            .where(
                WebSession.tenant == scope.tenant,
                WebSession.token_hash == token_hash,
                or_(WebSession.expires.is_(None), WebSession.expires > self.wall),
                User.disabled.is_(None),
            )
        )
        user = self.session.scalars(query).one_or_none()
        return None if user is None else principal_of(user)

    def close(self, scope: Scope, token_hash: str) -> None:
        """Log out; unknown tokens are no error."""
        self.session.execute(
            delete(WebSession).where(WebSession.tenant == scope.tenant, WebSession.token_hash == token_hash)
        )

    def used(self, scope: Scope, token_hash: str) -> None:
        """The session's browser asks for something now."""
        row = self.session.get(WebSession, token_hash)
        if row is None or row.tenant != scope.tenant:
            return
        row.used = self.wall
        owner = self._find(User, scope, row.user, "user")
        if OF_ONE.intersection(owner.roles):
            row.expires = self._expires(owner)

    def _expires(self, owner: User) -> int | None:
        if Role.DISPLAY in owner.roles:
            return None
        own = OF_ONE.intersection(owner.roles)
        return self.wall + (OWN_SESSION_LIFETIME_S if own else SESSION_LIFETIME_S) * SECOND

    def of_user(self, scope: Scope, user: str) -> Sequence[WebSession]:
        """Where somebody is logged in now, what was used last first."""
        query = select(WebSession).where(
            WebSession.tenant == scope.tenant,
            WebSession.user == user,
            or_(WebSession.expires.is_(None), WebSession.expires > self.wall),
        )
        return sorted(self.session.scalars(query), key=lambda row: -(row.used or row.created))

    def close_one(self, scope: Scope, user: str, key: str) -> WebSession | None:
        """End the session of somebody's that is called ``key``; None when there is none."""
        found = next((row for row in self.of_user(scope, user) if session_key(row.token_hash) == key), None)
        if found is not None:
            self.session.delete(found)
        return found

    def close_others(self, scope: Scope, user: str, keep: str) -> int:
        """End all sessions of somebody's but the one with the hash ``keep``; how many that were."""
        others = [row for row in self.of_user(scope, user) if row.token_hash != keep]
        for row in others:
            self.session.delete(row)
        return len(others)

    def close_all(self, scope: Scope, user: str) -> int:
        """Log somebody out everywhere, links that wait to be used as well; how many sessions that ended."""
        self.drop_links(scope, user)
        query = delete(WebSession).where(WebSession.tenant == scope.tenant, WebSession.user == user)
        return len(self.session.scalars(query.returning(WebSession.token_hash)).all())

    def standing(self, scope: Scope, users: Collection[str]) -> Mapping[str, Standing]:
        """How these logins stand now, by user."""
        opened = (
            select(WebSession.user, func.count(), func.max(WebSession.created))
            .where(
                WebSession.tenant == scope.tenant,
                WebSession.user.in_(users),
                or_(WebSession.expires.is_(None), WebSession.expires > self.wall),
            )
            .group_by(WebSession.user)
        )
        links = (
            select(OneTimeLink.user, func.max(OneTimeLink.expires))
            .where(
                OneTimeLink.tenant == scope.tenant,
                OneTimeLink.user.in_(users),
                OneTimeLink.used.is_(None),
                OneTimeLink.expires > self.wall,
            )
            .group_by(OneTimeLink.user)
        )
        sessions = {user: (n, since) for user, n, since in self.session.execute(opened)}
        waiting: dict[str, int] = {user: until for user, until in self.session.execute(links)}  # noqa: C416 - rows are no pairs
        none: tuple[int, int | None] = (0, None)
        return {user: Standing(*sessions.get(user, none), link_until=waiting.get(user)) for user in users}

    def drop_links(self, scope: Scope, user: str, *, purpose: str = "login") -> None:
        """Links of somebody's that wait to be used lead nowhere any more."""
        self.session.execute(
            delete(OneTimeLink).where(
                OneTimeLink.tenant == scope.tenant,
                OneTimeLink.user == user,
                OneTimeLink.purpose == purpose,
                OneTimeLink.used.is_(None),
            )
        )

    def add_link(
        self,
        scope: Scope,
        user: str,
        token_hash: str,
        *,
        purpose: str = "login",
        lifetime_s: int = LINK_LIFETIME_S,
        by: str | None = None,
    ) -> OneTimeLink:
        """Keep a link that logs a user in once; their earlier unused links for the purpose end."""
        self._find(User, scope, user, "user")
        self.drop_links(scope, user, purpose=purpose)
        row = OneTimeLink(
            token_hash=token_hash,
            tenant=scope.tenant,
            user=user,
            purpose=purpose,
            created=self.wall,
            expires=self.wall + lifetime_s * SECOND,
            created_by=by,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def use_link(self, scope: Scope, token_hash: str, *, purpose: str = "login") -> Principal:
        """Use a link up. Raises AccessError: unknown, used, expired, or its user is disabled."""
        row = self.session.get(OneTimeLink, token_hash)
        if row is None or row.tenant != scope.tenant or row.purpose != purpose:
            _refuse_link("this link is not known")
        if row.used is not None:
            _refuse_link("this link has been used already")
        if expired(row.expires, self.wall):
            _refuse_link("this link has expired")
        user = self._find(User, scope, row.user, "user")
        if user.disabled is not None:
            _refuse_link("this login is disabled")
        row.used = self.wall
        self.session.flush()
        return principal_of(user)


def _refuse_link(problem: str) -> NoReturn:
    msg = f"{problem}; ask for a new one"
    raise AccessError(msg, authenticated=False, reason="link")
