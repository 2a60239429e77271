"""The port of the web that is about logins beyond a session: who may log in, how they stand, invitations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cloud_ingest.records.invitations import Invitee
from cloud_ingest.records.users import AskedUsers
from dashboards.account_models import Account, AccountPage, NewLink, Texted
from hearthward.trust.access import Principal, Scope

__all__ = ["AccountsPort", "AskedUsers", "Invitee"]


class AccountsPort(Protocol):
    """What the web needs of logins. Refusals are DirectoryError; None: there is no such thing in scope.

    What manages logins raises AccessError for a scope of less than the whole tenant.
    """

    # --- an administrator's -------------------------------------------------------------------
    async def find_accounts(self, scope: Scope, asked: AskedUsers) -> AccountPage:
        """Some of the logins, by login."""
        ...

    async def account(self, scope: Scope, login: str) -> Account | None:
        """One login and how it stands."""
        ...

    async def change_account(self, scope: Scope, login: str, fields: Mapping[str, Any]) -> Account | None:
        """Change ``name``, ``roles``, ``wards`` or ``language``; sessions follow at once.

        Raises DirectoryError, also (``last``) when no administrator of the whole would be left.
        """
        ...

    async def let_in(self, scope: Scope, login: str, *, allowed: bool) -> Account | None:
        """Let somebody in again; or no longer, which ends sessions and links. Raises DirectoryError."""
        ...

    async def log_out(self, scope: Scope, login: str) -> Account | None:
        """End all sessions of a login."""
        ...

    async def issue_link(self, scope: Scope, login: str, *, by: str) -> NewLink | None:
        """A one-time link by which they choose a password. Raises DirectoryError (``disabled``)."""
        ...

    # --- the care team's, of patients in their care ----------------------------------------------
    async def accounts_about(self, scope: Scope, patient: str) -> Sequence[Account] | None:
        """The logins of a patient in scope and of their relatives, the patient's first."""
        ...

    async def invite(self, who: Principal, patient: str, invitee: Invitee) -> NewLink | None:
        """Invite a patient in the caller's scope, or a relative of theirs (who sees nothing yet).

        A patient who has a login gets a new link for it. Raises DirectoryError (``name``, ``phone``).
        """
        ...

    async def invite_again(self, who: Principal, patient: str, login: str) -> NewLink | None:
        """A new link for a login about a patient in the caller's scope. Raises DirectoryError."""
        ...

    def can_text(self) -> bool:
        """Whether an SMS channel is configured."""
        ...

    async def text(self, link: NewLink, words: str, language: str) -> Texted:
        """Send ``words`` by SMS to whom the link is for."""
        ...
