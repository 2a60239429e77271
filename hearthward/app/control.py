"""The player's line to an edge in another process: event time one way, acknowledgements the other.

One JSON object a line over loopback TCP. Server to edge: ``{"t": ns}``. Edge to server: ``{"at": ns}`` once
its clock stands there, and ``{"taken": {device: payloads}}`` after a commit or a refusal. Only
demonstrations and tests use it: a real gateway has its own clock.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
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


def parse_address(text: str, option: str) -> tuple[str, int]:
    """``HOST:PORT`` -> both. Raises ConfigError naming the option that it was given for."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65535:  # noqa: PLR2004 - the largest port
        msg = f"{option}: {text!r} is not HOST:PORT, such as 127.0.0.1:7000"
        raise ConfigError(msg)
    return host, int(port)


class ControlServer:
    """The player's side: ``start`` it, tell the time with ``step``, ``close`` it."""

    def __init__(
        self, clock: EventClock, on_taken: Callable[[str, int], None], on_edge_lost: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._on_taken = on_taken
        self._on_edge_lost = on_edge_lost
        self._at: dict[asyncio.StreamWriter, int] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int = 0) -> int:
        """Listen on loopback; returns the port. Raises ConfigError when it is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, port)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            msg = (
                f"cannot listen on {LOOPBACK}:{port} for the control line: {why}; "
                "choose another port with --control (0 picks a free one)"
            )
            raise ConfigError(msg) from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        """Stop listening, hang up, and return when every edge's line has ended."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._at):
            writer.close()
        if self._serving:
            await asyncio.wait(self._serving)
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
        if (task := asyncio.current_task()) is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        try:
            writer.write(b'{"t": %d}\n' % self._clock.now_ns())
            while line := await reader.readline():
                said = json.loads(line)
                if "at" in said:
                    self._at[writer] = int(said["at"])
                    self._moved.set()
                for device, n in said.get("taken", {}).items():
                    self._on_taken(device, n)
        except ConnectionError as error:
            log.warning("control line lost: %s", error)
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("control line: not what an edge says (%s: %s)", type(error).__name__, error)
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
        self._told = False

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
            except (OSError, ValueError, KeyError, TypeError) as error:
                if not self._told:
                    log.warning("no player's clock at %s:%d (%s); trying on", self._host, self._port, error)
                self._told = True
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        self._writer = writer
        try:
            while line := await reader.readline():
                self._clock.follow(json.loads(line)["t"])
                self._told = False
                self._first.set()
                writer.write(b'{"at": %d}\n' % self._clock.now_ns())
        finally:
            self._writer = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
