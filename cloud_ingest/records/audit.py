"""The audit in the database: appended and read; a trigger refuses anything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import or_, select

from cloud_ingest.records.models import Alarm, Association, AuditRow, Encounter, Patient
from cloud_ingest.records.scoping import Repository, require_whole
from hearthward.core.errors import AccessError
from hearthward.trust.access import Scope
from hearthward.trust.audit import SHOWN, AuditEvent

if TYPE_CHECKING:
    from cloud_ingest.records.engine import Records

__all__ = ["Audit", "RecordsAuditLog"]

MOST_LOOKS: Final = 5_000
"""So many of the newest are told at most."""
MOST_ALARMS: Final = 500
"""Of a patient's newest alarms, stays and devices worn it is told who looked at them."""


class Audit(Repository):
    """The audit of a tenant."""

    def append(self, scope: Scope, event: AuditEvent) -> None:
        """Keep an event of the scope's tenant; in the same transaction as what it tells of, if any."""
        if event.tenant != scope.tenant:
            msg = "an audit event belongs to its own tenant's audit"
            raise AccessError(msg)
        self.session.add(
            AuditRow(
                at=event.at,
                tenant=event.tenant,
                actor=event.actor,
                action=event.action,
                resource_kind=event.resource_kind,
                resource_id=event.resource_id,
                outcome=event.outcome,
                detail=dict(event.detail),
            )
        )

    def list(
        self,
        scope: Scope,
        *,
        actor: str | None = None,
        resource_kind: str | None = None,
        resource_id: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[AuditRow]:
        """The newest rows first; ``before`` a ``seq`` pages on."""
        require_whole(scope, "the audit")
        query = select(AuditRow).where(AuditRow.tenant == scope.tenant)
        if actor is not None:
            query = query.where(AuditRow.actor == actor)
        if resource_kind is not None:
            query = query.where(AuditRow.resource_kind == resource_kind)
        if resource_id is not None:
            query = query.where(AuditRow.resource_id == resource_id)
        if before is not None:
            query = query.where(AuditRow.seq < before)
        return self.session.scalars(query.order_by(AuditRow.seq.desc()).limit(limit)).all()

    def looks(self, scope: Scope, patient: str, since: int) -> Sequence[AuditRow]:
        """Who was shown something of a patient in scope, the newest first.

        Also what is looked at by the key of an alarm, a stay or a device worn.
        """
        seen = select(Patient.id).where(
            Patient.tenant == scope.tenant, Patient.id == patient, *self._patient_limit(Patient.id, scope)
        )
        if self.session.scalars(seen).one_or_none() is None:
            return []
        alarms = select(Alarm.id).where(Alarm.tenant == scope.tenant, Alarm.patient == patient)
        newest = alarms.order_by(Alarm.started.desc()).limit(MOST_ALARMS)
        about = [patient, *self.session.scalars(newest)]
        for table in (Encounter, Association):
            of_them = select(table.id).where(table.tenant == scope.tenant, table.patient == patient)
            about += self.session.scalars(of_them.order_by(table.start.desc()).limit(MOST_ALARMS))
        query = select(AuditRow).where(
            AuditRow.tenant == scope.tenant,
            AuditRow.resource_id.in_(about),
            AuditRow.at >= since,
            AuditRow.outcome == "done",
            or_(
                AuditRow.action.startswith(SHOWN, autoescape=True),
                AuditRow.detail["read"].as_boolean().is_(True),
            ),
        )
        # "+ 0": else SQLite walks the whole tenant by its index on time instead of what this is about
        return self.session.scalars(query.order_by((AuditRow.at + 0).desc()).limit(MOST_LOOKS)).all()


class RecordsAuditLog:
    """The audit port's real adapter."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def append(self, event: AuditEvent) -> None:
        """Keep the event; returns when it is committed. Raises StoreUnavailable."""
        scope = Scope.system(event.tenant)
        await self._records.run(lambda session: self._records.audit(session).append(scope, event))

    async def events(self, tenant: str, *, limit: int = 100) -> list[AuditEvent]:
        """The newest events of a tenant, newest first."""
        scope = Scope.system(tenant)
        rows = await self._records.read(lambda session: self._records.audit(session).list(scope, limit=limit))
        return [
            AuditEvent(
                at=row.at,
                tenant=row.tenant,
                actor=row.actor,
                action=row.action,
                resource_kind=row.resource_kind,
                resource_id=row.resource_id,
                outcome=row.outcome,  # type: ignore[arg-type] # only ever written from an AuditEvent
                detail=row.detail,
            )
            for row in rows
        ]
