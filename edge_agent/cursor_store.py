"""Where the next fetch of each device's store begins, kept in one file that is never half-written."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from devices.racp import MAX_NUMBER, Cursor
from hearthward.core.errors import StoreUnavailable
from hearthward.core.files import keep_durably

__all__ = ["FileCursors"]

log = logging.getLogger(__name__)


class FileCursors:
    """The ``Cursors`` of one gateway (a JSON file); written after the readings they speak of are committed.

    A file that is damaged or gone costs nothing but time: stores are fetched anew, and what was kept before
    is recognised by its own time and number. Reads the file once, when it is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)
        self._writing = asyncio.Lock()
        self._wanted = self._written = 0

    def get(self, device: str, source: str) -> Cursor | None:
        """See the port."""
        return self._known.get((device, source))

    async def put(self, device: str, source: str, cursor: Cursor) -> None:
        """See the port; those who come while it is written share the next write."""
        self._known[device, source] = cursor
        self._wanted += 1
        mine = self._wanted
        async with self._writing:
            if self._written >= mine:
                return
            upto, data = self._wanted, _encoded(self._known)
            try:
                await keep_durably(self._path, data)
            except OSError as error:
                msg = f"{self._path} cannot be written: {error.strerror}"
                raise StoreUnavailable(msg, path=str(self._path)) from error
            self._written = upto


def _encoded(known: dict[tuple[str, str], Cursor]) -> bytes:
    rows = [[d, s, c.number, c.mark, c.spoiled] for (d, s), c in sorted(known.items())]
    return json.dumps({"cursors": rows}).encode()


def _read(path: Path) -> dict[tuple[str, str], Cursor]:
    try:
        rows = json.loads(path.read_bytes())["cursors"]
        return dict(map(_row, rows))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        log.warning("%s cannot be read (%s): devices' stores are fetched from the beginning", path, error)
        return {}


def _row(row: Any) -> tuple[tuple[str, str], Cursor]:
    device, source, number, mark, spoiled = row
    good = (
        isinstance(device, str)
        and isinstance(source, str)
        and isinstance(spoiled, str)
        and type(number) is int
        and 0 <= number <= MAX_NUMBER
        and type(mark) is int
    )
    if not good:
        msg = "a row that is no cursor"
        raise ValueError(msg)
    return (device, source), Cursor(number, mark, spoiled)
