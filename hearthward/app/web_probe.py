"""Asks our own web server whether it answers, from outside it: a socket that listens says little."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from hearthward.core.telemetry import Telemetry

__all__ = ["EVERY_S", "TIMEOUT_S", "WebProbe"]

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
TIMEOUT_S: Final = 4.0
PATH: Final = "/healthz"
_STATUS_AT: Final = 1


class WebProbe:
    """GETs ``/healthz`` of ``url`` every five seconds; ``beat`` is called for each good answer."""

    def __init__(self, url: str, beat: Callable[[], None], telemetry: Telemetry) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 0
        self._tls = None
        if parts.scheme == "https":
            # the certificate is for another name than the one by which we reach ourselves
            self._tls = ssl.create_default_context()
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self._beat, self._telemetry = beat, telemetry

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            why = await self.ask()
            if why is None:
                self._beat()
            else:
                self._telemetry.count("web_probes_failed_total")
                log.warning("the web pages do not answer: %s", why)
            await asyncio.sleep(EVERY_S)

    async def ask(self) -> str | None:
        """Ask once; returns what is wrong, or None."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._status()
        except (OSError, TimeoutError, ValueError) as error:
            return str(error) or type(error).__name__
        return None if status == HTTPStatus.OK else f"status {status}"

    async def _status(self) -> int:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        try:
            head = f"GET {PATH} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode("ascii"))
            line = await reader.readline()
            words = line.split()
            if len(words) <= _STATUS_AT or not words[0].startswith(b"HTTP/"):
                msg = "no answer of a web server"
                raise ValueError(msg)
            return int(words[_STATUS_AT])
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
