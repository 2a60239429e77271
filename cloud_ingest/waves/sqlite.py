"""Waveforms in one SQLite file (``sqlite_file``): a row a chunk.

Names stand once in a small table. The samples of a chunk are packed as differences, with a checksum: what a
bad disk has changed is left out, and is a gap.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgpack

from cloud_ingest.sqlite_file import FileKind, SqliteFile
from cloud_ingest.stores.base import Tell
from cloud_ingest.waves.base import LONGEST_NS, MOST_SAMPLES, Held, WaveParcel, check_parcel, weight
from hearthward.core.columns import pack_ints, unpack_ints
from hearthward.core.waves import WaveformChunk

__all__ = ["SqliteWaves"]

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 2
"""1: series without ``bytes``."""
BATCH: Final = 500
"""Chunks of one waveform at most that are dropped in one transaction."""
MOST_BATCHES: Final = 1_000
"""In one go: what four thousand waveforms bring within the two minutes to the next."""
_APPLICATION: Final = 0x48575756
"""``HWWV`` in the file's header: another program's file is not written to."""
ROW_BYTES: Final = 100
"""What a chunk takes in the file besides its body, the indexes included (measured)."""
_SCHEMA: Final = """
CREATE TABLE series (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, gateway TEXT NOT NULL, device TEXT NOT NULL,
  metric TEXT NOT NULL, UNIQUE (tenant, device, metric, gateway)
) STRICT;
CREATE TABLE chunks (
  series INTEGER NOT NULL REFERENCES series, run INTEGER NOT NULL, first INTEGER NOT NULL,
  begins INTEGER NOT NULL, ends INTEGER NOT NULL, received INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (series, run, first)
) STRICT;
CREATE INDEX chunks_by_time ON chunks (series, ends);
CREATE INDEX chunks_by_age ON chunks (ends);
"""
_SIZES: Final = f"""
ALTER TABLE series ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE series SET bytes =
  (SELECT coalesce(sum(length(body) + {ROW_BYTES}), 0) FROM chunks WHERE series = series.id);
CREATE TRIGGER chunk_comes AFTER INSERT ON chunks BEGIN
  UPDATE series SET bytes = bytes + length(NEW.body) + {ROW_BYTES} WHERE id = NEW.series;
END;
CREATE TRIGGER chunk_goes AFTER DELETE ON chunks BEGIN
  UPDATE series SET bytes = bytes - length(OLD.body) - {ROW_BYTES} WHERE id = OLD.series;
END;
"""  # noqa: S608 - a number of ours
"""Each waveform's share of the file, kept beside it: to add it up would be to read the whole file."""
_INSERT: Final = "INSERT OR IGNORE INTO chunks VALUES (?,?,?,?,?,?,?)"
_READ: Final = """
SELECT run, first, ends, received, body FROM chunks
WHERE series = ? AND ends >= ? AND ends < ? AND begins < ? ORDER BY ends, first
"""
_FIRST: Final = "SELECT begins FROM chunks WHERE series = ? AND ends >= ? AND ends < ? AND begins < ?"
_OLD: Final = """
DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE ends < ? ORDER BY ends LIMIT ?)
"""
_OLDEST_OF: Final = """
DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE series = ? ORDER BY ends LIMIT ?)
"""
_LARGEST: Final = """
SELECT tenant, gateway, device FROM series GROUP BY tenant, gateway, device
ORDER BY sum(bytes) DESC, tenant, gateway, device LIMIT 1
"""
_AGED: Final = """
SELECT id, (SELECT min(ends) FROM chunks WHERE series = s.id) AS oldest FROM series s
WHERE tenant = ? AND gateway = ? AND device = ? AND oldest IS NOT NULL ORDER BY oldest LIMIT 1
"""
_LAST: Final = 2**63 - 1


class SqliteWaves(SqliteFile):
    """The embedded store."""

    kind = FileKind("store of waveforms", "waves", _APPLICATION, SCHEMA_VERSION, readers=1)

    def __init__(self, path: Path) -> None:
        self._series: dict[tuple[str, str, str, str], int] = {}
        super().__init__(path)

    def _prepare(self, db: sqlite3.Connection, *, empty: bool) -> None:
        header = f"PRAGMA application_id={_APPLICATION}; PRAGMA user_version={SCHEMA_VERSION};"
        if empty:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {_SIZES} {header} COMMIT;")
        elif db.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
            db.executescript(f"BEGIN IMMEDIATE; {_SIZES} {header} COMMIT;")

    def _taken_back(self) -> None:
        self._series.clear()

    # -- writing

    async def append(self, tenant: str, parcels: Sequence[WaveParcel]) -> int:
        """Store chunks in one transaction; see WaveStore."""
        for parcel in parcels:
            check_parcel(parcel)
        return await self._in(self._writer, lambda: self._append(tenant, parcels))

    def _append(self, tenant: str, parcels: Sequence[WaveParcel]) -> int:
        with self._transaction():
            named = {(p.gateway, c.device, c.metric) for p in parcels for c in p.chunks}
            ids = {key: self._series_id(tenant, *key) for key in sorted(named)}
            return self._db.executemany(
                _INSERT,
                (
                    (
                        ids[p.gateway, c.device, c.metric],
                        c.run,
                        c.first,
                        c.begins,
                        c.corrected,
                        c.received,
                        _body(c),
                    )
                    for p in parcels
                    for c in p.chunks
                ),
            ).rowcount

    def _series_id(self, tenant: str, gateway: str, device: str, metric: str) -> int:
        key = tenant, gateway, device, metric
        known = self._series.get(key)
        if known is None:
            self._db.execute(
                "INSERT OR IGNORE INTO series (tenant, gateway, device, metric) VALUES (?,?,?,?)", key
            )
            where = "tenant = ? AND gateway = ? AND device = ? AND metric = ?"
            found = self._db.execute(f"SELECT id FROM series WHERE {where}", key).fetchone()  # noqa: S608
            known = self._series[key] = int(found[0])
        return known

    async def prune(self, before: int, most_bytes: int) -> int:
        """Drop what is old or too much, in small transactions; see WaveStore."""
        gone = 0
        for _ in range(MOST_BATCHES):
            dropped = await self._in(self._writer, lambda: self._drop(before, most_bytes))
            gone += dropped
            if not dropped:
                break
        return gone

    def _drop(self, before: int, most_bytes: int) -> int:
        with self._transaction():
            dropped = self._db.execute(_OLD, (before, BATCH)).rowcount
            if not dropped and self._used() > most_bytes:
                dropped = self._drop_of_the_largest()
            return dropped

    def _drop_of_the_largest(self) -> int:
        """Drop the oldest chunks of the device that has most."""
        device = self._db.execute(_LARGEST).fetchone()
        aged = None if device is None else self._db.execute(_AGED, device).fetchone()
        return 0 if aged is None else self._db.execute(_OLDEST_OF, (aged[0], BATCH)).rowcount

    def _used(self) -> int:
        """Bytes of the file that are in use; what was dropped is used again, the file does not shrink."""
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    # -- reading

    async def read(
        self, tenant: str, device: str, metric: str, start: int, end: int, *, most: int = MOST_SAMPLES
    ) -> Sequence[WaveformChunk]:
        """Chunks of a period; see WaveStore."""
        start, end = _within(start), _within(end)

        def work() -> list[WaveformChunk]:
            found: list[WaveformChunk] = []
            for series, name, _ in self._named(tenant, [device]):
                if name != metric:
                    continue
                room = most
                for run, first, ends, received, body in self._reader().execute(
                    _READ, (series, start, min(end + LONGEST_NS, _LAST), end)
                ):
                    if room <= 0:
                        break
                    chunk = _chunk(device, metric, (run, first, ends, received), body)
                    if chunk is not None:
                        found.append(chunk)
                        room -= weight(chunk)
            return _first_of(sorted(found, key=lambda c: (c.corrected, c.first)), most)

        return await self._in(self._readers, work)

    async def held(self, tenant: str, devices: Sequence[str], start: int, end: int) -> Sequence[Held]:
        """Which there are; see WaveStore."""
        start, end = _within(start), _within(end)

        def work() -> list[Held]:
            found: dict[tuple[str, str], Held] = {}
            for series, metric, device in self._named(tenant, devices):
                asked = series, start, min(end + LONGEST_NS, _LAST), end
                first = self._reader().execute(f"{_FIRST} ORDER BY ends LIMIT 1", asked).fetchone()
                last = (
                    self._reader()
                    .execute(f"{_FIRST.replace('begins', 'ends', 1)} ORDER BY ends DESC LIMIT 1", asked)
                    .fetchone()
                )
                if first is None or last is None:
                    continue
                now = Held(device, metric, max(start, first[0]), min(end - 1, last[0]))
                old = found.get((device, metric), now)
                found[device, metric] = Held(
                    device, metric, min(old.first, now.first), max(old.last, now.last)
                )
            return [found[key] for key in sorted(found)]

        return await self._in(self._readers, work)

    async def run(self, tell: Tell) -> None:
        """Nothing to do."""
        tell(None)

    def _named(self, tenant: str, devices: Sequence[str]) -> list[tuple[int, str, str]]:
        holes = ",".join("?" * len(devices))
        sql = f"SELECT id, metric, device FROM series WHERE tenant = ? AND device IN ({holes})"  # noqa: S608
        return self._reader().execute(sql, (tenant, *devices)).fetchall()


def _within(time: int) -> int:
    """A time as the file can compare it."""
    return min(max(time, -_LAST), _LAST)


def _body(chunk: WaveformChunk) -> bytes:
    """What a chunk has besides its key and times, and its checksum."""
    whole = bytes(
        msgpack.packb(
            [
                chunk.rate_hz,
                chunk.scale,
                chunk.unit,
                chunk.quality,
                chunk.profile,
                len(chunk.samples),
                pack_ints(list(chunk.samples)),
            ]
        )
    )
    return zlib.crc32(whole).to_bytes(4, "big") + whole


def _chunk(device: str, metric: str, times: tuple[int, int, int, int], body: bytes) -> WaveformChunk | None:
    """The way back; None when it is damaged."""
    run, first, ends, received = times
    if zlib.crc32(body[4:]).to_bytes(4, "big") != body[:4]:
        log.error("a chunk of %s of device %s is damaged in the store: it is a gap", metric, device)
        return None
    rate, scale, unit, quality, profile, n, packed = msgpack.unpackb(body[4:])
    samples = tuple(unpack_ints(packed, n))
    return WaveformChunk(
        device, metric, received, ends, run, first, rate, scale, unit, samples, quality, profile
    )


def _first_of(chunks: Sequence[WaveformChunk], most: int) -> list[WaveformChunk]:
    """The first ones, until ``most`` samples are reached."""
    found: list[WaveformChunk] = []
    for chunk in chunks:
        if most <= 0:
            break
        found.append(chunk)
        most -= weight(chunk)
    return found
