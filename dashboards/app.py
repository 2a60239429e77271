"""The web application: routes, errors, assets and the live hub around one backend."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as AsgiScope

import hearthward
from dashboards.access import LANG_COOKIE, Context
from dashboards.api import ROUTERS as API
from dashboards.api.twilio import TwilioBack
from dashboards.backend import Backend
from dashboards.calibrations import Calibrations
from dashboards.headers import SecurityHeaders
from dashboards.i18n import negotiate
from dashboards.live.hub import LiveHub
from dashboards.models import ProfileChoice
from dashboards.pages import ROUTERS as PAGES
from dashboards.pages.render import ASSETS, asset_digest, is_htmx, page
from dashboards.pages.session import page_before, to_login
from dashboards.problems import MissingError, Problem, ProblemField, from_error, problem_of, respond
from dashboards.reads import ToldReads
from dashboards.repeats import Repeats
from dashboards.sound_checks import SoundChecks
from dashboards.tries import Tries
from dashboards.unlock import Unlocks
from dashboards.watching import Phones
from dashboards.zones import Zones
from hearthward.core.errors import HearthwardError
from hearthward.core.ids import Ids, RandomIds
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal

__all__ = ["build_app"]

log = logging.getLogger(__name__)
SECRETS: Final = frozenset({"token"})
"""Parameters of paths that are neither logged nor shown."""
TRY_AGAIN_S: Final = 15
"""A page that cannot be shown now is asked for again by the browser itself."""


class _Assets(StaticFiles):
    """Files under an address with their digest: cached for ever."""

    async def get_response(self, path: str, scope: AsgiScope) -> Response:
        """The file, immutable."""
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def _wants_page(request: Request) -> bool:
    path = request.url.path
    machine = path.startswith("/api/") or path in {"/metrics", "/healthz", "/readyz"}
    return not machine and "text/html" in request.headers.get("accept", "")


def _context(request: Request) -> Context:
    """The caller as far as the guard got; it may not have run."""
    known: Context | None = getattr(request.state, "context", None)
    language = negotiate(request.headers.get("accept-language", ""), request.cookies.get(LANG_COOKIE))
    return known or Context(request.app.state.backend, None, "", language)


def _answer(
    request: Request, problem: Problem, headers: dict[str, str] | None = None, *, cause: object = None
) -> Response:
    """A problem for programs; for people a page, or a part of one, that says what to do about it."""
    request.app.state.telemetry.count("hearthward_web_errors_total", status=str(problem.status))
    if not _wants_page(request):
        return respond(problem, headers)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return to_login(request)
    passing = problem.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
    found = {"problem": problem, "cause": cause, "passing": passing}
    part = is_htmx(request)
    again = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = page_before(request) if request.method != "GET" else again
    template = "error_part.html" if part else "error.html"
    answer = page(request, _context(request), template, status=problem.status, back=back, **found)
    answer.headers.update(headers or {})
    if part and cause == "consent":
        answer.headers["HX-Refresh"] = "true"  # nothing of what was shown stays
    elif part and passing and "detail" not in request.headers.get("hx-target", ""):
        answer.headers["HX-Reswap"] = "none"  # what is there stays, and asks again by itself
    elif passing and request.method == "GET":
        answer.headers["Refresh"] = str(TRY_AGAIN_S)
    return answer


def _where(request: Request) -> str:
    """What was asked for; of an address that opens something by itself only what kind of address it is."""
    path = request.url.path
    for name in SECRETS & request.path_params.keys():
        path = path.replace(str(request.path_params[name]), "...")
    return f"{request.method} {path}"


def _errors(app: FastAPI) -> None:
    @app.exception_handler(HearthwardError)
    async def ours(request: Request, error: HearthwardError) -> Response:
        headers = {"Retry-After": str(round(float(error.details.get("wait_s") or 5)))}
        problem = from_error(error, _where(request))
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("%s failed: %s", problem.where, error.message)
        cause = error.details.get("kind" if isinstance(error, MissingError) else "reason")
        return _answer(request, problem, headers if problem.retry else None, cause=cause)

    @app.exception_handler(RequestValidationError)
    async def shape(request: Request, error: RequestValidationError) -> Response:
        fields = [
            ProblemField(
                field=".".join(str(p) for p in e["loc"][1:]) or str(e["loc"][0]),
                code=e["type"],
                message=e["msg"],
            )
            for e in error.errors()
        ]
        detail = "; ".join(f"{f.field}: {f.message}" for f in fields)
        return _answer(request, problem_of(422, detail, _where(request), errors=fields))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        problem = problem_of(error.status_code, str(error.detail), _where(request))
        return _answer(request, problem, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        log.error("%s failed", _where(request), exc_info=error)
        return _answer(request, problem_of(500, "the server failed unexpectedly", _where(request)))


@cache
def _routes() -> list[BaseRoute]:
    """All routes, made once a process: FastAPI takes a fifth of a second for it, of each app anew."""
    one = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for router in (*API, *PAGES):
        one.include_router(router)
    return list(one.router.routes)


def build_app(
    backend: Backend,
    *,
    telemetry: Telemetry,
    profiles: Sequence[ProfileChoice] = (),
    services: Mapping[str, Principal] | None = None,
    ids: Ids | None = None,
    twilio: TwilioBack | None = None,
    public_url: str | None = None,
    phones: Phones | None = None,
) -> FastAPI:
    """Build the application.

    ``profiles`` are the catalogue's choices for devices. ``services`` maps tokens to service principals (the
    CLI's token file). ``twilio`` tells calls of Twilio's from forged ones (None: none are taken).
    ``public_url`` is where people reach the pages, for links that are handed on (None: where the caller is);
    ``phones`` whom patients can call.
    Call ``app.state.hub.close()`` before asking uvicorn to stop: streams never end by themselves.
    """
    ids = ids or RandomIds()
    tries = Tries(backend.clock, ids)
    calibrations = Calibrations(backend.clock, backend.calibrator)
    hub = LiveHub(backend, telemetry, boot=ids.new("live"), profiles=profiles)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        async with tries.running(), calibrations.running(), hub.running():
            yield

    app = FastAPI(
        title="Hearthward",
        version=hearthward.__version__,
        summary="Remote patient monitoring: every reading, every alarm, and why.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.backend = backend
    app.state.telemetry = telemetry
    app.state.profiles = tuple(profiles)
    app.state.services = dict(services or {})
    app.state.hub = hub
    app.state.tries = tries
    app.state.calibrations = calibrations
    app.state.ids = ids
    app.state.twilio = twilio
    app.state.public_url = public_url
    app.state.phones = phones or Phones()
    app.state.unlocks = Unlocks(backend.clock)
    app.state.repeats = Repeats(backend.clock)
    app.state.zones = Zones(backend)
    app.state.sound_checks = SoundChecks(backend)
    app.router.routes.extend(_routes())
    if not (ASSETS / "vendor" / "htmx.min.js").is_file():
        log.warning(
            "web assets are not built: run `python hatch_build.py` (forms work without, less smoothly)"
        )
    app.mount(f"/assets/{asset_digest()}", _Assets(directory=ASSETS), name="assets")
    app.add_middleware(ToldReads)
    app.add_middleware(SecurityHeaders)
    _errors(app)
    return app
