"""The fake of the port's sightings: what gateways told is put in, what they are asked is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloud_ingest.records.equipment import own_address
from dashboards.around_models import Adopted, Around
from dashboards.backend import DirectoryError
from dashboards.models import Association, Device, Gateway, Item, Kind, Patient
from hearthward.core.clock import SECOND, Clock
from hearthward.core.sightings import Sightings
from hearthward.trust.access import Scope

__all__ = ["FakeAround"]

KEPT_S: Final = 3600


class FakeAround:
    """The part of ``FakeBackend`` that is about what gateways see around them."""

    clock: Clock

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.user_codes: list[tuple[str, str, int, int]] = []
        self._listening: dict[str, int] = {}
        self._around_told: defaultdict[str, dict[str, tuple[int, Sightings]]] = defaultdict(dict)

    def put_sightings(self, tenant: str, seen: Sightings) -> None:
        """A gateway tells what it sees."""
        self._around_told[tenant][seen.gateway] = self.clock.now_ns(), seen

    async def items(self, scope: Scope, kind: Kind, *, ended: bool = False) -> Sequence[Item]:
        """See the port."""
        raise NotImplementedError

    async def item(self, scope: Scope, kind: Kind, key: str) -> Item | None:
        """See the port."""
        raise NotImplementedError

    async def create(self, scope: Scope, kind: Kind, fields: Mapping[str, Any]) -> Item:
        """See the port."""
        raise NotImplementedError

    async def worn(self, scope: Scope, device: str) -> tuple[Association | None, bool]:
        """See the port."""
        raise NotImplementedError

    def _rows(self, tenant: str, kind: Kind) -> Mapping[str, Any]:
        raise NotImplementedError

    async def around(self, scope: Scope) -> Around:
        """See the port."""
        mine, now = {gateway.id for gateway in await self.items(scope, "gateway")}, self.clock.now_ns()
        told = {g: t for g, t in self._around_told[scope.tenant].items() if now - t[0] <= KEPT_S * SECOND}
        listening = {g: until for g, until in self._listening.items() if g in mine and until > now}
        around = Around.of({g: t for g, t in told.items() if not scope.confined or g in mine}, listening)
        devices = [d for d in self._rows(scope.tenant, "device").values() if d.ended is None]
        return around.configured(devices, mine)

    async def scan(self, scope: Scope, gateway: str, seconds: int) -> None:
        """See the port."""
        await self._must_hear(scope, gateway)
        self.asked.append((gateway, seconds))
        self._listening[gateway] = self.clock.now_ns() + seconds * SECOND

    async def give_user_code(self, scope: Scope, gateway: str, address: str, user: int, code: int) -> None:
        """See the port."""
        await self._must_hear(scope, gateway)
        self.user_codes.append((gateway, address, user, code))

    async def _must_hear(self, scope: Scope, gateway: str) -> None:
        known = {one.id: one for one in await self.items(scope, "gateway")}.get(gateway)
        if not isinstance(known, Gateway):
            raise DirectoryError(field="gateway", code="unknown", value=gateway)
        if not known.online:
            raise DirectoryError(field="gateway", code="state", value="offline")

    async def adopt(self, scope: Scope, fields: Mapping[str, Any], patient: str | None) -> Adopted:
        """See the port."""
        gateway = await self.item(scope, "gateway", fields["gateway"])
        if isinstance(gateway, Gateway) and gateway.ended is not None:
            raise DirectoryError(field="gateway", code="ended", value=gateway.id)
        person = None if patient is None else await self.item(scope, "patient", patient)
        if patient is not None and not isinstance(person, Patient):
            raise DirectoryError(field="patient", code="unknown", value=patient)
        if isinstance(person, Patient) and person.ended is not None:
            raise DirectoryError(field="patient", code="ended", value=person.id)
        place = fields["transport"], own_address(fields["transport"], fields["address"])
        rows = self._rows(scope.tenant, "device").values()
        for other in sorted(rows, key=lambda d: d.gateway != fields["gateway"]):
            if other.ended is None and _place(other) == place:
                worn, _ = await self.worn(scope, other.id)
                if other.gateway == fields["gateway"]:
                    again = fields.get("id") in {None, other.id} and patient == (worn and worn.patient)
                    if again:
                        return Adopted(device=other, association=worn, created=False)
                    raise DirectoryError(field="address", code="taken", value=other.id)
                if other.transport == "ble":
                    seen = await self.item(scope, "gateway", other.gateway)
                    where = "..." if seen is None else seen.id
                    raise DirectoryError(field="address", code="gateway", value=where)
        device = await self.create(scope, "device", fields)
        given = {"device": device.id, "patient": patient}
        on = None if patient is None else await self.create(scope, "association", given)
        if not isinstance(device, Device) or not isinstance(on, Association | None):
            raise TypeError(device)
        return Adopted(device=device, association=on)


def _place(device: Device) -> tuple[str, str]:
    return device.transport, own_address(device.transport, device.address)
