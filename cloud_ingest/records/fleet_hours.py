"""Hours of use in the records: since services and calibrations, and those of days that are kept no longer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from cloud_ingest.device_health.hours import hours_after
from cloud_ingest.device_health.judging import Upkeep
from cloud_ingest.device_health.sums import DAY_NS, KEPT_DAYS, day_of
from cloud_ingest.records.fleet_models import DeviceCalibration, DeviceDay, DeviceService

__all__ = ["calibrations_of", "hours_ever", "prune_days", "services_of"]

_SERVICED: Final = or_(DeviceService.serviced.is_(None), DeviceDay.day * DAY_NS > DeviceService.serviced)
_CALIBRATED: Final = DeviceDay.day * DAY_NS > DeviceCalibration.calibrated
"""A day all of which is after the last one."""


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
        DeviceDay.tenant == tenant,
        DeviceDay.device.in_(sorted(devices)),
    )
    found = _sums(session, *own, after)
    begun = select(DeviceDay.device, DeviceDay.hours, DeviceDay.day, done).where(
        *own, DeviceDay.day * DAY_NS <= done, DeviceDay.day * DAY_NS > done - DAY_NS
    )
    for device, hours, day, at in session.execute(begun):
        found[device] = found.get(device, 0) + hours_after(hours, day, at)
    return found


def prune_days(session: Session, tenant: str, now: int) -> None:
    """Drop days that are too old; their hours of use are kept with the devices."""
    old = DeviceDay.tenant == tenant, DeviceDay.day < day_of(now) - KEPT_DAYS
    if session.scalar(select(exists().where(*old))):
        _keep_hours(session, tenant, old)
        session.execute(delete(DeviceDay).where(*old))


def _keep_hours(session: Session, tenant: str, old: tuple[ColumnElement[bool], ...]) -> None:
    known = exists().where(DeviceService.tenant == tenant, DeviceService.device == DeviceDay.device)
    new = (
        select(DeviceDay.tenant, DeviceDay.device, literal(0), literal(0))
        .where(*old, DeviceDay.used > 0, ~known)
        .distinct()
    )
    names = ["tenant", "device", "hours_before", "hours_since"]
    session.execute(insert(DeviceService).from_select(names, new))
    dropping = select(DeviceDay.device).where(*old)
    for model, after in ((DeviceService, _SERVICED), (DeviceCalibration, _CALIBRATED)):
        values = {"hours_since": model.hours_since + _dropped(model, old, after)}
        if model is DeviceService:
            values["hours_before"] = DeviceService.hours_before + _dropped(model, old)
        change = update(model).where(model.tenant == tenant, model.device.in_(dropping)).values(values)
        session.execute(change.execution_options(synchronize_session=False))


def _dropped(
    model: type[DeviceService | DeviceCalibration],
    old: tuple[ColumnElement[bool], ...],
    *more: ColumnElement[bool],
) -> Any:
    total = select(func.coalesce(func.sum(DeviceDay.used), 0))
    return total.where(*old, DeviceDay.device == model.device, *more).correlate(model).scalar_subquery()
