"""A VictoriaMetrics of one's own: on a free loopback port, with its own folder, killed by its pid."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from cloud_ingest.stores.engine import Server
from cloud_ingest.stores.victoriametrics import VictoriaMetrics
from hearthward.core.errors import StoreUnavailable
from tests.programs import program

__all__ = ["Victoria"]

START_S = 20.0


class Victoria:
    """Debian's server. Skips the test (in CI: fails) where it is not installed."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._program = program("victoria-metrics")
        self._folder = folder
        self._flags = flags or ("-retentionPeriod=100y", "-dedup.minScrapeInterval=1ms")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> Server:
        return Server(f"http://127.0.0.1:{self.port}", timeout_s=5)

    def start(self) -> None:
        """Return once it answers."""
        command = [
            self._program,
            f"-storageDataPath={self._folder}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-memory.allowedBytes=64MB",
            "-loggerLevel=ERROR",
            *self._flags,
        ]
        log = self._folder.with_suffix(".log")
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        engine = VictoriaMetrics(self.server)
        try:
            end = time.monotonic() + START_S
            while not _answers(engine):
                assert self._process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.02)
        finally:
            engine.close()

    def kill(self) -> None:
        """As a power cut of that machine would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _answers(engine: VictoriaMetrics) -> bool:
    try:
        engine.examine()
    except StoreUnavailable:
        return False
    return True
