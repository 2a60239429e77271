"""The player's line to an edge in another process: event time one way, acknowledgements the other.

One JSON object a line over loopback TCP. Server to edge: ``{"t": ns}``. Edge to server: ``{"at": ns}`` once
its clock stands there, and ``{"taken": {device: payloads}}`` after a commit or a refusal. Only
demonstrations and tests use it: a real gateway has its own clock.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError

__all__ = ["ControlClient", "ControlServer", "parse_address"]

log = logging.getLogger(__name__)
RETRY_S: Final = 0.1
STEP_S: Final = 5.0
"""An edge that hangs holds the recording up for so long at each step."""
LOOPBACK: Final = "127.0.0.1"


def parse_address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` -> both. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the largest port
        msg = f"{text!r} is not HOST:PORT"
        raise ConfigError(msg)
    return host, int(port)


class ControlServer:
    """The player's side; use as an async context manager."""

    def __init__(
        self, clock: EventClock, on_taken: Callable[[str, int], None], on_edge_lost: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._on_taken = on_taken
        self._on_edge_lost = on_edge_lost
        self._at: dict[asyncio.StreamWriter, int] = {}
        self._moved = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int = 0) -> int:
        """Listen on loopback; returns the port. Raises ConfigError when it is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, port)
        except OSError as error:
            msg = f"cannot listen on {LOOPBACK}:{port} for the control line: {error.strerror}"
            raise ConfigError(msg) from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._at):
            writer.close()
        await self._server.wait_closed()

    async def step(self, at_ns: int) -> None:
        """Tell every edge the time and return when the clocks of all that are connected stand there.

        A value that overtook the step would be stamped with the time before it.
        """
        for writer in self._at:
            writer.write(b'{"t": %d}\n' % at_ns)
        with suppress(TimeoutError):
            async with asyncio.timeout(STEP_S):
                while any(at < at_ns for at in self._at.values()):
                    self._moved.clear()
                    await self._moved.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._at[writer] = 0
        try:
            writer.write(b'{"t": %d}\n' % self._clock.now_ns())
            while line := await reader.readline():
                said = json.loads(line)
                if "at" in said:
                    self._at[writer] = said["at"]
                    self._moved.set()
                for device, n in said.get("taken", {}).items():
                    self._on_taken(device, n)
        except (ConnectionError, ValueError, TypeError, AttributeError) as error:
            log.warning("control line lost: %s", error)
        finally:
            self._at.pop(writer, None)
            self._moved.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._on_edge_lost()


class ControlClient:
    """The edge's side: steps its event clock and reports what was taken."""

    def __init__(self, host: str, port: int, clock: EventClock) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._writer: asyncio.StreamWriter | None = None
        self._first = asyncio.Event()

    async def synchronised(self) -> None:
        """Return once the clock has been set for the first time."""
        await self._first.wait()

    def taken(self, payloads: Mapping[str, int]) -> None:
        """Report payloads committed or refused, by device."""
        if self._writer is not None and payloads:
            self._writer.write(json.dumps({"taken": dict(payloads)}).encode() + b"\n")

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                await self._follow()
            except (OSError, ValueError, KeyError) as error:
                log.debug("control line: %s", error)
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        self._writer = writer
        try:
            while line := await reader.readline():
                self._clock.follow(json.loads(line)["t"])
                self._first.set()
                writer.write(b'{"at": %d}\n' % self._clock.now_ns())
        finally:
            self._writer = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
