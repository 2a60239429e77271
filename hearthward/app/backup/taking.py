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
from dataclasses import replace
from pathlib import Path
from typing import Final

from cloud_ingest.stores.base import Delivery
from hearthward.app.backup.archive import Log, encode
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
SHARE: Final = 5
"""A round is followed by a pause of at least so many times its own length."""
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


class Continuous:
    """Keeps ``folder`` a backup that is never older than a few seconds more than ``every_s``.

    ``stored`` is told of every append (``cloud_ingest.stores.archiving``), in the event loop. ``failing``
    says whether the last round failed. The folder has a lock: two clouds must not write one backup.
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
        self._clock, self._telemetry = clock, telemetry
        self._lock = FileLock(folder / ".lock", f"the backup folder {folder}")
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._whole = True
        """Whether the logs have all since the base; not before the first base of this process."""
        self._log: Log | None = None
        self._series: Part | None = None
        self._base_at = 0
        self._number = 0
        self.failing = False

    def stored(self, tenant: str, deliveries: Sequence[Delivery]) -> None:
        """These have been stored."""
        if self._log is None:
            return  # before the first base: it will have them
        for delivery in deliveries:
            record = encode(tenant, delivery)
            self._waiting.append(record)
            self._bytes += len(record)
        if self._bytes > BUFFER:
            self._waiting.clear()
            self._bytes, self._whole = 0, False

    async def run(self, told: Callable[[float], None] = lambda _failing: None) -> None:
        """Go round until cancelled; a round that fails is tried again.

        ``told`` is given 1 when rounds begin to fail, and 0 when one has not. Raises ConfigError: the folder
        cannot be made, or is in use.
        """
        await asyncio.to_thread(self._open)
        try:
            while True:
                started = self._clock.monotonic_ns()
                failing = not await self._round_safely()
                self.failing = failing
                told(float(failing))
                took = (self._clock.monotonic_ns() - started) / SECOND
                self._telemetry.gauge("backup_round_seconds", took)
                await asyncio.sleep(max(self._every_s - took, SHARE * took if took > 1 else 0.0, 0.0))
        finally:
            if self._log is not None:
                self._log.close()
            self._lock.release()

    def _open(self) -> None:
        make_folder(self._folder)
        self._lock.acquire()
        with contextlib.suppress(ConfigError):
            numbers = [
                name.partition(".")[0].rpartition("-")[2] for name in Manifest.read(self._folder).files
            ]
            self._number = max((int(n) for n in numbers if n.isdigit()), default=0)

    async def _round_safely(self) -> bool:
        try:
            await self.round()
        except (ConfigError, OSError, sqlite3.Error) as error:
            self._telemetry.count("backup_rounds_failed_total")
            log.error("no backup could be made in %s: %s", self._folder, error)  # noqa: TRY400
            return False
        self._telemetry.count("backup_rounds_total")
        self._telemetry.gauge("backup_moment_seconds", self._clock.now_ns() / SECOND)
        return True

    async def round(self) -> Manifest:
        """One round. Raises ConfigError, OSError, sqlite3.Error."""
        moment, mono = self._clock.now_ns(), self._clock.monotonic_ns()
        self._number += 1
        series = self._series
        if series is None or not self._whole or mono - self._base_at >= self._base_every_s * SECOND:
            series = await self._base(mono)
        records = await asyncio.to_thread(
            copy_database, self._cloud / RECORDS, self._folder, f"records-{self._number:09}.db"
        )
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        try:
            await asyncio.to_thread(self._append, waiting)
        except BaseException:
            self._waiting = waiting + self._waiting
            self._bytes = sum(map(len, self._waiting))
            raise
        return await asyncio.to_thread(self._finish, moment, replace(records, target=RECORDS), series)

    async def _base(self, mono: int) -> Part:
        """Begin a new log, then copy the whole series: what comes meanwhile is in both."""
        self._series = None
        if self._log is not None:
            self._log.close()
        self._waiting, self._bytes, self._whole = [], 0, True
        self._log = await asyncio.to_thread(Log, self._folder / f"archive-{self._number:09}.log")
        name = f"series-{self._number:09}.db"
        copied = await asyncio.to_thread(copy_database, self._cloud / SERIES, self._folder, name)
        self._series, self._base_at = replace(copied, target=SERIES), mono
        return self._series

    def _append(self, records: Sequence[bytes]) -> None:
        if self._log is not None and records:
            self._log.append(records)

    def _finish(self, moment: int, records: Part, series: Part) -> Manifest:
        archive: tuple[Part, ...] = ()
        if self._log is not None and self._log.size:
            archive = (Part(self._log.path.name, self._log.path.name, self._log.size, self._log.digest),)
        parts = (records, series, *copy_small_files(self._cloud, self._folder))
        manifest = Manifest(moment, parts, archive, counts=counts_of(self._folder / records.file))
        manifest.write(self._folder)
        kept = manifest.files | {".lock", MANIFEST}
        if self._log is not None:
            kept |= {self._log.path.name}
        for path in self._folder.iterdir():
            if path.is_file() and path.name not in kept:
                path.unlink()
        return manifest
