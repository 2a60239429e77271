"""A start on a full disk waits for room: no restart would mend it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from hearthward.app.systemd import Notify
from hearthward.core.errors import ConfigError, StoreUnavailable

__all__ = ["must_have_room", "when_room"]

log = logging.getLogger(__name__)
T = TypeVar("T")

NEEDED: Final = 1 << 20
"""Bytes that a start needs: SQLite's side files, the first commits, the token file."""
RETRY_S: Final = 1.0
EXTENDED_S: Final = 30
"""systemd waits on for so long after each sign of a start that waits."""
_PASSES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def must_have_room(folder: Path) -> None:
    """Have the disk take what a start needs, in a file without a name that is gone at once.

    Raises StoreUnavailable when it does not now, ConfigError when it never will.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            left = memoryview(bytes(NEEDED))
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
    except OSError as error:
        msg = f"the data folder {folder} does not take {NEEDED >> 20} MiB: {error.strerror}"
        if error.errno in _PASSES:
            raise StoreUnavailable(msg, folder=str(folder)) from error
        raise ConfigError(msg, folder=str(folder)) from error


async def when_room(
    folder: Path,
    work: Callable[[], T],
    *,
    notify: Notify | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """What ``work`` returns, done in a thread once the folder has room; waits out StoreUnavailable.

    systemd is told that the start goes on, the log once why it waits. Other errors are raised as they come.
    """
    notify, waited = notify or Notify(), False
    while True:
        try:
            await asyncio.to_thread(must_have_room, folder)
            done = await asyncio.to_thread(work)
        except StoreUnavailable as error:
            notify.send(f"EXTEND_TIMEOUT_USEC={EXTENDED_S * 1_000_000}\nSTATUS=Waiting: {error}")
            if not waited:
                log.error("the start waits until this is mended: %s", error)  # noqa: TRY400 - no traceback needed
            waited = True
            await sleep(RETRY_S)
        else:
            if waited:
                log.warning("the start goes on")
            return done
