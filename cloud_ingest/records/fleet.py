"""Devices as engineers look at them: searched and sorted by the database, findings, sums of days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, false, func, or_, select
from sqlalchemy.orm import aliased

from cloud_ingest.device_health.asking import AskedFleet, FleetSort
from cloud_ingest.records.fleet_models import (
    DeviceDay,
    DeviceFinding,
    DeviceStanding,
    WorkOrder,
)
from cloud_ingest.records.models import Device, Gateway, Ward
from cloud_ingest.records.scoping import Repository
from hearthward.trust.access import Scope

__all__ = ["MOST_DAYS", "DeviceLine", "FindingLine", "Fleet"]

MOST_DAYS: Final = 3650
UNKNOWN: Final = "unknown"
_FINDINGS: Final = (
    select(func.count())
    .where(
        DeviceFinding.tenant == Device.tenant,
        DeviceFinding.device == Device.id,
        DeviceFinding.gone.is_(None),
    )
    .correlate(Device)
    .scalar_subquery()
)
_LATEST: Final = aliased(WorkOrder)
_ORDER: Final = (
    select(_LATEST.id)
    .where(_LATEST.tenant == Device.tenant, _LATEST.device == Device.id, _LATEST.state != "done")
    .order_by(_LATEST.opened.desc(), _LATEST.id)
    .limit(1)
    .correlate(Device)
    .scalar_subquery()
)
_STATE: Final = func.coalesce(DeviceStanding.state, UNKNOWN)
_SORTS: Final[dict[FleetSort, Any]] = {
    "id": Device.id,
    "last_seen": DeviceStanding.last_seen,
    "gateway": Device.gateway,
    "ward": Ward.name,
    "profile": Device.profile,
    "firmware": func.nullif(DeviceStanding.firmware, ""),
    "rssi": DeviceStanding.rssi,
    "backlog": DeviceStanding.backlog,
    "clock_skew": DeviceStanding.clock_skew_s,
    "battery": DeviceStanding.battery,
    "days_left": DeviceStanding.days_left,
    "hours_of_use": func.coalesce(DeviceStanding.hours_of_use, 0),
    "state": _STATE,
    "findings": _FINDINGS,
}


class DeviceLine(NamedTuple):
    """A device in the list; ``standing`` None: not looked at yet."""

    device: Device
    ward: Ward | None
    standing: DeviceStanding | None
    findings: int
    work_order: str | None


class FindingLine(NamedTuple):
    """A finding with its device."""

    finding: DeviceFinding
    device: Device
    ward: Ward | None
    state: str


class Fleet(Repository):
    """Reads devices' health, and notes what people say of it."""

    def limits(self, scope: Scope) -> list[ColumnElement[bool]]:
        """Devices in use that a scope covers: none for a patient's."""
        if scope.patient is not None:
            return [false()]
        own = [Device.tenant == scope.tenant, Device.ended.is_(None)]
        return [*own, *self._device_limit(Device.id, Device.gateway, scope)]

    @staticmethod
    def _placed(query: Any) -> Select[Any]:
        placed: Select[Any] = (
            query.outerjoin(Gateway, (Gateway.tenant == Device.tenant) & (Gateway.id == Device.gateway))
            .outerjoin(Ward, (Ward.tenant == Gateway.tenant) & (Ward.id == Gateway.ward))
            .outerjoin(
                DeviceStanding,
                (DeviceStanding.tenant == Device.tenant) & (DeviceStanding.device == Device.id),
            )
        )
        return placed

    def _asked(self, scope: Scope, asked: AskedFleet) -> list[ColumnElement[bool]]:
        found = self.limits(scope)
        same = [
            (asked.ward, Gateway.ward),
            (asked.gateway, Device.gateway),
            (asked.profile, Device.profile),
            (asked.state, _STATE),
        ]
        found += [column == wanted for wanted, column in same if wanted]
        if asked.kind:
            held = select(DeviceFinding.device).where(
                DeviceFinding.tenant == scope.tenant,
                DeviceFinding.kind == asked.kind,
                DeviceFinding.gone.is_(None),
            )
            found.append(Device.id.in_(held))
        searched = (Device.id, Device.label, Device.address, Device.profile)
        found += [
            or_(*(column.icontains(word, autoescape=True) for column in searched))
            for word in asked.words.split()
        ]
        return found

    def devices(self, scope: Scope, asked: AskedFleet) -> tuple[list[DeviceLine], int]:
        """One page, and how many there are in all."""
        where = self._asked(scope, asked)
        counted = select(func.count()).select_from(Device)
        total = self.session.scalar(self._placed(counted).where(*where)) or 0
        column = _SORTS[asked.sort]
        order = [column.is_(None), column.desc() if asked.down else column.asc(), Device.id]
        query = self._placed(select(Device, Ward, DeviceStanding, _FINDINGS, _ORDER)).where(*where)
        rows = self.session.execute(query.order_by(*order).offset(asked.offset).limit(asked.limit))
        return [DeviceLine(*row) for row in rows], total

    def states(self, scope: Scope) -> Counter[str]:
        """How many devices stand where."""
        counted = select(_STATE, func.count()).select_from(Device)
        query = self._placed(counted).where(*self.limits(scope))
        return Counter(dict(self.session.execute(query.group_by(_STATE)).all()))

    def device(self, scope: Scope, key: str) -> DeviceLine | None:
        """One device in scope, ended or not."""
        query = self._placed(select(Device, Ward, DeviceStanding, _FINDINGS, _ORDER))
        limits = [Device.tenant == scope.tenant, *self._device_limit(Device.id, Device.gateway, scope)]
        hidden = [false()] if scope.patient is not None else []
        row = self.session.execute(query.where(Device.id == key, *limits, *hidden)).one_or_none()
        return None if row is None else DeviceLine(*row)

    def days(self, scope: Scope, device: str, first: int) -> Sequence[DeviceDay]:
        """A device's days from ``first`` on, oldest first."""
        query = select(DeviceDay).where(
            DeviceDay.tenant == scope.tenant, DeviceDay.device == device, DeviceDay.day >= first
        )
        return self.session.scalars(query.order_by(DeviceDay.day)).all()

    def placed(self, scope: Scope, ward: str = "") -> list[tuple[str, str | None]]:
        """The devices in use (those of ``ward``), by id, each with its ward."""
        near = (Gateway.tenant == Device.tenant) & (Gateway.id == Device.gateway)
        query = select(Device.id, Gateway.ward).outerjoin(Gateway, near).where(*self.limits(scope))
        if ward:
            query = query.where(Gateway.ward == ward)
        return [(device, place) for device, place in self.session.execute(query.order_by(Device.id))]

    def labels(self, scope: Scope, devices: Collection[str]) -> dict[str, str]:
        """What these devices are called."""
        query = select(Device.id, Device.label).where(Device.tenant == scope.tenant)
        return dict(self.session.execute(query.where(Device.id.in_(sorted(devices)))).all())

    def ward_names(self, scope: Scope) -> dict[str, str]:
        """All wards of the tenant."""
        return dict(self.session.execute(select(Ward.id, Ward.name).where(Ward.tenant == scope.tenant)).all())

    # --- findings -------------------------------------------------------------------------------
    def attention(self, scope: Scope, asked: AskedFleet) -> tuple[list[FindingLine], int]:
        """One page of findings that hold, the most urgent first, and how many there are."""
        where = self._asked(scope, asked)
        if asked.kind:
            where.append(DeviceFinding.kind == asked.kind)
        total = self.session.scalar(self._held(func.count()).where(*where)) or 0
        order = (
            DeviceFinding.proposed.is_(None),
            DeviceFinding.proposed,
            DeviceFinding.confidence.desc(),
            DeviceFinding.device,
            DeviceFinding.id,
        )
        query = self._held(DeviceFinding, Device, Ward, _STATE).where(*where).order_by(*order)
        rows = self.session.execute(query.offset(asked.offset).limit(asked.limit))
        return [FindingLine(*row) for row in rows], total

    def _held(self, *columns: Any) -> Select[Any]:
        joined = (
            select(*columns)
            .select_from(Device)
            .join(
                DeviceFinding, (DeviceFinding.tenant == Device.tenant) & (DeviceFinding.device == Device.id)
            )
        )
        return self._placed(joined).where(DeviceFinding.gone.is_(None))

    def kinds(self, scope: Scope) -> Counter[str]:
        """How many findings of each kind hold."""
        query = self._held(DeviceFinding.kind, func.count()).where(*self.limits(scope))
        return Counter(dict(self.session.execute(query.group_by(DeviceFinding.kind)).all()))

    def findings_of(self, scope: Scope, device: str, limit: int = 200) -> Sequence[DeviceFinding]:
        """Those of a device: what holds first, then the newest."""
        query = select(DeviceFinding).where(
            DeviceFinding.tenant == scope.tenant, DeviceFinding.device == device
        )
        order = (DeviceFinding.gone.is_not(None), DeviceFinding.opened.desc(), DeviceFinding.id)
        return self.session.scalars(query.order_by(*order).limit(limit)).all()

    def finding(self, scope: Scope, key: str) -> DeviceFinding | None:
        """One whose device is in scope."""
        row = self.session.get(DeviceFinding, (scope.tenant, key))
        return None if row is None or self.device(scope, row.device) is None else row

    def acknowledge(self, scope: Scope, key: str, by: str) -> DeviceFinding | None:
        """Note who has seen it first; None when there is none in scope."""
        row = self.finding(scope, key)
        if row is not None and row.acknowledged_at is None:
            row.acknowledged_at, row.acknowledged_by = self.now, by
        return row
