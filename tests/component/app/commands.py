"""The command as its tests run it: in this process through click, or as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from click.testing import CliRunner, Result

from hearthward.app.cli import main
from tests.programs import ROOT

__all__ = ["Command", "command", "invoke", "refused"]


def invoke(*arguments: str | Path) -> Result:
    """One command in this process, to its end."""
    return CliRunner().invoke(main, [str(a) for a in arguments], prog_name="hearthward")


def refused(*arguments: str | Path, code: int = 1) -> str:
    """What is said on stderr by a command that refuses: in words, nothing on stdout, and not by accident."""
    result = invoke(*arguments)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return str(result.stderr)


class Command:
    """A running command, its output kept in files."""

    def __init__(self, folder: Path, name: str, *arguments: str | Path) -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hearthward", *map(str, arguments)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default::ResourceWarning"},
            )

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Return once ``text`` was said; fail when the process ends or stays silent about it."""
        until = time.monotonic() + seconds
        while text not in self.out + self.err:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.err[-3000:]}"
            assert time.monotonic() < until, f"never said {text!r}:\n{self.out}\n{self.err[-3000:]}"
            time.sleep(0.02)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> int:
        """Signal it and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def command(folder: Path, name: str, *arguments: str | Path) -> Iterator[Command]:
    """A command that is ended with the test, whatever happens."""
    running = Command(folder, name, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
