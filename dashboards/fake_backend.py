"""The fake of the port: everything in memory, with the same refusals as the real one.

Used by the tests and for looking at pages without a gateway. It decides nothing: alarms are put in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cloud_ingest.contexts import grown_up
from cloud_ingest.entry import manual_device, manual_patient
from dashboards.aside import newest_by_metric
from dashboards.backend import (
    AlarmChanged,
    DirectoryChanged,
    DirectoryError,
    GatewayChanged,
    LiveEvent,
    ReadingQuery,
    ReadingsArrived,
    RosterDevice,
    RosterEntry,
    VitalSample,
    by_hand,
)
from dashboards.device_words import condition_of
from dashboards.fake_around import FakeAround
from dashboards.fake_care import FakeCare
from dashboards.fake_channels import FakeChannels
from dashboards.fake_dead_letters import FakeDeadLetters
from dashboards.fake_directory import FakeDirectory
from dashboards.fake_entries import FakeEntries
from dashboards.fake_fleet import FakeFleet
from dashboards.fake_ledger import FakeLedger
from dashboards.fake_relatives import FakeRelatives
from dashboards.fake_response import FakeResponse
from dashboards.fake_risk import FakeRisk
from dashboards.fake_rules import FakeRules
from dashboards.fake_staff import FakeStaff
from dashboards.fake_trend import FakeTrend
from dashboards.fake_views import end_of, kept, plain, sample_of, value_of
from dashboards.fake_waves import FakeWaves
from dashboards.fake_whatif import FakeWhatIf
from dashboards.fake_why import FakeWhy
from dashboards.models import (
    AlarmDetail,
    Association,
    AuditEntry,
    Bed,
    Device,
    Encounter,
    Gateway,
    Item,
    Kind,
    Patient,
    Value,
    Ward,
)
from dashboards.owners import with_owners
from dashboards.patient_eyes import value_seen
from hearthward.core.clock import Clock
from hearthward.core.device_states import DeviceWord
from hearthward.core.ids import Ids, SeededIds
from hearthward.core.model import ASIDE, Reading
from hearthward.core.text import natural
from hearthward.trust.access import Principal, Role, Scope

__all__ = ["FakeBackend"]

MODELS: Final[dict[Kind, type[Any]]] = {
    "ward": Ward,
    "bed": Bed,
    "patient": Patient,
    "encounter": Encounter,
    "gateway": Gateway,
    "device": Device,
    "association": Association,
}
REFERENCES: Final[dict[str, Kind]] = {
    "ward": "ward",
    "bed": "bed",
    "patient": "patient",
    "gateway": "gateway",
    "device": "device",
}
NAMES: Final = {"ward": "name", "bed": "label", "patient": "name"}
UNIQUE: Final[dict[str, tuple[str, ...]]] = {"encounter": ("patient", "bed"), "association": ("device",)}
_END: Final = object()


@dataclass(slots=True)
class _Tenant:
    items: dict[Kind, dict[str, Any]] = field(default_factory=lambda: {k: {} for k in MODELS})
    readings: list[Reading] = field(default_factory=list)
    alarms: dict[str, AlarmDetail] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)


class FakeBackend(
    FakeResponse,
    FakeStaff,
    FakeRelatives,
    FakeRisk,
    FakeRules,
    FakeEntries,
    FakeWhy,
    FakeWhatIf,
    FakeChannels,
    FakeLedger,
    FakeDeadLetters,
    FakeDirectory,
    FakeFleet,
    FakeAround,
    FakeCare,
    FakeTrend,
    FakeWaves,
):
    """An in-memory product."""

    def __init__(self, clock: Clock, *, tenant: str = "main", ids: Ids | None = None) -> None:
        FakeResponse.__init__(self, clock, tenant, ids or SeededIds(1))
        FakeRelatives.__init__(self)
        FakeCare.__init__(self)
        FakeRisk.__init__(self)
        FakeRules.__init__(self)
        FakeEntries.__init__(self)
        FakeChannels.__init__(self)
        FakeLedger.__init__(self)
        FakeAround.__init__(self)
        FakeDeadLetters.__init__(self)
        FakeFleet.__init__(self)
        FakeStaff.__init__(self)
        FakeWaves.__init__(self)
        self.trouble: dict[str, str] = {}
        self._tenants: dict[str, _Tenant] = {}
        self._queues: set[asyncio.Queue[Any]] = set()

    # --- putting things in -----------------------------------------------------------------------
    def put_readings(self, tenant: str, readings: Sequence[Reading]) -> None:
        """Store readings and publish them."""
        self._of(tenant).readings.extend(readings)
        samples = tuple(sample_of(r) for r in readings)
        self._publish(ReadingsArrived(tenant, samples))

    def put_alarm(self, tenant: str, alarm: AlarmDetail) -> None:
        """Set an alarm and publish it; an owner who is not known by id is taken for a name."""
        owner = alarm.accepted_by
        named = owner and (self._name(tenant, owner) or owner)
        alarm = alarm.model_copy(update={"accepted_name": named})
        self._of(tenant).alarms[alarm.id] = alarm
        self._publish(AlarmChanged(tenant, plain(alarm)))

    def put_gateway(self, tenant: str, gateway: Gateway) -> None:
        """Set a gateway's status and publish it."""
        said = {key: condition_of(DeviceWord.unpacked(state)) for key, state in gateway.states.items()}
        said |= gateway.conditions
        if not gateway.online:
            away = condition_of(DeviceWord(""), online=False, last_seen=gateway.last_seen or 0)
            said = dict.fromkeys(said, away)
        gateway = gateway.model_copy(update={"conditions": said})
        items = self._of(tenant).items
        items["gateway"][gateway.id] = gateway
        for key, device in items["device"].items():
            if device.gateway == gateway.id:
                told = {
                    "rejected": gateway.rejected.get(key, {}),
                    "state": gateway.states.get(key, ""),
                    "condition": gateway.conditions.get(key),
                }
                items["device"][key] = device.model_copy(update=told)
        self._publish(GatewayChanged(tenant, gateway))

    def stop(self) -> None:
        """End all subscriptions."""
        for queue in self._queues:
            queue.put_nowait(_END)

    def _stored(self, tenant: str) -> list[Reading]:
        return self._of(tenant).readings

    def _rows(self, tenant: str, kind: Kind) -> Mapping[str, Any]:
        return self._of(tenant).items[kind]

    def _of(self, tenant: str) -> _Tenant:
        return self._tenants.setdefault(tenant, _Tenant())

    def _publish(self, event: LiveEvent) -> None:
        for queue in self._queues:
            queue.put_nowait(event)

    # --- directory -----------------------------------------------------------------------------------
    async def items(self, scope: Scope, kind: Kind, *, ended: bool = False) -> Sequence[Item]:
        """See the port."""
        rows = [r for r in self._of(scope.tenant).items[kind].values() if self._visible(scope, kind, r)]
        if not ended:
            rows = [r for r in rows if end_of(r) is None]
        return sorted(rows, key=lambda r: (str(getattr(r, NAMES.get(kind, "id"))), r.id))

    async def item(self, scope: Scope, kind: Kind, key: str) -> Item | None:
        """See the port."""
        row: Item | None = self._of(scope.tenant).items[kind].get(key)
        return row if row is not None and self._visible(scope, kind, row) else None

    async def create(self, scope: Scope, kind: Kind, fields: Mapping[str, Any]) -> Item:
        """See the port."""
        values = dict(fields)
        if kind in {"encounter", "association"}:
            values.setdefault("start", self.clock.now_ns())
        values["id"] = values.get("id") or self.ids.new(kind[:3])
        rows = self._of(scope.tenant).items[kind]
        if values["id"] in rows:
            raise DirectoryError(field="id", code="taken", value=values["id"])
        self._check(scope, kind, kept(values), None)
        row: Item = MODELS[kind](**values)
        rows[row.id] = row
        self._publish(DirectoryChanged(scope.tenant))
        return row

    async def change(self, scope: Scope, kind: Kind, key: str, fields: Mapping[str, Any]) -> Item | None:
        """See the port."""
        row = await self.item(scope, kind, key)
        if row is None:
            return None
        values = {**row.model_dump(), **fields}
        self._check(scope, kind, kept(values), key)
        changed: Item = MODELS[kind](**values)
        self._of(scope.tenant).items[kind][key] = changed
        self._publish(DirectoryChanged(scope.tenant))
        return changed

    async def end(self, scope: Scope, kind: Kind, key: str, at: int | None = None) -> Item | None:
        """See the port."""
        row = await self.item(scope, kind, key)
        if row is None:
            return None
        if end_of(row) is not None:
            raise DirectoryError(field="id", code="ended", value=key)
        name = "end" if isinstance(row, Encounter | Association) else "ended"
        moment = self.clock.now_ns() if at is None else at
        if isinstance(row, Encounter | Association) and moment <= row.start:
            raise DirectoryError(field="end", code="period", value=moment)
        ended: Item = row.model_copy(update={name: moment})
        self._of(scope.tenant).items[kind][key] = ended
        self._publish(DirectoryChanged(scope.tenant))
        return ended

    def _check(self, scope: Scope, kind: Kind, values: dict[str, Any], key: str | None) -> None:
        tables = self._of(scope.tenant).items
        for name, table in REFERENCES.items():
            target = values.get(name)
            if name == kind or target is None:
                continue
            row = tables[table].get(target)
            if row is None or not self._visible(scope, table, row):
                raise DirectoryError(field=name, code="unknown", value=target)
        if kind == "encounter" and values["kind"] == "ward":
            if not values.get("bed"):
                raise DirectoryError(field="bed", code="required")
            values["ward"] = tables["bed"][values["bed"]].ward
        others = [r for r in tables[kind].values() if r.id != key and end_of(r) is None]
        if values.get("end") is None:
            for name in UNIQUE.get(kind, ()):
                if values.get(name) is not None and any(getattr(r, name) == values[name] for r in others):
                    raise DirectoryError(field=name, code="taken", value=values[name])
        label = NAMES.get(kind) if kind in {"ward", "bed"} else None
        if label and any(
            getattr(r, label) == values[label] and getattr(r, "ward", None) == values.get("ward")
            for r in others
        ):
            raise DirectoryError(field=label, code="taken", value=values[label])

    def _knows(self, kind: Literal["ward", "patient"], key: str) -> bool:
        row = self._of(self.tenant).items[kind].get(key)
        return row is not None and (kind != "ward" or row.ended is None)

    def _sees(self, scope: Scope, patient: str) -> bool:
        row = self._of(scope.tenant).items["patient"].get(patient)
        return row is not None and self._visible(scope, "patient", row)

    def _associations(self, tenant: str) -> Mapping[str, Association]:
        return self._of(tenant).items["association"]

    def _encounter(self, tenant: str, patient: str) -> Encounter | None:
        rows = self._of(tenant).items["encounter"].values()
        return next((e for e in rows if e.patient == patient and e.end is None), None)

    async def ward_of(self, scope: Scope, patient: str) -> str | None:
        """See the port."""
        encounter = self._encounter(scope.tenant, patient)
        return encounter.ward if encounter else None

    def _visible(self, scope: Scope, kind: Kind, row: Any) -> bool:
        if scope.wards is None and scope.patient is None:
            return True
        patient = row.id if kind == "patient" else getattr(row, "patient", None)
        if patient is not None:
            return self._patient_visible(scope, patient)
        if kind == "device" and self._on_visible(scope, row):
            return True
        if scope.patient is not None:
            return False
        if kind == "device":
            row = self._of(scope.tenant).items["gateway"].get(row.gateway)
        ward = row.id if kind == "ward" else getattr(row, "ward", None)
        of_nobody = ward is None and kind not in {"gateway", "device"}
        return scope.wards is None or of_nobody or ward in scope.wards

    def _on_visible(self, scope: Scope, device: Device) -> bool:
        """Whether a device measures a patient of the scope now."""
        worn = self._of(scope.tenant).items["association"].values()
        return any(
            a.device == device.id and a.end is None and self._patient_visible(scope, a.patient) for a in worn
        )

    def _patient_visible(self, scope: Scope, patient: str | None) -> bool:
        if scope.wards is None and scope.patient is None:
            return True
        if patient is None or (scope.patient is not None and scope.patient != patient):
            return False
        encounter = self._encounter(scope.tenant, patient)
        return scope.wards is None or (encounter is not None and encounter.ward in scope.wards)

    # --- measured and decided --------------------------------------------------------------------------
    def _patient_at(self, tenant: str, device: str, at: int) -> str | None:
        by_hand = manual_patient(device)
        if by_hand is not None:
            return by_hand
        for row in self._of(tenant).items["association"].values():
            if row.device == device and row.start <= at and (row.end is None or at < row.end):
                return str(row.patient)
        return None

    async def readings(self, scope: Scope, query: ReadingQuery) -> Sequence[Value]:
        """See the port."""
        out, names, own = [], self._names(scope.tenant), frozenset(self._names_for(scope))
        for r in sorted(self._of(scope.tenant).readings, key=lambda r: (r.corrected, r.received)):
            patient = self._patient_at(scope.tenant, r.device, r.corrected)
            wanted = (
                (query.patient is None or patient == query.patient)
                and (not query.devices or r.device in query.devices)
                and (not query.metrics or r.metric in query.metrics)
                and query.start <= r.corrected < query.end
                and self._patient_visible(scope, patient)
            )
            if wanted:
                out.append(value_seen(scope, value_of(r, patient, names.get(r.author or "")), own))
        return out[-query.limit :] if query.newest else out[: query.limit]

    async def newest(self, scope: Scope, patient: str) -> Sequence[Value]:
        """See the port."""
        stay = self._encounter(scope.tenant, patient)
        since = 0 if stay is None else stay.start
        worn = {
            a.device
            for a in self._of(scope.tenant).items["association"].values()
            if a.patient == patient and (a.end is None or a.end > since)
        } | {manual_device(patient)}
        found = await self.readings(scope, ReadingQuery(patient=patient, limit=2**31))
        return newest_by_metric(v for v in found if v.device in worn)

    def _readings_of(self, scope: Scope, patient: str) -> Sequence[Reading]:
        return [
            r
            for r in self._of(scope.tenant).readings
            if self._patient_at(scope.tenant, r.device, r.corrected) == patient
        ]

    def _alarms_of(self, scope: Scope, patient: str) -> Sequence[AlarmDetail]:
        return [a for a in self._of(scope.tenant).alarms.values() if a.patient == patient]

    def _details(self, tenant: str) -> Sequence[AlarmDetail]:
        return list(self._of(tenant).alarms.values())

    def _ward_of(self, tenant: str, subject: str) -> str | None:
        kind, _, key = subject.rpartition(":")
        items = self._of(tenant).items
        if not kind:
            encounter = self._encounter(tenant, key)
            return encounter.ward if encounter else None
        if kind == "component":
            about, _, ward = key.partition("-")
            return ward if about in {"wall", "duty", "flood"} else None
        if kind == "device" and key in items["device"]:
            key, kind = items["device"][key].gateway, "gateway"
        found = items["gateway"].get(key) if kind == "gateway" else None
        return found.ward if found else None

    def _reminded_by(self, tenant: str, patient: str) -> list[Literal["push", "sms"]]:
        people = [k.user for k in self._about(tenant, patient) if k.user.disabled is None]
        own = {user.id for user in people if Role.PATIENT in user.roles}
        person = self._of(tenant).items["patient"][patient]
        found: list[Literal["push", "sms"]] = []
        if any((tenant, user) == of for of, _ in self._browsers.values() for user in own):
            found.append("push")
        if self.sms and (person.phone or any(self._phones.get(user) for user in own)):
            found.append("sms")
        return found

    # --- audit -----------------------------------------------------------------------------------------
    async def audit(
        self,
        principal: Principal,
        action: str,
        kind: str,
        *,
        target: str = "",
        outcome: str = "done",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """See the port."""
        entry = AuditEntry(
            at=self.clock.now_ns(),
            actor=principal.user,
            action=action,
            kind=kind,
            target=target,
            outcome=outcome,
            detail=dict(detail or {}),
        )
        self._of(principal.tenant).audit.append(entry)

    def _lines(self, tenant: str) -> Sequence[AuditEntry]:
        return self._of(tenant).audit

    async def audit_entries(self, scope: Scope, *, limit: int = 200) -> Sequence[AuditEntry]:
        """See the port."""
        return self._of(scope.tenant).audit[::-1][:limit]

    # --- live ------------------------------------------------------------------------------------------
    async def roster(self, scope: Scope) -> Sequence[RosterEntry]:
        """See the port."""
        tables, now = self._of(scope.tenant).items, self.clock.now_ns()
        out = []
        for encounter in tables["encounter"].values():
            if encounter.end is not None or not self._patient_visible(scope, encounter.patient):
                continue
            devices = []
            for a in tables["association"].values():
                if a.patient == encounter.patient and a.end is None:
                    d: Device = tables["device"][a.device]
                    devices.append(RosterDevice(d.id, d.gateway, d.profile, d.interval_s, a.start))
            devices.append(by_hand(encounter.patient, encounter.start))
            ward = tables["ward"].get(encounter.ward)
            bed = tables["bed"].get(encounter.bed)
            person = tables["patient"][encounter.patient]
            entry = RosterEntry(
                patient=encounter.patient,
                name=person.name,
                ward=encounter.ward,
                ward_name=ward.name if ward else "",
                bed_label=bed.label if bed else "",
                home=encounter.kind == "home",
                devices=tuple(devices),
                scored=grown_up(person.birth_date, now) is not False and not person.pregnant,
                scale=self._scale(scope.tenant, encounter.patient),
            )
            out.append(entry)
        in_order = sorted(out, key=lambda e: (e.home, e.ward_name, natural(e.bed_label), e.name))
        return await with_owners(self, scope, in_order)

    async def latest(self, scope: Scope, devices: Collection[str] | None = None) -> Sequence[VitalSample]:
        """See the port."""
        newest: dict[tuple[str, str, bool], Reading] = {}
        for r in self._of(scope.tenant).readings:
            key = r.device, r.metric, bool(r.quality & ASIDE)
            old = newest.get(key)
            if old is None or r.corrected >= old.corrected:
                newest[key] = r
        return [sample_of(r) for r in newest.values() if devices is None or r.device in devices]

    async def last_seen(self, scope: Scope) -> Mapping[str, int]:
        """See the port."""
        return {r.device: r.received for r in self._of(scope.tenant).readings}

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        """See the port."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._queues.add(queue)

        async def events() -> AsyncIterator[LiveEvent]:
            while (event := await queue.get()) is not _END:
                yield event

        stream = events()
        try:
            yield stream
        finally:
            self._queues.discard(queue)
            await stream.aclose()  # type: ignore[attr-defined]

    async def ready(self) -> Mapping[str, str]:
        """See the port."""
        return self.trouble
