"""Writing devices' health: sums of days out of the loss ledger, standings, findings that come and go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from cloud_ingest.device_health.findings import Finding
from cloud_ingest.device_health.kept_days import day_of_row
from cloud_ingest.device_health.links import LinkDay, joined_signal
from cloud_ingest.device_health.ordering import RULES, OrderRules, opens_order
from cloud_ingest.device_health.sums import DOUBTS, DaySums, SignalDay, SignalName
from cloud_ingest.loss_ledger import CLONE, DOUBT, DUPLICATE, LATE, REFUSED, STORED
from cloud_ingest.records.fleet_models import (
    DeviceDay,
    DeviceFinding,
    DeviceStanding,
    WorkOrder,
)
from cloud_ingest.records.models import AuditRow, Device, LedgerCount
from cloud_ingest.records.work_orders import WorkOrders
from hearthward.trust.access import Scope

__all__ = [
    "BY_RULE",
    "add_links",
    "counts_of_hour",
    "days_of",
    "end_findings",
    "keep_findings",
    "rates_of_week",
    "set_counts",
    "set_signals",
    "set_standings",
    "summed_up",
    "sums_of_span",
]

BY_RULE: Final = "system"
HOURS: Final = 24
ESTIMATED: Final = frozenset({"battery", "calibration", "life", "service"})
"""Kinds whose date is worked out; that of others is so many days after it was found, and does not move on."""
EMPTY: Final[dict[str, Any]] = {
    "hours": 0,
    "used": 0,
    "span": 0,
    "stored": 0,
    "rejected": 0,
    "repeated": 0,
    "late": 0,
    "dropouts": 0,
}


def counts_of_hour(session: Session, tenant: str, hour: int) -> list[tuple[str, list[int]]]:
    """Of each device in an hour: stored, rejected, repeated, late, then ``DOUBTS``, out of the ledger."""
    doubts = [_total(LedgerCount.kind == DOUBT + word) for word in DOUBTS]
    query = (
        select(LedgerCount.device, *_counted(), *doubts)
        .where(LedgerCount.tenant == tenant, LedgerCount.hour == hour, LedgerCount.device != "")
        .group_by(LedgerCount.device)
    )
    return [(device, [int(n) for n in counts]) for device, *counts in session.execute(query)]


def _counted() -> list[Any]:
    """Stored, rejected, repeated, late readings as sums of the ledger's counts."""
    kind = LedgerCount.kind
    rejected = kind.startswith(REFUSED, autoescape=True) | kind.startswith("rejected:", autoescape=True)
    wanted = (kind == STORED, rejected, kind.in_((DUPLICATE, CLONE)), kind == LATE)
    return [_total(one) for one in wanted]


def _total(condition: ColumnElement[bool]) -> Any:
    return func.coalesce(func.sum(case((condition, LedgerCount.n), else_=0)), 0)


def _rows(session: Session, tenant: str, keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], DeviceDay]:
    """The rows of these (device, day), made where there are none."""
    by_day: defaultdict[int, list[str]] = defaultdict(list)
    for device, day in keys:
        by_day[day].append(device)
    found: dict[tuple[str, int], DeviceDay] = {}
    for day, devices in by_day.items():
        query = select(DeviceDay).where(
            DeviceDay.tenant == tenant, DeviceDay.day == day, DeviceDay.device.in_(devices)
        )
        found |= {(row.device, day): row for row in session.scalars(query)}
        for device in devices:
            if (device, day) not in found:
                row = DeviceDay(tenant=tenant, day=day, device=device, signals={}, **EMPTY)
                session.add(row)
                found[device, day] = row
    return found


def summed_up(session: Session, tenant: str, day: int) -> bool:
    """Whether the sums of a day are those of the ledger, as far as devices in use are concerned."""
    used = select(Device.id).where(Device.tenant == tenant, Device.ended.is_(None))
    of_day = DeviceDay.stored, DeviceDay.rejected, DeviceDay.repeated, DeviceDay.late
    kept = select(*(func.coalesce(func.sum(column), 0) for column in of_day)).where(
        DeviceDay.tenant == tenant, DeviceDay.day == day, DeviceDay.device.in_(used)
    )
    counted = select(*_counted()).where(
        LedgerCount.tenant == tenant,
        LedgerCount.hour >= day * HOURS,
        LedgerCount.hour < (day + 1) * HOURS,
        LedgerCount.device.in_(used),
    )
    return tuple(session.execute(kept).one()) == tuple(session.execute(counted).one())


def set_counts(session: Session, tenant: str, sums: Collection[DaySums]) -> list[str]:
    """Put the ledger's part of these days in place, links and signals stay; the devices it changes."""
    rows = _rows(session, tenant, [(s.device, s.day) for s in sums])
    changed = []
    for one in sums:
        row = rows[one.device, one.day]
        before = row.hours, row.stored, row.rejected, row.repeated, row.late
        if before != (one.hours, one.stored, one.rejected, one.repeated, one.late):
            changed.append(one.device)
        row.hours, row.used, row.span = one.hours, one.used, one.span
        row.stored, row.rejected, row.repeated, row.late = one.stored, one.rejected, one.repeated, one.late
        for name in DOUBTS:
            setattr(row, name, one.doubts.get(name, 0))
    return changed


def set_signals(
    session: Session, tenant: str, found: Mapping[tuple[str, int], Mapping[SignalName, SignalDay]]
) -> None:
    """Put what devices tell of themselves in place."""
    rows = _rows(session, tenant, found)
    for key, signals in found.items():
        packed: dict[str, Any] = {name: _packed(one) for name, one in signals.items()}
        rows[key].signals = {**rows[key].signals, **packed}


def add_links(session: Session, tenant: str, found: Mapping[tuple[str, int], LinkDay]) -> None:
    """Add what came of links since the last time."""
    rows = _rows(session, tenant, found)
    for key, link in found.items():
        row = rows[key]
        row.dropouts += link.dropouts
        if link.rssi is not None:
            old = row.signals.get("rssi")
            joined = joined_signal(None if old is None else SignalDay(*old), link.rssi)
            row.signals = {**row.signals, "rssi": _packed(joined)}


def _packed(one: SignalDay) -> list[float]:
    return [one.count, one.mean, one.low, one.high, one.last]


def set_standings(session: Session, tenant: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Change these columns of these devices."""
    query = select(DeviceStanding).where(
        DeviceStanding.tenant == tenant, DeviceStanding.device.in_(sorted(found))
    )
    rows = {row.device: row for row in session.scalars(query)}
    for device, columns in found.items():
        row = rows.get(device)
        if row is None:
            row = DeviceStanding(tenant=tenant, device=device)
            session.add(row)
        for name, value in columns.items():
            setattr(row, name, value)


def days_of(session: Session, tenant: str, devices: Collection[str], first: int) -> dict[str, list[DaySums]]:
    """Their days from ``first`` on, oldest first."""
    query = select(DeviceDay).where(
        DeviceDay.tenant == tenant, DeviceDay.device.in_(sorted(devices)), DeviceDay.day >= first
    )
    found: dict[str, list[DaySums]] = {device: [] for device in devices}
    for row in session.scalars(query.order_by(DeviceDay.device, DeviceDay.day)):
        found[row.device].append(day_of_row(row))
    return found


def rates_of_week(session: Session, tenant: str, today: int) -> dict[str, list[tuple[int, int]]]:
    """Losses and hours of use in the week up to ``today``, of each profile's devices."""
    query = (
        select(Device.profile, func.sum(DeviceDay.dropouts), func.sum(DeviceDay.used))
        .join(DeviceDay, (DeviceDay.tenant == Device.tenant) & (DeviceDay.device == Device.id))
        .where(Device.tenant == tenant, DeviceDay.day > today - 7, DeviceDay.day <= today)
        .group_by(Device.id, Device.profile)
    )
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for profile, losses, hours in session.execute(query):
        if profile and hours:
            found[profile].append((int(losses), int(hours)))
    return found


def sums_of_span(session: Session, tenant: str, first: int) -> Iterator[Sequence[Any]]:
    """Of each device with days from ``first`` on: its id, ``NUMBERS``, then ``DOUBTS``."""
    columns = (
        DeviceDay.stored,
        DeviceDay.rejected,
        DeviceDay.repeated,
        case((DeviceDay.late < DeviceDay.stored, DeviceDay.late), else_=DeviceDay.stored),
        DeviceDay.used,
        case((DeviceDay.used < DeviceDay.span, DeviceDay.used), else_=DeviceDay.span),
        DeviceDay.span,
        *(getattr(DeviceDay, name) for name in DOUBTS),
    )
    query = (
        select(DeviceDay.device, *(func.sum(column) for column in columns))
        .where(DeviceDay.tenant == tenant, DeviceDay.day >= first)
        .group_by(DeviceDay.device)
    )
    return iter(session.execute(query))


def keep_findings(
    fleet: WorkOrders,
    tenant: str,
    found: Mapping[str, Sequence[Finding]],
    *,
    settled: bool = True,
    rules: OrderRules = RULES,
) -> list[str]:
    """Bring the findings of these devices up to date; the ids of work orders that a rule opened.

    What holds still keeps its id and since when, and its date unless that is estimated anew; what is found no
    longer is gone, and its order says so. Not ``settled``: no device is newly silent. One that has just been
    ended has none.
    """
    scope, session = Scope.system(tenant), fleet.session
    in_use = select(Device.id).where(
        Device.tenant == tenant, Device.id.in_(sorted(found)), Device.ended.is_(None)
    )
    found = {device: found[device] for device in sorted(session.scalars(in_use))}
    query = select(DeviceFinding).where(
        DeviceFinding.tenant == tenant,
        DeviceFinding.device.in_(sorted(found)),
        DeviceFinding.gone.is_(None),
    )
    held = {(row.device, row.kind, row.about): row for row in session.scalars(query)}
    opened: list[str] = []
    for device, findings in found.items():
        for finding in findings:
            row = held.pop((device, finding.kind, finding.about), None)
            if row is None and finding.kind == "offline" and not settled:
                continue
            if row is None:
                row = _new(fleet, tenant, device, finding)
            row.evidence, row.confidence = dict(finding.evidence), finding.confidence
            row.text, row.seen = dict(finding.text), fleet.now
            if row.proposed is None or finding.kind in ESTIMATED:
                row.proposed = finding.proposed
            session.flush()
            about = row.confidence, row.proposed, row.opened, fleet.now
            if row.work_order is None and opens_order(rules[finding.kind], *about):
                opened += _ordered(fleet, scope, row)
    for row in held.values():
        _gone(fleet, scope, row)
    session.flush()
    return opened


def end_findings(fleet: WorkOrders, tenant: str) -> None:
    """Nothing is wrong with devices that are in use no longer."""
    ended = select(Device.id).where(Device.tenant == tenant, Device.ended.is_not(None))
    query = select(DeviceFinding).where(
        DeviceFinding.tenant == tenant, DeviceFinding.gone.is_(None), DeviceFinding.device.in_(ended)
    )
    for row in fleet.session.scalars(query):
        _gone(fleet, Scope.system(tenant), row)
    fleet.session.flush()


def _gone(fleet: WorkOrders, scope: Scope, row: DeviceFinding) -> None:
    row.gone = fleet.now
    if row.work_order is not None:
        fleet.finding_gone(scope, row.work_order)


def _new(fleet: WorkOrders, tenant: str, device: str, finding: Finding) -> DeviceFinding:
    row = DeviceFinding(
        tenant=tenant,
        id=fleet.ids.new("fnd"),
        device=device,
        kind=finding.kind,
        about=finding.about,
        evidence={},
        confidence=finding.confidence,
        text={},
        opened=fleet.now,
        seen=fleet.now,
    )
    fleet.session.add(row)
    return row


def _ordered(fleet: WorkOrders, scope: Scope, row: DeviceFinding) -> list[str]:
    """A work order for a finding; where one of its kind is not done yet, that one is for both."""
    query = select(WorkOrder.id).where(
        WorkOrder.tenant == scope.tenant,
        WorkOrder.device == row.device,
        WorkOrder.kind == row.kind,
        WorkOrder.state != "done",
    )
    known = fleet.session.scalars(query.order_by(WorkOrder.opened)).first()
    if known is not None:
        row.work_order = known
        fleet.finding_again(scope, known)
        return []
    order = fleet.open_order(scope, row.device, by=None, finding=row.id)
    fleet.session.add(
        AuditRow(
            at=fleet.wall,
            tenant=scope.tenant,
            actor=BY_RULE,
            action="maintain_device",
            resource_kind="work_order",
            resource_id=order.id,
            outcome="done",
            detail={"do": "open", "device": row.device, "finding": row.id, "assignee": None},
        )
    )
    return [order.id]
