"""The port's sightings over the real service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from cloud_ingest.records import models as rows
from cloud_ingest.records.adopting import adopt_device, configured_at
from cloud_ingest.service import CloudService
from dashboards.around_models import Adopted, Around
from dashboards.backend import DirectoryError
from dashboards.cloud_views import device_of, directory_error, item_of
from dashboards.models import Association, Device, Item, Kind
from hearthward.core.errors import ConfigError, UplinkError
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
        board = self._service.around
        told, listening = {g: (one.at, one.seen) for g, one in board.all().items()}, board.listening()
        mine = {gateway.id for gateway in await self.items(scope, "gateway")}
        if scope.confined:
            told = {gateway: one for gateway, one in told.items() if gateway in mine}
            listening = {gateway: until for gateway, until in listening.items() if gateway in mine}
        around = Around.of(told, listening)
        asked = {one.address for one in around.items} | {one.device for one in around.items}

        def read(session: Session) -> list[Device]:
            return [device_of(row, None) for row in configured_at(session, scope, asked)]

        return around.configured(await self._service.records.read(read), mine)

    async def scan(self, scope: Scope, gateway: str, seconds: int) -> None:
        """See the port."""
        await self._asked(scope, gateway, lambda: self._service.around.scan(gateway, seconds))

    async def give_user_code(self, scope: Scope, gateway: str, address: str, user: int, code: int) -> None:
        """See the port."""
        board = self._service.around
        await self._asked(scope, gateway, lambda: board.give_consent(gateway, address, user, code))

    async def _asked(self, scope: Scope, gateway: str, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask a gateway that is in scope and hears us. Raises DirectoryError."""
        if gateway not in {one.id for one in await self.items(scope, "gateway")}:
            raise DirectoryError(field="gateway", code="unknown", value=gateway)
        if not self._service.gateways.online(gateway):
            raise DirectoryError(field="gateway", code="state", value="offline")
        try:
            await ask()
        except UplinkError as error:
            raise DirectoryError(field="gateway", code="state", value="offline") from error

    async def adopt(self, scope: Scope, fields: Mapping[str, Any], patient: str | None) -> Adopted:
        """See the port."""
        values = {("ident" if name == "id" else name): value for name, value in fields.items()}

        def write(session: Session) -> tuple[rows.Device, rows.Association | None, bool]:
            directory = self._service.records.directory(session)
            return adopt_device(session, directory, scope, patient=patient, fields=values)

        try:
            row, worn, created = await self._service.records.run(write)
        except ConfigError as error:
            given = {**values, **fields} if patient is None else {**values, **fields, "patient": patient}
            raise directory_error(error, given) from error
        if created:
            await self._service.directory_changed()
        on = None if worn is None else item_of("association", worn)
        return Adopted(
            device=device_of(row, self._service.gateways.get(row.gateway)),
            association=on if isinstance(on, Association) else None,
            created=created,
        )
