"""Taking a backup: once, whole, from any process; or all the time, by the cloud itself.

The order makes a copy whole: first the records, then the readings. So every reading that the records know of
is there; of the newest there may be readings that the records do not know yet, which does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from cloud_ingest.stores.base import Delivery
from hearthward.app.backup.archive import Log, encode
from hearthward.app.backup.aside import Aside
from hearthward.app.backup.manifest import MANIFEST, Manifest, Part, copy_database, copy_small_files
from hearthward.app.files import make_folder
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError
from hearthward.core.lock import FileLock
from hearthward.core.telemetry import Telemetry

__all__ = ["Continuous", "take_once"]

log = logging.getLogger(__name__)

BUFFER: Final = 64 << 20
"""Bytes that wait for the backup's disk; beyond them the next round copies the whole series again."""
OLD_S: Final = 60.0
"""An older copy is told."""
SHARE: Final = 5
"""A round is followed by a pause of so many times its own length, as far as the copy stays fresh."""
LOOK_S: Final = 5.0
"""How often the copy's age is looked at."""
BASE_AGAIN_S: Final = 600.0
"""After so long a whole copy of the series that failed is tried again, while the one before it serves."""
CLOSE_S: Final = 2.0
"""How long the end waits for what is being copied."""
RECORDS: Final = "records.db"
SERIES: Final = "series.db"
_COUNTED: Final = ("alarms", "transitions", "patients", "devices", "users")


def take_once(cloud: Path, folder: Path, clock: Clock) -> Manifest:
    """A whole backup of the cloud's folder ``cloud`` into ``folder``, which must be empty or new. Blocking.

    The cloud may be running. Raises ConfigError.
    """
    if not (cloud / RECORDS).is_file():
        msg = "there is nothing to back up: no records.db"
        raise ConfigError(msg, file=str(cloud))
    make_folder(folder)
    if any(folder.iterdir()):
        msg = "the folder of a backup must be new or empty"
        raise ConfigError(msg, file=str(folder))
    moment = clock.now_ns()
    records = copy_database(cloud / RECORDS, folder, RECORDS)
    parts = [records, *copy_small_files(cloud, folder)]
    if (cloud / SERIES).is_file():
        parts.append(copy_database(cloud / SERIES, folder, SERIES))
    manifest = Manifest(moment, tuple(parts), counts=counts_of(folder / RECORDS))
    manifest.write(folder)
    return manifest


def counts_of(path: Path) -> dict[str, int]:
    """How many rows the records have of what people would miss."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        return {
            name: int(db.execute(f"SELECT count(*) FROM {name}").fetchone()[0])  # noqa: S608 - our names
            for name in _COUNTED
            if name in there
        }


@dataclass(frozen=True, slots=True)
class _Base:
    """A whole copy of the series under way, into ``name``; it gives the copy, or why there is none."""

    name: str
    task: asyncio.Task[Part | Exception]
    began: int


class Continuous:
    """Keeps ``folder`` a backup that is never older than a minute (or two rounds, where they are rarer).

    ``stored`` is told of every append (``cloud_ingest.stores.archiving``), in the event loop. ``failing``
    says whether the copy is older than that, or something could not be copied. The folder has a lock: two
    clouds must not write one backup.
    """

    def __init__(
        self,
        cloud: Path,
        folder: Path,
        *,
        every_s: float,
        base_every_s: float,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._cloud, self._folder = cloud, folder
        self._every_s, self._base_every_s = every_s, base_every_s
        self._old_s = max(OLD_S, 2 * every_s)
        self._clock, self._telemetry = clock, telemetry
        self._lock = FileLock(folder / ".lock", f"the backup folder {folder}")
        self._aside = Aside()
        self._opened = False
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._whole = True
        """Whether the logs have all since the base; not before the first base of this process."""
        self._logs: list[Log] = []
        """What was stored since the base, in order; the last one grows."""
        self._series: Part | None = None
        self._base_due = 0
        """When the series are to be copied anew (monotonic ns)."""
        self._base_failed = False
        self._coming: _Base | None = None
        self._since: Log | None = None
        """The log that was new when the copy that comes, or failed, began: it has all that came after."""
        self._number = 0
        self._fresh_at: int | None = None
        """When the round began whose manifest stands, or this process (monotonic ns)."""
        self._round_at = 0
        self._known = False
        """Whether a round of this process has succeeded."""
        self._failed = False
        self.failing = False

    def stored(self, tenant: str, deliveries: Sequence[Delivery]) -> None:
        """These have been stored."""
        if not self._logs:
            return  # before the first base: it will have them
        for delivery in deliveries:
            record = encode(tenant, delivery)
            self._waiting.append(record)
            self._bytes += len(record)
        if self._bytes > BUFFER:
            self._waiting.clear()
            self._bytes, self._whole = 0, False

    async def run(self, told: Callable[[float], None] = lambda _failing: None) -> None:
        """Go round until cancelled; what fails is tried again, what hangs is told.

        ``told`` is given 1 while ``failing``, and 0 once a round has succeeded and it is not.
        """
        self._fresh_at = self._clock.monotonic_ns()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._rounds(told), name="backup rounds")
                while True:
                    await asyncio.sleep(min(LOOK_S, self._every_s))
                    self._tell(told)
        finally:
            if self._coming is not None:
                self._coming.task.cancel()
            await asyncio.to_thread(self._aside.last, self._close, CLOSE_S)

    async def _rounds(self, told: Callable[[float], None]) -> None:
        while True:
            self._failed = not await self._round_safely()
            self._tell(told)
            await asyncio.sleep(self._pause_s())

    def _tell(self, told: Callable[[float], None]) -> None:
        now = self._clock.monotonic_ns()
        age = (now - (now if self._fresh_at is None else self._fresh_at)) / SECOND
        self._telemetry.gauge("backup_age_seconds", age)
        self.failing = self._failed or age > self._old_s
        if self.failing or self._known:
            told(float(self.failing))

    def _pause_s(self) -> float:
        """Until the next round: a long one is followed by a long pause, as far as the copy stays fresh."""
        took = (self._clock.monotonic_ns() - self._round_at) / SECOND
        self._telemetry.gauge("backup_round_seconds", took)
        if took < 1:
            share = 0.0
        elif self._failed or 2 * took > self._old_s:
            share = self._every_s
        else:
            share = min(SHARE * took, self._old_s - 3 * took)
        return max(self._every_s - took, share, 0.0)

    def _open(self) -> None:
        make_folder(self._folder)
        self._lock.acquire()
        with contextlib.suppress(ConfigError):
            numbers = [
                name.partition(".")[0].rpartition("-")[2] for name in Manifest.read(self._folder).files
            ]
            self._number = max((int(n) for n in numbers if n.isdigit()), default=0)

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # a share that is away: the process's end closes them
            _close_all(self._logs)
            self._lock.release()

    async def _round_safely(self) -> bool:
        self._round_at = self._clock.monotonic_ns()
        try:
            if not self._opened:
                await self._aside.do(self._open)
                self._opened = True
            await self.round()
        except (ConfigError, OSError, sqlite3.Error) as error:
            self._telemetry.count("backup_rounds_failed_total")
            log.error("no backup could be made in %s: %s", self._folder, error)  # noqa: TRY400
            return False
        except Exception:  # whatever it is: alarms go on without a backup
            self._telemetry.count("backup_rounds_failed_total")
            log.exception("no backup could be made in %s", self._folder)
            return False
        self._telemetry.count("backup_rounds_total")
        self._telemetry.gauge("backup_moment_seconds", self._clock.now_ns() / SECOND)
        return not self._base_failed

    async def round(self) -> Manifest:
        """One round. Raises ConfigError, OSError, sqlite3.Error."""
        self._number += 1
        series = await self._base()
        moment = self._clock.now_ns()
        began = self._round_at = self._clock.monotonic_ns()
        name = f"records-{self._number:09}.db"
        records = await self._aside.do(partial(copy_database, self._cloud / RECORDS, self._folder, name))
        if not self._whole:
            msg = "more was stored than could wait for it: the whole series are copied again"
            raise ConfigError(msg, file=str(self._folder))
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        try:
            await self._aside.do(partial(self._append, waiting))
        except BaseException:
            self._waiting = waiting + self._waiting
            self._bytes = sum(map(len, self._waiting))
            raise
        named = replace(records, target=RECORDS)
        manifest = await self._aside.do(partial(self._finish, moment, named, series))
        self._fresh_at, self._known = began, True
        return manifest

    async def _base(self) -> Part:
        """The whole copy of the series that stands; a new one is made beside the rounds when it is due.

        While there is none, it is waited for. Raises ConfigError, OSError, sqlite3.Error.
        """
        now = self._clock.monotonic_ns()
        if not self._whole:  # the logs have a gap: only a new copy, with a new log, helps
            self._series, self._coming, self._since, self._whole = None, None, None, True
        if self._coming is None and (self._series is None or now >= self._base_due):
            await self._begin(now)
        if self._coming is not None and (self._series is None or self._coming.task.done()):
            await asyncio.wait({self._coming.task})
            await self._adopt(self._coming, self._coming.task.result())
        if self._series is None:  # not reached: _adopt raises
            msg = "there is no whole copy of the series"
            raise ConfigError(msg, file=str(self._folder))
        return self._series

    async def _begin(self, now: int) -> None:
        """Begin a new log, then to copy the whole series: what comes meanwhile is in both."""
        if self._since is None:
            path = self._folder / f"archive-{self._number:09}.log"
            self._since = await self._aside.do(partial(Log, path))
            self._logs.append(self._since)
        name = f"series-{self._number:09}.db"
        copying = asyncio.create_task(self._copy_series(name), name="backup of the series")
        self._coming = _Base(name, copying, now)

    async def _copy_series(self, name: str) -> Part | Exception:
        copy = partial(copy_database, self._cloud / SERIES, self._folder, name)
        try:
            return replace(await self._aside.do(copy), target=SERIES)
        except (ConfigError, OSError, sqlite3.Error) as error:
            return error

    async def _adopt(self, base: _Base, copied: Part | Exception) -> None:
        """It stands from now on, and logs before its own are done with; or it is tried again later."""
        self._coming = None
        self._base_failed = isinstance(copied, Exception)
        if isinstance(copied, Exception):
            self._base_due = self._clock.monotonic_ns() + round(BASE_AGAIN_S * SECOND)
            if self._series is None:
                raise copied
            log.error("the series could not be copied anew: %s", copied)
            return
        self._series, since = copied, self._since
        self._base_due = base.began + round(self._base_every_s * SECOND)
        done = [written for written in self._logs if written is not since]
        self._logs, self._since = [written for written in self._logs if written is since], None
        await self._aside.do(partial(_close_all, done))

    def _append(self, records: Sequence[bytes]) -> None:
        if self._logs and records:
            self._logs[-1].append(records)

    def _finish(self, moment: int, records: Part, series: Part) -> Manifest:
        archive = tuple(Part(a.path.name, a.path.name, a.size, a.digest) for a in self._logs if a.size)
        parts = (records, series, *copy_small_files(self._cloud, self._folder))
        manifest = Manifest(moment, parts, archive, counts=counts_of(self._folder / records.file))
        manifest.write(self._folder)
        kept = manifest.files | {".lock", MANIFEST} | {written.path.name for written in self._logs}
        coming = None if self._coming is None else self._coming.name
        for path in self._folder.iterdir():
            if path.is_file() and path.name not in kept and not (coming and path.name.startswith(coming)):
                path.unlink()
        return manifest


def _close_all(logs: Sequence[Log]) -> None:
    for written in logs:
        written.close()
