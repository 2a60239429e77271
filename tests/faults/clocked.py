"""``python -m tests.faults.clocked FILE ARGS``: the ``hearthward`` command under a clock that can jump.

FILE holds eight bytes: how many nanoseconds the wall clock is ahead, little-endian, signed. Whoever writes
other ones makes the process's wall clock jump; its monotonic clock goes on, as an operating system's does.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

__all__ = ["ClockFile"]


class ClockFile:
    """The other side: makes the file, and jumps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jump(0)

    def jump(self, seconds: float) -> None:
        """Put the clock so far ahead of (negative: behind) the machine's."""
        self.path.touch()
        with self.path.open("r+b") as file:
            file.write(struct.pack("<q", int(seconds * 1e9)))


def _under(path: str) -> None:
    real = time.time_ns
    with Path(path).open("rb") as file:
        ahead = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

    def time_ns() -> int:
        return real() + int(struct.unpack_from("<q", ahead)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if __name__ == "__main__":
    _under(sys.argv[1])
    sys.argv = ["hearthward", *sys.argv[2:]]
    from hearthward.app.cli import main

    main()
