"""How channels do, read from the record of attempts and tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, select
from sqlalchemy.orm import Session

from cloud_ingest.channel_health import DAY, FAILED, REPORTED, TAKEN, Health, Try, health
from cloud_ingest.records.models import ChannelTest, DeliveryAttempt, Notification

__all__ = ["TESTS_SHOWN", "ChannelRecord", "add_test", "read_channels", "report_test"]

TESTS_SHOWN: Final = 5
_NOW: Final = Notification
_DONE: Final = DeliveryAttempt
_JOIN: Final = and_(_NOW.tenant == _DONE.tenant, _NOW.id == _DONE.notification)
_WAS_TAKEN: Final = ("handed_over", "confirmed")
_LATER: Final = and_(_DONE.outcome == "failed", _DONE.latency_ms == 0, _NOW.reference.is_not(None))
"""Not a try, but what came back from outside after it had been handed over."""


@dataclass(frozen=True, slots=True)
class ChannelRecord:
    """What is on record of one channel."""

    health: Health
    queued: int
    oldest: int | None
    tests: Sequence[ChannelTest]


def read_channels(
    session: Session, tenant: str, channels: Iterable[str], now: int
) -> dict[str, ChannelRecord]:
    """The record of each channel at ``now`` (UTC ns, real time: attempts go by that)."""
    recent = _recent(session, tenant, now)
    waiting = _waiting(session, tenant)
    found = {}
    for channel in channels:
        tests = _tests(session, tenant, channel)
        tries = [*recent.get(channel, ()), *_marks(session, tenant, channel), *map(_try, tests)]
        queued, oldest = waiting.get(channel, (0, None))
        found[channel] = ChannelRecord(health(tries, now), queued, oldest, tests[:TESTS_SHOWN])
    return found


def add_test(session: Session, made: ChannelTest) -> None:
    """Keep a test."""
    session.add(made)


def report_test(session: Session, tenant: str, test: str, *, failed: bool, detail: str, now: int) -> None:
    """What came back of a test from outside: a key or a delivery, or that it failed after all."""
    row = session.get(ChannelTest, (tenant, test))
    if row is None:
        return
    if failed:
        row.outcome, row.detail = "failed", detail
    elif row.confirmed is None:
        row.confirmed = now


def _tries() -> Select[Any]:
    """Tries of channels; what nobody had an address for never came to one."""
    outcome = case((_LATER, REPORTED), else_=_DONE.outcome)
    return (
        select(_NOW.channel, _DONE.at, outcome, _DONE.detail, _DONE.latency_ms, _DONE.id)
        .join_from(_DONE, _NOW, _JOIN)
        .where(_NOW.attempts > 0)
    )


def _recent(session: Session, tenant: str, now: int) -> dict[str, list[Try]]:
    found: dict[str, list[Try]] = {}
    known = _DONE.outcome.in_((TAKEN, *FAILED))
    query = _tries().where(_DONE.tenant == tenant, known, _DONE.at > now - DAY)
    for channel, *rest in session.execute(query):
        found.setdefault(channel, []).append(Try(*rest))
    return found


def _marks(session: Session, tenant: str, channel: str) -> list[Try]:
    """The last that was taken, the last that failed, and the first that failed after the former.

    The last taken is one of the newest notification that was; failures are few.
    """
    mine = _tries().where(_NOW.tenant == tenant, _NOW.channel == channel)
    failing = and_(_DONE.tenant == tenant, _DONE.outcome.in_(FAILED), ~_LATER)
    newest = session.scalar(
        select(_NOW.id)
        .where(_NOW.tenant == tenant, _NOW.channel == channel, _NOW.state.in_(_WAS_TAKEN))
        .order_by(_NOW.created.desc())
        .limit(1)
    )
    last = mine.where(_NOW.id == newest, _DONE.outcome == TAKEN).order_by(_DONE.id.desc())
    taken = [] if newest is None else _one(session, last)
    failed = _one(session, mine.where(failing).order_by(_DONE.at.desc(), _DONE.id.desc()))
    after: list[ColumnElement[bool]] = [failing] if not taken else [failing, _DONE.at > taken[0].at]
    first = _one(session, mine.where(*after).order_by(_DONE.at)) if failed else []
    return [*taken, *failed, *first]


def _one(session: Session, query: Select[Any]) -> list[Try]:
    row = session.execute(query.limit(1)).first()
    return [] if row is None else [Try(*row[1:])]


def _waiting(session: Session, tenant: str) -> dict[str, tuple[int, int | None]]:
    """How many wait for each channel, and since when."""
    found: dict[str, list[int]] = {}
    for channel, created in session.execute(
        select(_NOW.channel, _NOW.created).where(_NOW.state == "queued", _NOW.tenant == tenant)
    ):
        found.setdefault(channel, []).append(created)
    return {channel: (len(times), min(times)) for channel, times in found.items()}


def _tests(session: Session, tenant: str, channel: str) -> Sequence[ChannelTest]:
    query = select(ChannelTest).where(ChannelTest.tenant == tenant, ChannelTest.channel == channel)
    return session.scalars(query.order_by(ChannelTest.at.desc(), ChannelTest.id).limit(50)).all()


def _try(test: ChannelTest) -> Try:
    return Try(test.at, test.outcome, test.detail, test.latency_ms, test.id)
