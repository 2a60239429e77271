"""Notifications in the records, as the notifier's tests commit and read them."""

from __future__ import annotations

import asyncio

from sqlalchemy.orm import Session

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import (
    Undelivered,
    enqueue,
)
from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import DeliveryAttempt, Notification
from hearthward.core.clock import SECOND
from hearthward.core.errors import DeliveryTemporary
from rules import Transition
from tests.unit.cloud_ingest.made import axes

START = 1_800_000_020 * SECOND
ENDPOINT = ("fake", "@number-1")
BUSY = DeliveryTemporary("try later")


def commit(
    records: Records, *transitions: Transition, told: tuple[tuple[str, str], ...] = (ENDPOINT,)
) -> int:
    """What the pipeline does with one input's transitions, all of which tell the same."""
    for t in transitions:
        t.detail["told"] = [list(hop) for hop in told]

    def within(session: Session) -> int:
        apply_transitions(session, "main", transitions, START)
        return len(enqueue(session, "main", transitions, START))

    return records.run_now(within)


def rows(records: Records) -> list[Notification]:
    return records.read_now(
        lambda s: list(s.query(Notification).order_by(Notification.seq, Notification.ordinal))
    )


def outcomes(records: Records) -> list[str]:
    return records.read_now(
        lambda s: [a.outcome for a in s.query(DeliveryAttempt).order_by(DeliveryAttempt.id)]
    )


OWNED = {"axes": {**axes()["axes"], "owner": "usr_1", "owned_at": START}}


async def taken(channel: FakeChannel, n: int) -> None:
    """Return when a channel has taken so many."""
    async with asyncio.timeout(30):
        while len(channel.taken) < n:
            channel.reached.clear()
            await channel.reached.wait()


class Escalation:
    """Takes what was not delivered, as ``CloudService.act`` does."""

    def __init__(self) -> None:
        self.told: list[Undelivered] = []
        self.refuses: list[Exception] = []
        self.called = asyncio.Event()

    async def undelivered(self, what: Undelivered) -> None:
        self.told.append(what)
        self.called.set()
        if self.refuses:
            raise self.refuses.pop()
