"""Who is asking, and may they: one guard on every route, over the one policy function.

A route takes ``Annotated[Context, Depends(Guard(Action.X, "kind"))]``. A test walks all routes and fails for
one without a guard. The guard checks the session, CSRF for browsers, and the policy; it audits refusals and
notes every read of identifiable data, which ``dashboards.reads`` writes down. Changes
are audited by the route through ``Context.audit``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request

from dashboards.backend import Backend
from dashboards.i18n import negotiate
from dashboards.zones import ZONE_COOKIE, Zones, known_zone
from hearthward.core.errors import AccessError
from hearthward.trust.access import OF_ONE, Action, Principal, Resource, Scope, allowed, require, scope_of
from hearthward.trust.audit import said_by

__all__ = ["COOKIE", "LANG_COOKIE", "Context", "Guard", "csrf_token", "read_token"]

COOKIE: Final = "hearthward_session"
LANG_COOKIE: Final = "hearthward_lang"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
UNTOLD: Final = frozenset({"csrf", "q"})
"""What of a query the audit does not keep: words that are searched for may be a patient's name."""


def csrf_token(session: str) -> str:
    """The token that a page of this session must send back; needs no storage."""
    return hmac.new(session.encode(), b"hearthward csrf", hashlib.sha256).hexdigest()


def read_token(request: Request) -> tuple[str | None, bool]:
    """(token, whether a browser's cookie brought it); an Authorization header wins."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip(), False
    return request.cookies.get(COOKIE), True


@dataclass(frozen=True, slots=True)
class Read:
    """That something identifiable is asked for; written into the audit when the answer is known."""

    action: Action
    kind: str
    target: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What a route knows about its caller. ``principal`` is None on public routes only.

    ``zone`` is the time zone in which pages say times; ``reads`` are those that the audit has yet to be told.
    """

    backend: Backend
    principal: Principal | None
    token: str
    language: str
    zone: str = "UTC"
    reads: list[Read] = field(default_factory=list, compare=False)

    @property
    def who(self) -> Principal:
        """The caller. Raises AccessError when there is none."""
        if self.principal is None:
            msg = "log in first"
            raise AccessError(msg, authenticated=False)
        return self.principal

    @property
    def scope(self) -> Scope:
        """The rows that the caller may touch."""
        return scope_of(self.who)

    def may(self, action: Action, kind: str = "") -> bool:
        """Whether the caller may do this in general; for what pages offer."""
        who = self.principal
        return who is not None and allowed(who, action, Resource(kind, who.tenant))

    async def demand(self, action: Action, kind: str, *, patient: str | None, target: str = "") -> None:
        """Check the policy on one item of a patient. Raises AccessError, audited."""
        ward = None if patient is None else await self.backend.ward_of(self.scope, patient)
        try:
            require(self.who, action, Resource(kind, self.who.tenant, ward=ward, patient=patient))
        except AccessError:
            await self.audit(action, kind, target=target, outcome="refused")
            raise

    async def audit(
        self,
        action: str,
        kind: str,
        *,
        target: str = "",
        outcome: str = "done",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Append to the audit log as the caller; a refusal says of a read of that kind all that there is."""
        if outcome == "refused":
            self.reads[:] = [read for read in self.reads if read.kind != kind]
        await self.backend.audit(self.who, action, kind, target=target, outcome=outcome, detail=detail)


class Guard:
    """A route's declared policy: an action on a kind of resource, or ``action=None``: any login.

    ``public`` routes ask for nobody. ``reads`` says that the answer identifies patients. One of ``others``
    opens the route as well; it then checks itself to which items they extend.
    """

    def __init__(
        self,
        action: Action | None = None,
        kind: str = "",
        *,
        reads: bool = False,
        public: bool = False,
        others: tuple[Action, ...] = (),
    ) -> None:
        self.action = action
        self.others = others
        self.kind = kind
        self.reads = reads
        self.public = public

    async def __call__(self, request: Request) -> Context:
        """The caller's context. Raises AccessError."""
        backend: Backend = request.app.state.backend
        token, by_cookie = read_token(request)
        principal = None
        if token:
            services: Mapping[str, Principal] = request.app.state.services
            principal = _service(services, token) or await backend.principal(token)
        registered = await backend.language_of(principal) if principal else None
        accept = request.headers.get("accept-language", "")
        language = negotiate(accept, request.cookies.get(LANG_COOKIE), registered)
        context = Context(backend, principal, token or "", language, await _zone(request, principal))
        request.state.context = context
        if request.method not in SAFE:
            _check_origin(request)
        if self.public:
            return context
        if request.method not in SAFE and by_cookie and principal:
            await _check_csrf(request, token or "")
        await self._check(context, request)
        return context

    async def _check(self, context: Context, request: Request) -> None:
        who = context.who
        if self.action is None:
            return
        target = _subject(request, who)
        if not any(allowed(who, a, Resource(self.kind, who.tenant)) for a in (self.action, *self.others)):
            await context.audit(self.action, self.kind, target=target, outcome="refused")
            require(who, self.action, Resource(self.kind, who.tenant))
        if self.reads:
            query: dict[str, Any] = {k: v for k, v in request.query_params.items() if k not in UNTOLD}
            if not said_by(self.action):
                query["read"] = True
            context.reads.append(Read(self.action, self.kind, target, query))


async def _zone(request: Request, who: Principal | None) -> str:
    """The browser's own time zone, as far as it was told; else that of the place."""
    own = known_zone(request.cookies.get(ZONE_COOKIE))
    if own is not None or who is None or (who.patient is None and not who.roles.isdisjoint(OF_ONE)):
        return own or "UTC"
    zones: Zones = request.app.state.zones
    return await zones.of(scope_of(who))


def _subject(request: Request, who: Principal) -> str:
    """What is asked about: the item of the path, else the patient asked for, else the caller's own."""
    item = next(iter(request.path_params.values()), None) or request.query_params.get("patient")
    return str(item or who.patient or "")


def _service(services: Mapping[str, Principal], token: str) -> Principal | None:
    found = None
    for known, principal in services.items():
        if hmac.compare_digest(known.encode(), token.encode()):
            found = principal
    return found


def _check_origin(request: Request) -> None:
    """Refuse what another site's page makes a browser send."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign or site not in {"same-origin", "none"}:
        msg = "this request comes from another site's page"
        raise AccessError(msg, origin=origin)


async def _check_csrf(request: Request, session: str) -> None:
    given = request.headers.get("x-csrf-token")
    kind = request.headers.get("content-type", "")
    if given is None and kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        given = str((await request.form()).get("csrf", ""))
    if not hmac.compare_digest((given or "").encode(), csrf_token(session).encode()):
        msg = "the page's security token is missing or old: reload the page and try again"
        raise AccessError(msg, reason="csrf")
