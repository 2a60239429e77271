"""Where a process keeps its data: a plain folder, a small tmpfs to be filled, an ext4 that loses power."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final, Self

__all__ = ["Disk", "Ext4", "Tmpfs", "why_no_mounts"]

MEGABYTE: Final = 1 << 20
FS_IOC_SHUTDOWN: Final = 0x8004587D
NO_LOG_FLUSH: Final = 2
"""Not even the journal is written: what was not synced is gone, as when the power goes."""
BALLAST: Final = "ballast"
STEPS: Final = (MEGABYTE, 65_536, 4096, 512, 1)


class Disk:
    """A plain folder; the others are mounted on it."""

    kind = "plain"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def fill(self) -> int:
        """Write until nothing more fits; returns how many bytes did."""
        written = 0
        with (self.folder / BALLAST).open("ab", buffering=0) as file:
            for step in STEPS:
                while True:
                    try:
                        part = file.write(b"\xff" * step)
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                        break
                    written += part
                    if part < step:
                        break
        return written

    def free(self) -> None:
        """Take the ballast away again."""
        (self.folder / BALLAST).unlink(missing_ok=True)


class Tmpfs(Disk):
    """So many MB of memory; root only."""

    kind = "tmpfs"

    def __init__(self, folder: Path, megabytes: int) -> None:
        super().__init__(folder)
        self._megabytes = megabytes

    def __enter__(self) -> Self:
        super().__enter__()
        _run("mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "tmpfs", self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        _run("umount", self.folder)


class Ext4(Disk):
    """An image of so many MB on a loop device; root only. ``lose_power`` may come at any moment."""

    kind = "ext4"

    def __init__(self, folder: Path, megabytes: int) -> None:
        super().__init__(folder)
        self._image = folder.with_suffix(".img")
        self._megabytes = megabytes

    def __enter__(self) -> Self:
        super().__enter__()
        with self._image.open("wb") as file:
            file.truncate(self._megabytes * MEGABYTE)
        _run("mkfs.ext4", "-q", "-F", self._image)
        self.mount()
        return self

    def __exit__(self, *_: object) -> None:
        if os.path.ismount(self.folder):
            _run("umount", self.folder)
        self._image.unlink()

    def mount(self) -> None:
        """Power is back: the journal is replayed."""
        _run("mount", "-o", "loop", self._image, self.folder)

    def lose_power(self) -> None:
        """From now on nothing reaches the disk; the processes on it still run, and get errors."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(handle)

    def unmount(self) -> None:
        """To be called when nobody has a file open there any more."""
        _run("umount", self.folder)


def why_no_mounts(kind: str, folder: Path) -> str | None:
    """Why such a disk cannot be had here; None: it can."""
    if os.geteuid() != 0:
        return "not root: nothing can be mounted"
    needed = {"tmpfs": ("mount",), "ext4": ("mount", "mkfs.ext4", "losetup")}[kind]
    if missing := [program for program in needed if not shutil.which(program)]:
        return f"not installed: {', '.join(missing)}"
    there = folder / f"try-{kind}"
    disk = Tmpfs(there, 1) if kind == "tmpfs" else Ext4(there, 4)
    try:
        with disk:
            if isinstance(disk, Ext4):
                disk.lose_power()
                disk.unmount()
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        return f"a {kind} cannot be mounted here: {str(said).strip()}"
    finally:
        shutil.rmtree(there, ignore_errors=True)
    return None


def _run(*command: str | Path) -> None:
    subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
