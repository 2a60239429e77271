"""A file of waveforms that begins anew when it is damaged: nothing is decided by them, and none may wait.

Damage is found at the start, or by whatever comes upon it later. The file is moved aside, beside itself as
``waves.db.garbled``, where it replaces one of before.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

from cloud_ingest.stores.base import Tell
from cloud_ingest.waves.base import MOST_SAMPLES, Held, WaveParcel
from cloud_ingest.waves.sqlite import SqliteWaves
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError, HearthwardError, StoreUnavailable
from hearthward.core.telemetry import Telemetry
from hearthward.core.waves import WaveformChunk

__all__ = ["RenewingWaves"]

T = TypeVar("T")
log = logging.getLogger(__name__)

RENEWED_EVERY_S: Final = 60.0
"""A disk that damages each new file, too, is not given one more often than that."""
TOLD_S: Final = 60.0
"""That waveforms are lost is told as a failing part for so long; then the new file does its work."""
AWAY_S: Final = 120.0
"""What could not be written comes again within a minute; if nothing comes, there is nothing to fail."""
LOOK_S: Final = 2.0
_GARBLED: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_KIND: Final = 0xFF
"""SQLite's extended codes have more above this."""


class RenewingWaves:
    """The embedded store, over a file that is replaced by an empty one when it is found damaged.

    Counted: ``wave_store_garbled_total``. ``open`` makes one; raises ConfigError when the place cannot be
    used, or the file is another program's.
    """

    def __init__(self, path: Path, file: SqliteWaves, *, clock: Clock, telemetry: Telemetry) -> None:
        self._path, self._file = path, file
        self._clock, self._telemetry = clock, telemetry
        self._changing = threading.Lock()
        self._closed = False
        self._renewed_at: int | None = None
        self._damage: str | None = None
        self._anew: str | None = None
        self._away: tuple[str, int] | None = None

    @classmethod
    async def open(cls, path: Path, *, clock: Clock, telemetry: Telemetry) -> Self:
        """Open or make the file; one that is garbled is moved aside first."""
        file, damage = await asyncio.to_thread(_begin, path)
        made = cls(path, file, clock=clock, telemetry=telemetry)
        made._damage = damage
        made._note()
        return made

    async def append(self, tenant: str, parcels: Sequence[WaveParcel]) -> int:
        """Store chunks in one transaction; see WaveStore."""
        try:
            new = await self._asked(lambda file: file.append(tenant, parcels))
        except StoreUnavailable as error:
            self._away = str(error), self._clock.monotonic_ns()
            raise
        self._away = None
        return new

    async def read(
        self, tenant: str, device: str, metric: str, start: int, end: int, *, most: int = MOST_SAMPLES
    ) -> Sequence[WaveformChunk]:
        """Chunks of a period; see WaveStore."""
        return await self._asked(lambda file: file.read(tenant, device, metric, start, end, most=most))

    async def held(self, tenant: str, devices: Sequence[str], start: int, end: int) -> Sequence[Held]:
        """Which there are; see WaveStore."""
        return await self._asked(lambda file: file.held(tenant, devices, start, end))

    async def prune(self, before: int, most_bytes: int) -> int:
        """Drop what is old or too much; see WaveStore."""
        return await self._asked(lambda file: file.prune(before, most_bytes))

    async def run(self, tell: Tell) -> None:
        """Tell whether the file takes what comes, and for a while that one was damaged, until cancelled."""
        while True:
            self._note()
            if self._anew is not None:
                tell(self._anew)
                self._anew = None
                await asyncio.sleep(TOLD_S)
            tell(self._failing())
            await asyncio.sleep(LOOK_S)

    def _failing(self) -> str | None:
        """Why nothing could be written lately."""
        if self._away is None or self._clock.monotonic_ns() - self._away[1] >= AWAY_S * SECOND:
            return None
        return self._away[0]

    async def close(self) -> None:
        """Finish what was begun and close the file."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        with self._changing:
            self._closed = True
            self._file.shut()

    # -- beginning anew

    async def _asked(self, ask: Callable[[SqliteWaves], Awaitable[T]]) -> T:
        """What the file answers, or the new one should this one be damaged. Raises StoreUnavailable."""
        file = self._file
        try:
            return await ask(file)
        except StoreUnavailable as error:
            if not (_is_garbled(error) or file.shut_down):
                raise
            renewing = asyncio.get_running_loop().run_in_executor(None, self._renew, file, error)
        await asyncio.shield(renewing)
        self._note()
        return await ask(self._file)

    def _renew(self, file: SqliteWaves, error: StoreUnavailable) -> None:
        """Put a new file in the place of ``file``, unless that was done. In a thread."""
        with self._changing:
            if self._file is not file or self._closed:
                return
            now = self._clock.monotonic_ns()
            if self._renewed_at is not None and now - self._renewed_at < RENEWED_EVERY_S * SECOND:
                raise error
            self._renewed_at = now
            file.shut()
            try:
                if _is_garbled(error):
                    _move_aside(self._path, error)
                    self._damage = str(error)
                self._file, found = _begin(self._path)
                self._damage = self._damage or found
            except (OSError, ConfigError) as again:
                msg = f"a new file of waveforms cannot be begun: {again}"
                raise StoreUnavailable(msg, path=str(self._path)) from again

    def _note(self) -> None:
        """Count damage that was found, also by who has gone away meanwhile, and have it told."""
        if self._damage is not None:
            self._anew, self._damage = self._damage, None
            self._telemetry.count("wave_store_garbled_total")


def _begin(path: Path) -> tuple[SqliteWaves, str | None]:
    """The file, and what was wrong with the one that was moved aside. Raises ConfigError."""
    try:
        return SqliteWaves(path), None
    except ConfigError as error:
        if not _is_garbled(error):
            raise
        try:
            _move_aside(path, error)
        except OSError:
            raise error from None
        return SqliteWaves(path), str(error)


def _move_aside(path: Path, error: HearthwardError) -> None:
    aside = path.with_name(f"{path.name}.garbled")
    for ending in ("-wal", "-shm", ""):
        part, there = path.with_name(path.name + ending), aside.with_name(aside.name + ending)
        if part.exists():
            part.replace(there)
        else:
            there.unlink(missing_ok=True)
    log.error("%s; moved to %s, waveforms begin anew", error, aside)


def _is_garbled(error: HearthwardError) -> bool:
    """Whether it is what is in the file that makes it unusable, and not the disk or the moment."""
    cause = error.__cause__
    if isinstance(cause, UnicodeError) or "UTF-8" in str(cause):  # a name in it is no text any more
        return True
    code: int | None = getattr(cause, "sqlite_errorcode", None)
    return code is not None and code & _KIND in _GARBLED
