"""The outermost watchdog: a sign of life to a URL outside, sent only while all is well.

Whoever watches that URL tells people when it stays away: for a server that has lost power, nobody else can.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError
from hearthward.core.telemetry import Telemetry

__all__ = ["DeadMan"]

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 5.0
START_S: Final = 10.0
AGENT: Final = "hearthward"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The address is a secret and is called itself: an answer that points elsewhere is a refusal."""

    def redirect_request(self, *_args: object) -> None:
        """Go nowhere: the answer's status is what it comes to."""


class DeadMan:
    """POSTs to ``url`` every ``every_s`` seconds while ``healthy()``; says nothing while it is not.

    Redirects are not followed. The address is never logged: it is what proves who we are. Raises ConfigError
    for another than http(s).
    """

    def __init__(
        self, url: str, every_s: float, clock: Clock, telemetry: Telemetry, healthy: Callable[[], bool]
    ) -> None:
        if not url.startswith(("https://", "http://")):
            msg = "heartbeat.url must begin with https://"
            raise ConfigError(msg, key="heartbeat.url")
        self._url, self._every_s = url, every_s
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._clock, self._telemetry, self._healthy = clock, telemetry, healthy
        self.failing = False
        """Whether the last sign of life did not arrive."""

    async def run(self) -> None:
        """Send until cancelled; what has just started is not looked at yet."""
        await asyncio.sleep(min(START_S, self._every_s))
        while True:
            started = self._clock.monotonic_ns()
            await self.beat()
            took = (self._clock.monotonic_ns() - started) / SECOND
            await asyncio.sleep(max(0.0, self._every_s - took))

    async def beat(self) -> bool:
        """Send one sign of life, if all is well; returns whether it arrived."""
        if not self._healthy():
            self._telemetry.count("heartbeat_url_total", outcome="withheld")
            log.error("something is not well: no sign of life is sent to the outside")
            return False
        why = await asyncio.to_thread(self._post)
        self.failing = why is not None
        self._telemetry.count("heartbeat_url_total", outcome="failed" if self.failing else "sent")
        if why is not None:
            log.warning("the sign of life to the outside did not arrive: %s", why)
        return not self.failing

    def _post(self) -> str | None:
        """POST; returns why it did not arrive, or None."""
        request = urllib.request.Request(  # noqa: S310 - http(s) only, see above
            self._url, data=b"", method="POST", headers={"User-Agent": AGENT}
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                answer.read(1)
                status = answer.status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        except (OSError, ValueError) as error:
            return type(error).__name__
        return None if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else f"status {status}"
