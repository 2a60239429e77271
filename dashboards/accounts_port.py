"""The port of the web that is about logins beyond a session: who may log in, how they stand, invitations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from cloud_ingest.records.invitations import Invitee
from cloud_ingest.records.users import AskedUsers
from dashboards.account_models import Account, AccountPage, NewLink, OwnSession, Texted
from dashboards.models import User
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

    # --- everybody's own ---------------------------------------------------------------------------
    async def set_own_language(self, who: Principal, language: str) -> bool:
        """The language that ``who`` is written to in from now on; False: it was that already."""
        ...

    async def own_sessions(self, who: Principal, token: str) -> Sequence[OwnSession]:
        """Where ``who`` is logged in now, what was used last first; ``token`` is the session that asks."""
        ...

    async def end_session(self, who: Principal, token: str, key: str) -> OwnSession | None:
        """End one of the caller's own sessions; None when none of theirs is called so."""
        ...

    async def end_other_sessions(self, who: Principal, token: str) -> int:
        """End all of the caller's sessions but the one that asks; how many that were."""
        ...

    # --- a patient's, of their own relatives ----------------------------------------------------------
    async def invite_relative(
        self, who: Principal, invitee: Invitee, *, sees: Collection[str], until: int | None
    ) -> NewLink:
        """The patient ``who`` invites a relative, who may see ``sees`` from now until then (None: no end).

        Raises DirectoryError (``name``, ``sees``, ``until``, ``patient``), and then nothing of it is made.
        """
        ...

    async def relative_link(self, who: Principal, person: str) -> NewLink | None:
        """A new link for a relative of the patient ``who``; None when it is none of theirs."""
        ...

    async def dismiss_relative(self, who: Principal, person: str) -> User | None:
        """The patient's relative is let in no longer, at once; None when it is none of theirs."""
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
