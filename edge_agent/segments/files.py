"""The disk as the outbox sees it: files of a fixed size in one folder, written in place and synced.

A file's room is its own from the moment it is made, so a full disk does not stop what is written into it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

__all__ = ["Disk", "File", "FolderDisk"]

_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_CHUNK: Final = 1 << 20


class File(Protocol):
    """One open file; each call raises OSError."""

    def read(self, at: int, length: int) -> bytes:
        """What stands from ``at`` on; less at the file's end."""
        ...

    def write(self, at: int, data: bytes) -> None:
        """Write all of ``data`` at ``at``; on the disk only after ``sync``."""
        ...

    def sync(self) -> None:
        """Return once what was written survives a power cut."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Disk(Protocol):
    """A folder's files; each call raises OSError. The fake is ``edge_agent.segments.fake``."""

    def sizes(self) -> dict[str, int]:
        """Name -> bytes of every file."""
        ...

    def create(self, names: Sequence[str], size: int) -> None:
        """Make files, or lengthen them, with all their room, one by one; those before an error stay."""
        ...

    def open(self, name: str) -> File:
        """Open a file for reading and writing."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; no matter if it is not there."""
        ...

    def free(self) -> int:
        """Bytes that further files may take."""
        ...


class FolderFile:
    """A real file."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def read(self, at: int, length: int) -> bytes:
        """See ``File``."""
        parts = []
        while length > 0 and (part := os.pread(self._fd, length, at)):
            parts.append(part)
            at += len(part)
            length -= len(part)
        return b"".join(parts)

    def write(self, at: int, data: bytes) -> None:
        """See ``File``; a file removed under our hands takes nothing any more."""
        if os.fstat(self._fd).st_nlink == 0:
            raise OSError(errno.ESTALE, "the file was removed")
        view = memoryview(data)
        while view:
            n = os.pwrite(self._fd, view, at)
            at += n
            view = view[n:]

    def sync(self) -> None:
        """See ``File``."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """See ``File``."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class FolderDisk:
    """A real folder, which must exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sizes(self) -> dict[str, int]:
        """See ``Disk``."""
        with os.scandir(self.folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def create(self, names: Sequence[str], size: int) -> None:
        """See ``Disk``."""
        for name in names:
            self._reserve(self.folder / name, size)
        if names:
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    @staticmethod
    def _reserve(path: Path, size: int) -> None:
        fresh = not path.exists()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _allocate(fd, size)
        except BaseException:
            if fresh:
                path.unlink()
            raise
        finally:
            os.close(fd)

    def open(self, name: str) -> FolderFile:
        """See ``Disk``."""
        return FolderFile(self.folder / name)

    def remove(self, name: str) -> None:
        """See ``Disk``."""
        (self.folder / name).unlink(missing_ok=True)

    def free(self) -> int:
        """See ``Disk``."""
        return shutil.disk_usage(self.folder).free


def _allocate(fd: int, size: int) -> None:
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        for at in range(os.fstat(fd).st_size, size, _CHUNK):
            os.pwrite(fd, bytes(min(_CHUNK, size - at)), at)
