"""The gateway's own page: an annunciator, and the application that serves it.

It is for who is at the bedside or at home. On this machine alone it asks for nothing; beyond, for a code,
over TLS. It changes nothing but the sound here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from edge_agent.annunciation.base import Language, LinkState, LocalAlarm
from edge_agent.annunciation.page_html import View, render
from hearthward.core.clock import SECOND, Clock
from hearthward.core.device_states import DeviceWord

__all__ = ["LOOPBACK_NAMES", "Page", "Source", "create_page", "language_of"]

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1")
"""By other names a page of this machine alone is not asked for, except by a site that wants to read it."""
STYLE: Final = Path(__file__).with_name("style.css")
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Source(Protocol):
    """What the page shows besides what it was told to show; ``LocalAlarms`` is one."""

    @property
    def present(self) -> Sequence[LocalAlarm]:
        """All alarms that are present."""
        ...

    @property
    def link(self) -> LinkState:
        """Whether the hospital is reached."""
        ...

    @property
    def quiet_until(self) -> int | None:
        """When the pause of the sound ends (monotonic ns)."""
        ...

    def pause(self) -> None:
        """Pause the sound."""
        ...


class Page:
    """Shows on request what it was told to show last."""

    name = "page"

    def __init__(
        self,
        gateway: str,
        *,
        clock: Clock,
        devices: Callable[[], Mapping[str, DeviceWord]] = dict,
        decides: Callable[[], bool] = lambda: True,
        sounds: bool = False,
    ) -> None:
        self._gateway, self._clock, self._devices, self._decides = gateway, clock, devices, decides
        self._sounds = sounds
        self._alarms: tuple[LocalAlarm, ...] = ()
        self._link = LinkState(reached=True, since=clock.now_ns())
        self.source: Source | None = None

    def show(self, alarms: Sequence[LocalAlarm], link: LinkState) -> None:
        """See the port."""
        self._alarms, self._link = tuple(alarms), link

    def close(self) -> None:
        """See the port."""
        self._alarms = ()

    def pause(self) -> None:
        """Somebody pressed the button."""
        if self.source is not None:
            self.source.pause()

    def view(self) -> View:
        """What it shows now."""
        source, shown = self.source, {a.id for a in self._alarms}
        quiet = None if source is None else source.quiet_until
        return View(
            gateway=self._gateway,
            now=self._clock.now_ns(),
            link=self._link if source is None else source.link,
            alarms=self._alarms,
            elsewhere=0 if source is None else sum(a.id not in shown for a in source.present),
            devices=self._devices(),
            sounds=self._sounds,
            quiet_s=0.0 if quiet is None else max(0.0, (quiet - self._clock.monotonic_ns()) / SECOND),
            decides=self._decides(),
        )


def language_of(header: str) -> Language:
    """What a browser asks for: Chinese where that comes before English, of whatever kind it is."""
    found: list[tuple[float, int, Language]] = []
    for n, part in enumerate(header.split(",")):
        tag, _, weight = part.strip().partition(";q=")
        base = tag.strip().lower().partition("-")[0]
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if base in {"en", "zh"} and quality > 0:
            found.append((-quality, n, "zh" if base == "zh" else "en"))
    return min(found)[2] if found else "en"


def create_page(page: Page, *, beyond: bool = False, code: str | None = None) -> Starlette:
    """The application. ``beyond``: it is reached from other machines, and asks for ``code``."""

    async def show(request: Request) -> Response:
        return HTMLResponse(render(page.view(), language_of(request.headers.get("accept-language", ""))))

    async def pause(request: Request) -> Response:
        if not _same_origin(request.headers, request.url.scheme):
            return PlainTextResponse("asked by another site\n", 403)
        page.pause()
        return RedirectResponse("/", 303)

    async def style(_: Request) -> Response:
        return Response(STYLE.read_bytes(), media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if code is not None and not _knows(request.headers.get("authorization", ""), code):
            answer: Response = PlainTextResponse(
                "the code of this gateway's page is needed\n",
                401,
                {"WWW-Authenticate": 'Basic realm="Hearthward gateway", charset="UTF-8"'},
            )
        else:
            answer = await go_on(request)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    middleware: list[Any] = [Middleware(BaseHTTPMiddleware, dispatch=guard)]
    if not beyond:
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK_NAMES)))
    routes = [
        Route("/", show, methods=["GET"]),
        Route("/pause", pause, methods=["POST"]),
        Route("/style.css", style, methods=["GET"]),
    ]
    return Starlette(routes=routes, middleware=middleware)


def _same_origin(headers: Headers, scheme: str) -> bool:
    """Whether a form was sent from this very page."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return "sec-fetch-site" in headers
    parts = urlsplit(origin)
    return parts.scheme == scheme and parts.netloc == headers.get("host")


def _knows(header: str, code: str) -> bool:
    scheme, _, packed = header.partition(" ")
    try:
        _, _, given = base64.b64decode(packed, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given.encode(), code.encode())
