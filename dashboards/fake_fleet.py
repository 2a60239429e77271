"""The fake's fleet: sums, findings and frames that are put in, over the fake's own directory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cloud_ingest.device_health.asking import AskedFleet, AskedSpan, DeviceState
from cloud_ingest.device_health.hours import MOST_HOURS, used_since
from cloud_ingest.device_health.judging import Upkeep
from cloud_ingest.device_health.standing import standing_of
from cloud_ingest.device_health.sums import DaySums, Totals, day_of
from cloud_ingest.frame_watch import WatchBook
from cloud_ingest.records.fleet import MOST_DAYS
from dashboards.backend import DirectoryError
from dashboards.fake_work_orders import FakeWorkOrders
from dashboards.fleet_models import (
    Attention,
    AttentionPage,
    DeviceFile,
    DeviceRow,
    FindingView,
    FleetPage,
    FrameView,
    QualityPage,
    Utilisation,
)
from dashboards.fleet_views import (
    Group,
    day_view,
    hidden_frame,
    in_order,
    quality_page,
    seen_rows,
    upkeep_fields,
    use_page,
)
from dashboards.models import Device, Gateway, Kind, Ward
from dashboards.watch_models import DeviceWatch
from hearthward.core.clock import Clock, iso
from hearthward.core.errors import ConfigError
from hearthward.core.raw_frames import RawFrames
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["FakeFleet"]

NEVER: Final = 1 << 62


class FakeFleet(FakeWorkOrders):
    """The part of ``FakeBackend`` that is about the health of devices."""

    clock: Clock

    def __init__(self) -> None:
        FakeWorkOrders.__init__(self)
        self._device_days: defaultdict[str, dict[tuple[str, int], DaySums]] = defaultdict(dict)
        self._device_facts: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._calibrated: defaultdict[str, dict[str, Upkeep]] = defaultdict(dict)
        self.service_hours: dict[str, int] = {}
        self._device_frames: defaultdict[str, dict[str, list[FrameView]]] = defaultdict(dict)
        self._watch_books: dict[str, WatchBook] = {}

    # of the fake itself
    def _rows(self, tenant: str, kind: Kind) -> Mapping[str, Any]:
        raise NotImplementedError

    async def last_seen(self, scope: Scope) -> Mapping[str, int]:
        """See the port."""
        raise NotImplementedError

    def put_device_day(self, tenant: str, sums: DaySums) -> None:
        """Set the sums of a device's day."""
        self._device_days[tenant][sums.device, sums.day] = sums

    def put_device_facts(self, tenant: str, device: str, **facts: Any) -> None:
        """Set fields of a device's row that the fake cannot know, such as ``firmware`` or ``days_left``."""
        self._device_facts[tenant].setdefault(device, {}).update(facts)

    def put_finding(self, tenant: str, finding: FindingView) -> None:
        """Set a finding."""
        self._findings[tenant][finding.id] = finding

    def put_frames(self, tenant: str, device: str, frames: Sequence[FrameView]) -> None:
        """Set a device's newest frames, newest first."""
        self._device_frames[tenant][device] = list(frames)

    def put_raw_frames(self, tenant: str, told: RawFrames) -> bool:
        """A gateway tells a device's frames; False: nobody looks at it."""
        return self._watch_book(tenant).take(told)

    def _watch_book(self, tenant: str) -> WatchBook:
        return self._watch_books.setdefault(tenant, WatchBook(self.clock))

    def _in_use(self, scope: Scope) -> list[Device]:
        if scope.patient is not None:
            return []
        devices = self._rows(scope.tenant, "device").values()
        return [d for d in devices if d.ended is None and self._visible(scope, "device", d)]

    def _gateway_ward(self, tenant: str, device: Device) -> Ward | None:
        gateway: Gateway | None = self._rows(tenant, "gateway").get(device.gateway)
        ward: Ward | None = self._rows(tenant, "ward").get(gateway.ward or "") if gateway else None
        return ward

    def _device_row(self, tenant: str, device: Device) -> DeviceRow:
        gateway: Gateway | None = self._rows(tenant, "gateway").get(device.gateway)
        ward = self._gateway_ward(tenant, device)
        held = [f for f in self._findings[tenant].values() if f.device == device.id and f.gone is None]
        orders = [o for o in self._orders_of(tenant, device.id) if o.state != "done"]
        state = _state(device, gateway)
        fields: dict[str, Any] = {
            "id": device.id,
            "label": device.label,
            "gateway": device.gateway,
            "ward": ward.id if ward else None,
            "ward_name": ward.name if ward else "",
            "profile": device.profile,
            "state": state,
            "cause": device.condition.cause if device.condition else "none",
            "backlog": gateway.backlog if gateway else None,
            "findings": len(held),
            "work_order": orders[0].id if orders else None,
        }
        return DeviceRow(**{**fields, **self._device_facts[tenant].get(device.id, {})})

    def _asked(self, scope: Scope, asked: AskedFleet) -> list[DeviceRow]:
        every = [(d, self._device_row(scope.tenant, d)) for d in self._in_use(scope)]
        kinds: defaultdict[str, set[str]] = defaultdict(set)
        for finding in self._findings[scope.tenant].values():
            if finding.gone is None:
                kinds[finding.device].add(finding.kind)
        return [
            row
            for device, row in every
            if _fits(row, device.address, asked)
            and asked.state in {"", row.state}
            and (not asked.kind or asked.kind in kinds[row.id])
        ]

    async def needs_attention(self, scope: Scope, asked: AskedFleet) -> AttentionPage:
        """See the port."""
        every = {d.id: self._device_row(scope.tenant, d) for d in self._in_use(scope)}
        held = [f for f in self._findings[scope.tenant].values() if f.gone is None and f.device in every]
        shown = {row.id for row in self._asked(scope, asked)}
        found = [f for f in held if f.device in shown and asked.kind in {"", f.kind}]
        found.sort(key=lambda f: (NEVER if f.proposed is None else f.proposed, -f.confidence, f.device, f.id))
        items = [_attention(f, every[f.device]) for f in found[asked.offset : asked.offset + asked.limit]]
        return AttentionPage(items=items, total=len(found), kinds=Counter(f.kind for f in held))

    async def fleet(self, scope: Scope, asked: AskedFleet) -> FleetPage:
        """See the port."""
        rows = in_order(self._asked(scope, asked), asked)
        states = Counter(self._device_row(scope.tenant, d).state for d in self._in_use(scope))
        items = seen_rows(rows[asked.offset : asked.offset + asked.limit], await self.last_seen(scope), asked)
        return FleetPage(items=items, total=len(rows), states=states)

    def _device_in(self, scope: Scope, key: str) -> Device | None:
        device: Device | None = self._rows(scope.tenant, "device").get(key)
        hidden = device is None or scope.patient is not None or not self._visible(scope, "device", device)
        return None if hidden else device

    async def fleet_device(self, scope: Scope, device: str, *, days: int = 90) -> DeviceFile | None:
        """See the port."""
        found = self._device_in(scope, device)
        if found is None:
            return None
        tenant, first = scope.tenant, day_of(self.clock.now_ns()) - days
        sums = [
            s for (key, day), s in sorted(self._device_days[tenant].items()) if key == device and day >= first
        ]
        findings = [f for f in self._findings[tenant].values() if f.device == device]
        findings.sort(key=lambda f: (f.gone is not None, -f.opened, f.id))
        (row,) = seen_rows([self._device_row(tenant, found)], await self.last_seen(scope), AskedFleet())
        return DeviceFile(
            **self._upkeep_of(tenant, found),
            row=row,
            days=[day_view(s) for s in sums],
            findings=findings,
            orders=self._orders_of(tenant, device),
        )

    async def device_frames(
        self, scope: Scope, device: str, *, values: bool, limit: int = 20
    ) -> Sequence[FrameView] | None:
        """See the port."""
        if self._device_in(scope, device) is None:
            return None
        frames = self._device_frames[scope.tenant].get(device, [])[:limit]
        return [frame if values else hidden_frame(frame) for frame in frames]

    async def watch_frames(self, who: Principal, device: str, seconds: int) -> DeviceWatch | None:
        """See the port."""
        found = self._device_in(scope_of(who), device)
        if found is None:
            return None
        gateway = self._rows(who.tenant, "gateway").get(found.gateway)
        if not isinstance(gateway, Gateway) or not gateway.online:
            raise DirectoryError(field="gateway", code="state", value="offline")
        try:
            self._watch_book(who.tenant).open(found.gateway, device, who.user, seconds)
        except ConfigError as error:
            raise DirectoryError(str(error.details["field"]), str(error.details["code"])) from error
        return await self.watched_frames(who, device)

    async def watched_frames(self, who: Principal, device: str) -> DeviceWatch | None:
        """See the port."""
        watch = self._watch_book(who.tenant).seen_by(device, who.user)
        if watch is None or self._device_in(scope_of(who), device) is None:
            return None
        gateway = self._rows(who.tenant, "gateway").get(watch.gateway)
        known = gateway if isinstance(gateway, Gateway) else None
        return DeviceWatch.of(
            watch,
            who.user,
            self.clock.now_ns(),
            online=known is not None and bool(known.online),
            software="" if known is None else known.software,
        )

    def _groups(self, scope: Scope, asked: AskedSpan) -> list[Group]:
        first = day_of(self.clock.now_ns()) - asked.days
        groups: dict[str, Group] = {}
        for device in self._in_use(scope):
            ward = self._gateway_ward(scope.tenant, device)
            if asked.ward and (ward is None or ward.id != asked.ward):
                continue
            days = self._device_days[scope.tenant].values()
            totals = Totals.of(s for s in days if s.device == device.id and s.day >= first)
            place, named = (None, "") if ward is None else (ward.id, ward.name)
            key, name = (device.id, device.label) if asked.by == "device" else (place or "", named)
            old = groups.get(key, Group(key, name, place, 0, 0, Totals()))
            both = Totals.together((old.totals, totals))
            used = old.used + bool(totals.used)
            groups[key] = Group(key, name, place, old.devices + 1, used, both)
        return list(groups.values())

    async def utilisation(self, scope: Scope, asked: AskedSpan) -> tuple[Sequence[Utilisation], int]:
        """See the port."""
        return use_page(self._groups(scope, asked), asked, self.clock.now_ns())

    async def data_quality(self, scope: Scope, asked: AskedSpan) -> QualityPage:
        """See the port."""
        return quality_page(self._groups(scope, asked), asked)

    async def acknowledge_finding(self, who: Principal, finding: str) -> FindingView | None:
        """See the port."""
        found = self._findings[who.tenant].get(finding)
        if found is None or self._device_in(scope_of(who), found.device) is None:
            return None
        if found.acknowledged_at is None:
            marks = {"acknowledged_at": self.clock.now_ns(), "acknowledged_by": who.name}
            found = found.model_copy(update=marks)
            self._findings[who.tenant][finding] = found
        return found

    def _upkeep_of(self, tenant: str, device: Device) -> dict[str, Any]:
        days = [s for s in self._device_days[tenant].values() if s.device == device.id]
        calibrated = self._calibrated[tenant].get(device.id)
        if calibrated is not None:
            calibrated = replace(calibrated, used=used_since(days, calibrated.done))
        serviced = self._serviced[tenant].get(device.id, Upkeep(None))
        serviced = replace(serviced, used=used_since(days, serviced.done))
        return upkeep_fields(calibrated, serviced, self.service_hours.get(device.profile or ""))

    def _check_upkeep(self, field: str, done: int | None, every_hours: int | None) -> None:
        if every_hours is not None and not 1 <= every_hours <= MOST_HOURS:
            raise DirectoryError(field="every_hours", code="bounds", value=f"1 - {MOST_HOURS}")
        if done is not None and not 0 < done <= self.clock.now_ns():
            raise DirectoryError(field=field, code="future", value=iso(done))

    async def calibrate_device(
        self, who: Principal, device: str, calibrated: int, every_days: int, every_hours: int | None = None
    ) -> DeviceFile | None:
        """See the port."""
        if self._device_in(scope_of(who), device) is None:
            return None
        if not 1 <= every_days <= MOST_DAYS:
            raise DirectoryError(field="every_days", code="bounds", value=f"1 - {MOST_DAYS}")
        self._check_upkeep("calibrated", calibrated, every_hours)
        self._calibrated[who.tenant][device] = Upkeep(calibrated, every_days, every_hours)
        return await self.fleet_device(scope_of(who), device)

    async def service_device(
        self, who: Principal, device: str, serviced: int | None, every_hours: int | None
    ) -> DeviceFile | None:
        """See the port."""
        if self._device_in(scope_of(who), device) is None:
            return None
        self._check_upkeep("serviced", serviced, every_hours)
        self._serviced[who.tenant][device] = Upkeep(serviced, every_hours=every_hours)
        return await self.fleet_device(scope_of(who), device)


def _state(device: Device, gateway: Gateway | None) -> DeviceState:
    return standing_of(
        online=None if gateway is None else gateway.online,
        state=device.state,
        cause=device.condition.cause if device.condition else "none",
    )


def _fits(row: DeviceRow, address: str, asked: AskedFleet) -> bool:
    text = " ".join((row.id, row.label, address, row.profile or "")).casefold()
    return (
        all(word in text for word in asked.words.casefold().split())
        and asked.ward in {"", row.ward}
        and asked.gateway in {"", row.gateway}
        and asked.profile in {"", row.profile}
    )


def _attention(finding: FindingView, row: DeviceRow) -> Attention:
    return Attention(
        finding=finding,
        label=row.label,
        gateway=row.gateway,
        ward=row.ward,
        ward_name=row.ward_name,
        profile=row.profile,
        state=row.state,
    )
