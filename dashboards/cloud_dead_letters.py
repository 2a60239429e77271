"""The port's dead letters over the real records and pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records import models as rows
from cloud_ingest.records.dead_letters import Asked, count_by_reason, dropped, find, find_one, open_ids
from cloud_ingest.replaying import MOST
from cloud_ingest.service import CloudService
from dashboards.dead_letter_models import (
    DeadLetter,
    DeadLetterBook,
    DeadLetterDetail,
    Dropped,
    ReasonTotal,
    ReplayResult,
)
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["CloudDeadLetters", "book_of"]

_LONGEST = 18
"""Digits of an id that any database takes."""


class CloudDeadLetters:
    """The part of ``CloudBackend`` that is about dead letters."""

    def __init__(self, service: CloudService) -> None:
        self._service = service

    async def dead_letters(self, scope: Scope, asked: Asked) -> DeadLetterBook:
        """See the port."""
        return await self._service.records.read(lambda s: book_of(s, scope, asked))

    async def dead_letter(self, scope: Scope, key: str) -> DeadLetterDetail | None:
        """See the port."""

        def read(session: Session) -> DeadLetterDetail | None:
            row = letter_in(session, scope, key)
            return None if row is None else DeadLetterDetail.of(row)

        return await self._service.records.read(read)

    async def waiting_letters(self, scope: Scope, reason: str, after: str | None) -> Sequence[str]:
        """See the port."""
        edge = number_of(after or "") or 0

        def read(session: Session) -> list[str]:
            gateways = gateways_of(session, scope)
            return [str(n) for n in open_ids(session, scope.tenant, reason, edge, MOST, gateways)]

        return await self._service.records.read(read)

    async def replay_letter(self, who: Principal, key: str, *, dry_run: bool) -> ReplayResult | None:
        """See the port."""
        scope = scope_of(who)
        found = await self._service.records.read(lambda s: letter_in(s, scope, key))
        if found is None:
            return None
        done = await self._service.pipeline.replayer.replay(found.id, who.user, dry_run=dry_run)
        return None if done is None else ReplayResult.of(done)


def number_of(key: str) -> int | None:
    """A letter's id as the records have it."""
    return int(key) if key.isascii() and key.isdigit() and len(key) <= _LONGEST else None


def gateways_of(session: Session, scope: Scope) -> frozenset[str] | None:
    """The gateways whose letters are in scope; None: any, also unknown ones."""
    if not scope.confined:
        return None
    if scope.wards is None:
        return frozenset()
    query = select(rows.Gateway.id).where(
        rows.Gateway.tenant == scope.tenant, rows.Gateway.ward.in_(sorted(scope.wards))
    )
    return frozenset(session.scalars(query))


def letter_in(session: Session, scope: Scope, key: str) -> rows.DeadLetter | None:
    """A letter in scope."""
    number = number_of(key)
    row = None if number is None else find_one(session, scope.tenant, number)
    if row is None:
        return None
    gateways = gateways_of(session, scope)
    return row if gateways is None or row.gateway in gateways else None


def book_of(session: Session, scope: Scope, asked: Asked) -> DeadLetterBook:
    """The letters asked for, and all counts."""
    gateways = gateways_of(session, scope)
    gone = dropped(session, scope.tenant) if gateways is None else ()
    return DeadLetterBook(
        items=[DeadLetter.of(row) for row in find(session, scope.tenant, asked, gateways)],
        reasons=[
            ReasonTotal(reason=c.reason, letters=c.letters, open=c.open, readings=c.readings)
            for c in count_by_reason(session, scope.tenant, gateways)
        ],
        dropped=[Dropped(reason=p.reason, letters=p.rows, readings=p.readings, at=p.at) for p in gone],
    )
