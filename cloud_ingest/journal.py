"""The journal and its snapshots: every input of deciding gets one number, and a restart steps them again.

All functions work inside a transaction of ``Records``; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from cloud_ingest.inputs import encode_input, kind_of
from cloud_ingest.records.models import JournalRow, Snapshot
from rules import Input

__all__ = ["Entry", "append", "last_seq", "prune", "replay", "save_snapshot", "snapshots"]

SNAPSHOTS_KEPT: Final = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """An input to be journaled; readings say which gateway and boot they are from."""

    event: Input
    gateway: str | None = None
    boot: str | None = None


def append(session: Session, tenant: str, entries: Iterable[Entry]) -> None:
    """Add the inputs under their own sequence numbers."""
    rows = [
        JournalRow(
            seq=entry.event.seq,
            tenant=tenant,
            at=entry.event.now,
            kind=kind_of(entry.event),
            gateway=entry.gateway,
            boot=entry.boot,
            payload=encode_input(entry.event),
        )
        for entry in entries
    ]
    session.add_all(rows)
    session.flush()


def last_seq(session: Session) -> int:
    """The last number ever given out (0: none); one sequence serves all tenants of the database."""
    journal = session.scalar(select(func.max(JournalRow.seq))) or 0
    snapshot = session.scalar(select(func.max(Snapshot.seq))) or 0
    return max(journal, snapshot)


def replay(session: Session, tenant: str, after: int, limit: int) -> Sequence[JournalRow]:
    """The next inputs after ``after``, in order."""
    query = select(JournalRow).where(JournalRow.tenant == tenant, JournalRow.seq > after)
    return session.scalars(query.order_by(JournalRow.seq).limit(limit)).all()


def save_snapshot(session: Session, tenant: str, seq: int, at: int, state: bytes) -> None:
    """Keep the state after input ``seq``, and only the newest few such snapshots."""
    session.add(Snapshot(tenant=tenant, seq=seq, at=at, state=state))
    session.flush()
    kept = select(Snapshot.id).where(Snapshot.tenant == tenant).order_by(Snapshot.id.desc())
    newest = list(session.scalars(kept.limit(SNAPSHOTS_KEPT)))
    session.execute(delete(Snapshot).where(Snapshot.tenant == tenant, Snapshot.id.not_in(newest)))


def snapshots(session: Session, tenant: str) -> Sequence[Snapshot]:
    """The snapshots kept, the newest first: a damaged one is passed over for the one before."""
    query = select(Snapshot).where(Snapshot.tenant == tenant)
    return session.scalars(query.order_by(Snapshot.seq.desc(), Snapshot.id.desc())).all()


def prune(session: Session, tenant: str, before: int) -> int:
    """Drop inputs older than ``before`` (UTC ns) that no kept snapshot needs; returns how many."""
    oldest = session.scalar(select(func.min(Snapshot.seq)).where(Snapshot.tenant == tenant))
    if oldest is None:
        return 0
    old = delete(JournalRow).where(
        JournalRow.tenant == tenant, JournalRow.seq <= oldest, JournalRow.at < before
    )
    return int(session.execute(old).rowcount)  # type: ignore[attr-defined]
