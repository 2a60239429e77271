"""The lock on a data folder: one running owner at a time."""

from __future__ import annotations

from pathlib import Path

from hearthward.core.errors import ConfigError
from hearthward.core.lock import FileLock

__all__ = ["FolderLock"]


class FolderLock(FileLock):
    """Holds a folder for this process, making it first if need be; the message names the holder's pid."""

    def __init__(self, folder: Path, what: str | None = None) -> None:
        super().__init__(folder / ".lock", what or f"the data folder {folder}")
        self.folder = folder

    def acquire(self) -> None:
        """Make the folder and take the lock. Raises ConfigError naming the folder and the reason."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{self.what} cannot be made: {error.strerror}; choose another or make its parent writable"
            raise ConfigError(msg, file=str(self.folder)) from error
        super().acquire()
