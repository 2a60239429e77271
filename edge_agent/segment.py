"""One outbox file: blocks, what became of every sequence number, and the file's pre-sized room.

Invariant, kept by every transaction and checked by ``audit``: the numbers 1..next-1 are exactly the blocks
still here, plus ``done`` (receipted and deleted), plus ``gaps`` (dropped or corrupt). So whatever a bad
disk takes away shows up as a gap.

The pages are reserved when the file is made: on a full disk SQLite can neither insert nor delete unless
database and write-ahead log own their room already (docs/ARCHITECTURE.md, Outbox).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hearthward.core.errors import StoreRejected
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import MAX_BLOCK, Block, Gap, StoredBlock

__all__ = ["Committed", "DamagedRowError", "GarbledError", "Segment", "create", "salvage"]

PAGE: Final = 4096
CHECKPOINT_PAGES: Final = 256
LOG_BYTES: Final = 3 * CHECKPOINT_PAGES * PAGE
"""Reserved for the write-ahead log: a checkpoint's worth, and one large transaction on top."""
SPARE_PAGES: Final = 16
"""Kept free for page splits and the small tables."""
DROP_SHARE: Final = 64
"""When full, at least this fraction of the file is dropped at a time."""
_TABLES: Final = {
    "meta": "CREATE TABLE meta(id INTEGER PRIMARY KEY, boot TEXT, next INTEGER, crc INTEGER)",
    "block": "CREATE TABLE block(first INTEGER PRIMARY KEY, count INTEGER, crc INTEGER, payload BLOB)",
    "done": "CREATE TABLE done(first INTEGER PRIMARY KEY, last INTEGER, crc INTEGER)",
    "gap": "CREATE TABLE gap(first INTEGER PRIMARY KEY, last INTEGER, reason TEXT, crc INTEGER)",
}
_APPLICATION: Final = 0x4857_4F42
_SCHEMA: Final = 1
_ENVIRONMENT: Final = frozenset(
    {
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
_SHORT_READ: Final = 522
"""SQLITE_IOERR_SHORT_READ: the file ends within a page."""


class GarbledError(Exception):
    """The file's structure is damaged; its good rows can still be salvaged."""


class DamagedRowError(Exception):
    """A row's check does not hold: ``Segment.audit`` has to be called before going on."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction did: the first number given out, readings deleted and gaps made."""

    first: int
    deleted: tuple[StoredBlock, ...]
    mismatched: int
    gaps: tuple[Gap, ...]


def _crc(first: int, count: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(b"%d|%d|" % (first, count)))


def _text_crc(*fields: object) -> int:
    return zlib.crc32("|".join(map(str, fields)).encode())


def _connect(path: Path) -> sqlite3.Connection:
    # Used by one thread at a time (the outbox's own), which need not be the one that opened it.
    db = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")  # damaged text fails its check, not here
    return db


@contextlib.contextmanager
def _garbled() -> Iterator[None]:
    """Tell a damaged file (GarbledError) from a disk that cannot be written now (passed on)."""
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite quotes the damaged text in its message
        raise GarbledError(str(error)) from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code != _SHORT_READ and code & 0xFF in _ENVIRONMENT:
            raise
        raise GarbledError(str(error)) from error


def create(path: Path, boot: str, max_bytes: int) -> None:
    """Make a pre-sized outbox file under a temporary name, synced, then give it its name.

    Raises OSError or sqlite3.Error; nothing is left under ``path`` then.
    """
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        temporary.touch(0o600)
        with contextlib.closing(_connect(temporary)) as db:
            db.executescript(
                f"""
                PRAGMA page_size={PAGE};
                PRAGMA auto_vacuum=NONE;
                PRAGMA synchronous=OFF;
                PRAGMA application_id={_APPLICATION};
                PRAGMA user_version={_SCHEMA};
                {";".join(_TABLES.values())};
                """
            )
            for copy in (1, 2):
                db.execute("INSERT INTO meta VALUES(?, ?, 1, ?)", (copy, boot, _text_crc(boot, 1)))
            _reserve_pages(db, max_bytes // PAGE)
        _sync(temporary)
        temporary.rename(path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _reserve_pages(db: sqlite3.Connection, pages: int) -> None:
    """Grow the file by writing pages and freeing them, so that they are its own for good."""
    (have,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    if pages <= have:
        return
    left = (pages - have + free) * PAGE  # the free ones are filled first
    # Two transactions: pages made and freed within one would never be written, only a hole.
    db.execute("BEGIN IMMEDIATE")
    db.execute("CREATE TABLE filler(room BLOB)")
    while left > 0:
        db.execute("INSERT INTO filler VALUES(zeroblob(?))", (min(left, 16 << 20),))
        left -= 16 << 20
    db.execute("COMMIT")
    db.execute("DROP TABLE filler")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Segment:
    """An open outbox file; every method blocks, and only one thread at a time may use it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open and check the file. Raises GarbledError, sqlite3.Error or OSError."""
        self.path = path
        self.boot = ""
        self.next = 1
        self.done = RangeSet()
        self.gaps: list[Gap] = []
        self._max_bytes = max_bytes
        self._spare = path.with_name(f"{path.name}.spare")
        self._spare.unlink(missing_ok=True)  # its room goes to the log
        self._db = _connect(path)
        try:
            with _garbled():
                self._prepare(max_bytes)
                self._load()
                self.found = self.audit()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, max_bytes: int) -> None:
        db = self._db
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        if db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            msg = "not an outbox file"
            raise GarbledError(msg)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != _SCHEMA:
            msg = f"outbox of version {version}; this software reads {_SCHEMA}"
            raise GarbledError(msg)
        db.execute("DROP TABLE IF EXISTS filler")  # killed while the file was being enlarged
        if dict(db.execute("SELECT name, sql FROM sqlite_master")) != _TABLES:
            msg = "its tables are not an outbox's"
            raise GarbledError(msg)
        if db.execute("PRAGMA page_count").fetchone()[0] < max_bytes // PAGE:
            db.execute("PRAGMA journal_mode=DELETE")
            _reserve_pages(db, max_bytes // PAGE)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        db.execute("PRAGMA secure_delete=FAST")
        db.execute("PRAGMA cache_size=-1024")
        (self.pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count={self.pages}")

    def _load(self) -> None:
        good = [
            (following, boot)
            for boot, following, crc in self._db.execute("SELECT boot, next, crc FROM meta")
            if crc == _text_crc(boot, following) and isinstance(boot, str) and isinstance(following, int)
        ]
        if not good:
            msg = "both copies of the outbox's own record are damaged"
            raise GarbledError(msg)
        self.next, self.boot = max(good)
        self.done = RangeSet(
            (first, last)
            for first, last, crc in self._db.execute("SELECT first, last, crc FROM done")
            if crc == _text_crc(first, last) and isinstance(last, int) and 0 < first <= last < self.next
        )
        self.gaps = [
            Gap(first, last, reason)
            for first, last, reason, crc in self._db.execute("SELECT * FROM gap ORDER BY first")
            if crc == _text_crc(first, last, reason)
            and isinstance(last, int)
            and 0 < first <= last < self.next
        ]
        with self._transaction():
            self._write_books(RangeSet(self.done), list(self.gaps), self.next, rewrite=True)
        self._reserve_log()

    def _reserve_log(self) -> None:
        log = os.open(f"{self.path}-wal", os.O_RDWR)
        try:
            os.posix_fallocate(log, 0, LOG_BYTES)
        finally:
            os.close(log)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def audit(self) -> tuple[Gap, ...]:
        """Read and check every row; delete the bad ones and make gaps of all that is unaccounted for.

        Returns the new gaps. Raises GarbledError when a bad row cannot even be removed.
        """
        with _garbled():
            present, bad, previous = RangeSet(), [], 0
            for first, count, crc, payload in self._db.execute("SELECT * FROM block ORDER BY first"):
                if first <= previous:
                    msg = f"block {first} stands after {previous}"
                    raise GarbledError(msg)
                if _good(first, count, crc, payload) and first + count <= self.next:
                    present.add(first, first + count - 1)
                    previous = first + count - 1
                else:
                    bad.append(first)
                    previous = first
            known = RangeSet([*present, *self.done, *((g.first, g.last) for g in self.gaps)])
            new = tuple(Gap(a, b, "corrupt") for a, b in known.missing(1, self.next - 1))
            if bad or new:
                gaps = _merged([*self.gaps, *new])
                with self._transaction():
                    for first in bad:
                        if self._db.execute("DELETE FROM block WHERE first=?", (first,)).rowcount != 1:
                            msg = f"block {first} cannot be removed"
                            raise GarbledError(msg)
                    self._write_books(self.done, gaps, self.next)
                self.gaps = gaps
            return new

    def commit(
        self,
        payloads: Sequence[tuple[int, bytes]],
        confirmed: Iterable[StoredBlock] = (),
        reported: Iterable[Gap] = (),
    ) -> Committed:
        """One transaction: delete the ``confirmed`` blocks, forget ``reported`` gaps, add blocks.

        ``payloads`` are (count, encoded block). When it returns, all of it is on the disk. Raises
        sqlite3.Error or DamagedRowError (nothing happened), or StoreRejected (larger than the outbox).
        """
        done, gaps, following = RangeSet(self.done), list(self.gaps), self.next
        with _garbled(), self._transaction():
            deleted, mismatched = self._delete_confirmed(confirmed, done)
            for gap in reported:
                gaps = _without(gaps, gap, done)
            dropped = self._make_room(sum(len(payload) // PAGE + 2 for _, payload in payloads))
            gaps = _merged([*gaps, *dropped])
            for count, payload in payloads:
                row = (following, count, _crc(following, count, payload), payload)
                self._db.execute("INSERT INTO block VALUES(?, ?, ?, ?)", row)
                following += count
            self._write_books(done, gaps, following)
        committed = Committed(self.next, tuple(deleted), mismatched, dropped)
        self.done, self.gaps, self.next = done, gaps, following
        return committed

    def _delete_confirmed(
        self, confirmed: Iterable[StoredBlock], done: RangeSet
    ) -> tuple[list[StoredBlock], int]:
        deleted, mismatched = [], 0
        for block in confirmed:
            row = self._db.execute("SELECT * FROM block WHERE first=?", (block.first,)).fetchone()
            if row is None:
                continue
            first, count = _checked(row)
            if Block(first, count, row[3]).stored() != block:
                mismatched += 1
                continue
            self._db.execute("DELETE FROM block WHERE first=?", (first,))
            done.add(first, block.last)
            deleted.append(block)
        return deleted, mismatched

    def _free_pages(self) -> int:
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return int(free)

    def fill(self) -> float:
        """How much of the file is in use, 0 to 1."""
        return 1.0 - self._free_pages() / self.pages

    def _make_room(self, pages: int) -> tuple[Gap, ...]:
        """Drop the oldest blocks until ``pages`` are free; returns what was dropped."""
        dropped: list[Gap] = []
        while self._free_pages() < pages + SPARE_PAGES:
            oldest: list[Gap] = []
            size = 0
            with contextlib.closing(self._db.execute("SELECT * FROM block ORDER BY first")) as rows:
                for row in rows:
                    first, count = _checked(row)
                    oldest.append(Gap(first, first + count - 1, "full"))
                    size += len(row[3])
                    if size >= self._max_bytes // DROP_SHARE:
                        break
            if not oldest:
                msg = f"{pages * PAGE} bytes do not fit the outbox of {self._max_bytes} bytes"
                raise StoreRejected(msg, path=str(self.path))
            self._db.execute("DELETE FROM block WHERE first<=?", (oldest[-1].first,))
            dropped = _merged([*dropped, *oldest])
        return tuple(dropped)

    def _write_books(self, done: RangeSet, gaps: list[Gap], following: int, *, rewrite: bool = False) -> None:
        """Write only the rows of ``done``, ``gap`` and ``meta`` that changed (all of them on ``rewrite``)."""
        db = self._db
        old_done, old_gaps = set(self.done), set(self.gaps)
        if rewrite:
            old_done, old_gaps = set(), set()
            db.execute("DELETE FROM done")
            db.execute("DELETE FROM gap")
        new_done, new_gaps = set(done), set(gaps)
        if new_done != old_done:
            db.executemany("DELETE FROM done WHERE first=?", [(a,) for a, _ in old_done - new_done])
            rows = [(a, b, _text_crc(a, b)) for a, b in new_done - old_done]
            db.executemany("INSERT INTO done VALUES(?, ?, ?)", rows)
        if new_gaps != old_gaps:
            db.executemany("DELETE FROM gap WHERE first=?", [(g.first,) for g in old_gaps - new_gaps])
            gap_rows = [
                (g.first, g.last, g.reason, _text_crc(g.first, g.last, g.reason)) for g in new_gaps - old_gaps
            ]
            db.executemany("INSERT INTO gap VALUES(?, ?, ?, ?)", gap_rows)
        if rewrite or following != self.next:
            row = (self.boot, following, _text_crc(self.boot, following))
            for copy in (1, 2):
                db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?, ?, ?)", (copy, *row))

    def read(self, after: int, max_readings: int, max_bytes: int, until: int) -> tuple[list[Block], bool]:
        """Blocks from number ``after + 1`` to ``until`` in order, within the limits but at least one.

        The flag says that a damaged row was met: ``audit`` has to be called.
        """
        blocks: list[Block] = []
        readings = size = 0
        with _garbled():
            rows = self._db.execute(
                "SELECT * FROM block WHERE first>? AND first<=? ORDER BY first", (after, until)
            )
            with contextlib.closing(rows):
                for first, count, crc, payload in rows:
                    if not _good(first, count, crc, payload):
                        return blocks, True
                    readings += count
                    size += len(payload)
                    if blocks and (readings > max_readings or size > max_bytes):
                        break
                    blocks.append(Block(first, count, payload))
        return blocks, False

    def close(self) -> None:
        """Close the file and keep the log's room reserved until the next opening."""
        self._db.close()
        with contextlib.suppress(OSError):  # no room to keep: the next opening takes what there is
            fd = os.open(self._spare, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(fd, 0, LOG_BYTES)
            finally:
                os.close(fd)


def _good(first: object, count: object, crc: object, payload: object) -> bool:
    return (
        isinstance(first, int)
        and isinstance(count, int)
        and isinstance(payload, bytes)
        and first > 0
        and 0 < count <= MAX_BLOCK
        and crc == _crc(first, count, payload)
    )


def _checked(row: tuple[int, int, int, bytes]) -> tuple[int, int]:
    first, count, crc, payload = row
    if not _good(first, count, crc, payload):
        msg = f"block {first}"
        raise DamagedRowError(msg)
    return first, count


def _merged(gaps: Iterable[Gap]) -> list[Gap]:
    """Gaps in order, neighbours of one reason joined."""
    out: list[Gap] = []
    for gap in sorted(gaps, key=lambda g: g.first):
        if out and out[-1].reason == gap.reason and out[-1].last + 1 == gap.first:
            out[-1] = Gap(out[-1].first, gap.last, gap.reason)
        else:
            out.append(gap)
    return out


def _without(gaps: list[Gap], reported: Gap, done: RangeSet) -> list[Gap]:
    """Gaps less the numbers of ``reported``, which are added to ``done``."""
    told = RangeSet([(reported.first, reported.last)])
    out: list[Gap] = []
    for gap in gaps:
        kept = told.missing(gap.first, gap.last)
        out.extend(Gap(a, b, gap.reason) for a, b in kept)
        for first, last in RangeSet(kept).missing(gap.first, gap.last):
            done.add(first, last)
    return out


def salvage(path: Path) -> Iterator[tuple[int, bytes]]:
    """The (count, payload) of every row of a damaged file that can be read and whose check holds."""
    seen: set[int] = set()
    with contextlib.closing(_connect(path)) as db:
        for order in ("ASC", "DESC"):
            try:
                rows = db.execute(f"SELECT rowid, count, crc, payload FROM block ORDER BY 1 {order}")  # noqa: S608
                for first, count, crc, payload in rows:
                    if first in seen:
                        if order == "DESC":
                            break
                        continue
                    if _good(first, count, crc, payload):
                        seen.add(first)
                        yield count, payload
            except (sqlite3.DatabaseError, UnicodeDecodeError):
                continue  # the other end may still be readable
