"""The port's fleet over the real records and store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar

from sqlalchemy.orm import Session

from cloud_ingest.device_health.asking import AskedFleet, AskedOrders, AskedSpan
from cloud_ingest.device_health.kept_days import day_of_row
from cloud_ingest.device_health.span_sums import SpanSums
from cloud_ingest.device_health.sums import day_of
from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.fleet import DeviceLine, FindingLine
from cloud_ingest.records.fleet_hours import calibrations_of, services_of
from cloud_ingest.records.work_orders import OrderLine, WorkOrders
from cloud_ingest.service import CloudService
from cloud_ingest.stores.base import FOREVER
from dashboards.backend import DirectoryError
from dashboards.cloud_fleet_sums import graded, used
from dashboards.fleet_models import (
    AttentionPage,
    DeviceFile,
    DeviceRow,
    FindingView,
    FleetPage,
    FrameValue,
    FrameView,
    OrderDraft,
    OrderNote,
    OrderPage,
    OrderRule,
    QualityPage,
    Utilisation,
    WorkOrder,
)
from dashboards.fleet_views import day_view, hidden_frame, note_text, rules_view, seen_rows, upkeep_fields
from dashboards.watch_models import DeviceWatch
from hearthward.core.codes import METRICS
from hearthward.core.errors import ConfigError, UplinkError
from hearthward.core.model import Reading, ReadingBatch
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["CloudFleet"]

T = TypeVar("T")
PER_FRAME: Final = 16
"""So many readings of a frame are read at most, on average."""


class CloudFleet:
    """The part of ``CloudBackend`` that is about the health of devices."""

    def __init__(self, service: CloudService) -> None:
        self._service = service
        self._records: Records = service.records

    async def _fleet(self, read: Callable[[WorkOrders], T]) -> T:
        return await self._records.read(lambda s: read(self._records.fleet(s)))

    async def needs_attention(self, scope: Scope, asked: AskedFleet) -> AttentionPage:
        """See the port."""

        def read(fleet: WorkOrders) -> AttentionPage:
            found, total = fleet.attention(scope, asked)
            names = fleet.named(scope, [line.finding.acknowledged_by for line in found])
            return AttentionPage.model_validate(
                {"items": [_attention(x, names) for x in found], "total": total, "kinds": fleet.kinds(scope)}
            )

        return await self._fleet(read)

    async def fleet(self, scope: Scope, asked: AskedFleet) -> FleetPage:
        """See the port."""

        def read(fleet: WorkOrders) -> FleetPage:
            found, total = fleet.devices(scope, asked)
            items = [_row(line) for line in found]
            return FleetPage.model_validate({"items": items, "total": total, "states": fleet.states(scope)})

        page = await self._fleet(read)
        seen = await self._received(scope, [row.id for row in page.items])
        return page.model_copy(update={"items": seen_rows(page.items, seen, asked)})

    async def _received(self, scope: Scope, devices: Sequence[str]) -> dict[str, int]:
        """When the newest reading of each came."""
        newest: dict[str, int] = {}
        batch = await self._service.store.latest(scope.tenant, devices)
        for device, received in zip(batch.device, batch.received, strict=True):
            newest[device] = max(received, newest.get(device, 0))
        return newest

    async def fleet_device(self, scope: Scope, device: str, *, days: int = 90) -> DeviceFile | None:
        """See the port."""
        file = await self._fleet(lambda fleet: self._file(fleet, scope, device, days))
        if file is None:
            return None
        (row,) = seen_rows([file.row], await self._received(scope, [device]), AskedFleet())
        return file.model_copy(update={"row": row})

    async def device_frames(
        self, scope: Scope, device: str, *, values: bool, limit: int = 20
    ) -> Sequence[FrameView] | None:
        """See the port."""
        if await self._fleet(lambda fleet: fleet.device(scope, device)) is None:
            return None
        batch = await self._service.store.read(
            scope.tenant, [device], None, 0, FOREVER, limit=limit * PER_FRAME, newest=True
        )
        frames = _frames(batch)[:limit]
        return frames if values else [hidden_frame(frame) for frame in frames]

    async def watch_frames(self, who: Principal, device: str, seconds: int) -> DeviceWatch | None:
        """See the port."""
        line = await self._fleet(lambda fleet: fleet.device(scope_of(who), device))
        if line is None:
            return None
        gateway = line.device.gateway
        if not self._service.gateways.online(gateway):
            raise DirectoryError(field="gateway", code="state", value="offline")
        try:
            await self._service.frames.watch(gateway, device, who.user, seconds)
        except UplinkError as error:
            raise DirectoryError(field="gateway", code="state", value="offline") from error
        except ConfigError as error:
            raise DirectoryError(str(error.details["field"]), str(error.details["code"])) from error
        return await self.watched_frames(who, device)

    async def watched_frames(self, who: Principal, device: str) -> DeviceWatch | None:
        """See the port."""
        watch = self._service.frames.book.seen_by(device, who.user)
        if watch is None or await self._fleet(lambda fleet: fleet.device(scope_of(who), device)) is None:
            return None
        known = self._service.gateways.get(watch.gateway)
        return DeviceWatch.of(
            watch,
            who.user,
            self._records.wall.now_ns(),
            online=known is not None and known.online,
            software="" if known is None else known.version,
        )

    async def _sums(self, asked: AskedSpan) -> SpanSums:
        return await self._service.health.spans.of(day_of(self._service.clock.now_ns()) - asked.days)

    async def utilisation(self, scope: Scope, asked: AskedSpan) -> tuple[Sequence[Utilisation], int]:
        """See the port."""
        sums, now = await self._sums(asked), self._service.clock.now_ns()
        return await self._fleet(lambda fleet: used(fleet, scope, asked, sums, now))

    async def data_quality(self, scope: Scope, asked: AskedSpan) -> QualityPage:
        """See the port."""
        sums = await self._sums(asked)
        return await self._fleet(lambda fleet: graded(fleet, scope, asked, sums))

    async def acknowledge_finding(self, who: Principal, finding: str) -> FindingView | None:
        """See the port."""
        scope = scope_of(who)

        def write(session: Session) -> FindingView | None:
            fleet = self._records.fleet(session)
            row = fleet.acknowledge(scope, finding, who.user)
            return None if row is None else _finding(row, fleet.named(scope, [row.acknowledged_by]))

        return await self._records.run(write)

    async def calibrate_device(
        self, who: Principal, device: str, calibrated: int, every_days: int, every_hours: int | None = None
    ) -> DeviceFile | None:
        """See the port."""
        scope = scope_of(who)

        def write(fleet: WorkOrders) -> DeviceFile | None:
            noted = fleet.calibrate(scope, device, calibrated, every_days, who.user, every_hours)
            return None if noted is None else self._file(fleet, scope, device)

        return await self._fleet_write(write)

    async def service_device(
        self, who: Principal, device: str, serviced: int | None, every_hours: int | None
    ) -> DeviceFile | None:
        """See the port."""
        scope = scope_of(who)

        def write(fleet: WorkOrders) -> DeviceFile | None:
            noted = fleet.serve(scope, device, serviced, every_hours, who.user)
            return None if noted is None else self._file(fleet, scope, device)

        return await self._fleet_write(write)

    # --- work orders ----------------------------------------------------------------------------
    async def work_orders(self, scope: Scope, asked: AskedOrders) -> OrderPage:
        """See the port."""

        def read(fleet: WorkOrders) -> OrderPage:
            found, total = fleet.orders(scope, asked)
            return OrderPage.model_validate(
                {"items": _orders(fleet, scope, found), "total": total, "states": fleet.order_states(scope)}
            )

        return await self._fleet(read)

    async def order_rules(self, scope: Scope) -> Sequence[OrderRule]:
        """See the port."""
        del scope
        return rules_view(self._service.health.rules)

    async def work_order(self, scope: Scope, key: str) -> WorkOrder | None:
        """See the port."""
        return await self._fleet(lambda fleet: _order(fleet, scope, key))

    async def open_work_order(self, who: Principal, draft: OrderDraft) -> WorkOrder:
        """See the port."""
        scope = scope_of(who)
        written = note_text(draft.text, needed=False)
        words = {"en": written, "zh": written} if written else {}

        def write(fleet: WorkOrders) -> WorkOrder | None:
            row = fleet.open_order(
                scope,
                draft.device,
                by=who.user,
                text=words,
                finding=draft.finding,
                assignee=draft.assignee,
                due=draft.due,
            )
            return _order(fleet, scope, row.id)

        opened = await self._fleet_write(write)
        if opened is None:
            msg = "a work order that was opened is not there"
            raise AssertionError(msg)
        return opened

    async def assign_work_order(
        self, who: Principal, key: str, assignee: str, instead_of: str | None = None
    ) -> WorkOrder | None:
        """See the port."""
        scope = scope_of(who)
        return await self._fleet_write(
            lambda fleet: _shown(fleet, scope, fleet.assign(scope, key, assignee, who.user, instead_of)),
        )

    async def finish_work_order(
        self, who: Principal, key: str, text: str = "", *, serviced: bool = True
    ) -> WorkOrder | None:
        """See the port."""
        scope, note = scope_of(who), note_text(text, needed=False)
        return await self._fleet_write(
            lambda fleet: _shown(fleet, scope, fleet.finish(scope, key, note, who.user, serviced=serviced))
        )

    async def comment_work_order(self, who: Principal, key: str, text: str) -> WorkOrder | None:
        """See the port."""
        scope, note = scope_of(who), note_text(text, needed=True)
        return await self._fleet_write(
            lambda fleet: _shown(fleet, scope, fleet.comment(scope, key, note, who.user))
        )

    def _file(self, fleet: WorkOrders, scope: Scope, device: str, days: int = 90) -> DeviceFile | None:
        first = day_of(self._service.clock.now_ns()) - days
        file = _file(fleet, scope, device, first)
        if file is None:
            return None
        (service,) = services_of(fleet.session, scope.tenant, [device]).values()
        calibration = calibrations_of(fleet.session, scope.tenant, [device]).get(device)
        usual = self._service.health.service_hours.get(file.row.profile or "")
        return file.model_copy(update=upkeep_fields(calibration, service, usual))

    async def _fleet_write(self, write: Callable[[WorkOrders], T]) -> T:
        try:
            return await self._records.run(lambda s: write(self._records.fleet(s)))
        except ConfigError as error:
            told = error.details
            if "code" not in told:
                raise
            raise DirectoryError(str(told["field"]), str(told["code"]), told.get("value", "")) from error


def _row(line: DeviceLine) -> DeviceRow:
    device, at = line.device, line.standing
    told: dict[str, Any] = {"state": "unknown"}
    if at is not None:
        names = DeviceRow.model_fields.keys() & rows.DeviceStanding.__table__.columns.keys()
        told = {name: getattr(at, name) for name in sorted(names)}
    placed = {
        "id": device.id,
        "label": device.label,
        "gateway": device.gateway,
        "ward": None if line.ward is None else line.ward.id,
        "ward_name": "" if line.ward is None else line.ward.name,
        "profile": device.profile,
        "findings": line.findings,
        "work_order": line.work_order,
    }
    return DeviceRow.model_validate({**told, **placed})


def _finding(row: rows.DeviceFinding, names: dict[str, str]) -> FindingView:
    columns = FindingView.model_fields.keys()
    by = row.acknowledged_by
    fields = {name: getattr(row, name) for name in columns}
    return FindingView.model_validate({**fields, "acknowledged_by": by and names.get(by, by)})


def _attention(line: FindingLine, names: dict[str, str]) -> dict[str, Any]:
    return {
        "finding": _finding(line.finding, names),
        "label": line.device.label,
        "gateway": line.device.gateway,
        "ward": None if line.ward is None else line.ward.id,
        "ward_name": "" if line.ward is None else line.ward.name,
        "profile": line.device.profile,
        "state": line.state,
    }


def _file(fleet: WorkOrders, scope: Scope, device: str, first: int) -> DeviceFile | None:
    line = fleet.device(scope, device)
    if line is None:
        return None
    findings = fleet.findings_of(scope, device)
    names = fleet.named(scope, [row.acknowledged_by for row in findings])
    return DeviceFile(
        row=_row(line),
        days=[day_view(day_of_row(row)) for row in fleet.days(scope, device, first)],
        findings=[_finding(row, names) for row in findings],
        orders=_orders(fleet, scope, fleet.orders_of(scope, device)),
    )


def _order(fleet: WorkOrders, scope: Scope, key: str) -> WorkOrder | None:
    line = fleet.order(scope, key)
    return None if line is None else _orders(fleet, scope, [line])[0]


def _shown(fleet: WorkOrders, scope: Scope, row: rows.WorkOrder | None) -> WorkOrder | None:
    return None if row is None else _order(fleet, scope, row.id)


def _orders(fleet: WorkOrders, scope: Scope, lines: Sequence[OrderLine]) -> list[WorkOrder]:
    notes = fleet.notes(scope, [line.order.id for line in lines])
    people = [u for x in lines for u in (x.order.opened_by, x.order.assignee, x.order.done_by)]
    people += [note.by for some in notes.values() for note in some]
    names = fleet.named(scope, people)
    return [_order_view(line, notes[line.order.id], names) for line in lines]


def _order_view(line: OrderLine, notes: Iterable[rows.WorkNote], names: dict[str, str]) -> WorkOrder:
    def name(user: str | None) -> str:
        return names.get(user, user) if user else ""

    row = line.order
    told = [
        {"at": n.at, "by": name(n.by), "do": n.do, "text": n.text, "before": n.before or ""} for n in notes
    ]
    return WorkOrder.model_validate(
        {
            "id": row.id,
            "device": row.device,
            "label": line.device.label,
            "ward": None if line.ward is None else line.ward.id,
            "ward_name": "" if line.ward is None else line.ward.name,
            "kind": row.kind,
            "finding": row.finding,
            "text": row.text,
            "state": row.state,
            "due": row.due,
            "opened": row.opened,
            "opened_by": name(row.opened_by),
            "assignee": row.assignee,
            "assignee_name": name(row.assignee),
            "assigned": row.assigned,
            "done": row.done,
            "done_by": name(row.done_by),
            "notes": [OrderNote.model_validate(note) for note in told],
        }
    )


def _frames(batch: ReadingBatch) -> list[FrameView]:
    """What was received at one time is of one frame; newest first."""
    readings = sorted(batch, key=lambda r: -r.received)
    return [_frame(at, list(some)) for at, some in groupby(readings, lambda r: r.received)]


def _frame(at: int, readings: Sequence[Reading]) -> FrameView:
    values = [
        FrameValue(metric=r.metric, value=r.value, code=r.code, unit=_unit(r), quality=int(r.quality))
        for r in sorted(readings, key=lambda r: (r.ordinal, r.metric))
    ]
    return FrameView(received=at, measured=max(r.corrected for r in readings), values=values)


def _unit(reading: Reading) -> str | None:
    known = METRICS.get(reading.metric)
    return None if known is None else known.unit
