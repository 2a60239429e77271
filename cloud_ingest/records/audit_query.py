"""The audit as people look through it: by who, what, when and whom it is about, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, String, and_, cast, or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Alarm, Association, AuditRow, Encounter, User
from cloud_ingest.records.scoping import require_whole
from hearthward.trust.access import Scope

__all__ = ["AskedAudit", "audit_page"]


@dataclass(frozen=True, slots=True)
class AskedAudit:
    """Which lines of the audit, newest first; those before the line ``before``, ``limit`` of them.

    ``who`` is an id, a login or part of a name; ``patient`` a patient's id: what names that patient, or one
    of the patient's alarms, stays and associations. ``since`` <= time < ``until`` (UTC ns).
    """

    who: str = ""
    action: str = ""
    kind: str = ""
    target: str = ""
    outcome: str = ""
    patient: str = ""
    since: int | None = None
    until: int | None = None
    before: int | None = None
    limit: int = 100


def audit_page(session: Session, scope: Scope, asked: AskedAudit) -> Sequence[tuple[AuditRow, str | None]]:
    """The lines asked for, newest first, each with the name of who did it where that is known.

    Raises AccessError for a scope of less than the whole tenant.
    """
    require_whole(scope, "the audit")
    query = (
        select(AuditRow, User.name)
        .outerjoin(User, (User.tenant == AuditRow.tenant) & (User.id == AuditRow.actor))
        .where(AuditRow.tenant == scope.tenant, *_chosen(scope, asked))
    )
    # As the index (tenant, at) has them: by their number alone all of them would be sorted.
    newest = AuditRow.at.desc(), AuditRow.seq.desc()
    found = session.execute(query.order_by(*newest).limit(asked.limit)).all()
    return [(row, name) for row, name in found]


def _chosen(scope: Scope, asked: AskedAudit) -> list[ColumnElement[bool]]:
    """The conditions of a question."""
    found: list[ColumnElement[bool]] = []
    for column, wanted in (
        (AuditRow.action, asked.action),
        (AuditRow.resource_kind, asked.kind),
        (AuditRow.resource_id, asked.target),
        (AuditRow.outcome, asked.outcome),
    ):
        if wanted:
            found.append(column == wanted)
    if asked.since is not None:
        found.append(AuditRow.at >= asked.since)
    if asked.until is not None:
        found.append(AuditRow.at < asked.until)
    if asked.before is not None:
        then = select(AuditRow.at).where(AuditRow.seq == asked.before).scalar_subquery()
        same = and_(AuditRow.at == then, AuditRow.seq < asked.before)
        found.append(or_(AuditRow.at < then, same))
    if asked.who:
        named = or_(User.login == asked.who.lower(), User.name.icontains(asked.who, autoescape=True))
        known = select(User.id).where(User.tenant == scope.tenant, named)
        found.append(or_(AuditRow.actor == asked.who, AuditRow.actor.in_(known)))
    if asked.patient:
        own = [
            AuditRow.resource_id.in_(
                select(model.id).where(model.tenant == scope.tenant, model.patient == asked.patient)
            )
            for model in (Alarm, Encounter, Association)
        ]
        quoted = cast(AuditRow.detail, String).contains(f'"{asked.patient}"', autoescape=True)
        found.append(or_(AuditRow.resource_id == asked.patient, *own, quoted))
    return found
