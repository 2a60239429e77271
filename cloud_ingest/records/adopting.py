"""A device that was seen is taken in: into the directory and onto a patient, both or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.directory import Directory
from cloud_ingest.records.giving import worn_now
from cloud_ingest.records.models import Association, Device
from cloud_ingest.records.scoping import refuse
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Scope

__all__ = ["adopt_device"]


def adopt_device(
    session: Session, directory: Directory, scope: Scope, *, patient: str | None, fields: Mapping[str, Any]
) -> tuple[Device, Association | None, bool]:
    """Enter a device (``fields`` of ``Devices.create``) and give it to ``patient``; whether it is new.

    The same asked for again is what is there already. Raises ConfigError: what ``Devices.create`` and
    ``Associations.create`` refuse; a gateway or a patient that has ended (``ended``); a Bluetooth address
    that another gateway of the tenant has (``elsewhere``).
    """
    gateway = directory.gateways.get(scope, fields["gateway"])
    if gateway.ended is not None:
        refuse("gateway", f"{gateway.label} is out of use; choose another", reason="ended")
    person = None if patient is None else directory.patients.get(scope, patient)
    if person is not None and person.ended is not None:
        refuse("patient", "this patient's record is closed", reason="ended")
    for other in _same_address(session, scope, fields):
        if other.gateway == gateway.id:
            worn = worn_now(session, scope, other.id, directory.associations.now)
            same = fields.get("ident") in {None, other.id} and patient == (worn.patient if worn else None)
            if same:
                return other, worn, False
        elif other.transport == "ble":  # two gateways would take it from each other
            where = _named(directory, scope, other.gateway)
            text = f"it is configured at another gateway already ({where}); change that entry, or end it"
            refuse("address", text, reason="elsewhere", value=where)
    device = directory.devices.create(scope, **fields)
    if patient is None:
        return device, None, True
    return device, directory.associations.create(scope, device=device.id, patient=patient), True


def _same_address(session: Session, scope: Scope, fields: Mapping[str, Any]) -> list[Device]:
    query = select(Device).where(
        Device.tenant == scope.tenant,
        Device.transport == fields["transport"],
        Device.address == fields["address"],
        Device.ended.is_(None),
    )
    return list(session.scalars(query.order_by(Device.id)))


def _named(directory: Directory, scope: Scope, gateway: str) -> str:
    """A gateway for people; one outside of the scope has no name."""
    try:
        return directory.gateways.get(scope, gateway).id
    except ConfigError:
        return "..."
