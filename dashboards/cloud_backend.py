"""The port over the real product: ``CloudService``, its records, store and feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest import feed
from cloud_ingest.answers import Answers
from cloud_ingest.attribution import Span, load_attribution
from cloud_ingest.entry import Draft, EntryDesk, EntryError, Problem, manual_device
from cloud_ingest.records import models as rows
from cloud_ingest.rulebook import Rulebook
from cloud_ingest.service import CloudService
from cloud_ingest.stores.base import FOREVER
from dashboards.aside import newest_by_metric, with_usual
from dashboards.backend import (
    AlarmChanged,
    DirectoryChanged,
    DirectoryError,
    DutyChanged,
    EventsMissed,
    GatewayChanged,
    InactivationsChanged,
    LiveEvent,
    MessagesChanged,
    ReadingQuery,
    ReadingsArrived,
    RosterEntry,
    VitalSample,
)
from dashboards.cloud_accounts import CloudAccounts
from dashboards.cloud_around import CloudAround
from dashboards.cloud_care import CloudCare
from dashboards.cloud_channels import CloudChannels
from dashboards.cloud_consent import CloudConsent
from dashboards.cloud_dead_letters import CloudDeadLetters
from dashboards.cloud_directory import CloudDirectory
from dashboards.cloud_fleet import CloudFleet
from dashboards.cloud_ledger import CloudLedger
from dashboards.cloud_people import CloudPeople
from dashboards.cloud_response import CloudResponse
from dashboards.cloud_risk import CloudRisk
from dashboards.cloud_rules import CloudRules, Workers
from dashboards.cloud_staff import CloudStaff
from dashboards.cloud_trend import CloudTrend
from dashboards.cloud_views import (
    device_of,
    directory_error,
    gateway_of,
    item_of,
    patients_of,
    roster_of,
    samples_of,
    scored,
    values_of,
)
from dashboards.cloud_waves import CloudWaves
from dashboards.cloud_whatif import CloudWhatIf
from dashboards.cloud_why import CloudWhy
from dashboards.models import AuditEntry, Gateway, Item, Kind, Patient, User, Value
from dashboards.owners import with_owners
from dashboards.patient_eyes import value_seen
from hearthward.core.errors import ConfigError
from hearthward.core.model import ReadingBatch
from hearthward.trust.access import Principal, Scope
from hearthward.trust.audit import AuditEvent, Outcome
from hearthward.trust.passwords import Passwords

__all__ = ["CloudBackend"]

PLURALS: Final[dict[Kind, str]] = {
    "ward": "wards",
    "bed": "beds",
    "patient": "patients",
    "encounter": "encounters",
    "gateway": "gateways",
    "device": "devices",
    "association": "associations",
}
TOLD: Final[dict[type[feed.Event], type[DirectoryChanged | DutyChanged | EventsMissed]]] = {
    feed.DirectoryChanged: DirectoryChanged,
    feed.DutyChanged: DutyChanged,
    feed.Lagged: EventsMissed,
}
PAST_READ: Final = 10
PAST_READINGS: Final = 300
"""Of so many devices that were taken off, and measure somebody else now, so many readings are looked at."""
OWN_ID: Final = frozenset({"gateway", "device"})


class CloudBackend(
    CloudResponse,
    CloudPeople,
    CloudAccounts,
    CloudConsent,
    CloudRisk,
    CloudRules,
    CloudWhy,
    CloudWhatIf,
    CloudStaff,
    CloudChannels,
    CloudLedger,
    CloudFleet,
    CloudAround,
    CloudDeadLetters,
    CloudDirectory,
    CloudCare,
    CloudTrend,
    CloudWaves,
):
    """What the web needs, asked of the real parts.

    Alarms are only ever written by their owner, through ``act``; here the directory, sessions and audit.
    """

    def __init__(
        self,
        service: CloudService,
        *,
        passwords: Passwords | None = None,
        rulebook: Rulebook | None = None,
        answers: Answers | None = None,
        workers: Workers | None = None,
    ) -> None:
        CloudPeople.__init__(self, service.records, service.tenant, passwords or Passwords())
        CloudAccounts.__init__(self, service)
        CloudCare.__init__(self, service)
        CloudConsent.__init__(self, service.records)
        CloudRisk.__init__(self, service)
        CloudRules.__init__(self, service, rulebook)
        CloudWhy.__init__(self, service)
        CloudWhatIf.__init__(self, service, workers and workers.trier)
        self.calibrator = workers and workers.calibrator
        CloudTrend.__init__(self, service)
        CloudWaves.__init__(self, service)
        CloudStaff.__init__(self, service, passwords or Passwords())
        CloudChannels.__init__(self, service, answers)
        CloudLedger.__init__(self, service)
        CloudFleet.__init__(self, service)
        CloudAround.__init__(self, service)
        CloudDeadLetters.__init__(self, service)
        CloudDirectory.__init__(self, service, self._item)
        CloudResponse.__init__(self, service, passwords or Passwords())
        self.clock = service.clock
        self._desk = EntryDesk(service.clock, self._earlier, service.pipeline.enter)

    # --- people -------------------------------------------------------------------------------
    async def add_user(self, scope: Scope, fields: Mapping[str, Any], password: str | None) -> User:
        """See the port."""
        added = await super().add_user(scope, fields, password)
        await self._service.duty_changed()  # somebody more to be told
        return added

    # --- directory ----------------------------------------------------------------------------
    def _repository(self, session: Session, kind: Kind) -> Any:
        return getattr(self._records.directory(session), PLURALS[kind])

    async def items(self, scope: Scope, kind: Kind, *, ended: bool = False) -> Sequence[Item]:
        """See the port."""
        found = await self._records.read(lambda s: self._repository(s, kind).list(scope, ended=ended))
        return [self._item(kind, row) for row in found]

    def _item(self, kind: Kind, row: Any) -> Item:
        if kind == "gateway":
            return self._gateway(row, row.id, self._service.gateways.get(row.id))
        if kind == "device":
            return device_of(row, self._service.gateways.get(row.gateway))
        return item_of(kind, row)

    def _gateway(self, row: rows.Gateway | None, key: str, state: feed.GatewayState | None) -> Gateway:
        shall = self._service.publisher.document(key)
        issued = None if shall is None else shall.version
        return gateway_of(row, state, self._service.gateways.applied(key), issued)

    async def item(self, scope: Scope, kind: Kind, key: str) -> Item | None:
        """See the port."""
        try:
            row = await self._records.read(lambda s: self._repository(s, kind).get(scope, key))
        except ConfigError as error:
            if error.details.get("reason") == "not_found":
                return None
            raise
        return self._item(kind, row)

    async def create(self, scope: Scope, kind: Kind, fields: Mapping[str, Any]) -> Item:
        """See the port."""
        values = dict(fields)
        if kind in OWN_ID and "id" in values:
            values["ident"] = values.pop("id")
        return await self._write(kind, values, lambda s: self._repository(s, kind).create(scope, **values))

    async def change(self, scope: Scope, kind: Kind, key: str, fields: Mapping[str, Any]) -> Item | None:
        """See the port."""
        if await self.item(scope, kind, key) is None:
            return None
        values = {k: v for k, v in fields.items() if not (kind == "encounter" and k == "kind")}
        return await self._write(
            kind, values, lambda s: self._repository(s, kind).change(scope, key, **values)
        )

    async def end(self, scope: Scope, kind: Kind, key: str, at: int | None = None) -> Item | None:
        """See the port."""
        old = await self.item(scope, kind, key)
        if old is None:
            return None
        if kind not in {"encounter", "association"} and getattr(old, "ended", None) is not None:
            raise DirectoryError(field="id", code="ended", value=key)
        return await self._write(
            kind, {"id": key, "end": at}, lambda s: self._repository(s, kind).end(scope, key, at=at)
        )

    async def _write(self, kind: Kind, values: Mapping[str, Any], write: Callable[[Session], Any]) -> Item:
        try:
            row = await self._records.run(write)
        except ConfigError as error:
            raise directory_error(error, values) from error
        await self._service.directory_changed()
        return self._item(kind, row)

    async def ward_of(self, scope: Scope, patient: str) -> str | None:
        """See the port."""
        stays = await self._records.read(
            lambda s: self._records.directory(s).encounters.list(scope, patient=patient)
        )
        return stays[-1].ward if stays else None

    # --- what was measured and decided ----------------------------------------------------------
    async def readings(self, scope: Scope, query: ReadingQuery) -> Sequence[Value]:
        """See the port."""
        of = {"patient": query.patient} if query.patient else {"devices": query.devices}
        attribution = await self._records.read(lambda s: load_attribution(s, scope.tenant, **of))
        visible = await self._visible(scope)
        if query.patient is None and visible is None:
            devices = query.devices or [d.id for d in await self.items(scope, "device", ended=True)]
            people = () if query.devices else await self.items(scope, "patient", ended=True)
            devices = [*devices, *(manual_device(p.id) for p in people)]
            batch = await self._read(scope, query, devices, query.start, query.end)
            return await self._values(scope, batch, patients_of(batch, attribution))
        patients = sorted(visible or ()) if query.patient is None else [query.patient]
        found: list[Value] = []
        for patient in patients:
            if visible is not None and patient not in visible:
                continue
            for span in (*attribution.spans(patient), Span(manual_device(patient), patient, 0)):
                start = max(query.start, span.start)
                end = query.end if span.end is None else min(query.end, span.end)
                if start < end and (not query.devices or span.device in query.devices):
                    batch = await self._read(scope, query, [span.device], start, end)
                    found += await self._values(scope, batch, [patient] * len(batch))
        found.sort(key=lambda v: (v.time, v.received))
        return found[-query.limit :] if query.newest else found[: query.limit]

    async def _read(
        self, scope: Scope, query: ReadingQuery, devices: Sequence[str], start: int, end: int
    ) -> ReadingBatch:
        return await self._service.store.read(
            scope.tenant,
            devices,
            query.metrics or None,
            start,
            min(end, FOREVER),
            limit=query.limit,
            newest=query.newest,
        )

    async def newest(self, scope: Scope, patient: str) -> Sequence[Value]:
        """See the port."""
        visible = await self._visible(scope)
        if visible is not None and patient not in visible:
            return []
        attribution, stays = await self._records.read(
            lambda s: (
                load_attribution(s, scope.tenant, patient=patient),
                self._records.directory(s).encounters.list(scope, patient=patient),
            )
        )
        since = stays[-1].start if stays else 0
        spans = [s for s in attribution.spans(patient) if s.end is None or s.end > since]
        devices = dict.fromkeys(s.device for s in spans)
        found = [await self._latest(scope, [*devices, manual_device(patient)])]
        after = dict(zip(found[0].device, found[0].corrected, strict=True))
        past = [s for s in spans if s.end is not None and after.get(s.device, 0) >= s.end]
        for span in sorted(past, key=lambda s: s.end or 0)[-PAST_READ:]:  # what came of it since is another's
            within = ReadingQuery(limit=PAST_READINGS, newest=True)
            found.append(await self._read(scope, within, [span.device], span.start, span.end or FOREVER))
        values = [
            value
            for batch in found
            for value in await self._values(scope, batch, patients_of(batch, attribution))
        ]
        return newest_by_metric(v for v in values if v.patient == patient)

    async def _values(self, scope: Scope, batch: ReadingBatch, patients: Sequence[str | None]) -> list[Value]:
        names = await self._names(scope, batch)
        own = frozenset(names)
        return [value_seen(scope, v, own) for v in values_of(batch, patients, names)]

    async def _names(self, scope: Scope, batch: ReadingBatch) -> Mapping[str, str]:
        """The names of those who entered readings by hand, by user id; to a patient only their own."""
        authors = {a for a in batch.author if a is not None}
        if not authors:
            return {}
        query = select(rows.User.id, rows.User.name).where(
            rows.User.tenant == scope.tenant, rows.User.id.in_(authors)
        )
        if scope.patient is not None:
            query = query.where(rows.User.patient == scope.patient)
        found = await self._records.read(lambda s: s.execute(query).all())
        return {row.id: row.name for row in found}

    async def enter(self, scope: Scope, patient: str, draft: Draft, *, author: str) -> Sequence[Value] | None:
        """See the port."""
        person = await self.item(scope, "patient", patient)
        if not isinstance(person, Patient):
            return None
        if person.ended is not None:
            raise EntryError(Problem("patient", "ended", patient))
        batch = await self._desk.enter(patient, draft, author)
        return await self._values(scope, batch, [patient] * len(batch))

    async def _earlier(self, device: str, start: int, end: int) -> ReadingBatch:
        return await self._service.store.read(self.tenant, [device], None, start, end)

    async def _visible(self, scope: Scope) -> frozenset[str] | None:
        """The patients in scope; None for all of the tenant."""
        if not scope.confined:
            return None
        return frozenset(p.id for p in await self.items(scope, "patient", ended=True))

    # --- audit ------------------------------------------------------------------------------------
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
        event = AuditEvent(
            at=self._records.wall.now_ns(),
            tenant=principal.tenant,
            actor=principal.user,
            action=str(action),
            resource_kind=kind,
            resource_id=target,
            outcome=cast("Outcome", outcome),
            detail=dict(detail or {}),
        )
        scope = Scope.system(principal.tenant)
        await self._records.run(lambda s: self._records.audit(s).append(scope, event))

    async def audit_entries(self, scope: Scope, *, limit: int = 200) -> Sequence[AuditEntry]:
        """See the port."""
        found = await self._records.read(lambda s: self._records.audit(s).list(scope, limit=limit))
        return [
            AuditEntry(
                at=row.at,
                actor=row.actor,
                action=row.action,
                kind=row.resource_kind,
                target=row.resource_id,
                outcome=row.outcome,
                detail=row.detail,
            )
            for row in found
        ]

    # --- live ---------------------------------------------------------------------------------------
    async def roster(self, scope: Scope) -> Sequence[RosterEntry]:
        """See the port."""
        entries = await self._records.read(lambda s: roster_of(self._records.directory(s), scope))
        return await with_owners(self, scope, scored(entries, self._service.pipeline.state.context))

    async def latest(self, scope: Scope, devices: Collection[str] | None = None) -> Sequence[VitalSample]:
        """See the port."""
        if devices is not None and not scope.confined:
            return samples_of(await self._latest(scope, list(devices)))
        known = [d.id for d in await self.items(scope, "device")]
        known += [manual_device(p.id) for p in await self.items(scope, "patient")]
        asked = known if devices is None else [d for d in known if d in devices]
        return samples_of(await self._latest(scope, asked))

    async def _latest(self, scope: Scope, devices: Sequence[str]) -> ReadingBatch:
        store = self._service.store
        return await with_usual(store, scope.tenant, await store.latest(scope.tenant, devices))

    async def last_seen(self, scope: Scope) -> Mapping[str, int]:
        """See the port."""
        newest: dict[str, int] = {}
        for sample in await self.latest(scope):
            newest[sample.device] = max(sample.received, newest.get(sample.device, 0))
        return newest

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        """See the port."""
        with self._service.feed.subscribe() as subscription:
            yield self._events(subscription)

    async def _events(self, subscription: feed.Subscription) -> AsyncIterator[LiveEvent]:
        async for event in subscription:
            if isinstance(event, feed.ReadingsStored):
                yield ReadingsArrived(event.tenant, tuple(samples_of(event.batch)))
            elif isinstance(event, feed.AlarmChanged):
                yield AlarmChanged(
                    event.tenant, (await self._shown(Scope.system(event.tenant), [event.alarm]))[0]
                )
            elif isinstance(event, feed.InactivationsChanged):
                yield InactivationsChanged(event.tenant)
            elif isinstance(event, feed.MessagesChanged):
                yield MessagesChanged(event.tenant)
            elif isinstance(event, feed.GatewayChanged):
                row = await self._records.read(
                    lambda s, key=event.state.gateway: s.get(rows.Gateway, (self.tenant, key))  # type: ignore[misc]
                )
                yield GatewayChanged(event.tenant, self._gateway(row, event.state.gateway, event.state))
            elif isinstance(event, feed.DirectoryChanged | feed.DutyChanged | feed.Lagged):
                self._people.clear()
                yield TOLD[type(event)](self.tenant)

    async def ready(self) -> Mapping[str, str]:
        """See the port."""
        return self._service.trouble()
