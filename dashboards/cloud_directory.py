"""The port's view of a large directory over the real records: everything a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.audit_query import audit_page
from cloud_ingest.records.giving import give_device, worn_now
from cloud_ingest.records.lookup import Lookup
from cloud_ingest.service import CloudService
from dashboards.backend import DirectoryError
from dashboards.cloud_views import directory_error, item_of
from dashboards.directory_port import MOST_NAMED, AskedAudit, AskedItems, AuditPage, ItemPage, Names
from dashboards.entry_names import called, keys_of
from dashboards.models import Association, AuditEntry, Item, Kind, Patient
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Scope

__all__ = ["CloudDirectory"]


class CloudDirectory:
    """The part of ``CloudBackend`` that looks things up."""

    def __init__(self, service: CloudService, item: Callable[[Kind, Any], Item]) -> None:
        self._service = service
        self._records: Records = service.records
        self._as_item = item

    async def item_page(self, scope: Scope, asked: AskedItems) -> ItemPage:
        """See the port."""

        def read(session: Session) -> tuple[Sequence[Any], int, Names]:
            lookup = self._records.lookup(session)
            found, total = lookup.page(scope, asked)
            return found, total, _names(lookup, scope, keys_of(asked.kind, found))

        found, total, names = await self._records.read(read)
        return ItemPage([self._as_item(asked.kind, row) for row in found], total, names)

    async def item_counts(self, scope: Scope) -> Mapping[Kind, int]:
        """See the port."""
        return await self._records.read(lambda s: self._records.lookup(s).counts(scope))

    async def item_names(self, scope: Scope, keys: Mapping[Kind, Collection[str]]) -> Names:
        """See the port."""
        return await self._records.read(lambda s: _names(self._records.lookup(s), scope, keys))

    async def items_named(self, scope: Scope, kind: Kind, text: str) -> Sequence[Item]:
        """See the port."""
        found = await self._records.read(
            lambda s: self._records.lookup(s).named(scope, kind, text, MOST_NAMED)
        )
        return [self._as_item(kind, row) for row in found]

    async def adrift(self, scope: Scope, limit: int) -> Sequence[Patient]:
        """See the port."""
        found = await self._records.read(lambda s: self._records.lookup(s).adrift(scope, limit))
        people = (item_of("patient", row) for row in found)
        return [p for p in people if isinstance(p, Patient)]

    async def worn(self, scope: Scope, device: str) -> tuple[Association | None, bool]:
        """See the port."""

        def read(session: Session) -> tuple[rows.Association | None, bool]:
            row = worn_now(session, scope, device, self._records.clock.now_ns())
            if row is None:
                return None, False
            try:
                return self._records.directory(session).associations.get(scope, row.id), True
            except ConfigError:
                return None, True

        row, somebody = await self._records.read(read)
        found = None if row is None else item_of("association", row)
        return (found if isinstance(found, Association) else None), somebody

    async def give_device(self, scope: Scope, device: str, patient: str, *, was: str | None) -> Association:
        """See the port."""

        def write(session: Session) -> rows.Association:
            directory = self._records.directory(session)
            return give_device(session, directory, scope, device=device, patient=patient, was=was)

        try:
            row = await self._records.run(write)
        except ConfigError as error:
            raise directory_error(error, {"device": device, "patient": patient}) from error
        await self._service.directory_changed()
        given = item_of("association", row)
        if not isinstance(given, Association):
            raise DirectoryError(field="device", code="unknown", value=device)
        return given

    async def seen_at(self, scope: Scope, devices: Sequence[str]) -> Mapping[str, int]:
        """See the port."""
        newest: dict[str, int] = {}
        batch = await self._service.store.latest(scope.tenant, list(devices))
        for device, received in zip(batch.device, batch.received, strict=True):
            newest[device] = max(received, newest.get(device, 0))
        return newest

    async def site_zone(self, scope: Scope) -> str | None:
        """See the port."""

        def read(session: Session) -> str | None:
            zone, here = rows.Gateway.timezone, self._records.directory(session).gateways
            query = select(zone).where(*here.limits(scope), zone.is_not(None), rows.Gateway.ended.is_(None))
            return session.scalars(query.group_by(zone).order_by(func.count().desc(), zone)).first()

        return await self._records.read(read)

    async def audit_page(self, scope: Scope, asked: AskedAudit) -> AuditPage:
        """See the port."""
        found = await self._records.read(lambda s: audit_page(s, scope, asked))
        items = [
            AuditEntry(
                at=row.at,
                actor=row.actor,
                action=row.action,
                kind=row.resource_kind,
                target=row.resource_id,
                outcome=row.outcome,
                detail=row.detail,
                seq=row.seq,
                actor_name=name or "",
            )
            for row, name in found
        ]
        return AuditPage(items, items[-1].seq if len(items) == asked.limit else None)


def _names(lookup: Lookup, scope: Scope, keys: Mapping[Kind, Collection[str]]) -> Names:
    """What entries are called; a bed with its ward."""
    found = lookup.called(scope, keys)
    wards = {row.id: row.name for row in found.get("ward", ())}
    more = {row.ward for row in found.get("bed", ())} - wards.keys()
    if more:
        wards.update({row.id: row.name for row in lookup.called(scope, {"ward": more})["ward"]})
    return {(kind, row.id): called(kind, row, wards) for kind, some in found.items() for row in some}
