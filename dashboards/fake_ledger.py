"""The fake of the port's loss ledger: counts and outboxes that are put in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cloud_ingest.balance import AskedLedger, Book, LedgerReport, ledger_report, replaced, to_write_off
from cloud_ingest.loss_ledger import Count
from dashboards.backend import DirectoryError
from dashboards.ledger_models import WriteOff
from hearthward.core.clock import Clock
from hearthward.core.ids import Ids
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["FakeLedger"]

MAX_REASON = 500


class FakeLedger:
    """The part of ``FakeBackend`` that is about the loss ledger."""

    clock: Clock
    ids: Ids

    def __init__(self) -> None:
        self._ledger_counts: defaultdict[str, list[Count]] = defaultdict(list)
        self._ledger_books: defaultdict[str, list[Book]] = defaultdict(list)

    def put_ledger(self, tenant: str, book: Book, counts: Sequence[Count] = ()) -> None:
        """An outbox and what is counted of it."""
        self._ledger_books[tenant] = [b for b in self._ledger_books[tenant] if b.source != book.source] + [
            book
        ]
        self._ledger_counts[tenant].extend(counts)

    def _of(self, tenant: str) -> Any:
        raise NotImplementedError

    def _seen(self, scope: Scope, gateway: str) -> bool:
        if not scope.confined:
            return True
        known = self._of(scope.tenant).items["gateway"].get(gateway)
        return scope.patient is None and known is not None and known.ward in (scope.wards or ())

    async def ledger(self, scope: Scope, asked: AskedLedger) -> LedgerReport:
        """See the port."""
        counts = [
            c
            for c in self._ledger_counts[scope.tenant]
            if self._seen(scope, c.gateway)
            and asked.start <= c.hour < asked.end
            and asked.gateway in {None, c.gateway}
            and asked.device in {None, c.device}
        ]
        books = [b for b in self._ledger_books[scope.tenant] if self._seen(scope, b.gateway)]
        return ledger_report(asked, counts, books)

    async def write_off(self, who: Principal, gateway: str, boot: str, reason: str) -> WriteOff:
        """See the port."""
        scope, text = scope_of(who), " ".join(reason.split())
        if not text or len(text) > MAX_REASON:
            raise DirectoryError(field="reason", code="invalid" if text else "required", value=text[:40])
        books = [b for b in self._ledger_books[scope.tenant] if self._seen(scope, b.gateway)]
        book = next((b for b in books if b.source == (gateway, boot)), None)
        if book is None or book.told is None:
            raise DirectoryError(field="boot", code="unknown", value=boot)
        ranges = book.open(replaced=book.source in replaced(books))
        if not ranges:
            raise DirectoryError(field="boot", code="state", value="balanced")
        for first, last in ranges:
            book.written_off.add(first, last)
        of_it = [c for c in self._ledger_counts[scope.tenant] if (c.gateway, c.boot) == book.source]
        self._ledger_counts[scope.tenant] += to_write_off(of_it)
        return WriteOff(
            id=self.ids.new("wof"),
            gateway=gateway,
            boot=boot,
            numbers=sum(last - first + 1 for first, last in ranges),
            reason=text,
            by=who.user,
            at=self.clock.now_ns(),
        )
