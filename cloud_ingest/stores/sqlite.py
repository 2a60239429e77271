"""Time series in one SQLite file (``sqlite_file``).

Names that repeat (device, metric, profile, code, author, gateway, boot) stand once in small tables and as
numbers in the rows; times that equal the key's time are stored as the difference 0, which takes no byte.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cloud_ingest.sqlite_file import FileKind, SqliteFile
from cloud_ingest.stores.base import (
    FOREVER,
    Delivery,
    Origins,
    Outcome,
    Tell,
    check_delivery,
    in_order,
    marks,
)
from cloud_ingest.stores.hours import HOUR_NS, Claim, Hours, added_up, summaries_of
from cloud_ingest.stores.hours import SCHEMA as HOURS_SCHEMA
from cloud_ingest.stores.summaries import Summary, check_step
from hearthward.core.errors import StoreError, StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch

__all__ = ["SqliteStore"]

log = logging.getLogger(__name__)

READERS: Final = 2
SCHEMA_VERSION: Final = 3
"""1: without ``hours``; 2: readings without ``error``."""
REST_S: Final = 60.0
"""Once all closed hours are summed up, those that have closed since wait at most so long."""
BREATH_S: Final = 0.2
"""Between two series: who reads and writes goes first."""
_APPLICATION: Final = 0x48575453
"""``HWTS`` in the file's header: another program's file is not written to."""

_SCHEMA: Final = """
CREATE TABLE series (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, device TEXT NOT NULL, metric TEXT NOT NULL,
  UNIQUE (tenant, device, metric)
) STRICT;
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE origins (
  id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, boot TEXT NOT NULL, UNIQUE (gateway, boot)
) STRICT;
CREATE TABLE readings (
  series INTEGER NOT NULL REFERENCES series, key_time INTEGER NOT NULL, mark INTEGER NOT NULL,
  ordinal INTEGER NOT NULL, corrected INTEGER NOT NULL, received INTEGER NOT NULL, device_time INTEGER,
  value REAL, code INTEGER REFERENCES texts, digest INTEGER, grp INTEGER NOT NULL, source INTEGER NOT NULL,
  author INTEGER REFERENCES texts, quality INTEGER NOT NULL, profile INTEGER NOT NULL REFERENCES texts,
  origin INTEGER NOT NULL REFERENCES origins, seq INTEGER NOT NULL, error INTEGER,
  PRIMARY KEY (series, key_time, mark, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX readings_by_time ON readings (series, corrected);
"""
_INSERT: Final = "INSERT INTO readings VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_PRESENT: Final = "SELECT origin, seq FROM readings WHERE series=? AND key_time=? AND mark=? AND ordinal=?"
_ORIGIN: Final = slice(15, 17)
"""Where a row says what it comes from."""
_COLUMNS: Final = """
  s.device, s.metric, r.value, c.text, r.key_time + r.device_time, r.key_time + r.received, r.corrected,
  CASE WHEN r.mark < 0 THEN -1 - r.mark END, COALESCE(r.digest, r.mark), r.ordinal, r.grp, r.source,
  a.text, r.quality, p.text, r.error
"""
_FORMER_COLUMNS: Final = _COLUMNS.replace("r.error", "NULL")
"""Of a file that another release left, opened only to be read."""
_FROM: Final = """
  FROM readings r JOIN series s ON s.id = r.series JOIN texts p ON p.id = r.profile
  LEFT JOIN texts c ON c.id = r.code LEFT JOIN texts a ON a.id = r.author
"""
_BY_TIME: Final = _FROM.replace("readings r", "readings r INDEXED BY readings_by_time")
"""For one moment of a series: left alone, SQLite 3.40 reads through the whole series instead."""

Row = tuple[Any, ...]


class SqliteStore(SqliteFile):
    """The embedded store."""

    kind = FileKind("time-series store", "series", _APPLICATION, SCHEMA_VERSION, READERS)
    durable_ack = True

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._series: dict[tuple[str, str, str], int] = {}
        self._texts: dict[str, int] = {}
        self._origins: dict[tuple[str, str], int] = {}
        self._hours = Hours()
        super().__init__(path, read_only=read_only)

    def _opened(self) -> None:
        self._columns = _columns(self._db)

    # -- writing

    async def append(self, tenant: str, batch: ReadingBatch, origin: Origins) -> list[Outcome]:
        """Store a batch; see TimeSeriesStore."""
        return (await self.append_many(tenant, [Delivery(batch, origin)]))[0]

    async def append_many(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        """Store several batches in one transaction; see TimeSeriesStore."""
        for delivery in deliveries:
            check_delivery(delivery)
        return await self._in(self._writer, lambda: self._append(tenant, deliveries))

    def _append(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        with self._transaction():
            rows = [self._rows(tenant, d) for d in deliveries]
            outcomes = self._insert_all(rows)
            self._hours.touched(self._db, ((row[0], row[4]) for part in rows for row in part))
            self._appended(tenant, deliveries, outcomes)
            return outcomes

    def _appended(
        self, tenant: str, deliveries: Sequence[Delivery], outcomes: Sequence[Sequence[Outcome]]
    ) -> None:
        """What else a store of this kind writes in the same transaction."""

    def _insert_all(self, rows: Sequence[Sequence[Row]]) -> list[list[Outcome]]:
        try:
            self._db.execute("SAVEPOINT fresh")
            for part in rows:
                self._db.executemany(_INSERT, part)
            self._db.execute("RELEASE fresh")
        except sqlite3.IntegrityError:
            self._db.execute("ROLLBACK TO fresh")
            self._db.execute("RELEASE fresh")
            return [[self._insert(row) for row in part] for part in rows]
        return [[Outcome.NEW] * len(part) for part in rows]

    def _insert(self, row: Row) -> Outcome:
        present = self._db.execute(_PRESENT, row[:4]).fetchone()
        if present is None:
            self._db.execute(_INSERT, row)
            return Outcome.NEW
        return Outcome.SAME if present == row[_ORIGIN] else Outcome.DUPLICATE

    def _rows(self, tenant: str, delivery: Delivery) -> list[Row]:
        batch, origins = delivery.batch, delivery.origins
        origin = self._origin(origins.gateway, origins.boot)
        series = [self._series_id(tenant, d, m) for d, m in zip(batch.device, batch.metric, strict=True)]
        keys = batch.key_times()
        return list(
            zip(
                series,
                keys,
                marks(batch),
                batch.ordinal,
                batch.corrected,
                [at - key for at, key in zip(batch.received, keys, strict=True)],
                [None if at is None else at - key for at, key in zip(batch.device_time, keys, strict=True)],
                batch.value,
                [None if text is None else self._text(text) for text in batch.code],
                [None if r is None else d for r, d in zip(batch.record, batch.digest, strict=True)],
                batch.group,
                batch.source,
                [None if text is None else self._text(text) for text in batch.author],
                batch.quality,
                [self._text(text) for text in batch.profile],
                [origin] * len(batch),
                origins.seqs,
                batch.error,
                strict=True,
            )
        )

    def _series_id(self, tenant: str, device: str, metric: str) -> int:
        key = tenant, device, metric
        known = self._series.get(key)
        if known is None:
            known = self._series[key] = self._number("series", ("tenant", "device", "metric"), key)
        return known

    def _text(self, text: str) -> int:
        known = self._texts.get(text)
        if known is None:
            known = self._texts[text] = self._number("texts", ("text",), (text,))
        return known

    def _origin(self, gateway: str, boot: str) -> int:
        known = self._origins.get((gateway, boot))
        if known is None:
            known = self._number("origins", ("gateway", "boot"), (gateway, boot))
            self._origins[gateway, boot] = known
        return known

    def _number(self, table: str, columns: tuple[str, ...], key: tuple[str, ...]) -> int:
        names, where = ", ".join(columns), " AND ".join(f"{c} = ?" for c in columns)
        holes = ", ".join("?" * len(key))
        self._db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({holes})", key)  # noqa: S608
        row = self._db.execute(f"SELECT id FROM {table} WHERE {where}", key).fetchone()  # noqa: S608
        return int(row[0])

    def _taken_back(self) -> None:
        self._series.clear()
        self._texts.clear()
        self._origins.clear()

    # -- reading

    async def read(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None,
        start: int,
        end: int,
        *,
        limit: int | None = None,
        newest: bool = False,
    ) -> ReadingBatch:
        """Readings of a period; see TimeSeriesStore."""

        def work() -> ReadingBatch:
            db = self._reader()
            series = self._find_series(db, tenant, devices, metrics)
            order = "DESC" if newest else "ASC"
            sql = (
                f"SELECT {self._columns} {_FROM} WHERE r.series IN ({_holes(series)}) AND r.corrected >= ?"
                f" AND r.corrected < ? ORDER BY r.corrected {order}, r.key_time {order} LIMIT ?"
            )
            return _batch(db.execute(sql, (*series, start, end, -1 if limit is None else limit)).fetchall())

        return await self._in(self._readers, work)

    async def latest(self, tenant: str, devices: Sequence[str]) -> ReadingBatch:
        """The newest reading of each device and metric; see TimeSeriesStore."""
        sql = f"SELECT {self._columns} {_BY_TIME} WHERE r.series = ? AND r.corrected = ?"
        newest = "SELECT max(corrected) FROM readings WHERE series = ?"

        def work() -> ReadingBatch:
            db = self._reader()
            found: list[Reading] = []
            for series in self._find_series(db, tenant, devices, None):
                at = db.execute(newest, (series,)).fetchone()[0]
                if at is not None:
                    found.append(_batch(db.execute(sql, (series, at)).fetchall()).row(-1))
            return ReadingBatch.of(sorted(found, key=lambda r: (r.device, r.metric)))

        return await self._in(self._readers, work)

    async def count(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None = None,
        start: int = 0,
        end: int = FOREVER,
    ) -> int:
        """How many readings there are; see TimeSeriesStore."""

        def work() -> int:
            db = self._reader()
            series = self._find_series(db, tenant, devices, metrics)
            sql = (
                f"SELECT count(*) FROM readings WHERE series IN ({_holes(series)})"  # noqa: S608
                " AND corrected >= ? AND corrected < ?"
            )
            return int(db.execute(sql, (*series, start, end)).fetchone()[0])

        return await self._in(self._readers, work)

    async def summaries(
        self, tenant: str, device: str, metric: str, start: int, end: int, step: int
    ) -> list[Summary]:
        """Values summed up; see TimeSeriesStore."""
        check_step(step)

        def work() -> list[Summary]:
            db = self._reader()
            series = self._find_series(db, tenant, [device], [metric])
            return summaries_of(db, series[0], start, end, step) if series else []

        return await self._in(self._readers, work)

    async def run(self, tell: Tell) -> None:
        """Sum up the hours that are closed, until cancelled."""
        tell(None)
        after = -1
        while not self._read_only:
            try:
                claimed, after = await self.sum_up(after)
            except StoreUnavailable as error:  # nothing is lost by it: the readings are added up themselves
                log.warning("closed hours are not summed up: %s", error)
                claimed, after = False, -1
            await asyncio.sleep(BREATH_S if claimed or after >= 0 else REST_S)

    async def sum_up(self, after: int = -1) -> tuple[bool, int]:
        """Sum up some hours of one series; whether there were any, and after which series to go on.

        They are claimed before they are added up, so what is written meanwhile is noticed.
        """
        claim, after = await self._in(self._readers, lambda: self._hours.next_claim(self._reader(), after))
        if claim is None:
            return False, after
        await self._in(self._writer, lambda: self._hours.claim(self._db, claim))
        try:
            await self._sum_up(claim)
        except StoreError:
            await self._in(self._writer, lambda: self._hours.give_back(claim))
            raise
        return True, after

    async def _sum_up(self, claim: Claim) -> None:
        begin, stop = claim.first * HOUR_NS, claim.stop * HOUR_NS
        sums = await self._in(
            self._readers, lambda: added_up(self._reader(), claim.series, begin, stop, HOUR_NS)
        )

        def keep() -> None:
            with self._transaction():
                self._hours.keep(self._db, claim, sums)

        await self._in(self._writer, keep)

    # -- the file

    def _prepare(self, db: sqlite3.Connection, *, empty: bool) -> None:
        if empty:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id={_APPLICATION}; COMMIT;")
        if db.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
            more = "" if _knows_errors(db) else "ALTER TABLE readings ADD COLUMN error INTEGER;"
            db.executescript(
                f"BEGIN IMMEDIATE; {HOURS_SCHEMA} {more} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
            )
        self._take_over(db)

    def _take_over(self, db: sqlite3.Connection) -> None:
        """A file that was a spool before a server (``spool_file``) is none now.

        Should it be one again, all that is in it has to be shipped: nothing is noted for that from here on.
        """
        if db.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'spool')").fetchone()[0]:
            db.execute("UPDATE spool SET adopting = 1, series = -1, key_time = 0, mark = 0, ordinal = 0")

    @staticmethod
    def _find_series(
        db: sqlite3.Connection, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None
    ) -> list[int]:
        sql = f"SELECT id, metric FROM series WHERE tenant = ? AND device IN ({_holes(devices)})"  # noqa: S608
        wanted = None if metrics is None else frozenset(metrics)
        return [i for i, m in db.execute(sql, (tenant, *devices)) if wanted is None or m in wanted]


def _knows_errors(db: sqlite3.Connection) -> bool:
    """Whether the readings have the column ``error``."""
    return any(row[1] == "error" for row in db.execute("PRAGMA table_info(readings)"))


def _columns(db: sqlite3.Connection) -> str:
    """What to select, in the order of a Reading."""
    return _COLUMNS if _knows_errors(db) else _FORMER_COLUMNS


def _holes(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _batch(rows: list[Row]) -> ReadingBatch:
    readings = [Reading(*row) for row in rows]
    readings.sort(key=in_order)
    return ReadingBatch.of(readings)
