"""Where the next fetch of each device's store begins: the port, and its fake."""

from __future__ import annotations

from typing import Protocol

from devices.racp import Cursor
from hearthward.core.errors import StoreUnavailable

__all__ = ["Cursors", "MemoryCursors"]


class Cursors(Protocol):
    """One cursor per device and source; losing them means only that stores are fetched again."""

    def get(self, device: str, source: str) -> Cursor | None:
        """The cursor noted last; None: everything is to be fetched."""
        ...

    async def put(self, device: str, source: str, cursor: Cursor) -> None:
        """Note it; it is durable when this returns. Raises StoreUnavailable."""
        ...


class MemoryCursors:
    """The fake of the port, and what a gateway without a disk has; ``unavailable`` refuses to note."""

    def __init__(self) -> None:
        self.noted: dict[tuple[str, str], Cursor] = {}
        self.unavailable = False

    def get(self, device: str, source: str) -> Cursor | None:
        """See the port."""
        return self.noted.get((device, source))

    async def put(self, device: str, source: str, cursor: Cursor) -> None:
        """See the port."""
        if self.unavailable:
            msg = "the cursors cannot be noted"
            raise StoreUnavailable(msg)
        self.noted[device, source] = cursor
