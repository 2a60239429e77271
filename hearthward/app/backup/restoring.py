"""The way back from a backup: files are checked, the log replayed, the result opened, then put in place."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from cloud_ingest.records import Records
from cloud_ingest.stores.base import Delivery
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.app.backup import archive
from hearthward.app.backup.manifest import Manifest, Part, digest_of
from hearthward.app.files import make_folder
from hearthward.app.lock import FolderLock
from hearthward.core.clock import SECOND, Clock, SystemClock, iso
from hearthward.core.errors import ConfigError, DecodeError
from hearthward.core.ids import RandomIds

__all__ = ["Restored", "check", "must_be_whole", "restore"]

AT_ONCE: Final = 200
"""Deliveries in one transaction of the replay."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to: all that was committed at ``moment`` (UTC ns) is there again."""

    moment: int
    readings: int
    replayed: int
    counts: dict[str, int]
    seconds: float
    before: Path | None = None

    def text(self) -> str:
        """For people."""
        counted = ", ".join(f"{n:,} {name}" for name, n in self.counts.items())
        return (
            f"as of {iso(self.moment)}: {self.readings:,} readings ({self.replayed:,} of them from the log), "
            f"{counted}; {self.seconds:.1f} s"
        )


async def restore(source: Path, data: Path, *, tenant: str, clock: Clock, force: bool = False) -> Restored:
    """Make the cloud's data in ``data`` out of a backup. Raises ConfigError; ``data`` is then as it was.

    ``force``: data that is there is moved aside, not removed. No cloud may run on it. Killed at any moment,
    it leaves ``cloud.restoring``, over which no cloud starts (``must_be_whole``), and may be done again.
    """
    cloud, fresh = _places(data)
    with FolderLock(cloud, f"the data folder {cloud}"):
        there = _holds_data(cloud)
        if there and not force:
            msg = "already holds data: name another folder with --data, or move it aside with --force"
            raise ConfigError(msg, folder=str(cloud))
        await asyncio.to_thread(_remove, fresh)
        before = _beside(cloud, clock)
        try:
            done = await _build(source, fresh, tenant, clock)
            # the new folder is ours, too, from before it stands in its place
            with FolderLock(fresh, f"the data folder {fresh}"):
                await asyncio.to_thread(_settle, fresh, cloud.parent)
                _move(cloud, before)
                _move(fresh, cloud)
        except BaseException:
            if not before.exists():
                shutil.rmtree(fresh, ignore_errors=True)
            raise
        if not there:
            shutil.rmtree(before, ignore_errors=True)  # a lock, and no more
    return replace(done, before=before if there else None)


def must_be_whole(data: Path) -> None:
    """Raise ConfigError, saying what to do, where a restore into ``data`` was not finished."""
    cloud, fresh = _places(data)
    if not fresh.exists():
        return
    moved = sorted(cloud.parent.glob(f"{cloud.name}.before-*"))
    aside = f"; what was there is in {moved[-1]}" if moved and not _holds_data(cloud) else ""
    msg = (
        "a restore into this folder was not finished: do it again (`hearthward restore BACKUP --force`), "
        f"or remove {fresh.name} to go on with what is in {cloud.name}{aside}"
    )
    raise ConfigError(msg, folder=str(fresh))


def _places(data: Path) -> tuple[Path, Path]:
    """The cloud's folder, links followed, and where its new content is made: beside it, to be renamed."""
    cloud = (data / "cloud").resolve()
    return cloud, cloud.with_name(f"{cloud.name}.restoring")


def _holds_data(cloud: Path) -> bool:
    """Whether anything is there but the lock."""
    return cloud.is_dir() and any(path.name != ".lock" for path in cloud.iterdir())


def _remove(fresh: Path) -> None:
    """Remove what a restore before this one has left."""
    try:
        if fresh.exists():
            shutil.rmtree(fresh)
    except OSError as error:
        msg = f"what is left of another restore cannot be removed: {error.strerror}"
        raise ConfigError(msg, folder=str(fresh)) from error


async def check(source: Path, scratch: Path, *, tenant: str, clock: Clock) -> Restored:
    """A test restore into ``scratch``, which is removed again. Raises ConfigError saying what is wrong."""
    fresh = scratch / "test-restore"
    try:
        return await _build(source, fresh, tenant, clock)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _settle(fresh: Path, parent: Path) -> None:
    """Give all of it to the owner of the folder it comes to (where root restores), and sync it."""
    try:
        owner = parent.stat()
        for path in (*fresh.iterdir(), fresh):
            if os.geteuid() == 0:
                os.chown(path, owner.st_uid, owner.st_gid)
            _sync(path)
    except OSError as error:
        msg = f"cannot be made ready: {error.strerror}"
        raise ConfigError(msg, folder=str(fresh)) from error


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _beside(cloud: Path, clock: Clock) -> Path:
    """Where what is there goes: a name beside it that nothing has."""
    stamp = iso(clock.now_ns())[:19].replace(":", "-")
    before = cloud.with_name(f"{cloud.name}.before-{stamp}")
    return before.with_name(f"{before.name}-{clock.monotonic_ns()}") if before.exists() else before


def _move(folder: Path, to: Path) -> None:
    """Rename a folder, synced. Raises ConfigError."""
    try:
        folder.rename(to)
        _sync(to.parent)
    except OSError as error:
        msg = f"cannot be moved to {to}: {error.strerror}"
        raise ConfigError(msg, file=str(folder)) from error


async def _build(source: Path, fresh: Path, tenant: str, clock: Clock) -> Restored:
    started = clock.monotonic_ns()
    manifest = await asyncio.to_thread(Manifest.read, source)
    await asyncio.to_thread(_copy, source, fresh, manifest)
    replayed = await _replay(source, fresh / "series.db", manifest)
    await _open(fresh, tenant)
    readings = await asyncio.to_thread(_whole, fresh)
    took = (clock.monotonic_ns() - started) / SECOND
    return Restored(manifest.moment, readings, replayed, dict(manifest.counts), took)


def _copy(source: Path, fresh: Path, manifest: Manifest) -> None:
    """Check and copy all parts; check the logs."""
    make_folder(fresh)
    fresh.chmod(0o700)
    for part in manifest.parts:
        _check(source, part)
        try:
            shutil.copyfile(source / part.file, fresh / part.target)
            (fresh / part.target).chmod(0o600)
        except OSError as error:
            msg = f"cannot be copied to {fresh}: {error.strerror}"
            raise ConfigError(msg, file=str(source / part.file)) from error
    for part in manifest.archive:
        _check(source, part)


def _check(source: Path, part: Part) -> None:
    path = source / part.file
    try:
        good = path.stat().st_size >= part.size and digest_of(path, part.size) == part.digest
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise ConfigError(msg, file=str(path)) from error
    if not good:
        msg = "is damaged: its content is not what the backup's manifest says; use another backup"
        raise ConfigError(msg, file=str(path))


async def _replay(source: Path, series: Path, manifest: Manifest) -> int:
    """Append what the logs have; what the series have already stays as it is."""
    if not manifest.archive:
        return 0
    store, replayed = await asyncio.to_thread(SqliteStore, series), 0
    try:
        for part in manifest.archive:
            records = archive.replay(source / part.file, part.size)
            while chunk := await asyncio.to_thread(_next, records):
                for tenant in sorted({name for name, _ in chunk}):
                    deliveries = [delivery for name, delivery in chunk if name == tenant]
                    await store.append_many(tenant, deliveries)
                    replayed += sum(len(d.batch) for d in deliveries)
    except DecodeError as error:
        raise ConfigError(str(error), file=str(source)) from error
    finally:
        await store.close()
    return replayed


def _next(records: Iterator[tuple[str, Delivery]]) -> list[tuple[str, Delivery]]:
    return list(islice(records, AT_ONCE))


async def _open(fresh: Path, tenant: str) -> None:
    """The records as this software opens them, upgraded if they are of an older one. Raises ConfigError."""
    path, ids = fresh / "records.db", RandomIds()
    records = await asyncio.to_thread(Records.open, path, clock=SystemClock(), ids=ids, tenant=tenant)
    await records.close()


def _whole(fresh: Path) -> int:
    """SQLite's own check of both files; returns how many readings there are. Raises ConfigError."""
    readings = 0
    for path in sorted(fresh.glob("*.db")):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
                if said == "ok" and path.name == "series.db":
                    (readings,) = db.execute("SELECT count(*) FROM readings").fetchone()
        except sqlite3.Error as error:
            said = str(error)
        if said != "ok":
            msg = f"is damaged: {said}"
            raise ConfigError(msg, file=str(path))
    return int(readings)
