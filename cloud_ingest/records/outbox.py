"""The notification outbox in the database: claiming under a lease, and the record of every attempt.

A notification goes queued -> handed_over [-> confirmed], or queued -> failed (for good) or abandoned (after
the last attempt). A claim counts the attempt and leases the row; who records the result names that attempt,
so that a late answer cannot undo what came after it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from cloud_ingest.records.models import DeliveryAttempt, Notification

__all__ = [
    "CLOSING",
    "Claim",
    "Lease",
    "State",
    "claim",
    "confirm",
    "fail_orphans",
    "next_due",
    "record",
    "release",
]

State = Literal["queued", "handed_over", "confirmed", "failed", "abandoned"]
Result = Literal["handed_over", "temporary", "failed", "abandoned"]

CLOSING: Final = ("end", "reset")
"""Kinds that are held back while an earlier message of the same alarm is still on its way."""
_RANK: Final = {"high": 0, "medium": 1, "low": 2}


@dataclass(frozen=True, slots=True)
class Lease:
    """How claims are made: for how long, and after how many attempts a notification is abandoned."""

    nanoseconds: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A notification to send now, as the ``attempt``-th try; ``repeated``: the one before has no result."""

    tenant: str
    id: str
    target: str
    body: str
    language: str
    priority: Literal["high", "medium", "low"]
    attempt: int
    repeated: bool


def claim(session: Session, channel: str, now: int, lease: Lease, limit: int) -> tuple[list[Claim], int]:
    """Lease up to ``limit`` due notifications of a channel, the most urgent and oldest first.

    Returns them, and how many were abandoned instead: their last attempt's lease ran out without a result.
    """
    rows = session.scalars(
        select(Notification)
        .where(Notification.channel == channel, _due(now), ~_held_back())
        .order_by(*_urgency())
        .limit(limit)
    ).all()
    claims: list[Claim] = []
    abandoned = 0
    for row in rows:
        interrupted = row.lease_until is not None
        if interrupted:
            detail = "no result was recorded: the sender stopped or was too slow"
            _attempt(session, row, now, "interrupted", detail, 0.0)
        if row.attempts >= lease.attempts:
            row.state, row.lease_until = "abandoned", None
            abandoned += 1
            continue
        row.attempts += 1
        row.lease_until = now + lease.nanoseconds
        claims.append(
            Claim(
                tenant=row.tenant,
                id=row.id,
                target=row.target,
                body=row.body,
                language=row.language,
                priority=cast("Literal['high', 'medium', 'low']", row.priority),
                attempt=row.attempts,
                repeated=interrupted,
            )
        )
    return claims, abandoned


def record(
    session: Session,
    made: Claim,
    result: Result,
    *,
    now: int,
    detail: str = "",
    reference: str | None = None,
    latency_ms: float = 0.0,
    next_at: int | None = None,
) -> State:
    """Write an attempt's result; the notification follows it unless a later attempt has been claimed.

    A hand-over counts whenever its answer comes. Returns the notification's state.
    """
    row = session.get_one(Notification, (made.tenant, made.id))
    _attempt(session, row, now, result, detail, latency_ms)
    if row.state != "queued":
        return cast("State", row.state)
    if result == "handed_over":
        row.state, row.reference, row.lease_until = "handed_over", reference, None
    elif row.attempts == made.attempt:
        row.lease_until = None
        if result == "temporary":
            row.next_at = now if next_at is None else next_at
        else:
            row.state = result
    return cast("State", row.state)


def confirm(session: Session, tenant: str, alarm: str, channels: Collection[str]) -> None:
    """Somebody has accepted the alarm: what these channels handed over for it has been seen."""
    session.execute(
        update(Notification)
        .where(
            Notification.tenant == tenant,
            Notification.alarm == alarm,
            Notification.channel.in_(channels),
            Notification.state == "handed_over",
        )
        .values(state="confirmed")
    )


def fail_orphans(session: Session, channels: Collection[str], now: int) -> dict[str, int]:
    """Fail, visibly, what is queued for channels that are not configured (any more): channel -> how many."""
    counts: dict[str, int] = {}
    for row in session.scalars(
        select(Notification).where(Notification.state == "queued", Notification.channel.not_in(channels))
    ):
        row.state, row.lease_until = "failed", None
        _attempt(session, row, now, "failed", f"channel {row.channel} is not configured", 0.0)
        counts[row.channel] = counts.get(row.channel, 0) + 1
    return counts


def release(session: Session, channel: str, now: int) -> None:
    """End the leases of a sender that is gone: its channel's notifications are due again, as repeated.

    For the one sender of a channel to call when it starts; then nobody else can be sending.
    """
    session.execute(
        update(Notification)
        .where(
            Notification.channel == channel,
            Notification.state == "queued",
            Notification.lease_until > now,
        )
        .values(lease_until=now)
    )


def next_due(session: Session, channel: str) -> int | None:
    """When the channel's next queued notification can be claimed (UTC ns), or None when none waits."""
    leased = func.coalesce(Notification.lease_until, 0)
    moment = case((Notification.next_at > leased, Notification.next_at), else_=leased)
    query = select(moment).where(
        Notification.channel == channel, Notification.state == "queued", ~_held_back()
    )
    found = session.scalars(query.order_by(moment).limit(1)).all()
    return found[0] if found else None


def _due(now: int) -> ColumnElement[bool]:
    return and_(
        Notification.state == "queued",
        Notification.next_at <= now,
        or_(Notification.lease_until.is_(None), Notification.lease_until <= now),
    )


def _held_back() -> ColumnElement[bool]:
    earlier = aliased(Notification)
    return and_(
        Notification.kind.in_(CLOSING),
        exists().where(
            earlier.tenant == Notification.tenant,
            earlier.alarm == Notification.alarm,
            earlier.channel == Notification.channel,
            earlier.target == Notification.target,
            earlier.state == "queued",
            or_(
                earlier.seq < Notification.seq,
                and_(earlier.seq == Notification.seq, earlier.ordinal < Notification.ordinal),
            ),
        ),
    )


def _urgency() -> tuple[ColumnElement[Any], ...]:
    rank = case(_RANK, value=Notification.priority, else_=len(_RANK))
    return rank, Notification.created.expression, Notification.id.expression


def _attempt(
    session: Session, row: Notification, now: int, outcome: str, detail: str, latency_ms: float
) -> None:
    session.add(
        DeliveryAttempt(
            tenant=row.tenant,
            notification=row.id,
            at=now,
            outcome=outcome,
            detail=detail[:500],
            latency_ms=latency_ms,
        )
    )
