"""Writing a small file so that it is there whole, or not at all, whatever is switched off when."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

__all__ = ["keep_durably", "write_durably"]

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a new file, sync it, give it the name, sync its folder, made where there is none.

    Raises OSError. Blocking.
    """
    temporary = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.unlink(missing_ok=True)  # another's, or a kill's, may have another mode
    with os.fdopen(os.open(temporary, _NEW, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def keep_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """``write_durably`` in a thread, seen through even when cancelled: who comes next finds no other at it.

    Raises OSError.
    """
    writing = asyncio.ensure_future(asyncio.to_thread(write_durably, path, data, mode))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        if not writing.cancelled():
            writing.exception()  # the cancellation is what the caller gets
        raise
