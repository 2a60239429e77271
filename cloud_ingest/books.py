"""Keeping the books: takes what gateways have counted, and says to the rules where the books do not balance.

A difference is told when it has lasted for a minute during which its gateway was connected: what a gateway
has sent or declared lost may still be on its way until then.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.balance import Book, replaced
from cloud_ingest.facts import Facts
from cloud_ingest.loss_ledger import hour_of
from cloud_ingest.receipts import Ledger, Source, load_account
from cloud_ingest.records import Records
from cloud_ingest.records.ledger import Told, lost_since, read_books, write_accounts
from hearthward.core.clock import SECOND, Clock
from hearthward.core.codes import METRICS
from hearthward.core.errors import DecodeError, StoreUnavailable
from hearthward.core.ids import GATEWAY_ID
from hearthward.core.messages import Account, Accounts
from hearthward.core.telemetry import Telemetry
from rules.model import subject_key

__all__ = ["Books"]

log = logging.getLogger(__name__)

WRITE_S: Final = 1.0
"""What gateways tell is written this often; it comes again when it is lost."""
LOOK_EVERY: Final = 5
"""The books are looked at every so many writings."""
LOOK_MOST_S: Final = 15.0
"""Looks that were further apart than this prove no more."""
LASTS_S: Final = 60.0
LOST_NS: Final = 3600 * SECOND
"""What was declared lost is told for an hour."""
PAST_HOURS: Final = 30 * 24
FUTURE_HOURS: Final = 2 * 24
MAX_GATEWAYS: Final = 10_000
MAX_BOOTS: Final = 1_000
"""Of one gateway."""
MAX_DEVICES: Final = 1_000
"""Of one gateway, since our start."""
MAX_KINDS: Final = 64
MAX_WAITING: Final = 500_000
"""Rows that wait to be written; more are refused."""
MAX_DEVICE: Final = 512
_KIND: Final = re.compile(r"read|accepted|(rejected|dropped):[a-z0-9_-]{1,40}")
UNACCOUNTED: Final = "readings_unaccounted"
LOST: Final = "readings_lost"


class Books:
    """The loss ledger of one tenant, as the running cloud keeps it.

    ``ledger`` gives what is committed, ``online`` whether a gateway is connected. ``facts`` is told of each
    gateway how many readings are unaccounted for, and how many it has lost within the hour.
    """

    def __init__(
        self,
        tenant: str,
        records: Records,
        *,
        ledger: Callable[[], Ledger],
        facts: Facts,
        online: Callable[[str], bool],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._tenant, self._records, self._clock, self._telemetry = tenant, records, clock, telemetry
        self._ledger, self._facts, self._online = ledger, facts, online
        self._waiting: dict[Source, Told] = {}
        self._boots: defaultdict[str, set[str]] = defaultdict(set)
        self._devices: defaultdict[str, set[str]] = defaultdict(set)
        self._kinds: defaultdict[str, set[str]] = defaultdict(set)
        self._open: dict[Source, float] = {}
        self._looked: int | None = None
        self._soon = asyncio.Event()

    # -- what gateways tell

    def offer(self, gateway: str, payload: bytes) -> None:
        """Take a gateway's message without waiting; what cannot be believed is counted and left out."""
        try:
            told = Accounts.decode(payload)
        except DecodeError as error:
            self._refuse(gateway, error.reason, str(error))
            return
        if told.gateway != gateway:
            self._refuse(gateway, "identity", f"accounts of {told.gateway[:64]!r}")
        elif not GATEWAY_ID.fullmatch(told.boot) or told.backlog > told.accepted:
            self._refuse(gateway, "malformed", "its boot's name or its numbers cannot be")
        elif not self._room(gateway, told.boot):
            self._refuse(gateway, "too_many", "more gateways, or outboxes of one, than can be")
        else:
            self._take(told)

    def _refuse(self, gateway: str, reason: str, detail: str) -> None:
        self._telemetry.count("messages_rejected_total", kind="account")
        log.warning("accounts of gateway %s refused (%s): %s", gateway, reason, detail)

    def _room(self, gateway: str, boot: str) -> bool:
        boots = self._boots.get(gateway)
        if boots is None and len(self._boots) >= MAX_GATEWAYS:
            return False
        if boots is not None and boot not in boots and len(boots) >= MAX_BOOTS:
            return False
        self._boots[gateway].add(boot)
        return True

    def _take(self, told: Accounts) -> None:
        now = hour_of(self._clock.now_ns())
        room = MAX_WAITING - sum(len(waits.rows) for waits in self._waiting.values())
        rows: dict[tuple[str, int, str], int] = {}
        for row in told.rows:
            reason = self._wrong(told.gateway, row, now) or ("full" if len(rows) >= room else None)
            if reason is not None:
                self._telemetry.count("ledger_rows_refused_total", reason=reason)
            else:
                rows[row.device, row.hour, row.kind] = row.n
        settled = told.accepted if not told.backlog else 0
        found = Told(told.accepted, told.backlog, settled, rows)
        known = self._waiting.setdefault((told.gateway, told.boot), found)
        if known is not found:
            known.merge(found)

    def _wrong(self, gateway: str, row: Account, now: int) -> str | None:
        """Why a row is not kept."""
        if not now - PAST_HOURS <= row.hour <= now + FUTURE_HOURS:
            return "hour"
        if len(row.device) > MAX_DEVICE or _full(self._devices[gateway], row.device, MAX_DEVICES):
            return "device"
        good = _KIND.fullmatch(row.kind) and not _full(self._kinds[gateway], row.kind, MAX_KINDS)
        return None if good else "kind"

    # -- what is made of it

    async def run(self) -> None:
        """Write and look until cancelled."""
        rounds = 0
        while True:
            soon = await self._pause()
            try:
                await self.write()
                if soon or rounds % LOOK_EVERY == 0:
                    await self.look()
            except StoreUnavailable as error:
                log.warning("the books wait for the records: %s", error)
            rounds += 1

    async def _pause(self) -> bool:
        """Wait for the next round; whether somebody asked for a look."""
        try:
            async with asyncio.timeout(WRITE_S):
                await self._soon.wait()
        except TimeoutError:
            return False
        self._soon.clear()
        return True

    def look_soon(self) -> None:
        """Something was written off."""
        self._soon.set()

    async def write(self) -> None:
        """Write what gateways have told. Raises StoreUnavailable; it is then written the next time."""
        if not self._waiting:
            return
        told, self._waiting = self._waiting, {}
        now = self._clock.now_ns()
        try:
            await self._records.run(lambda s: write_accounts(s, self._tenant, told, now), durable=False)
        except StoreUnavailable:
            for source, found in told.items():
                newer = self._waiting.setdefault(source, found)
                if newer is not found:
                    newer.merge(found)
            raise

    async def look(self) -> None:
        """Compare the books, and tell the rules. Raises StoreUnavailable."""
        since = self._clock.now_ns() - LOST_NS
        books, lost = await self._records.read(
            lambda s: (self._read_books(s), lost_since(s, self._tenant, since))
        )
        for book in books:
            self._boots[book.gateway].add(book.boot)
        missing = self._lasting(books)
        for gateway in sorted({b.gateway for b in books if b.told is not None}):
            found = missing.get(gateway, 0)
            if found is not None:
                self._tell(gateway, UNACCOUNTED, found)
        for gateway in sorted({b.gateway for b in books} | lost.keys()):
            self._tell(gateway, LOST, lost.get(gateway, 0))

    def _read_books(self, session: Session) -> list[Book]:
        """All outboxes; with what is committed of those whose accounts are not in memory."""
        books, ledger = read_books(session, self._tenant, ranges=False), self._ledger()
        for book in books:
            if book.told is not None and not ledger.whole and ledger.known(book.source) is None:
                account = load_account(session, self._tenant, book.source)
                book.committed, book.gaps = account.blocks, account.gaps
        return books

    def _lasting(self, books: Iterable[Book]) -> dict[str, int | None]:
        """Numbers that have been unaccounted for long enough, by gateway; None: that is not known yet."""
        books, mono, ledger = list(books), self._clock.monotonic_ns(), self._ledger()
        passed = 0.0 if self._looked is None else min((mono - self._looked) / SECOND, LOOK_MOST_S)
        self._looked = mono
        past = replaced(books)
        found: defaultdict[str, int] = defaultdict(int)
        young: set[str] = set()
        for book in books:
            if book.told is None:
                continue
            if (account := ledger.known(book.source)) is not None:
                book.committed, book.gaps = account.blocks, account.gaps
            unaccounted = book.standing(replaced=book.source in past).unaccounted
            if not unaccounted:
                self._open.pop(book.source, None)
                continue
            lasted = self._open.get(book.source)
            self._open[book.source] = 0.0 if lasted is None else lasted + passed * self._online(book.gateway)
            if self._open[book.source] >= LASTS_S:
                found[book.gateway] += unaccounted
            else:
                young.add(book.gateway)
        return {g: found.get(g) for g in young | found.keys()}

    def _tell(self, gateway: str, metric: str, n: int) -> None:
        self._facts.put(subject_key("gateway", gateway), metric, min(float(n), METRICS[metric].high))


def _full(known: set[str], name: str, most: int) -> bool:
    """Whether a name is one too many; it is remembered if not."""
    if name in known:
        return False
    if len(known) >= most:
        return True
    known.add(name)
    return False
