"""The port's logins over the real records; an SMS goes through the configured channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from cloud_ingest.channels.base import Message
from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.invitations import (
    Invitee,
    Issued,
    again,
    dismiss_relative,
    invite,
    invite_relative,
    issue,
    logins_about,
    relative_link,
)
from cloud_ingest.records.sessions import Standing
from cloud_ingest.records.users import AskedUsers
from cloud_ingest.service import CloudService
from dashboards.account_models import Account, AccountPage, NewLink, Texted
from dashboards.cloud_people import refusal, user_of
from dashboards.models import User
from dashboards.staff_refusals import or_none, refuse_people
from hearthward.core.errors import ConfigError, DeliveryError
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["CloudAccounts"]

SMS: Final = "sms"
TIMEOUT_S: Final = 30.0


class CloudAccounts:
    """The part of ``CloudBackend`` that is about logins and invitations."""

    def __init__(self, service: CloudService) -> None:
        self._service = service
        self._records: Records = service.records

    # --- an administrator's -------------------------------------------------------------------
    async def find_accounts(self, scope: Scope, asked: AskedUsers) -> AccountPage:
        """See the port."""

        def read(session: Session) -> AccountPage:
            found, total = self._records.users(session).search(scope, asked)
            return AccountPage(items=self._accounts_of(session, scope, found), total=total)

        return await self._records.read(read)

    async def account(self, scope: Scope, login: str) -> Account | None:
        """See the port."""

        def read(session: Session) -> Account | None:
            row = self._records.users(session).by_login(scope, login)
            return None if row is None else self._accounts_of(session, scope, [row])[0]

        return await self._records.read(read)

    async def change_account(self, scope: Scope, login: str, fields: Mapping[str, Any]) -> Account | None:
        """See the port."""
        return await self._change(
            scope, login, lambda s, row: self._records.users(s).change(scope, row.id, **fields), fields
        )

    async def let_in(self, scope: Scope, login: str, *, allowed: bool) -> Account | None:
        """See the port."""

        def write(session: Session, row: rows.User) -> None:
            users = self._records.users(session)
            if allowed:
                users.enable(scope, row.id)
                return
            users.disable(scope, row.id)
            self._records.sessions(session).drop_links(scope, row.id)

        return await self._change(scope, login, write)

    async def log_out(self, scope: Scope, login: str) -> Account | None:
        """See the port."""
        return await self._change(
            scope, login, lambda s, row: self._records.sessions(s).close_all(scope, row.id)
        )

    async def set_own_language(self, who: Principal, language: str) -> bool:
        """See the port."""
        scope = Scope.system(who.tenant)

        def write(session: Session) -> bool:
            users = self._records.users(session)
            if users.get(scope, who.user).language == language:
                return False
            users.change(scope, who.user, language=language)
            return True

        return bool(await or_none(self._records.run(write), "user"))

    async def issue_link(self, scope: Scope, login: str, *, by: str) -> NewLink | None:
        """See the port."""

        def write(session: Session) -> NewLink | None:
            row = self._records.users(session).by_login(scope, login)
            return None if row is None else _link(issue(self._records, session, row, by=by))

        return await or_none(self._records.run(write), "user")

    async def _change(
        self,
        scope: Scope,
        login: str,
        act: Callable[[Session, rows.User], object],
        fields: Mapping[str, Any] | None = None,
    ) -> Account | None:
        def write(session: Session) -> Account | None:
            row = self._records.users(session).by_login(scope, login)
            if row is None:
                return None
            act(session, row)
            session.flush()
            return self._accounts_of(session, scope, [row])[0]

        try:
            changed = await self._records.run(write)
        except ConfigError as error:
            raise refusal(error, fields or {}) from error
        await self._service.duty_changed()
        return changed

    # --- a patient's -------------------------------------------------------------------------------
    async def invite_relative(
        self, who: Principal, invitee: Invitee, *, sees: Collection[str], until: int | None
    ) -> NewLink:
        """See the port."""
        scope = scope_of(who)

        def write(session: Session) -> NewLink:
            return _link(
                invite_relative(self._records, session, scope, invitee, sees=sees, until=until, by=who.user)
            )

        try:
            made = await self._records.run(write)
        except ConfigError as error:
            refuse_people(error)
        await self._service.duty_changed()
        return made

    async def relative_link(self, who: Principal, person: str) -> NewLink | None:
        """See the port."""
        scope = scope_of(who)
        return await or_none(
            self._records.run(lambda s: _link(relative_link(self._records, s, scope, person, by=who.user))),
            "person",
        )

    async def dismiss_relative(self, who: Principal, person: str) -> User | None:
        """See the port."""
        scope = scope_of(who)
        gone = await or_none(
            self._records.run(
                lambda s: user_of(dismiss_relative(self._records, s, scope, person, by=who.user))
            ),
            "person",
        )
        await self._service.duty_changed()
        return gone

    # --- the care team's --------------------------------------------------------------------------
    async def accounts_about(self, scope: Scope, patient: str) -> Sequence[Account] | None:
        """See the port."""

        def read(session: Session) -> list[Account]:
            found = logins_about(self._records, session, scope, patient)
            return self._accounts_of(session, scope, found)

        return await or_none(self._records.read(read), "patient")

    async def invite(self, who: Principal, patient: str, invitee: Invitee) -> NewLink | None:
        """See the port."""
        scope = scope_of(who)
        made = await or_none(
            self._records.run(
                lambda s: _link(invite(self._records, s, scope, patient, invitee, by=who.user))
            ),
            "patient",
        )
        if made is not None:
            await self._service.duty_changed()
        return made

    async def invite_again(self, who: Principal, patient: str, login: str) -> NewLink | None:
        """See the port."""
        scope = scope_of(who)

        def write(session: Session) -> NewLink:
            return _link(again(self._records, session, scope, patient, login, by=who.user))

        try:
            return await self._records.run(write)
        except ConfigError as error:
            if error.details.get("reason") == "not_found":
                return None
            refuse_people(error)

    def can_text(self) -> bool:
        """See the port."""
        return SMS in self._service.channels

    async def text(self, link: NewLink, words: str, language: str) -> Texted:
        """See the port."""
        channel = self._service.channels.get(SMS)
        if channel is None:
            return "no_channel"
        if link.phone is None:
            return "no_number"
        message = Message(
            id=self._records.ids.new("inv"),
            target=link.phone,
            text=words,
            language=language,
            priority="low",
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await channel.send(message)
        except (DeliveryError, TimeoutError):
            return "failed"
        return "handed_over"

    # --- views ----------------------------------------------------------------------------------------
    def _accounts_of(self, session: Session, scope: Scope, found: Sequence[rows.User]) -> list[Account]:
        standing = self._records.sessions(session).standing(scope, [row.id for row in found])
        return [_account(row, standing[row.id]) for row in found]


def _account(row: rows.User, standing: Standing) -> Account:
    return Account(
        user=user_of(row),
        phone=row.phone,
        joined=row.password_hash is not None,
        sessions=standing.sessions,
        since=standing.since,
        link_until=standing.link_until,
    )


def _link(made: Issued) -> NewLink:
    return NewLink(user=user_of(made.user), phone=made.user.phone, expires=made.expires, secret=made.secret)
