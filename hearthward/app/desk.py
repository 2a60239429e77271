"""Doing something with the cloud's records: through the running cloud, or straight when none runs.

The lock on the cloud's folder decides: who holds it owns the records.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from cloud_ingest.records import Records
from hearthward.app.lock import FolderLock
from hearthward.app.rest import Rest, rest_of
from hearthward.app.ward import VIRTUAL
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import RandomIds
from hearthward.core.settings import Settings

__all__ = ["must_have_records", "records_opened", "taken"]


def must_have_records(settings: Settings, nothing: str, *, otherwise: str = "") -> None:
    """Raise ConfigError, saying what is not there and where to look or what to do, when none were kept."""
    folder = settings.data / "cloud"
    if (folder / "records.db").exists():
        return
    virtual = settings.data / VIRTUAL
    other = f"--data {virtual} (the virtual ward's)" if virtual.exists() else "another folder with --data"
    msg = f"{nothing}: name {other}{otherwise}"
    raise ConfigError(msg, file=str(folder))


@contextmanager
def taken(settings: Settings) -> Iterator[Rest | None]:
    """Take the cloud's folder while the context is open (None), or find the way to who has it."""
    folder = settings.data / "cloud"
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except ConfigError as error:
        holder = error.details.get("pid")
        if holder is None:
            raise
        yield rest_of(folder, holder, settings.web.tls_certificate)
        return
    try:
        yield None
    finally:
        lock.release()


@asynccontextmanager
async def records_opened(folder: Path, tenant: str) -> AsyncIterator[Records]:
    """The records of a folder that the caller has taken."""
    path, clock, ids = folder / "records.db", SystemClock(), RandomIds()
    records = await asyncio.to_thread(Records.open, path, clock=clock, ids=ids, tenant=tenant)
    try:
        yield records
    finally:
        await records.close()
