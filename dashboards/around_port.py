"""The port of the web that is about what gateways see around them."""

from __future__ import annotations

from typing import Protocol

from dashboards.around_models import Around
from hearthward.trust.access import Scope

__all__ = ["AroundPort"]


class AroundPort(Protocol):
    """What the web needs of discovery. Refusals are DirectoryError (field, code, value)."""

    async def around(self, scope: Scope) -> Around:
        """What the gateways in scope told last; unknown ones belong to a scope of the whole tenant only."""
        ...

    async def scan(self, scope: Scope, gateway: str, seconds: int) -> None:
        """Ask a gateway to listen for 1..60 s.

        Refused: ``gateway`` unknown (none in scope) or state (it is offline).
        """
        ...
