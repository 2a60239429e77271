"""The port of the web that is about what gateways see around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from dashboards.around_models import Adopted, Around
from hearthward.trust.access import Scope

__all__ = ["AroundPort"]


class AroundPort(Protocol):
    """What the web needs of discovery. Refusals are DirectoryError (field, code, value)."""

    async def around(self, scope: Scope) -> Around:
        """What the gateways in scope told last, each device with where the directory has it.

        Unknown gateways belong to a scope of the whole tenant only.
        """
        ...

    async def scan(self, scope: Scope, gateway: str, seconds: int) -> None:
        """Ask a gateway to listen for 1..60 s.

        Refused: ``gateway`` unknown (none in scope) or state (it is offline).
        """
        ...

    async def give_user_code(self, scope: Scope, gateway: str, address: str, user: int, code: int) -> None:
        """Have a gateway keep the consent of a device's user.

        Refused: ``gateway`` unknown (none in scope) or state (it is offline).
        """
        ...

    async def adopt(self, scope: Scope, fields: Mapping[str, Any], patient: str | None) -> Adopted:
        """Enter a device (``fields`` as for ``create``) and give it to a patient: both or nothing.

        Asked for again, it is what is there already. Refused besides what ``create`` refuses: ``gateway``
        or ``patient`` ended; ``address`` taken (by the device ``value`` there) or gateway (a Bluetooth device
        that another gateway has).
        """
        ...
