"""Opening the outbox's folder: made, taken over from the release before, mended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from edge_agent.former import take_over
from edge_agent.segments.files import Disk, FolderDisk
from edge_agent.segments.store import FullError, Store
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.lock import FileLock

__all__ = ["open_store"]

log = logging.getLogger(__name__)


def open_store(
    path: Path,
    disk: Disk | None,
    max_bytes: int,
    *,
    lock: FileLock,
    boot: Callable[[], str],
    hour: Callable[[], int],
) -> Store:
    """Open what is in the folder ``path``, or on ``disk``, once ``lock`` is ours. Blocking.

    Raises ConfigError and StoreUnavailable, both naming the path.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the folder of the outbox cannot be made: {error.strerror}"
        raise ConfigError(msg, file=str(path)) from error
    lock.acquire()
    try:
        if disk is None:
            if (how := take_over(path, max_bytes, boot, hour)) is not None:
                log.warning("%s", how)
            path.mkdir(exist_ok=True, mode=0o700)
        return Store(disk or FolderDisk(path), max_bytes, boot, hour)
    except (OSError, FullError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        msg = f"the outbox {path} cannot be opened: {reason}"
        raise StoreUnavailable(msg, path=str(path)) from error
