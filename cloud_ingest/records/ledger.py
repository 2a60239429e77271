"""The loss ledger in the records: written with frames and accounts, read as a report, closed by people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import ColumnElement, TextClause, case, delete, func, literal, literal_column, select, text
from sqlalchemy.orm import Session

from cloud_ingest.balance import (
    ACCEPTED,
    READ,
    AskedLedger,
    Book,
    LedgerReport,
    ledger_report,
    replaced,
    to_write_off,
)
from cloud_ingest.loss_ledger import STORED, Count, Tally, hour_of
from cloud_ingest.records.ledger_models import OTHERS, LedgerBook, LedgerCount, WriteOff
from cloud_ingest.records.models import FrameRow, GapRow, Gateway
from cloud_ingest.records.scoping import Repository, refuse_code
from hearthward.core.clock import SECOND
from hearthward.trust.access import Scope

if TYPE_CHECKING:
    from cloud_ingest.receipts import Source

__all__ = [
    "KEPT_DAYS",
    "LossLedger",
    "Told",
    "lost_since",
    "prune",
    "read_books",
    "write_accounts",
    "write_tally",
]

KEPT_DAYS: Final = 400
"""Counts are kept for so long; the numbers of outboxes for ever."""
MAX_REASON: Final = 500
PLAIN: Final = (READ, ACCEPTED, STORED)
"""Most of all counts are of these, and have no reason."""


@dataclass(slots=True)
class Told:
    """What a gateway has told of one outbox: numbers as in ``Book``, and counts by (device, hour, kind)."""

    accepted: int
    backlog: int
    settled: int
    rows: dict[tuple[str, int, str], int]

    def merge(self, other: Told) -> None:
        """Take in another message, in whatever order they come, and however often.

        While no number is given out, what waits only becomes less: the lesser backlog is the newer.
        """
        if other.accepted > self.accepted:
            self.accepted, self.backlog = other.accepted, other.backlog
        elif other.accepted == self.accepted:
            self.backlog = min(self.backlog, other.backlog)
        self.settled = max(self.settled, other.settled)
        for key, n in other.rows.items():
            self.rows[key] = max(n, self.rows.get(key, 0))


def _upsert(then: str) -> str:
    """Of counts: what to do where there is one already. Plain SQL, which costs little for each row."""
    key = "tenant, gateway, boot, device, hour, kind"
    return (
        f"INSERT INTO ledger_counts ({key}, n) VALUES (?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 - constants
        f"ON CONFLICT ({key}) DO UPDATE SET n = {then}"
    )


_ADD: Final = _upsert("ledger_counts.n + excluded.n")
_GREATEST: Final = _upsert("excluded.n WHERE excluded.n > ledger_counts.n")
_SET: Final = _upsert("excluded.n")
_HEARD: Final = text(
    """
    INSERT INTO ledger_books (tenant, gateway, boot, backlog, settled, heard)
    VALUES (:tenant, :gateway, :boot, 0, 0, :heard)
    ON CONFLICT (tenant, gateway, boot) DO UPDATE SET heard = (
      SELECT CASE WHEN max(o.heard) > excluded.heard THEN max(o.heard) ELSE excluded.heard END
      FROM ledger_books AS o WHERE o.tenant = excluded.tenant AND o.gateway = excluded.gateway
    )
    """
)
"""Where our clock goes back, the newest time of the gateway's outboxes counts as now."""


def _write_counts(session: Session, sql: str, tenant: str, counts: Iterable[Count]) -> None:
    rows = [(tenant, *count) for count in counts]
    if rows:
        connection = session.connection()
        sql = sql if connection.dialect.paramstyle == "qmark" else sql.replace("?", "%s")
        connection.exec_driver_sql(sql, rows)


def write_tally(session: Session, tenant: str, tally: Tally, sources: Iterable[Source], now: int) -> None:
    """Add a batch's counts, and note that something of these outboxes came; in the caller's transaction."""
    _write_counts(session, _ADD, tenant, tally)
    heard = [{"tenant": tenant, "gateway": g, "boot": b, "heard": now} for g, b in sources]
    if heard:
        session.connection().execute(_HEARD, heard)


def write_accounts(session: Session, tenant: str, told: Mapping[Source, Told], now: int) -> None:
    """Keep what gateways have told; the same again, or an older message, changes nothing."""
    for (gateway, boot), found in told.items():
        row = session.get(LedgerBook, (tenant, gateway, boot))
        if row is None:
            row = LedgerBook(tenant=tenant, gateway=gateway, boot=boot, backlog=0, settled=0, heard=now)
            session.add(row)
        merged = Told(row.accepted or 0, row.backlog, row.settled, {})
        merged.merge(Told(found.accepted, found.backlog, found.settled, {}))
        row.accepted, row.backlog, row.settled = merged.accepted, merged.backlog, merged.settled
        row.told, row.heard = max(now, row.told or 0), max(now, row.heard)
        counts = (Count(gateway, boot, *key, n) for key, n in found.rows.items())
        _write_counts(session, _GREATEST, tenant, counts)


def read_books(
    session: Session, tenant: str, only: frozenset[str] | None = None, *, ranges: bool = True
) -> list[Book]:
    """All outboxes (of the gateways ``only``); without ``ranges`` what is committed or lost is left out."""
    mine = select(LedgerBook).where(LedgerBook.tenant == tenant)
    books = {
        (row.gateway, row.boot): Book(
            row.gateway, row.boot, row.accepted or 0, row.backlog, row.settled, row.told, row.heard
        )
        for row in session.scalars(mine)
        if only is None or row.gateway in only
    }
    for off in session.scalars(select(WriteOff).where(WriteOff.tenant == tenant)):
        if (book := books.get((off.gateway, off.boot))) is not None:
            for first, last in off.ranges:
                book.written_off.add(first, last)
    if ranges:
        for table in (FrameRow, GapRow):
            found = select(table.gateway, table.boot, table.first, table.last).where(table.tenant == tenant)
            for gateway, boot, first, last in session.execute(
                found.order_by(table.gateway, table.boot, table.first)
            ):
                if (book := books.get((gateway, boot))) is not None:
                    (book.committed if table is FrameRow else book.gaps).add(first, last)
    return list(books.values())


def lost_since(session: Session, tenant: str, since: int) -> dict[str, int]:
    """Numbers that gateways have declared lost since then (UTC ns)."""
    lost = func.sum(GapRow.last - GapRow.first + 1)
    found = select(GapRow.gateway, lost).where(GapRow.tenant == tenant, GapRow.at > since)
    return {gateway: int(n) for gateway, n in session.execute(found.group_by(GapRow.gateway))}


def prune(session: Session, tenant: str, now: int, days: int = KEPT_DAYS) -> int:
    """Drop counts of hours longer ago than ``days``; returns how many rows."""
    edge = hour_of(now - days * 86_400 * SECOND)
    gone = session.execute(delete(LedgerCount).where(LedgerCount.tenant == tenant, LedgerCount.hour < edge))
    return int(getattr(gone, "rowcount", 0))


def _of(scope: Scope, asked: AskedLedger) -> list[ColumnElement[bool]]:
    """The counts that are asked for."""
    found = [
        LedgerCount.tenant == scope.tenant,
        LedgerCount.hour >= asked.start,
        LedgerCount.hour < asked.end,
    ]
    if asked.gateway is not None:
        found.append(LedgerCount.gateway == asked.gateway)
    if asked.device is not None:
        found.append(LedgerCount.device == asked.device)
    return found


class LossLedger(Repository):
    """The ledger within a scope: of its wards' gateways; gateways of no ward belong to who sees all."""

    def report(self, scope: Scope, asked: AskedLedger) -> LedgerReport:
        """The counts that are asked for, and the outboxes by numbers."""
        visible = self._visible(scope)
        books = read_books(self.session, scope.tenant, visible)
        return ledger_report(asked, self._counts(scope, asked, visible), books)

    def _counts(self, scope: Scope, asked: AskedLedger, visible: frozenset[str] | None) -> list[Count]:
        found = self._plain(scope, asked) if asked.by == "gateway" else []
        found += self._each(scope, asked, [OTHERS] if found else [])
        return [count for count in found if visible is None or count.gateway in visible]

    def _plain(self, scope: Scope, asked: AskedLedger) -> list[Count]:
        """Counts of ``PLAIN`` kinds, of which it does not matter whether the device is known.

        They are added up in the order of the table's key: a day of 10,000 devices is never sorted.
        """
        each = [func.sum(LedgerCount.n).filter(LedgerCount.kind == kind).label(kind) for kind in PLAIN]
        key = LedgerCount.tenant, LedgerCount.hour, LedgerCount.gateway, LedgerCount.boot
        hours = select(LedgerCount.gateway, LedgerCount.boot, *each).where(*_of(scope, asked)).group_by(*key)
        of = hours.subquery().c
        query = select(of.gateway, of.boot, *(func.sum(of[kind]) for kind in PLAIN))
        sums = self.session.execute(query.group_by(of.gateway, of.boot))
        return [
            Count(gateway, boot, "*", 0, kind, int(n))
            for gateway, boot, *row in sums
            for kind, n in zip(PLAIN, row, strict=True)
            if n is not None
        ]

    def _each(self, scope: Scope, asked: AskedLedger, also: Iterable[TextClause]) -> list[Count]:
        none: ColumnElement[str] = literal_column("''")  # no parameter: it is grouped by
        known = case((LedgerCount.device == none, none), else_=literal_column("'*'"))
        device = LedgerCount.device if asked.by == "device" else known
        hour = LedgerCount.hour if asked.by == "hour" else literal(0)
        query = select(
            LedgerCount.gateway, LedgerCount.boot, device, hour, LedgerCount.kind, func.sum(LedgerCount.n)
        )
        query = query.where(*_of(scope, asked), *also)
        split = [device, *([LedgerCount.hour] if asked.by == "hour" else [])]
        query = query.group_by(LedgerCount.gateway, LedgerCount.boot, LedgerCount.kind, *split)
        return [Count(g, b, d, h, kind, int(n)) for g, b, d, h, kind, n in self.session.execute(query)]

    def write_off(self, scope: Scope, gateway: str, boot: str, reason: str, *, by: str) -> WriteOff:
        """Close the books on what is unaccounted for of an outbox.

        Raises ConfigError (``reason`` invalid, ``boot`` unknown or with nothing to write off).
        """
        text = " ".join(reason.split())
        if not text or len(text) > MAX_REASON:
            refuse_code(
                "reason", "required" if not text else "invalid", text[:40], "say why, in 500 characters"
            )
        visible = self._visible(scope)
        books = read_books(self.session, scope.tenant, visible)
        past = replaced(books)
        book = next((b for b in books if b.source == (gateway, boot)), None)
        if book is None or book.told is None:
            refuse_code("boot", "unknown", boot, f"nothing is known of an outbox {boot!r}", "not_found")
        ranges = book.open(replaced=book.source in past)
        if not ranges:
            refuse_code("boot", "state", "balanced", "nothing of it is unaccounted for", "conflict")
        self._close_counts(scope.tenant, book)
        row = WriteOff(
            tenant=scope.tenant,
            id=self.ids.new("wof"),
            gateway=gateway,
            boot=boot,
            ranges=[list(part) for part in ranges],
            numbers=sum(last - first + 1 for first, last in ranges),
            reason=text,
            by=by,
            at=self.wall,
        )
        self.session.add(row)
        return row

    def _close_counts(self, tenant: str, book: Book) -> None:
        """Say of each device and hour how many of its readings are written off."""
        mine = (
            LedgerCount.tenant == tenant,
            LedgerCount.gateway == book.gateway,
            LedgerCount.boot == book.boot,
        )
        found = self.session.execute(
            select(LedgerCount.device, LedgerCount.hour, LedgerCount.kind, LedgerCount.n).where(*mine)
        )
        closed = to_write_off(Count(book.gateway, book.boot, *row) for row in found)
        _write_counts(self.session, _SET, tenant, closed)

    def _visible(self, scope: Scope) -> frozenset[str] | None:
        """The gateways in scope; None for all, also those that the directory does not know."""
        if not scope.confined:
            return None
        found = select(Gateway.id).where(
            Gateway.tenant == scope.tenant, *self._ward_limit(Gateway.ward, scope)
        )
        return frozenset(self.session.scalars(found))
