"""Hours of use in the records: since services and calibrations, and those of days that are kept no longer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from cloud_ingest.device_health.hours import hours_after
from cloud_ingest.device_health.judging import Upkeep
from cloud_ingest.device_health.sums import DAY_NS, KEPT_DAYS, day_of
from cloud_ingest.records.fleet_models import DeviceCalibration, DeviceDay, DeviceService

__all__ = ["calibrations_of", "hours_ever", "prune_days", "services_of"]

_SERVICED: Final = DeviceDay.day > func.coalesce(DeviceService.serviced // DAY_NS, -1)
_CALIBRATED: Final = DeviceDay.day > DeviceCalibration.calibrated // DAY_NS
"""A day all of which is after the last one; written so that the index by device and day serves it."""


def hours_ever(session: Session, tenant: str, devices: Collection[str]) -> dict[str, int]:
    """Hours of use of these, as long as they have been known."""
    found = _sums(session, DeviceDay.tenant == tenant, DeviceDay.device.in_(sorted(devices)))
    query = select(DeviceService.device, DeviceService.hours_before).where(
        DeviceService.tenant == tenant, DeviceService.device.in_(sorted(devices))
    )
    for device, before in session.execute(query):
        found[device] = found.get(device, 0) + before
    return found


def services_of(session: Session, tenant: str, devices: Collection[str]) -> dict[str, Upkeep]:
    """What is noted of their services, with the hours of use since; those of others are all there were."""
    model, used = DeviceService, _used_since(session, tenant, devices, DeviceService, _SERVICED)
    ever = hours_ever(session, tenant, devices)
    found = {device: Upkeep(None, used=ever.get(device, 0)) for device in devices}
    query = select(model).where(model.tenant == tenant, model.device.in_(sorted(devices)))
    for row in session.scalars(query):
        hours = row.hours_since + used.get(row.device, 0)
        found[row.device] = Upkeep(row.serviced, every_hours=row.every_hours, used=hours)
    return found


def calibrations_of(session: Session, tenant: str, devices: Collection[str]) -> dict[str, Upkeep]:
    """When these were calibrated, how often that is due, and the hours of use since."""
    model, used = DeviceCalibration, _used_since(session, tenant, devices, DeviceCalibration, _CALIBRATED)
    query = select(model).where(model.tenant == tenant, model.device.in_(sorted(devices)))
    return {
        row.device: Upkeep(
            row.calibrated, row.every_days, row.every_hours, row.hours_since + used.get(row.device, 0)
        )
        for row in session.scalars(query)
    }


def _sums(session: Session, *where: ColumnElement[bool]) -> dict[str, int]:
    query = select(DeviceDay.device, func.sum(DeviceDay.used)).where(*where).group_by(DeviceDay.device)
    return {device: int(hours) for device, hours in session.execute(query)}


def _used_since(
    session: Session,
    tenant: str,
    devices: Collection[str],
    model: type[DeviceService | DeviceCalibration],
    after: ColumnElement[bool],
) -> dict[str, int]:
    """Hours of use of the days that are kept, since each one's last."""
    done: Any = DeviceService.serviced if model is DeviceService else DeviceCalibration.calibrated
    own = (
        model.tenant == DeviceDay.tenant,
        model.device == DeviceDay.device,
        model.tenant == tenant,
        model.device.in_(sorted(devices)),
    )
    found = _sums(session, *own, after)
    begun = select(DeviceDay.device, DeviceDay.day, DeviceDay.hours, done)
    for device, day, hours, at in session.execute(begun.where(*own, DeviceDay.day == done // DAY_NS)):
        found[device] = found.get(device, 0) + hours_after(hours, day, at)
    return found


def prune_days(session: Session, tenant: str, now: int) -> None:
    """Drop days that are too old; their hours of use are kept with the devices."""
    old = DeviceDay.tenant == tenant, DeviceDay.day < day_of(now) - KEPT_DAYS
    if session.scalar(select(exists().where(*old))):
        _keep_hours(session, tenant, old)
        session.execute(delete(DeviceDay).where(*old))


def _keep_hours(session: Session, tenant: str, old: tuple[ColumnElement[bool], ...]) -> None:
    """Add up what leaves: in all and since the last service, and since the last calibration."""
    own = DeviceDay.tenant == DeviceService.tenant, DeviceDay.device == DeviceService.device
    since = case((_SERVICED, DeviceDay.used), else_=0)  # of a device without a row all of it
    gone = select(DeviceDay.device, DeviceService.device, func.sum(DeviceDay.used), func.sum(since))
    gone = gone.outerjoin(DeviceService, and_(*own)).where(*old, DeviceDay.used > 0)
    new: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = []
    for device, row, hours, after in session.execute(gone.group_by(DeviceDay.device, DeviceService.device)):
        counts = {"tenant": tenant, "device": device, "hours_before": int(hours), "hours_since": int(after)}
        (new if row is None else known).append(counts)
    if new:
        session.execute(insert(DeviceService), new)
    _add(session, DeviceService, ("hours_before", "hours_since"), known)
    _add(session, DeviceCalibration, ("hours_since",), _since_calibration(session, tenant, old))


def _since_calibration(
    session: Session, tenant: str, old: tuple[ColumnElement[bool], ...]
) -> list[dict[str, Any]]:
    own = DeviceDay.tenant == DeviceCalibration.tenant, DeviceDay.device == DeviceCalibration.device
    query = select(DeviceDay.device, func.sum(DeviceDay.used)).join(DeviceCalibration, and_(*own))
    found = session.execute(query.where(*old, _CALIBRATED).group_by(DeviceDay.device))
    return [{"tenant": tenant, "device": device, "hours_since": int(hours)} for device, hours in found]


def _add(
    session: Session,
    model: type[DeviceService | DeviceCalibration],
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Add to these columns, each row by its device."""
    if not rows:
        return
    table = model.__table__
    values = {name: table.c[name] + bindparam(f"more_{name}") for name in names}
    change = update(table).where(table.c.tenant == bindparam("of"), table.c.device == bindparam("which"))  # type: ignore[arg-type]
    given = [
        {"of": row["tenant"], "which": row["device"], **{f"more_{name}": row[name] for name in names}}
        for row in rows
    ]
    session.connection().execute(change.values(values), given)
