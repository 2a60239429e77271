"""The processes of one system: edge, cloud, broker, store server. Each can be killed, stopped and started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Final

from hearthward.app.broker import find_nats_server
from hearthward.app.mqtt_probe import round_trip
from hearthward.core.errors import UplinkError
from hearthward.core.ids import RandomIds
from tests.faults.clocked import ClockFile
from tests.programs import ROOT

__all__ = ["Broker", "Part", "Python", "Victoria", "free_port"]

LAUNCHER: Final = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Has the process killed when the harness dies (PR_SET_PDEATHSIG)."""
_BYTECODE: Final = (
    {
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "faults-bytecode"),
    }
    if os.environ.get("PYTHONDONTWRITEBYTECODE")
    else {}
)
"""An installed program is compiled: where nothing may be written beside the sources, it lies elsewhere."""
STOP_S: Final = 20.0
ANSWER_S: Final = 15.0
NATS: Final = """\
server_name: faults
listen: "127.0.0.1:-1"
max_payload: 2MB
jetstream {{ store_dir: "{folder}/store", max_mem: 64MB, max_file: 1GB }}
mqtt {{ listen: "127.0.0.1:{port}" }}
"""
MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
user root
set_tcp_nodelay true
"""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Part:
    """One process, started again with the same arguments at will; its output goes to ``NAME.log``."""

    def __init__(
        self, name: str, folder: Path, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = list(command)
        self._log = folder / f"{name}.log"
        self._env = {**os.environ, **_BYTECODE, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._process: Popen[bytes] | None = None
        self._waited_before = 0.0

    @property
    def waited_s(self) -> float:
        """Seconds in which it could have gone on and the machine ran something else, in all its lives.

        As the kernel counts it for the main thread (``/proc/PID/schedstat``); 0 where it does not.
        """
        if self._process is None:
            return self._waited_before
        try:
            told = Path(f"/proc/{self._process.pid}/schedstat").read_text("ascii")
        except OSError:
            return self._waited_before
        return self._waited_before + int(told.split()[1]) / 1e9

    def start(self) -> None:
        """Start it, in no group that a terminal's Ctrl-C reaches."""
        assert self._process is None, f"{self.name} runs already"
        with self._log.open("ab") as log:
            self._process = Popen(
                [sys.executable, "-I", "-S", "-c", LAUNCHER, *self.command],
                cwd=ROOT,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process (only)."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9; returns when it is dead."""
        if self._process is not None:
            self._waited_before = self.waited_s
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int | None:
        """Ask it to end; its exit code, or None when it had to be killed or did not run."""
        if self._process is None:
            return None
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except TimeoutExpired:
            return None
        finally:
            self.kill()

    def died(self) -> str | None:
        """What its log says last, when it ended by itself; else None."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"{self.name} ended with {self._process.returncode}:\n{self.tail()}"

    def tail(self, size: int = 3000) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-size:] if self._log.exists() else ""

    def said(self, text: str) -> int:
        """How often its log has a text."""
        return self._log.read_text(errors="replace").count(text) if self._log.exists() else 0


class Python(Part):
    """A ``hearthward`` process of this checkout, under a clock that can jump."""

    def __init__(
        self, name: str, folder: Path, *arguments: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.clock = ClockFile(folder / f"{name}.clock")
        launcher = [sys.executable, "-m", "tests.faults.clocked", str(self.clock.path)]
        super().__init__(name, folder, [*launcher, *arguments], env)


class Victoria(Part):
    """A VictoriaMetrics that keeps things and removes doubles."""

    def __init__(self, folder: Path, executable: str) -> None:
        self.port = free_port()
        command = [executable, f"-storageDataPath={folder / 'victoria'}", "-memory.allowedBytes=64MB"]
        command += [f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y"]
        command += ["-dedup.minScrapeInterval=1ms", "-loggerLevel=WARN"]
        super().__init__("store", folder, command)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @staticmethod
    def find() -> str | None:
        """The executable, or None when it is not installed."""
        return shutil.which("victoria-metrics")


class Broker(Part):
    """A broker without memory, on a port that stays."""

    def __init__(self, kind: str, folder: Path, executable: str) -> None:
        self.kind = kind
        self.port = free_port()
        self._store = folder / "store"
        config = folder / f"{kind}.conf"
        text = NATS if kind == "nats" else MOSQUITTO
        config.write_text(text.format(port=self.port, folder=folder))
        super().__init__("broker", folder, [executable, "-c", str(config)])

    def start(self) -> None:
        """Start with an empty store, as the embedded broker does: nobody relies on its memory."""
        shutil.rmtree(self._store, ignore_errors=True)
        super().start()

    @classmethod
    async def find(cls, kind: str) -> str | None:
        """The executable, or None when it is not installed."""
        if kind == "nats":
            return str((await find_nats_server()).path)
        return shutil.which(kind) or shutil.which(kind, path="/usr/sbin:/usr/local/sbin")

    async def answers(self) -> None:
        """Return when a message makes the round trip. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                with suppress(UplinkError):
                    await round_trip("127.0.0.1", self.port, ids=RandomIds(), timeout_s=1)
                    return
                await asyncio.sleep(0.02)
