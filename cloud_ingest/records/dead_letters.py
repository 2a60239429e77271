"""Dead letters in the records: found, counted by reason, and marked with what a replay came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, load_only

from cloud_ingest.records.models import DeadLetter, Pruned

__all__ = [
    "DEAD_LETTERS",
    "Asked",
    "ReasonCount",
    "count_by_reason",
    "dropped",
    "find",
    "find_one",
    "open_ids",
]

DEAD_LETTERS: Final = "dead_letter"
"""What dead letters are called in ``Pruned``."""
_LISTED: Final = (
    DeadLetter.id,
    DeadLetter.at,
    DeadLetter.gateway,
    DeadLetter.boot,
    DeadLetter.topic,
    DeadLetter.reason,
    DeadLetter.detail,
    DeadLetter.size,
    DeadLetter.readings,
    DeadLetter.state,
    DeadLetter.replayed_at,
    DeadLetter.replayed_by,
    DeadLetter.outcome,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which dead letters: None and "" mean any. ``since`` is UTC ns, ``before`` an id (the older ones)."""

    reason: str = ""
    gateway: str = ""
    state: str = ""
    since: int | None = None
    before: int | None = None
    limit: int = 200


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Of one reason: letters in all, those not replayed, and the readings in the latter."""

    reason: str
    letters: int
    open: int
    readings: int


Gateways = frozenset[str] | None
"""Whose letters are looked at; None: anybody's, also of gateways that nobody knows."""


def _mine(query: Select[Any], tenant: str, gateways: Gateways) -> Select[Any]:
    query = query.where(DeadLetter.tenant == tenant)
    return query if gateways is None else query.where(DeadLetter.gateway.in_(sorted(gateways)))


def _chosen(tenant: str, asked: Asked, gateways: Gateways) -> Select[Any]:
    query = _mine(select(DeadLetter), tenant, gateways)
    for column, value in (
        (DeadLetter.reason, asked.reason),
        (DeadLetter.gateway, asked.gateway),
        (DeadLetter.state, asked.state),
    ):
        if value:
            query = query.where(column == value)
    if asked.since is not None:
        query = query.where(DeadLetter.at >= asked.since)
    if asked.before is not None:
        query = query.where(DeadLetter.id < asked.before)
    return query


def find(session: Session, tenant: str, asked: Asked, gateways: Gateways = None) -> Sequence[DeadLetter]:
    """The newest first, without their content."""
    query = _chosen(tenant, asked, gateways).options(load_only(*_LISTED, raiseload=True))
    return session.scalars(query.order_by(DeadLetter.id.desc()).limit(asked.limit)).all()


def find_one(session: Session, tenant: str, ident: int) -> DeadLetter | None:
    """One of them, with its content."""
    row = session.get(DeadLetter, ident)
    return row if row is not None and row.tenant == tenant else None


def open_ids(
    session: Session, tenant: str, reason: str, after: int, limit: int, gateways: Gateways = None
) -> Sequence[int]:
    """The ids of those of a reason that a replay has not let in, the oldest first, beyond ``after``."""
    query = _mine(select(DeadLetter.id), tenant, gateways).where(
        DeadLetter.reason == reason, DeadLetter.state != "replayed", DeadLetter.id > after
    )
    return session.scalars(query.order_by(DeadLetter.id).limit(limit)).all()


def count_by_reason(session: Session, tenant: str, gateways: Gateways = None) -> Sequence[ReasonCount]:
    """How many there are, by reason."""
    waiting = DeadLetter.state != "replayed"
    counts: Any = select(
        DeadLetter.reason,
        func.count(),
        func.count().filter(waiting),
        func.coalesce(func.sum(DeadLetter.readings).filter(waiting), 0),
    )
    query = _mine(counts, tenant, gateways).group_by(DeadLetter.reason).order_by(DeadLetter.reason)
    return [ReasonCount(*row) for row in session.execute(query).all()]


def dropped(session: Session, tenant: str) -> Sequence[Pruned]:
    """What was dropped for its age or number, by reason."""
    query = select(Pruned).where(Pruned.tenant == tenant, Pruned.what == DEAD_LETTERS)
    return session.scalars(query.order_by(Pruned.reason)).all()
