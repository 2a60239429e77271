"""The port's sightings over the real service."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_ingest.service import CloudService
from dashboards.around_models import Around
from dashboards.backend import DirectoryError
from dashboards.models import Item, Kind
from hearthward.core.errors import UplinkError
from hearthward.trust.access import Scope

__all__ = ["CloudAround"]


class CloudAround:
    """The part of ``CloudBackend`` that is about what gateways see around them."""

    def __init__(self, service: CloudService) -> None:
        self._service = service

    async def items(self, scope: Scope, kind: Kind, *, ended: bool = False) -> Sequence[Item]:
        """See the port."""
        raise NotImplementedError

    async def around(self, scope: Scope) -> Around:
        """See the port."""
        if scope.tenant != self._service.tenant:
            return Around(items=[], gateways=[])
        told = {g: (one.at, one.seen) for g, one in self._service.around.all().items()}
        if scope.confined:
            mine = {gateway.id for gateway in await self.items(scope, "gateway")}
            told = {gateway: one for gateway, one in told.items() if gateway in mine}
        return Around.of(told)

    async def scan(self, scope: Scope, gateway: str, seconds: int) -> None:
        """See the port."""
        if gateway not in {one.id for one in await self.items(scope, "gateway")}:
            raise DirectoryError(field="gateway", code="unknown", value=gateway)
        if not self._service.gateways.online(gateway):
            raise DirectoryError(field="gateway", code="state", value="offline")
        try:
            await self._service.around.scan(gateway, seconds)
        except UplinkError as error:
            raise DirectoryError(field="gateway", code="state", value="offline") from error
