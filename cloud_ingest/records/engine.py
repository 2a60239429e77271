"""The relational database: one writer thread, read-only readers, upgraded when opened.

Each SQLite file has one writing process and, in it, one writing thread that uses BEGIN IMMEDIATE.
PostgreSQL is opened by the same code (``postgresql+<driver>://...``).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

from cloud_ingest.records.alarms import Alarms
from cloud_ingest.records.assignments import Assignments, Handovers
from cloud_ingest.records.audit import Audit
from cloud_ingest.records.care import Care
from cloud_ingest.records.consents import Consents
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.escalation import Policies
from cloud_ingest.records.inactivations import Inactivations
from cloud_ingest.records.ledger import LossLedger
from cloud_ingest.records.lookup import Lookup
from cloud_ingest.records.models import Tenant
from cloud_ingest.records.sessions import Sessions
from cloud_ingest.records.shifts import Shifts
from cloud_ingest.records.staff import PushSubscriptions, Staff
from cloud_ingest.records.teams import Teams
from cloud_ingest.records.upgrade import upgrade
from cloud_ingest.records.users import Users
from cloud_ingest.records.work_orders import WorkOrders
from hearthward.core.clock import Clock, SystemClock
from hearthward.core.errors import ConfigError, StoreRejected, StoreUnavailable
from hearthward.core.ids import Ids, check_id

__all__ = ["Records"]

T = TypeVar("T")

BUSY_TIMEOUT_MS: Final = 5_000
READERS: Final = 2
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)


_PASSING: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
)


class _Now(TypedDict):
    now: int
    wall: int
    ids: Ids


class Records:
    """The opened database. ``clock`` and ``ids`` are what repositories stamp new rows with.

    ``profiles`` are the ids of device profiles that exist (None: not checked).
    """

    def __init__(
        self,
        writer: Engine,
        reader: Engine,
        *,
        clock: Clock,
        wall: Clock,
        ids: Ids,
        profiles: Collection[str] | None,
    ) -> None:
        self.clock = clock
        self.wall = wall
        self.ids = ids
        self.profiles = profiles
        self._writer = writer
        self._noter = writer.execution_options(durable=False)
        self._reader = reader
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="records-writer")
        self._read_threads = ThreadPoolExecutor(READERS, thread_name_prefix="records-reader")

    @classmethod
    def open(
        cls,
        url_or_path: str | Path,
        *,
        clock: Clock,
        ids: Ids,
        wall: Clock | None = None,
        tenant: str = "main",
        profiles: Collection[str] | None = None,
    ) -> Records:
        """Open (make, upgrade) the database and make sure that ``tenant`` exists.

        ``wall`` is real time where ``clock`` plays a recording (default: the machine's); log-ins, expiries
        and the audit go by it.

        Raises ConfigError when the place cannot be used or the database is from a newer version, and
        StoreUnavailable when it is there but cannot be reached now.
        """
        url = _url(url_or_path)
        if url.get_backend_name() == "sqlite":
            _prepare_file(url)
        try:
            writer, reader = _engine(url, write=True), _engine(url, write=False)
        except ModuleNotFoundError as error:
            msg = f"database {_shown(url)} needs the Python package {error.name!r}: install it, too"
            raise ConfigError(msg, url=_shown(url)) from error
        records = cls(writer, reader, clock=clock, wall=wall or SystemClock(), ids=ids, profiles=profiles)
        try:
            upgrade(writer, _shown(url))
            records.run_now(lambda session: _ensure_tenant(session, check_id(tenant, "tenant"), clock))
        except DBAPIError as error:
            records.close_now()
            msg = f"database {_shown(url)} cannot be opened for writing: {error.orig}"
            if url.get_backend_name() != "sqlite" or _passes(error):
                raise StoreUnavailable(msg) from error
            raise ConfigError(msg, url=_shown(url)) from error
        except BaseException:
            records.close_now()
            raise
        return records

    async def run(self, fn: Callable[[Session], T], *, durable: bool = True) -> T:
        """Call ``fn`` with a session in the one writer thread, inside one transaction.

        It commits when ``fn`` returns and rolls back when it raises. Raises StoreUnavailable when the
        database cannot be written now. Cancelling the caller does not stop a running ``fn``. What is not
        ``durable`` survives the process, but a loss of power only once something durable was committed
        after it: for what may happen twice.
        """
        loop = asyncio.get_running_loop()
        write = self._write if durable else self._note
        return await loop.run_in_executor(self._write_thread, write, fn)

    async def read(self, fn: Callable[[Session], T]) -> T:
        """Call ``fn`` with a session that cannot write, in a reader thread, on one consistent view."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._read_threads, self._read, fn)

    def directory(self, session: Session) -> Directory:
        """Wards, beds, patients, encounters, gateways, devices and associations."""
        return Directory(session, profiles=self.profiles, **self._now())

    def lookup(self, session: Session) -> Lookup:
        """The directory a page at a time."""
        return Lookup(session, self.directory(session), self.clock.now_ns())

    def users(self, session: Session) -> Users:
        """Who can log in."""
        return Users(session, **self._now())

    def sessions(self, session: Session) -> Sessions:
        """Logged-in browsers and one-time links."""
        return Sessions(session, **self._now())

    def alarms(self, session: Session) -> Alarms:
        """Alarms and their history, to read."""
        return Alarms(session, **self._now())

    def audit(self, session: Session) -> Audit:
        """The append-only audit."""
        return Audit(session, **self._now())

    def consents(self, session: Session) -> Consents:
        """Whom patients let see what."""
        return Consents(session, **self._now())

    def inactivations(self, session: Session) -> Inactivations:
        """What is switched off, to read."""
        return Inactivations(session, **self._now())

    def staff(self, session: Session) -> Staff:
        """By what people who work here are reached, and how they prove who they are."""
        return Staff(session, **self._now())

    def push(self, session: Session) -> PushSubscriptions:
        """Browsers that are reached by web push."""
        return PushSubscriptions(session, **self._now())

    def teams(self, session: Session) -> Teams:
        """People who look after patients together."""
        return Teams(session, **self._now())

    def shifts(self, session: Session) -> Shifts:
        """The on-call schedule."""
        return Shifts(session, **self._now())

    def assignments(self, session: Session) -> Assignments:
        """Who looks after which patient."""
        return Assignments(session, **self._now())

    def handovers(self, session: Session) -> Handovers:
        """What was handed over to whom."""
        return Handovers(session, **self._now())

    def policies(self, session: Session) -> Policies:
        """The site's own escalation policies."""
        return Policies(session, **self._now())

    def ledger(self, session: Session) -> LossLedger:
        """The loss ledger."""
        return LossLedger(session, **self._now())

    def fleet(self, session: Session) -> WorkOrders:
        """Devices' health, and the work on them."""
        return WorkOrders(session, **self._now())

    def care(self, session: Session) -> Care:
        """Messages, the care plan and what was done of it."""
        return Care(session, **self._now())

    def _now(self) -> _Now:
        return {"now": self.clock.now_ns(), "wall": self.wall.now_ns(), "ids": self.ids}

    def run_now(self, fn: Callable[[Session], T]) -> T:
        """``run`` for code without an event loop (the command line, tests)."""
        return self._write_thread.submit(self._write, fn).result()

    def read_now(self, fn: Callable[[Session], T]) -> T:
        """``read`` for code without an event loop."""
        return self._read_threads.submit(self._read, fn).result()

    async def close(self) -> None:
        """Finish what was begun and close all connections."""
        await asyncio.get_running_loop().run_in_executor(None, self.close_now)

    def close_now(self) -> None:
        """``close`` for code without an event loop."""
        self._write_thread.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        self._reader.dispose()
        self._writer.dispose()

    def _write(self, fn: Callable[[Session], T]) -> T:
        return _in_session(self._writer, fn)

    def _note(self, fn: Callable[[Session], T]) -> T:
        return _in_session(self._noter, fn)

    def _read(self, fn: Callable[[Session], T]) -> T:
        return _in_session(self._reader, fn)


def _in_session(engine: Engine, fn: Callable[[Session], T]) -> T:
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            return fn(session)
    except DBAPIError as error:
        if isinstance(error, OperationalError) or error.connection_invalidated:
            msg = f"the records database cannot be used now: {error.orig}"
            raise StoreUnavailable(msg) from error
        if type(error) is DatabaseError:
            msg = f"the records database is damaged: {error.orig}; restore a copy"
            raise StoreRejected(msg) from error
        raise


def _passes(error: DBAPIError) -> bool:
    """Whether SQLite says that the disk is full or fails, or that somebody else is at the file."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _PASSING  # the other bits say where


def _ensure_tenant(session: Session, tenant: str, clock: Clock) -> None:
    if session.get(Tenant, tenant) is None:
        session.add(Tenant(id=tenant, name=tenant, created=clock.now_ns()))


def _url(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(url_or_path))
    try:
        url = make_url(url_or_path)
    except ArgumentError as error:
        msg = (
            f"{url_or_path.split('@')[-1]!r} is no database address: give a file or postgresql+psycopg://..."
        )
        raise ConfigError(msg) from error
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        msg = f"records are kept in SQLite or PostgreSQL, not in {url.get_backend_name()!r}"
        raise ConfigError(msg)
    return url


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.render_as_string(hide_password=True)


def _prepare_file(url: URL) -> None:
    """Make the file, readable by its owner only; SQLite gives its side files the same rights."""
    if not url.database or url.database == ":memory:":
        msg = "records need a file (readers and the writer have connections of their own): give a path"
        raise ConfigError(msg)
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        msg = f"cannot write the records database {path}: {error.strerror}; choose another data folder"
        raise ConfigError(msg, path=str(path)) from error


def _engine(url: URL, *, write: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, pool_size=1 if write else READERS, max_overflow=0, pool_pre_ping=True)
        if not write:
            return engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")

        @event.listens_for(engine, "begin")
        def _began(connection: Connection) -> None:
            if not _durable(connection):
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")

        return engine
    engine = create_engine(
        url,
        pool_size=1 if write else READERS,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin by itself: "begin" below does
        for pragma in _PRAGMAS if write else (*_PRAGMAS[:1], *_PRAGMAS[3:], "PRAGMA query_only=ON"):
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        if write:  # a WAL that is not synced with a commit is so with the next one that is
            level = "FULL" if _durable(connection) else "NORMAL"
            connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _durable(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("durable", True))
