"""The port of the web that is about consent: whom a patient lets see what, and who looked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from dashboards.consent_models import Consent, Look, Relative
from hearthward.trust.access import Principal, Scope

__all__ = ["ConsentPort"]


class ConsentPort(Protocol):
    """What the web needs of consent. It goes by real time; refusals are DirectoryError."""

    def real_now(self) -> int:
        """Real time (UTC ns), which differs from ``clock`` while a recording is played."""
        ...

    async def relatives(self, scope: Scope, patient: str) -> Sequence[Relative]:
        """Who has a login as a relative of a patient in scope, by name, with what holds now."""
        ...

    async def consents(self, scope: Scope, patient: str) -> Sequence[Consent]:
        """All that a patient in scope ever gave, the newest first."""
        ...

    async def consent_of(self, scope: Scope, person: str) -> Consent | None:
        """What a relative may see now of a patient in scope; None: nothing."""
        ...

    async def give_consent(
        self, who: Principal, person: str, *, sees: Collection[str], until: int | None
    ) -> Consent:
        """The patient ``who`` lets a relative of theirs see ``sees`` until then (None: until taken back).

        It takes the place of what held before. Raises DirectoryError (``person``, ``sees``, ``until``).
        """
        ...

    async def revoke_consent(self, who: Principal, key: str) -> Consent | None:
        """The patient takes a consent back; None when it is none of theirs."""
        ...

    async def looks(self, scope: Scope, patient: str, since: int) -> Sequence[Look]:
        """Who looked at the data of a patient in scope from ``since`` on, the newest first.

        Out of the audit log; staff by their role. Looks of one person close after each other are one.
        """
        ...
