"""An exclusive lock on a file, released by the operating system when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from hearthward.core.errors import ConfigError

__all__ = ["FileLock"]

_PID_BYTES = 32


class FileLock:
    """Holds ``path`` locked (``flock``) while open; the file carries the holder's process id.

    ``what`` is the thing protected, as a person would call it. The file is never removed: removing it
    would let two processes hold locks on two files of one name.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises ConfigError (held by whom, or why the file cannot be opened)."""
        if self._fd is not None:
            return
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f"{self.what} cannot be used: {error.strerror}; make its folder writable for this user"
            raise ConfigError(msg, file=str(self.path)) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, _PID_BYTES, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            msg = f"{self.what} is already in use by process {holder}; stop that one first"
            raise ConfigError(msg, file=str(self.path), pid=holder) from error
        self._fd = fd
        with contextlib.suppress(OSError):  # a full disk: the lock holds, it only cannot say by whom
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
