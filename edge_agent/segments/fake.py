"""The fake of the ``Disk`` port: in memory, with power cuts, damage, and a disk that is full or fails."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from typing import Final

__all__ = ["MemoryDisk"]

_SECTOR: Final = 512


class _Content:
    """What a file holds, and the writes that no sync has made safe."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.safe = bytearray(size)
        self.loose: list[tuple[int, bytes]] = []


class MemoryFile:
    """An open file of a ``MemoryDisk``."""

    def __init__(self, disk: MemoryDisk, name: str) -> None:
        self._disk = disk
        self._name = name
        self._content = disk.files[name]

    def read(self, at: int, length: int) -> bytes:
        """See ``File``."""
        return bytes(self._content.data[at : at + length])

    def write(self, at: int, data: bytes) -> None:
        """See ``File``."""
        self._disk.tick()
        content = self._content
        if self._disk.files.get(self._name) is not content:
            raise OSError(errno.ESTALE, "the file was removed")
        if at + len(data) > len(content.data):
            content.data.extend(bytes(at + len(data) - len(content.data)))
        content.data[at : at + len(data)] = data
        content.loose.append((at, bytes(data)))

    def sync(self) -> None:
        """See ``File``."""
        self._disk.tick()
        self._content.safe = bytearray(self._content.data)
        self._content.loose.clear()

    def close(self) -> None:
        """See ``File``."""


class MemoryDisk:
    """``capacity`` bytes in all; ``fail_in(n)`` makes writes and syncs fail from the n-th on."""

    def __init__(self, capacity: int = 1 << 62) -> None:
        self.files: dict[str, _Content] = {}
        self.capacity = capacity
        self.writes = 0
        self._fail_at: int | None = None

    def fail_in(self, n: int | None) -> None:
        """Fail from the n-th write or sync on; None: work again."""
        self._fail_at = None if n is None else self.writes + n

    def tick(self) -> None:
        """Count a write or sync. Raises OSError when it is to fail."""
        if self._fail_at is not None and self.writes >= self._fail_at:
            raise OSError(errno.EIO, "Input/output error")
        self.writes += 1

    def sizes(self) -> dict[str, int]:
        """See ``Disk``."""
        return {name: len(content.data) for name, content in self.files.items()}

    def create(self, names: Sequence[str], size: int) -> None:
        """See ``Disk``."""
        for name in names:
            have = len(self.files[name].data) if name in self.files else 0
            if size - have > self.free():
                raise OSError(errno.ENOSPC, "No space left on device")
            if name in self.files:
                for data in (self.files[name].data, self.files[name].safe):
                    data.extend(bytes(max(0, size - len(data))))
            else:
                self.files[name] = _Content(size)

    def open(self, name: str) -> MemoryFile:
        """See ``Disk``."""
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return MemoryFile(self, name)

    def remove(self, name: str) -> None:
        """See ``Disk``."""
        self.files.pop(name, None)

    def free(self) -> int:
        """See ``Disk``."""
        return self.capacity - sum(self.sizes().values())

    def cut_power(self, rng: random.Random) -> None:
        """Of what was not synced, each sector may be there or not, in any order."""
        self._fail_at = None
        for content in self.files.values():
            size = len(content.safe)
            for at, data in content.loose:
                for start in range(at - at % _SECTOR, at + len(data), _SECTOR):
                    low, high = max(start, at), min(start + _SECTOR, at + len(data))
                    if rng.random() < 0.5:  # noqa: PLR2004 - a coin
                        content.safe[low:high] = data[low - at : high - at]
            content.data = bytearray(content.safe[:size] if len(content.safe) < size else content.safe)
            content.safe = bytearray(content.data)
            content.loose.clear()
