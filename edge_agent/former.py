"""Taking over the outbox of the first release: one SQLite file beside the folder, its boot and numbers kept.

Everything goes into a folder of another name, which gets its own only once it is complete; then the file
goes. So a crash at any point leaves either the file or the folder in force.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_agent.segments.books import BOOKS
from edge_agent.segments.files import FolderDisk
from edge_agent.segments.journal import SEGMENT, NewBlock, counts_of
from edge_agent.segments.recovery import recover
from edge_agent.segments.ring import FullError
from edge_agent.segments.state import Change, State
from edge_agent.segments.store import MIN_SEGMENTS, Store, segment_size
from hearthward.core.lock import FileLock
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import MAX_BLOCK, Block, Gap

__all__ = ["take_over"]

log = logging.getLogger(__name__)

_APPLICATION: Final = 0x4857_4F42
_SIDES: Final = ("", "-wal", "-shm", ".spare")
_AT_ONCE: Final = 64
_TRANSIENT: Final = frozenset(
    {
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


@dataclass(slots=True)
class _Former:
    """What the file says; ``state`` is None when it does not say it any more."""

    state: State | None = None
    blocks: list[Block] = field(default_factory=list)


def take_over(
    folder: Path, max_bytes: int, new_boot: Callable[[], str], hour: Callable[[], int]
) -> str | None:
    """Take ``<folder>.db`` over if there is one; returns how, in words, or None when there is none.

    Raises ConfigError (another process has it) and OSError.
    """
    file, staging = folder.with_name(f"{folder.name}.db"), folder.with_name(f"{folder.name}.taken")
    if not file.exists():
        shutil.rmtree(staging, ignore_errors=True)
        return None
    with FileLock(file.with_name(f"{file.name}.lock"), f"the outbox {file}"):
        former = _read(file)
        if any((folder / name).exists() for name in BOOKS):
            return _after(folder, file, former)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True, mode=0o700)
        _fill(staging, former, max_bytes, new_boot, hour)
        staging.rename(folder)
        _sync(folder.parent)
        if former.state is None:
            aside = _put_aside(file)
            return f"the damaged outbox {file} was kept as {aside}; its good rows are in a new one"
        _remove(file)
    return f"the outbox {file} was taken over, {len(former.blocks)} blocks"


def _after(folder: Path, file: Path, former: _Former) -> str:
    """There is a folder already: the file is what a crash left of it, or of another gateway."""
    disk = FolderDisk(folder)
    sizes = disk.sizes()
    size = max(sizes.values(), default=0)
    state = recover(disk, [n for n in sizes if n.startswith(SEGMENT)], size).state
    if state is not None and former.state is not None and state.boot == former.state.boot:
        _remove(file)
        return f"the outbox {file} had been taken over before"
    return f"the outbox {file} was put aside as {_put_aside(file)}: {folder} is in use already"


def _fill(
    staging: Path,
    former: _Former,
    max_bytes: int,
    new_boot: Callable[[], str],
    hour: Callable[[], int],
) -> None:
    size = segment_size(max_bytes)
    needed = sum(len(b.payload) for b in former.blocks) // size + 2 * MIN_SEGMENTS
    store = Store(FolderDisk(staging), max_bytes, new_boot, hour, begin=former.state, room=needed * size)
    try:
        for n in range(0, len(former.blocks), _AT_ONCE):
            blocks = former.blocks[n : n + _AT_ONCE]
            with contextlib.suppress(FullError):  # nothing is pinned: cannot be
                store.ring.make_room()
            for block in blocks:
                counts = tuple(counts_of(block))
                if former.state is not None:
                    store.journal.transact([], Change(counts=counts), [block])
                else:
                    store.journal.transact([NewBlock(block.count, block.payload, counts=counts)], Change())
    finally:
        store.close()
    _sync(staging)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(file: Path) -> None:
    for side in reversed(_SIDES):
        file.with_name(file.name + side).unlink(missing_ok=True)


def _put_aside(file: Path) -> Path:
    n = 1
    while (aside := file.with_name(f"{file.name}.aside-{n}")).exists():
        n += 1
    for side in _SIDES:
        if (part := file.with_name(file.name + side)).exists():
            part.rename(f"{aside}{side}")
    return aside


# --- the first release's file


def _read(file: Path) -> _Former:
    """What the file holds; as much as can be read of a damaged one. Raises OSError when it cannot be now."""
    try:
        with contextlib.closing(_connect(file)) as db:
            if db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
                return _Former()
            blocks = list(_blocks(db, "ASC"))
            state = _books(db)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code != _SHORT_READ and code & 0xFF in _TRANSIENT:
            msg = f"the outbox {file} cannot be read: {error}"
            raise OSError(msg) from error
        return _Former(None, _salvage(file))
    if state is None or any(b.last >= state.following for b in blocks):
        return _Former(None, blocks)
    settled = state.settled()
    return _Former(state, [b for b in blocks if not settled.common(b.first, b.last)])


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=0.5, isolation_level=None)
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return db


def _books(db: sqlite3.Connection) -> State | None:
    good = [
        (following, boot)
        for boot, following, crc in db.execute("SELECT boot, next, crc FROM meta")
        if crc == _text_crc(boot, following) and isinstance(boot, str) and isinstance(following, int)
    ]
    if not good:
        return None
    following, boot = max(good)
    state = State(boot, following)
    for first, last, crc in db.execute("SELECT first, last, crc FROM done"):
        if crc == _text_crc(first, last) and 0 < first <= last < following:
            state.done.add(first, last)
    gaps = tuple(
        Gap(first, last, reason)
        for first, last, reason, crc in db.execute("SELECT first, last, reason, crc FROM gap")
        if crc == _text_crc(first, last, reason) and 0 < first <= last < following
    )
    state.apply(Change(gaps=gaps))
    return state


def _blocks(db: sqlite3.Connection, order: str) -> Iterator[Block]:
    """The rows whose check holds; none that overlaps one before."""
    taken = RangeSet()
    rows = db.execute(f"SELECT rowid, count, crc, payload FROM block ORDER BY 1 {order}")  # noqa: S608
    for first, count, crc, payload in rows:
        if _good(first, count, crc, payload) and not taken.common(first, first + count - 1):
            taken.add(first, first + count - 1)
            yield Block(first, count, payload)


def _salvage(file: Path) -> list[Block]:
    """What can still be read from either end of a file whose structure is damaged."""
    found: dict[int, Block] = {}
    for order in ("ASC", "DESC"):
        with (
            contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError),  # the other end may be readable
            contextlib.closing(_connect(file)) as db,
        ):
            for block in _blocks(db, order):
                if found.setdefault(block.first, block) is not block:
                    break
    return [found[first] for first in sorted(found)]


def _good(first: object, count: object, crc: object, payload: object) -> bool:
    return (
        isinstance(first, int)
        and isinstance(count, int)
        and isinstance(payload, bytes)
        and first > 0
        and 0 < count <= MAX_BLOCK
        and crc == zlib.crc32(payload, zlib.crc32(b"%d|%d|" % (first, count)))
    )


def _text_crc(*fields: object) -> int:
    return zlib.crc32("|".join(map(str, fields)).encode())
