"""The product's processes as a user starts them: started here, measured from outside, stopped by pid."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

__all__ = ["ROOT", "Hearthward", "hearthward", "memory_mb", "tree_memory_mb", "wait_for_file", "work_folder"]

ROOT: Final = Path(__file__).resolve().parent.parent
STOP_S: Final = 15.0
_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class StartError(Exception):
    """A process of the product ended, or never said what was waited for."""


@dataclass(slots=True)
class Hearthward:
    """A running ``hearthward`` command; ``said`` is its output so far."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    said: str = ""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def wait_for(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Read its output until ``pattern`` is there. Raises StartError with its last words."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while True:
            if match := re.search(pattern, self.said, re.MULTILINE):
                return match
            if self._selector.select(max(0.0, deadline - time.monotonic())):
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if chunk:
                    self.said += chunk.decode(errors="replace")
                    continue
                msg = f"ended with {self.process.wait(5)} before it said {pattern!r}"
            else:
                msg = f"did not say {pattern!r} within {timeout_s:.0f} s"
            tail = self.log.read_text(errors="replace")[-2000:]
            msg = f"{self.name} {msg}\n{self.said}\n{tail}"
            raise StartError(msg)


@contextmanager
def hearthward(folder: Path, *arguments: str | Path) -> Iterator[Hearthward]:
    """Start the command from this checkout in ``folder``; it is stopped by its pid at the end."""
    words = ("run", "edge", "cloud", "twins", "demo")
    name = next((a for a in map(str, arguments) if a in words), "")
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "hearthward", *map(str, arguments)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    running = Hearthward(f"hearthward {name}", process, log)
    running._selector.register(process.stdout, selectors.EVENT_READ)  # noqa: SLF001 - it is made here
    try:
        yield running
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
        running._selector.close()  # noqa: SLF001 - see above
        process.stdout.close()


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="hearthward-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def wait_for_file(path: Path, of: Hearthward, timeout_s: float) -> None:
    """Return once a file is there. Raises StartError."""
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        if of.process.poll() is not None or time.monotonic() > deadline:
            msg = f"{path.name} was never written\n{of.log.read_text(errors='replace')[-2000:]}"
            raise StartError(msg)
        time.sleep(0.05)


def memory_mb(pid: int) -> float:
    """Proportional set size in MB (10^6 bytes): shared pages count by how many share them."""
    match = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert match is not None
    return int(match[1]) * 1024 / 1e6


def tree_memory_mb(pid: int) -> dict[str, float]:
    """Process name and pid -> PSS in MB, of a process and all its children."""
    out = {}
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        out[f"{process.name()} {process.pid}"] = memory_mb(process.pid)
    return out
