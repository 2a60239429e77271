"""The notification outbox in the database: claiming under a lease, and the record of every attempt.

A notification goes queued -> handed_over [-> confirmed], or queued -> failed (for good) or abandoned (after
the last attempt, or when nobody needs it any more). A claim counts the attempt and leases the row; who
records the result names that attempt, so that a late answer cannot undo what came after it. What was not
delivered stays ``unreported`` until escalation has been told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, and_, case, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from cloud_ingest.records.models import Alarm, DeliveryAttempt, Notification, Tenant, TransitionRow
from hearthward.core.ids import stable_id

__all__ = [
    "CLOSING",
    "Claim",
    "Claimed",
    "Lease",
    "Result",
    "Room",
    "Sent",
    "State",
    "Undelivered",
    "claim",
    "confirm",
    "fail_orphans",
    "next_due",
    "record",
    "release",
    "reported",
    "settle",
    "unreported",
]

State = Literal["queued", "handed_over", "confirmed", "failed", "abandoned"]
Result = Literal["handed_over", "temporary", "failed", "abandoned"]

CLOSING: Final = ("end", "reset")
"""Kinds that are held back while an earlier message of the same alarm is still on its way."""
CALLING: Final = ("start", "escalate", "tell", "redirect")
"""Kinds that call for somebody to come: of no use any more once somebody does, or the alarm is over."""
ANSWERED: Final = ("accept", "take_over")
SCANNED: Final = 500
"""Due rows of one channel that are looked at in one claim."""
MS: Final = 1_000_000
INTERRUPTED: Final = "no result was recorded: the sender stopped or was too slow"
_RANK: Final = {"high": 0, "medium": 1, "low": 2}
_CLAIMED: Final = (
    Notification.tenant,
    Notification.id,
    Notification.alarm,
    Notification.kind,
    Notification.channel,
    Notification.who,
    Notification.target,
    Notification.body,
    Notification.language,
    Notification.priority,
    Notification.attempts,
    Notification.created,
    Notification.lease_until,
)


@dataclass(frozen=True, slots=True)
class Lease:
    """How claims are made: for how long, and after how many attempts a notification is abandoned."""

    nanoseconds: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Room:
    """What a channel takes now: so many messages; ``joins_from`` as many to one target are one of them.

    A joined message has at most ``most``. ``joins_from`` None: each goes by itself. ``answered``: whoever
    gets a joined message can answer it, which is about the worst one: it goes under that one's identity.
    """

    messages: int
    joins_from: int | None = None
    most: int = 1
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A notification to send now, as the ``attempt``-th try; ``repeated``: the one before has no result.

    ``message`` is the identity that it is sent under: its own, or that of the joined message.
    """

    tenant: str
    id: str
    message: str
    joined: bool
    alarm: str
    kind: str
    channel: str
    who: str
    target: str = field(repr=False)
    body: str = field(repr=False)
    language: str
    priority: Literal["high", "medium", "low"]
    attempt: int
    created: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was claimed, one list for each message, and the channels of what was settled instead.

    ``abandoned`` after its last attempt, ``superseded`` because nobody needs it any more.
    """

    messages: Sequence[Sequence[Claim]] = ()
    abandoned: Sequence[str] = ()
    superseded: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one claim. ``next_at``: when a temporary failure is tried again."""

    claim: Claim
    result: Result
    detail: str = ""
    reference: str | None = None
    latency_ms: float = 0.0
    next_at: int = 0


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Somebody was not reached by a channel, for good."""

    alarm: str
    channel: str
    who: str
    reason: str


def claim(session: Session, rooms: dict[str, Room], now: int, lease: Lease) -> Claimed:
    """Lease what is due, the most urgent and oldest first, as far as each channel has room.

    What was sent in one joined message before is so again only with others of as many attempts: a receiver
    that knows the message already must not take it for one with less in it.

    Calls for help that failed before are not made again when somebody has accepted meanwhile, or it is over.
    """
    superseded = _supersede(session, [name for name in rooms if name != "in_app"], now)
    messages: list[list[Claim]] = []
    abandoned: list[str] = []
    for channel, room in rooms.items():
        if room.messages <= 0:
            continue
        query = select(*_CLAIMED).where(Notification.channel == channel, _due(now), ~_held_back())
        limit = room.messages if room.joins_from is None else SCANNED
        rows = session.execute(query.order_by(*_urgency()).limit(limit)).all()
        worn_out = [row for row in rows if row.attempts >= lease.attempts]
        if worn_out:
            _abandon(session, worn_out, now)
            abandoned += [channel] * len(worn_out)
        alive = [row for row in rows if row.attempts < lease.attempts] if worn_out else rows
        groups = _grouped(alive, room)[: room.messages]
        messages += [[_claimed(row, group, room) for row in group] for group in groups]
    claims = [made for message in messages for made in message]
    _write_claims(session, claims, now, now + lease.nanoseconds)
    return Claimed(messages, abandoned, superseded)


def _grouped(rows: Sequence[Any], room: Room) -> list[list[Any]]:
    """One list for each message to send, in the order of the first of each."""
    if room.joins_from is None:
        return [[row] for row in rows]
    by_target: defaultdict[tuple[str, str, int], list[Any]] = defaultdict(list)
    for row in rows:
        by_target[row.target, row.language, row.attempts].append(row)
    place = {row.id: n for n, row in enumerate(rows)}
    groups: list[list[Any]] = []
    for found in by_target.values():
        size = room.most if len(found) >= room.joins_from else 1
        groups += [found[n : n + size] for n in range(0, len(found), size)]
    return sorted(groups, key=lambda group: place[group[0].id])


def _claimed(row: Any, group: Sequence[Any], room: Room) -> Claim:
    message = row.id
    if len(group) > 1:
        message = group[0].id if room.answered else stable_id("msg", *sorted(r.id for r in group))
    return Claim(
        tenant=row.tenant,
        id=row.id,
        message=message,
        joined=len(group) > 1,
        alarm=row.alarm,
        kind=row.kind,
        channel=row.channel,
        who=row.who,
        target=row.target,
        body=row.body,
        language=row.language,
        priority=row.priority,
        attempt=row.attempts + 1,
        created=row.created,
        repeated=row.lease_until is not None,
    )


def _write_claims(session: Session, claims: Sequence[Claim], now: int, until: int) -> None:
    if not claims:
        return
    again = [_attempt(c, now, "interrupted", INTERRUPTED) for c in claims if c.repeated]
    if again:
        session.execute(insert(DeliveryAttempt), again)
    session.execute(
        update(Notification),
        [
            {
                "tenant": c.tenant,
                "id": c.id,
                "attempts": c.attempt,
                "lease_until": until,
                "message": c.message if c.joined else None,
            }
            for c in claims
        ],
    )


def _abandon(session: Session, rows: Sequence[Any], now: int) -> None:
    session.execute(insert(DeliveryAttempt), [_attempt(row, now, "interrupted", INTERRUPTED) for row in rows])
    last = {"state": "abandoned", "lease_until": None, "unreported": "given up after the last attempt"}
    session.execute(update(Notification), [{"tenant": r.tenant, "id": r.id, **last} for r in rows])


def _supersede(session: Session, channels: Collection[str], now: int) -> list[str]:
    """Settle what waits for another try and calls for nobody any more; returns the channels, one for each.

    Only what is known to have failed: what was never tried, or may not have been, is handed over at least
    once. Nobody has to be told instead, so escalation does not hear of it.
    """
    after = (
        select(Alarm.ended)
        .join(TransitionRow, and_(TransitionRow.tenant == Alarm.tenant, TransitionRow.alarm == Alarm.id))
        .where(
            Alarm.tenant == Notification.tenant,
            Alarm.id == Notification.alarm,
            or_(
                TransitionRow.seq > Notification.seq,
                and_(TransitionRow.seq == Notification.seq, TransitionRow.ordinal > Notification.ordinal),
            ),
        )
    )
    over = after.where(TransitionRow.kind.in_(CLOSING), Alarm.ended.is_not(None)).exists()
    accepted = after.where(TransitionRow.kind.in_(ANSWERED), Alarm.accepted_by.is_not(None)).exists()
    query = select(*_CLAIMED, over.label("over")).where(
        Notification.state == "queued",
        Notification.attempts > 0,
        Notification.lease_until.is_(None),
        Notification.kind.in_(CALLING),
        Notification.channel.in_(channels),
        or_(over, accepted),
    )
    rows = session.execute(query).all()
    if rows:
        why = {True: "ended meanwhile", False: "accepted meanwhile"}
        made = [_attempt(row, now, "superseded", f"superseded: {why[bool(row.over)]}") for row in rows]
        session.execute(insert(DeliveryAttempt), made)
        settled = [{"tenant": row.tenant, "id": row.id, "state": "abandoned"} for row in rows]
        session.execute(update(Notification), settled)
    return [row.channel for row in rows]


def record(session: Session, sent: Sequence[Sent], now: int) -> None:
    """Write what came of claims; a notification follows it unless a later attempt has been claimed.

    A hand-over counts whenever its answer comes.
    """
    columns = Notification.tenant, Notification.id, Notification.state, Notification.attempts
    query = select(*columns, Notification.reference)
    stands = {
        (row.tenant, row.id): row
        for ids in _chunks([one.claim.id for one in sent])
        for row in session.execute(query.where(Notification.id.in_(ids)))
    }
    session.execute(
        insert(DeliveryAttempt),
        [_attempt(one.claim, now, one.result, one.detail, one.latency_ms) for one in sent],
    )
    changes: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for one in sent:
        key = one.claim.tenant, one.claim.id
        if change := _follow(stands[key], one, now):
            changes[tuple(change)].append({"tenant": key[0], "id": key[1], **change})
    for rows in changes.values():
        session.execute(update(Notification), rows)


def _follow(row: Any, one: Sent, now: int) -> dict[str, Any]:
    """What an attempt changes of its notification."""
    if one.result == "handed_over":
        if row.state == "queued":
            return {"state": "handed_over", "reference": one.reference, "lease_until": None}
        return {"reference": one.reference} if row.reference is None else {}
    if row.state != "queued" or row.attempts != one.claim.attempt:
        return {}
    if one.result == "temporary":
        return {"lease_until": None, "next_at": one.next_at or now}
    return {"state": one.result, "lease_until": None, "unreported": one.detail or "not delivered"}


def confirm(session: Session, tenant: str, alarm: str, user: str) -> None:
    """Somebody has answered the alarm: what the app showed of it on the walls and to them has been seen."""
    session.execute(
        update(Notification)
        .where(
            Notification.tenant == tenant,
            Notification.alarm == alarm,
            Notification.channel == "in_app",
            Notification.who.in_(["wall", user]),
            Notification.state == "handed_over",
        )
        .values(state="confirmed")
    )


def settle(
    session: Session, message: str, state: Literal["confirmed", "failed"], detail: str, now: int
) -> list[str]:
    """What the channel found out later of a message (a notification's id, or a joined message's).

    Returns the channels of the notifications that changed, one for each. What is final stays: but a
    hand-over may turn out to have failed.
    """
    mine = select(Notification).where(
        Notification.tenant.in_(select(Tenant.id)),
        Notification.id == message,  # the key begins with the tenant
    )
    joined = select(Notification).where(Notification.message == message)
    rows = {(row.tenant, row.id): row for query in (mine, joined) for row in session.scalars(query)}
    changed: list[str] = []
    for row in rows.values():
        if row.state not in {"queued", "handed_over"}:
            continue
        session.execute(insert(DeliveryAttempt), [_attempt(row, now, state, detail)])
        row.state, row.lease_until = state, None
        if state == "failed":
            row.unreported = detail or "not delivered"
        changed.append(row.channel)
    return changed


def unreported(session: Session, limit: int) -> list[tuple[str, str, Undelivered]]:
    """(tenant, id, what to tell escalation) of what was not delivered and is not told yet."""
    query = select(Notification).where(Notification.unreported.is_not(None)).limit(limit)
    return [
        (row.tenant, row.id, Undelivered(row.alarm, row.channel, row.who, row.unreported or ""))
        for row in session.scalars(query.order_by(Notification.created, Notification.id))
    ]


def reported(session: Session, keys: Iterable[tuple[str, str]]) -> None:
    """Escalation has been told of these."""
    for tenant, ident in keys:
        session.get_one(Notification, (tenant, ident)).unreported = None


def fail_orphans(session: Session, channels: Collection[str], now: int) -> dict[str, int]:
    """Fail, visibly, what is queued for channels that are not configured (any more): channel -> how many."""
    counts: dict[str, int] = {}
    for row in session.scalars(
        select(Notification).where(Notification.state == "queued", Notification.channel.not_in(channels))
    ):
        reason = f"channel {row.channel} is not configured"
        row.state, row.lease_until, row.unreported = "failed", None, reason
        session.execute(insert(DeliveryAttempt), [_attempt(row, now, "failed", reason)])
        counts[row.channel] = counts.get(row.channel, 0) + 1
    return counts


def release(session: Session, now: int) -> None:
    """End the leases of a sender that is gone: its notifications are due again, as repeated.

    For the one sender to call when it starts; then nobody else can be sending.
    """
    session.execute(
        update(Notification)
        .where(Notification.state == "queued", Notification.lease_until > now)
        .values(lease_until=now)
    )


def next_due(session: Session, channels: Collection[str]) -> int | None:
    """When the next queued notification of these can be claimed (UTC ns), or None when none waits."""
    leased = func.coalesce(Notification.lease_until, 0)
    moment = case((Notification.next_at > leased, Notification.next_at), else_=leased)
    query = select(moment).where(
        Notification.state == "queued", Notification.channel.in_(channels), ~_held_back()
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
            earlier.who == Notification.who,
            earlier.state == "queued",
            or_(
                earlier.seq < Notification.seq,
                and_(earlier.seq == Notification.seq, earlier.ordinal < Notification.ordinal),
            ),
        ),
    )


def _urgency() -> tuple[ColumnElement[Any], ...]:
    rank = case(_RANK, value=Notification.priority, else_=len(_RANK))
    closing = case((Notification.kind.in_(CLOSING), 1), else_=0)
    return closing, rank, Notification.created.expression, Notification.id.expression


def _attempt(of: Any, now: int, outcome: str, detail: str, latency_ms: float = 0.0) -> dict[str, Any]:
    """A row of the attempts for a claim or a notification."""
    return {
        "tenant": of.tenant,
        "notification": of.id,
        "at": now,
        "outcome": outcome,
        "detail": detail[:500],
        "latency_ms": latency_ms,
        "after_ms": max(0.0, (now - of.created) / MS),
    }


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for n in range(0, len(ids), SCANNED):
        yield ids[n : n + SCANNED]
