"""Alarms that gateways opened, as rows: written with the decisions that they became, read by either name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import ConfigDocumentRow, EdgeAlarm
from rules.model import Adopt

__all__ = ["alarm_named", "edge_alarms_of", "write_edge_alarms"]


def write_edge_alarms(session: Session, tenant: str, words: Sequence[tuple[Adopt, str | None]]) -> None:
    """Keep what gateways have told, each with the alarm of ours that it is, in the caller's transaction."""
    keys = {(word.source, word.config) for word, _ in words}
    versions = {key: _version(session, tenant, *key) for key in sorted(keys)}
    for word, alarm in words:
        row = session.get(EdgeAlarm, (tenant, word.alarm))
        if row is None:
            row = EdgeAlarm(
                tenant=tenant,
                id=word.alarm,
                gateway=word.source,
                subject=word.subject,
                rule=word.rule,
                onset=word.onset,
                started=word.at,
                ended=word.ended,
                told=word.told,
                received=word.now,
            )
        row.alarm = alarm or row.alarm
        row.rule_hash, row.limit_text = word.rule_hash, word.limit
        row.config, row.config_version = word.config, versions[word.source, word.config]
        row.decided = word.decided
        row.onset, row.told = min(row.onset, word.onset), row.told or word.told
        row.ended = row.ended if word.ended is None else word.ended
        session.add(row)
    session.flush()


def _version(session: Session, tenant: str, gateway: str, digest: str) -> int | None:
    issued = ConfigDocumentRow
    query = select(issued.version).where(
        issued.tenant == tenant, issued.gateway == gateway, issued.digest == digest
    )
    return session.scalars(query.order_by(issued.version.desc()).limit(1)).first()


def alarm_named(session: Session, tenant: str, name: str) -> str | None:
    """The alarm that a gateway calls so; None: no gateway does."""
    row = session.get(EdgeAlarm, (tenant, name))
    return None if row is None else row.alarm


def edge_alarms_of(session: Session, tenant: str, alarms: Collection[str]) -> Mapping[str, list[EdgeAlarm]]:
    """What gateways have told of alarms, by these, in order of their coming."""
    found: dict[str, list[EdgeAlarm]] = {}
    query = select(EdgeAlarm).where(
        EdgeAlarm.tenant == tenant, or_(EdgeAlarm.alarm.in_(alarms), EdgeAlarm.id.in_(alarms))
    )
    for row in session.scalars(query.order_by(EdgeAlarm.received, EdgeAlarm.onset, EdgeAlarm.id)):
        found.setdefault(row.alarm or row.id, []).append(row)
    return found
