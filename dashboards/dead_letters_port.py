"""The port of the web that is about dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cloud_ingest.records.dead_letters import Asked
from dashboards.dead_letter_models import DeadLetterBook, DeadLetterDetail, ReplayResult
from hearthward.trust.access import Principal, Scope

__all__ = ["DeadLettersPort"]


class DeadLettersPort(Protocol):
    """What the web needs of what was refused.

    A scope of some wards has what came from their gateways; what came from none that is known belongs to a
    scope of the whole tenant only.
    """

    async def dead_letters(self, scope: Scope, asked: Asked) -> DeadLetterBook:
        """The letters asked for, newest first, and the counts by reason of all in scope."""
        ...

    async def dead_letter(self, scope: Scope, key: str) -> DeadLetterDetail | None:
        """One letter with what is in it; None when there is none in scope."""
        ...

    async def waiting_letters(self, scope: Scope, reason: str, after: str | None) -> Sequence[str]:
        """The ids of the next letters of a reason that were not let in, the oldest first."""
        ...

    async def replay_letter(self, who: Principal, key: str, *, dry_run: bool) -> ReplayResult | None:
        """Put a letter through the intake again, as of now (``dry_run``: only say what it would come to).

        None as above. One that was let in before stays as it is. Raises StoreUnavailable.
        """
        ...
