"""Wires what a gateway tells people itself: when, on its console, on its own page."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from edge_agent import EdgeAgent, EdgeDecider, Outbox, UplinkState
from edge_agent.annunciation import Annunciator, Console, LocalAlarms
from edge_agent.decision_store import DecisionStore
from hearthward.core.addresses import is_loopback
from hearthward.core.clock import Clock
from hearthward.core.errors import ConfigError
from hearthward.core.settings import EdgeSettings
from hearthward.core.telemetry import Telemetry

__all__ = ["PAGE_PORT", "AgentLink", "Bedside"]

log = logging.getLogger(__name__)

PAGE_PORT: Final = 8081
"""Of the gateway's page in ``hearthward edge``, where none is set."""
START_POLL_S: Final = 0.01
GRACE_S: Final = 1


class AgentLink:
    """The agent's uplink, as local alarms look at it."""

    def __init__(self, agent: EdgeAgent, outbox: Outbox, telemetry: Telemetry) -> None:
        self._agent, self._outbox, self._telemetry = agent, outbox, telemetry

    def connected(self) -> bool:
        """See the port."""
        return self._agent.uplink.state is UplinkState.CONNECTED

    def receipted(self) -> float:
        """See the port."""
        return self._telemetry.value("uplink_readings_receipted_total")

    def backlog(self) -> int:
        """See the port."""
        return self._outbox.backlog()


class Bedside:
    """A gateway's decider and what it tells people by; ``own``: the process is that gateway alone.

    Then the page is there unless switched off, and the console where there is a terminal.
    """

    def __init__(self, settings: EdgeSettings, *, own: bool, clock: Clock, telemetry: Telemetry) -> None:
        self._settings, self._own = settings, own
        self._clock, self._telemetry = clock, telemetry
        self._page: Any = None

    def decider(self, agent: EdgeAgent, outbox: Outbox, folder: Path) -> EdgeDecider:
        """What decides at the gateway, with all that it tells by; its state is kept in ``folder``."""
        local = LocalAlarms(
            self._settings.annunciation,
            AgentLink(agent, outbox, self._telemetry),
            self._annunciators(agent),
            clock=self._clock,
            telemetry=self._telemetry,
        )
        if self._page is not None:
            self._page.source = local
        return EdgeDecider(
            agent.gateway,
            outbox,
            DecisionStore(folder / "decisions.snapshot"),
            clock=self._clock,
            telemetry=self._telemetry,
            signals=local,
        )

    def _annunciators(self, agent: EdgeAgent) -> list[Annunciator]:
        found: list[Annunciator] = []
        console = self._settings.console
        if console or (console is None and self._own and sys.stdout.isatty()):
            found.append(Console(_write, self._settings.language, self._clock))
        if self._port:
            from edge_agent.annunciation.page import Page

            self._page = Page(
                agent.gateway,
                clock=self._clock,
                devices=agent.fleet.words,
                decides=lambda: agent.decider is not None and "rules" not in agent.decider.trouble,
                sounds=bool(found),
            )
            found.append(self._page)
        return found

    @property
    def _port(self) -> int:
        port = self._settings.page_port
        return (PAGE_PORT if self._own else 0) if port is None else port

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str | None]:
        """The page is served while the context is open; gives its address. Raises ConfigError.

        A port that nobody asked for and that is taken leaves the gateway without a page, not without work.
        """
        listening = None if self._page is None else self._listen()
        if listening is None:
            yield None
            return
        with listening:
            scheme = "http" if self._settings.page_tls_certificate is None else "https"
            host, port = listening.getsockname()[:2]
            async with self._served(listening):
                url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
                log.info("the gateway's page is at %s", url)
                yield url

    def _listen(self) -> socket.socket | None:
        host, port = self._settings.page_host, self._port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
        except OSError as error:
            listening.close()
            msg = f"the gateway's page cannot listen on {host}:{port}: {error.strerror}"
            if self._settings.page_port is None:
                log.warning("%s; it goes on without (edge.page_port chooses another)", msg)
                return None
            raise ConfigError(msg, key="edge.page_port") from error
        listening.setblocking(False)
        return listening

    @asynccontextmanager
    async def _served(self, listening: socket.socket) -> AsyncIterator[None]:
        server = _server(self._app(), self._settings)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[listening]), name="edge-page")
            try:
                while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells nobody
                    await asyncio.sleep(START_POLL_S)
                yield
            finally:
                server.should_exit = True
                await asyncio.wait([serving])

    def _app(self) -> Any:
        from edge_agent.annunciation.page import create_page

        beyond, code = not is_loopback(self._settings.page_host), self._settings.page_code
        return create_page(self._page, beyond=beyond, code=None if code is None else code.get_secret_value())


def _server(app: Any, settings: EdgeSettings) -> Any:
    """uvicorn, without signal handlers of its own: the process has one owner of signals."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    certificate, key = settings.page_tls_certificate, settings.page_tls_key
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=None if certificate is None else str(certificate),
        ssl_keyfile=None if key is None else str(key),
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        msg = f"edge.page_tls_certificate and edge.page_tls_key: no PEM files that fit together ({error})"
        raise ConfigError(msg, key="edge.page_tls_certificate") from error
    return Server(config)


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
