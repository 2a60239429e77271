"""The embedded store's file as a spool before a server: it knows what the server does not safely have yet.

Beside the readings stand *shipments*: blocks of readings in the order in which they were accepted, written in
the same transaction. A shipment is deleted once the server has it for good; readings are deleted once they
are old and no shipment can hold them any more. A store that was used without a server is adopted: what is in
it is shipped, too.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud_ingest.stores.base import FOREVER, Delivery, Origins, Outcome, check_delivery
from cloud_ingest.stores.points import Key, key_of
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.core.errors import StoreRejected
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.packing import MAX_MESSAGE_BYTES
from hearthward.core.wire import decode_block, encode_block

__all__ = ["Fill", "Shipment", "SpoolFile"]

ROWS: Final = 2_000
"""In a shipment at most."""
DELETED_AT_ONCE: Final = 5_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS shipments (
  id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, gateway TEXT NOT NULL, boot TEXT NOT NULL,
  readings INTEGER NOT NULL, oldest INTEGER NOT NULL, refused TEXT, seqs BLOB NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS shipments_waiting ON shipments (oldest) WHERE refused IS NULL;
CREATE TABLE IF NOT EXISTS refused (
  series INTEGER NOT NULL, key_time INTEGER NOT NULL, mark INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  PRIMARY KEY (series, key_time, mark, ordinal)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spool (
  one INTEGER PRIMARY KEY CHECK (one = 1), moved_before INTEGER NOT NULL,
  waiting INTEGER NOT NULL, refused INTEGER NOT NULL, adopting INTEGER NOT NULL,
  series INTEGER NOT NULL, key_time INTEGER NOT NULL, mark INTEGER NOT NULL, ordinal INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO spool SELECT 1, 0, 0, 0, EXISTS (SELECT 1 FROM readings), -1, 0, 0, 0;
UPDATE shipments SET refused = NULL WHERE refused IS NOT NULL;
UPDATE spool SET waiting = waiting + refused, refused = 0;
"""
_SHIP: Final = (
    "INSERT INTO shipments (tenant, gateway, boot, readings, oldest, seqs, body) VALUES (?,?,?,?,?,?,?)"
)
_ADOPT: Final = """
  SELECT r.series, r.key_time, r.mark, r.ordinal, s.tenant, o.gateway, o.boot, r.seq,
    s.device, s.metric, r.value, c.text, r.key_time + r.device_time, r.key_time + r.received, r.corrected,
    CASE WHEN r.mark < 0 THEN -1 - r.mark END, COALESCE(r.digest, r.mark), r.ordinal, r.grp, r.source,
    a.text, r.quality, p.text, r.error
  FROM readings r JOIN series s ON s.id = r.series JOIN texts p ON p.id = r.profile
  JOIN origins o ON o.id = r.origin
  LEFT JOIN texts c ON c.id = r.code LEFT JOIN texts a ON a.id = r.author
  WHERE (r.series, r.key_time, r.mark, r.ordinal) > (?, ?, ?, ?)
  ORDER BY r.series, r.key_time, r.mark, r.ordinal LIMIT ?
"""
_DELETE: Final = """
  DELETE FROM readings WHERE (series, key_time, mark, ordinal) IN (
    SELECT r.series, r.key_time, r.mark, r.ordinal FROM readings r
    WHERE r.series = ? AND r.corrected < ? AND NOT EXISTS (
      SELECT 1 FROM refused k WHERE k.series = r.series AND k.key_time = r.key_time AND k.mark = r.mark
        AND k.ordinal = r.ordinal)
    LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class Shipment:
    """Readings of one origin on their way to the server."""

    id: int
    tenant: str
    delivery: Delivery

    def __len__(self) -> int:
        return len(self.delivery.batch)


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a spool is: bytes in use, readings that the server may not have, and those it refuses."""

    used: int
    waiting: int
    refused: int


class SpoolFile(SqliteStore):
    """A SqliteStore that also remembers what has to be shipped."""

    def _take_over(self, db: sqlite3.Connection) -> None:
        # What is moved to the server would still be in its sum: a spool keeps none.
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        db.execute("DELETE FROM hours")

    # -- what is accepted

    async def append_beside(
        self, tenant: str, deliveries: Sequence[Delivery], elsewhere: Collection[Key]
    ) -> list[list[Outcome]]:
        """Like ``append_many``; what is not here but has a key of ``elsewhere`` is a DUPLICATE."""
        for delivery in deliveries:
            check_delivery(delivery)

        def work() -> list[list[Outcome]]:
            with self._transaction():
                outcomes = []
                for delivery in deliveries:
                    rows = self._rows(tenant, delivery)
                    keys = map(key_of, delivery.batch)
                    outcomes.append(
                        [self._insert_beside(r, k in elsewhere) for r, k in zip(rows, keys, strict=True)]
                    )
                self._appended(tenant, deliveries, outcomes)
                return outcomes

        return await self._in(self._writer, work)

    def _insert_beside(self, row: tuple[Any, ...], elsewhere: bool) -> Outcome:  # noqa: FBT001
        if elsewhere and not self._is_here(row[:4]):
            return Outcome.DUPLICATE
        return self._insert(row)

    def _is_here(self, key: tuple[Any, ...]) -> bool:
        sql = "SELECT 1 FROM readings WHERE series=? AND key_time=? AND mark=? AND ordinal=?"
        return self._db.execute(sql, key).fetchone() is not None

    def _appended(
        self, tenant: str, deliveries: Sequence[Delivery], outcomes: Sequence[Sequence[Outcome]]
    ) -> None:
        for delivery, found in zip(deliveries, outcomes, strict=True):
            fresh = [i for i, outcome in enumerate(found) if outcome is Outcome.NEW]
            if fresh:
                self._ship(tenant, _some(delivery, fresh))

    def _ship(self, tenant: str, delivery: Delivery) -> None:
        origins = delivery.origins
        for part, body in _blocks(delivery):
            seqs = array("q", part.origins.seqs).tobytes()
            row = (
                tenant,
                origins.gateway,
                origins.boot,
                len(part.batch),
                min(part.batch.corrected),
                seqs,
                body,
            )
            self._db.execute(_SHIP, row)
        self._counted(len(delivery.batch))

    def _counted(self, waiting: int, refused: int = 0) -> None:
        sql = "UPDATE spool SET waiting = waiting + ?, refused = refused + ?"
        self._db.execute(sql, (waiting, refused))

    # -- what is shipped

    async def waiting(self, after: int, most: int) -> list[Shipment]:
        """The next shipments after one, together not many more readings than ``most``."""
        sql = (
            "SELECT id, tenant, gateway, boot, readings, seqs, body FROM shipments"
            " WHERE id > ? AND refused IS NULL ORDER BY id"
        )

        def work() -> list[Shipment]:
            found, readings = [], 0
            for row in self._reader().execute(sql, (after,)):
                found.append(_shipment(row))
                readings += row[4]
                if readings >= most:
                    break
            return found

        return await self._in(self._readers, work)

    async def load(self, ids: Sequence[int]) -> list[Shipment]:
        """Those of these shipments that are still there."""
        holes = ",".join("?" * len(ids))
        sql = f"SELECT id, tenant, gateway, boot, readings, seqs, body FROM shipments WHERE id IN ({holes})"  # noqa: S608

        def work() -> list[Shipment]:
            return [_shipment(row) for row in self._reader().execute(f"{sql} ORDER BY id", tuple(ids))]

        return await self._in(self._readers, work)

    async def arrived(self, shipments: Sequence[Shipment]) -> None:
        """The server has these for good."""

        def work() -> None:
            with self._transaction():
                self._db.executemany("DELETE FROM shipments WHERE id = ?", [(s.id,) for s in shipments])
                self._counted(-sum(map(len, shipments)))
                if self._db.execute("SELECT EXISTS (SELECT 1 FROM refused)").fetchone()[0]:
                    for shipment in shipments:
                        self._forgive(self._rows(shipment.tenant, shipment.delivery))

        await self._in(self._writer, work)

    async def refuse(self, shipment: Shipment, bad: Sequence[int], reason: str) -> None:
        """The server will not have the readings at these places: they stay here; the rest has arrived."""
        part = _some(shipment.delivery, bad)
        seqs = array("q", part.origins.seqs).tobytes()

        def work() -> None:
            with self._transaction():
                self._counted(-len(shipment), len(bad))
                self._db.executemany(
                    "INSERT OR IGNORE INTO refused VALUES (?,?,?,?)",
                    [row[:4] for row in self._rows(shipment.tenant, part)],
                )
                self._db.execute(
                    "UPDATE shipments SET refused = ?, readings = ?, oldest = ?, seqs = ?, body = ?"
                    " WHERE id = ?",
                    (
                        reason,
                        len(bad),
                        min(part.batch.corrected),
                        seqs,
                        encode_block(part.batch),
                        shipment.id,
                    ),
                )

        await self._in(self._writer, work)

    def _forgive(self, rows: Sequence[tuple[Any, ...]]) -> None:
        sql = "DELETE FROM refused WHERE series=? AND key_time=? AND mark=? AND ordinal=?"
        self._db.executemany(sql, [row[:4] for row in rows])

    async def fill(self) -> Fill:
        """How full it is."""

        def work() -> Fill:
            db = self._reader()
            pages, free, size = (
                int(db.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
            return Fill((pages - free) * size, *db.execute("SELECT waiting, refused FROM spool").fetchone())

        return await self._in(self._readers, work)

    # -- what goes

    async def moved_before(self) -> int:
        """Readings measured before this time may be with the server only; all others are here."""

        def work() -> int:
            db = self._reader()
            try:
                row = db.execute("SELECT moved_before FROM spool").fetchone()
            except sqlite3.OperationalError:
                return 0  # opened to read, and never used with a server
            return 0 if row is None else int(row[0])

        return await self._in(self._readers, work)

    async def adopt(self) -> bool:
        """Have the next readings shipped that were here before there was a server; whether there were any."""
        return await self._in(self._writer, self._adopt)

    def _adopt(self) -> bool:
        with self._transaction():
            state = self._db.execute("SELECT adopting, series, key_time, mark, ordinal FROM spool").fetchone()
            if not state[0]:
                return False
            rows = self._db.execute(_ADOPT, (*state[1:], ROWS)).fetchall()
            parts: dict[tuple[str, str, str], tuple[ReadingBatch, list[int]]] = {}
            for row in rows:
                batch, seqs = parts.setdefault(row[4:7], (ReadingBatch(), []))
                seqs.append(row[7])
                batch.append(Reading(*row[8:]))
            for (tenant, gateway, boot), (batch, seqs) in parts.items():
                self._ship(tenant, Delivery(batch, Origins(gateway, boot, seqs)))
            cursor = rows[-1][:4] if rows else (-1, 0, 0, 0)
            self._db.execute(
                "UPDATE spool SET adopting = ?, series = ?, key_time = ?, mark = ?, ordinal = ?",
                (bool(rows), *cursor),
            )
            return bool(rows)

    async def prune(self, before: int) -> int:
        """Delete readings measured before, as far as they have arrived; each series' newest stays.

        Returns how many are gone.
        """
        cut = await self._in(self._writer, lambda: self._begin_to_prune(before))
        if cut is None:
            return 0
        deleted = 0
        for series in await self._in(self._writer, self._all_series):
            newest = await self._in(self._writer, lambda s=series: self._newest_of(s))  # type: ignore[misc]
            while True:
                gone = await self._in(
                    self._writer,
                    lambda s=series, n=newest: self._delete(s, min(cut, n)),  # type: ignore[misc]
                )
                deleted += gone
                if gone < DELETED_AT_ONCE:
                    break
        return deleted

    def _begin_to_prune(self, before: int) -> int | None:
        adopting = self._db.execute("SELECT adopting FROM spool").fetchone()[0]
        return None if adopting else min(before, self._oldest_waiting())

    def _all_series(self) -> list[int]:
        return [int(row[0]) for row in self._db.execute("SELECT id FROM series")]

    def _newest_of(self, series: int) -> int:
        sql = "SELECT max(corrected) FROM readings WHERE series = ?"
        return int(self._db.execute(sql, (series,)).fetchone()[0] or 0)

    def _oldest_waiting(self) -> int:
        row = self._db.execute("SELECT min(oldest) FROM shipments WHERE refused IS NULL").fetchone()
        return FOREVER if row[0] is None else int(row[0])

    def _delete(self, series: int, before: int) -> int:
        """A late reading may have come since the cut was made."""
        with self._transaction():
            cut = min(before, self._oldest_waiting())
            gone = self._db.execute(_DELETE, (series, cut, DELETED_AT_ONCE)).rowcount
            if gone:
                self._db.execute("UPDATE spool SET moved_before = max(moved_before, ?)", (cut,))
            return gone


def _some(delivery: Delivery, indices: Sequence[int]) -> Delivery:
    origins = delivery.origins
    if len(indices) == len(delivery.batch):
        return delivery
    seqs = [origins.seqs[i] for i in indices]
    return Delivery(delivery.batch.take(indices), Origins(origins.gateway, origins.boot, seqs))


def _blocks(delivery: Delivery) -> Iterator[tuple[Delivery, bytes]]:
    """Parts that fit into a block each."""
    n = len(delivery.batch)
    if n <= ROWS:
        body = encode_block(delivery.batch)
        if len(body) <= MAX_MESSAGE_BYTES:
            yield delivery, body
            return
        if n == 1:
            msg = f"a reading of {len(body)} bytes"
            raise StoreRejected(msg, column="code")
    for part in (range(n // 2), range(n // 2, n)):
        yield from _blocks(_some(delivery, part))


def _shipment(row: tuple[Any, ...]) -> Shipment:
    number, tenant, gateway, boot, _, seqs, body = row
    numbers = array("q")
    numbers.frombytes(seqs)
    return Shipment(number, tenant, Delivery(decode_block(body), Origins(gateway, boot, numbers.tolist())))
