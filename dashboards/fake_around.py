"""The fake of the port's sightings: what gateways told is put in, what they are asked is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dashboards.around_models import Around
from dashboards.backend import DirectoryError
from dashboards.models import Gateway, Item, Kind
from hearthward.core.clock import Clock
from hearthward.core.sightings import Sightings
from hearthward.trust.access import Scope

__all__ = ["FakeAround"]


class FakeAround:
    """The part of ``FakeBackend`` that is about what gateways see around them."""

    clock: Clock

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self._around_told: defaultdict[str, dict[str, tuple[int, Sightings]]] = defaultdict(dict)

    def put_sightings(self, tenant: str, seen: Sightings) -> None:
        """A gateway tells what it sees."""
        self._around_told[tenant][seen.gateway] = self.clock.now_ns(), seen

    async def items(self, scope: Scope, kind: Kind, *, ended: bool = False) -> Sequence[Item]:
        """See the port."""
        raise NotImplementedError

    async def around(self, scope: Scope) -> Around:
        """See the port."""
        mine = {gateway.id for gateway in await self.items(scope, "gateway")}
        told = self._around_told[scope.tenant]
        return Around.of({g: one for g, one in told.items() if not scope.confined or g in mine})

    async def scan(self, scope: Scope, gateway: str, seconds: int) -> None:
        """See the port."""
        known = {one.id: one for one in await self.items(scope, "gateway")}.get(gateway)
        if not isinstance(known, Gateway):
            raise DirectoryError(field="gateway", code="unknown", value=gateway)
        if not known.online:
            raise DirectoryError(field="gateway", code="state", value="offline")
        self.asked.append((gateway, seconds))
