"""A device that was seen: whether it is configured, and taking it in, onto a patient: both or nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records.directory import Directory
from cloud_ingest.records.equipment import own_address
from cloud_ingest.records.giving import worn_now
from cloud_ingest.records.models import Association, Device
from cloud_ingest.records.scoping import refuse
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Scope

__all__ = ["adopt_device", "configured_at"]

AT_ONCE: Final = 500
"""So many addresses are asked for at once."""


def adopt_device(
    session: Session, directory: Directory, scope: Scope, *, patient: str | None, fields: Mapping[str, Any]
) -> tuple[Device, Association | None, bool]:
    """Enter a device (``fields`` of ``Devices.create``) and give it to ``patient``; whether it is new.

    The same asked for again is what is there already. Raises ConfigError: what ``Devices.create`` and
    ``Associations.create`` refuse; a gateway or a patient that has ended (``ended``); an address that another
    device of the gateway has (``here``), a Bluetooth address that another gateway has (``elsewhere``).
    """
    gateway = directory.gateways.get(scope, fields["gateway"])
    if gateway.ended is not None:
        refuse("gateway", f"{gateway.label} is out of use; choose another", reason="ended")
    person = None if patient is None else directory.patients.get(scope, patient)
    if person is not None and person.ended is not None:
        refuse("patient", "this patient's record is closed", reason="ended")
    for other in sorted(_same_address(session, scope, fields), key=lambda d: d.gateway != gateway.id):
        if other.gateway == gateway.id:
            worn = worn_now(session, scope, other.id, directory.associations.now)
            same = fields.get("ident") in {None, other.id} and patient == (worn.patient if worn else None)
            if same:
                return other, worn, False
            text = f"{other.address!r} is device {other.label} at this gateway; end that one first"
            refuse("address", text, reason="here", value=other.id)
        elif other.transport == "ble":  # two gateways would take it from each other
            where = _named(directory, scope, other.gateway)
            text = f"it is configured at another gateway already ({where}); change that entry, or end it"
            refuse("address", text, reason="elsewhere", value=where)
    device = directory.devices.create(scope, **fields)
    if patient is None:
        return device, None, True
    return device, directory.associations.create(scope, device=device.id, patient=patient), True


def configured_at(session: Session, scope: Scope, addresses: Collection[str]) -> Iterator[Device]:
    """The devices in use, in all of the tenant, of which one of these is the address or the id."""
    asked = sorted(addresses)
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        any_case = func.upper(Device.address).in_([one.upper() for one in some])
        query = select(Device).where(
            Device.tenant == scope.tenant, or_(any_case, Device.id.in_(some)), Device.ended.is_(None)
        )
        yield from session.scalars(query.order_by(Device.id))


def _same_address(session: Session, scope: Scope, fields: Mapping[str, Any]) -> list[Device]:
    address = own_address(fields["transport"], fields["address"])
    found = configured_at(session, scope, [address])
    return [
        d
        for d in found
        if (d.transport, own_address(d.transport, d.address)) == (fields["transport"], address)
    ]


def _named(directory: Directory, scope: Scope, gateway: str) -> str:
    """A gateway for people; one outside of the scope has no name."""
    try:
        return directory.gateways.get(scope, gateway).id
    except ConfigError:
        return "..."
