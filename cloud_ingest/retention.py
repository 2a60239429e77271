"""What only grows is bounded: by age, and dead letters by number and size, too; what is dropped is counted.

In small batches, so that nobody waits for the records' writer. What an alarm that is not over needs is never
dropped, nor are the audit, alarms, transitions and readings. Of dead letters those go first that are no loss:
let in meanwhile, or of frames without a receipt, which gateways still have.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Select, case, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from cloud_ingest import journal
from cloud_ingest.dead_letters import State
from cloud_ingest.receipts import compact
from cloud_ingest.records import Records
from cloud_ingest.records.dead_letters import DEAD_LETTERS
from cloud_ingest.records.ledger import prune as prune_ledger
from cloud_ingest.records.models import (
    Alarm,
    DeadLetter,
    DeliveryAttempt,
    FrameRow,
    InactivationRow,
    Notification,
    Pruned,
)
from hearthward.core.clock import SECOND
from hearthward.core.retention_settings import RetentionSettings
from hearthward.core.telemetry import Telemetry

__all__ = ["Retention"]

log = logging.getLogger(__name__)

BATCH: Final = 500
MOST_BATCHES: Final = 400
"""In one go; the rest an hour later."""
NOTIFICATIONS: Final = "notifications"
ATTEMPTS: Final = "delivery_attempts"
INACTIVATIONS: Final = "inactivations"
_DAY: Final = 86_400 * SECOND


class Retention:
    """Drops what is older than the settings say, of one tenant."""

    def __init__(
        self, tenant: str, records: Records, settings: RetentionSettings, telemetry: Telemetry
    ) -> None:
        self._tenant, self._records = tenant, records
        self._settings, self._telemetry = settings, telemetry

    async def prune(self, now: int) -> None:
        """Drop all that is to go at ``now`` (UTC ns). Raises StoreUnavailable; what was dropped stays so."""
        kept = self._settings
        await self._records.run(lambda s: self._inputs(s, now))
        await self._batches(ATTEMPTS, kept.notifications_days, now, drop_notifications)
        await self._batches(INACTIVATIONS, kept.inactivations_days, now, drop_inactivations)
        for _ in range(MOST_BATCHES):
            gone = await self._records.run(lambda s: self._dead_letters(s, now))
            for reason, n in gone.items():
                self._telemetry.count("dead_letters_dropped_total", n, reason=reason)
            if gone:
                log.warning("dead letters dropped for their age or number: %s", gone)
            if sum(gone.values()) < BATCH:
                break

    async def _batches(
        self, what: str, days: float, now: int, drop: Callable[[Session, str, int, int], int]
    ) -> None:
        if not days:
            return
        before = now - round(days * _DAY)
        for _ in range(MOST_BATCHES):
            gone = await self._records.run(lambda s: drop(s, self._tenant, before, now))
            self._telemetry.count("rows_pruned_total", gone, table=what)
            if gone < BATCH:
                return

    def _inputs(self, session: Session, now: int) -> None:
        """Old inputs of deciding, digests of ranges, counts of the loss ledger: cheap to drop at once."""
        journal.prune(session, self._tenant, now - round(self._settings.journal_h * 3600 * SECOND))
        sources = select(FrameRow.gateway, FrameRow.boot).where(FrameRow.tenant == self._tenant).distinct()
        for gateway, boot in session.execute(sources).all():
            compact(session, self._tenant, (gateway, boot))
        if self._settings.ledger_days:
            prune_ledger(session, self._tenant, now, max(1, round(self._settings.ledger_days)))

    def _dead_letters(self, session: Session, now: int) -> dict[str, int]:
        """Drop a batch of letters that are too old or too many; how many of which reason."""
        kept, mine = self._settings, DeadLetter.tenant == self._tenant
        old = now - round(kept.dead_letters_days * _DAY) if kept.dead_letters_days else 0
        going: Sequence[int] = session.scalars(
            select(DeadLetter.id).where(mine, DeadLetter.at < old).order_by(DeadLetter.at).limit(BATCH)
        ).all()
        if not going:
            going = _too_many(session, mine, kept.dead_letters, kept.dead_letter_bytes)
        chosen = select(
            DeadLetter.id, DeadLetter.reason, DeadLetter.state, DeadLetter.readings, DeadLetter.at
        )
        rows = session.execute(chosen.where(DeadLetter.id.in_(going))).all()
        gone: dict[str, int] = {}
        for row in rows:
            gone[row.reason] = gone.get(row.reason, 0) + 1
            if row.state != State.REPLAYED:
                count(session, self._tenant, DEAD_LETTERS, row.at + 1, now, row.reason, 1, row.readings)
        session.execute(delete(DeadLetter).where(DeadLetter.id.in_([row.id for row in rows])))
        return gone


def drop_notifications(session: Session, tenant: str, before: int, now: int) -> int:
    """Drop a batch of messages of alarms that are over, with all attempts; how many messages.

    Those with an attempt, or an alarm that ended, from ``before`` on stay as they are.
    """
    tried = select(DeliveryAttempt.id).where(
        DeliveryAttempt.tenant == tenant,
        DeliveryAttempt.notification == Notification.id,
        DeliveryAttempt.at >= before,
    )
    query: Select[Any] = (
        select(Notification.id)
        .join(Alarm, (Alarm.tenant == Notification.tenant) & (Alarm.id == Notification.alarm))
        .where(
            Notification.tenant == tenant,
            Notification.created < before,
            Notification.state != "queued",
            Notification.unreported.is_(None),
            Alarm.condition == "inactive",
            func.coalesce(Alarm.ended, Alarm.started) < before,
            ~exists(tried),
        )
    )
    ids: Sequence[str] = session.scalars(query.order_by(Notification.created).limit(BATCH)).all()
    if not ids:
        return 0
    mine = DeliveryAttempt.tenant == tenant, DeliveryAttempt.notification.in_(ids)
    attempts = session.scalar(select(func.count()).select_from(DeliveryAttempt).where(*mine)) or 0
    count(session, tenant, NOTIFICATIONS, before, now, n=len(ids))
    count(session, tenant, ATTEMPTS, before, now, n=attempts)  # first: the trigger asks for it
    session.flush()
    session.execute(delete(DeliveryAttempt).where(*mine))
    session.execute(delete(Notification).where(Notification.tenant == tenant, Notification.id.in_(ids)))
    return len(ids)


def drop_inactivations(session: Session, tenant: str, before: int, now: int) -> int:
    """Drop a batch of pauses that have ended; how many."""
    query = select(InactivationRow.id).where(
        InactivationRow.tenant == tenant, InactivationRow.ended.is_not(None), InactivationRow.ended < before
    )
    ids: Sequence[str] = session.scalars(query.order_by(InactivationRow.ended).limit(BATCH)).all()
    if ids:
        count(session, tenant, INACTIVATIONS, before, now, n=len(ids))
        mine = InactivationRow.tenant == tenant, InactivationRow.id.in_(ids)
        session.execute(delete(InactivationRow).where(*mine))
    return len(ids)


def count(
    session: Session,
    tenant: str,
    what: str,
    before: int,
    now: int,
    reason: str = "",
    n: int = 0,
    readings: int = 0,
) -> None:
    """Note that ``n`` rows are dropped, all from ``before``."""
    row = session.get(Pruned, (tenant, what, reason))
    if row is None:
        row = Pruned(tenant=tenant, what=what, reason=reason, before=0, rows=0, readings=0, at=now)
        session.add(row)
    row.before, row.at = max(row.before, before), now
    row.rows += n
    row.readings += readings


def _too_many(session: Session, mine: Any, most: int, most_bytes: int) -> Sequence[int]:
    """A batch of those beyond ``most`` or ``most_bytes``: first what is no loss, then the oldest."""
    letters, size = session.execute(
        select(func.count(), func.coalesce(func.sum(DeadLetter.size), 0)).where(mine)
    ).one()
    if letters <= most and size <= most_bytes:
        return ()
    no_loss = or_(DeadLetter.boot.is_(None), DeadLetter.state == State.REPLAYED)
    worth = case((no_loss, 0), else_=1)
    found: list[int] = []
    for ident, its_size in session.execute(
        select(DeadLetter.id, DeadLetter.size).where(mine).order_by(worth, DeadLetter.id).limit(BATCH)
    ):
        if letters <= most and size <= most_bytes:
            break
        found.append(ident)
        letters, size = letters - 1, size - its_size
    return found
