"""One SQLite file that a store is made of: WAL, FULL, one writing thread, a few reading ones."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from hearthward.core.errors import ConfigError, StoreError, StoreRejected, StoreUnavailable

__all__ = ["FileKind", "SqliteFile"]

T = TypeVar("T")

BUSY_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is called, and what its header says: another program's file is not written to."""

    what: str
    threads: str
    application: int
    version: int
    readers: int


class SqliteFile:
    """The file and its threads. Opening makes the file; raises ConfigError when the place cannot be used.

    ``read_only``: the file must be there, and may be another process's, running or not.
    A store of this kind says what it is (``kind``) and makes its tables (``_prepare``).
    """

    kind: ClassVar[FileKind]

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path, self._read_only = path, read_only
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{self.kind.threads}-writer")
        self._readers = ThreadPoolExecutor(
            self.kind.readers, thread_name_prefix=f"{self.kind.threads}-reader"
        )
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []
        self._shut = False
        try:
            self._db = self._writer.submit(self._open).result()
            self._writer.submit(self._opened).result()
        except (sqlite3.Error, OSError, UnicodeError) as error:  # damage may be in a name that SQLite tells
            self.shut()
            msg = f"cannot open the {self.kind.what} {path}: {error}"
            raise ConfigError(msg, path=str(path)) from error
        except BaseException:
            self.shut()
            raise

    async def close(self) -> None:
        """Finish what was begun and close the file."""
        await asyncio.get_running_loop().run_in_executor(None, self.shut)

    # -- what a store adds

    def _prepare(self, db: sqlite3.Connection, *, empty: bool) -> None:
        """Make the tables, or bring them to this version; not in a file that is only read."""
        raise NotImplementedError

    def _opened(self) -> None:
        """Called once the file is open."""

    def _taken_back(self) -> None:
        """Called when a transaction is taken back, and with it the numbers that were given out in it."""

    # -- work in the threads

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        """Run in one of the threads; a cancelled caller does not stop what has begun."""
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(threads, work))
        except StoreError:
            raise
        except (sqlite3.DataError, sqlite3.IntegrityError, OverflowError) as error:
            msg = f"the {self.kind.what} refuses this data: {error}"
            raise StoreRejected(msg) from error
        except (sqlite3.Error, OSError, RuntimeError, UnicodeError) as error:
            msg = f"the {self.kind.what} cannot be used now: {error}"
            raise StoreUnavailable(msg, path=str(self._path)) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._taken_back()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _reader(self) -> sqlite3.Connection:
        """The connection of the reading thread that this is called in."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._connect_to_read()
            self._local.db = db
            self._reading.append(db)
        return db

    # -- the file

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            return self._open_to_read()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            db.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            empty = self._is_empty(db)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            self._prepare(db, empty=empty)
        except BaseException:
            db.close()
            raise
        return db

    def _open_to_read(self) -> sqlite3.Connection:
        db = self._connect_to_read()
        try:
            if self._is_empty(db):
                msg = "this SQLite file is empty"
                raise ConfigError(msg, file=str(self._path))
        except BaseException:
            db.close()
            raise
        return db

    def _connect_to_read(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        return db

    def _is_empty(self, db: sqlite3.Connection) -> bool:
        """Whether nothing is in the file yet. Raises ConfigError when it is none of ours."""
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        empty: bool = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not empty and application != self.kind.application:
            msg = f"this SQLite file is not a {self.kind.what}"
            raise ConfigError(msg, file=str(self._path))
        if version > self.kind.version:
            msg = f"store of version {version}, from a newer release; this software reads {self.kind.version}"
            raise ConfigError(msg, file=str(self._path))
        return empty

    @property
    def shut_down(self) -> bool:
        """Whether it cannot be used any more."""
        return self._shut

    def shut(self) -> None:
        """What ``close`` does, for who is in a thread and can wait."""
        self._shut = True
        self._readers.shutdown(wait=True)
        self._writer.shutdown(wait=True)
        for db in (*self._reading, *([self._db] if hasattr(self, "_db") else [])):
            db.close()
