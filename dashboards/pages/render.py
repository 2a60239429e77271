"""Templates: one Jinja environment per language, and what every page needs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.bccache import Bucket
from jinja2.runtime import Context as Scope
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, StreamingResponse

from dashboards.access import Context, csrf_token
from dashboards.device_words import advice_of, reason_of, state_of, well
from dashboards.i18n import LANGUAGES, html_lang, translations
from dashboards.models import Condition
from dashboards.pages.header import menus_of, unseen_of
from dashboards.zones import known_zone, local, local_iso
from hearthward.core.clock import iso, parse_iso
from hearthward.trust.access import Role

__all__ = ["ASSETS", "asset_digest", "home_of", "is_htmx", "page", "safe_path", "streamed_page", "warm"]

FOLDER: Final = Path(__file__).parent.parent
ASSETS: Final = FOLDER / "assets"
_SAID: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
"""How ``rules.telling.moment`` says a time."""
PIECE: Final = 100
"""So many pieces of a template travel as one."""
THEME_COOKIE: Final = "hearthward_theme"
HOMES: Final = (
    (Role.NURSE, "/ward"),
    (Role.DOCTOR, "/ward"),
    (Role.DISPLAY, "/ward"),
    (Role.ADMIN, "/admin"),
    (Role.ENGINEER, "/fleet"),
    (Role.PATIENT, "/me"),
    (Role.FAMILY, "/me"),
)


@cache
def asset_digest() -> str:
    """A digest of all assets: part of their address, so that they can be cached for ever."""
    h = hashlib.sha256()
    for path in sorted(ASSETS.rglob("*")):
        if path.is_file():
            h.update(path.relative_to(ASSETS).as_posix().encode())
            h.update(path.read_bytes())
    return h.hexdigest()[:12]


def _json_block(value: object) -> Markup:
    """JSON inside ``<script type="application/json">``: data, which no markup in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - escaped here


@pass_context
def _spoken(where: Scope, at: int) -> str:
    """A time in the zone of the page, as text."""
    zone = _zone_of(where)
    return f"{local(at, zone):%Y-%m-%d %H:%M:%S}{' UTC' if zone == 'UTC' else ''}"


@pass_context
def _local_field(where: Scope, at: int) -> str:
    """A time as a field of a form takes it, in the zone of the page."""
    return local_iso(at, _zone_of(where))


@pass_context
def _moment(where: Scope, at: int | None) -> Markup:
    """A time in the zone of the page; its script puts it into the reader's own."""
    if at is None:
        return Markup("–")  # noqa: RUF001 - a constant
    return Markup('<time datetime="{}">{}</time>').format(iso(at), _spoken(where, at))


@pass_context
def _reason(where: Scope, condition: Condition | None) -> Markup:
    """Why no values come from a device and since when, in the language and zone of the page."""
    return reason_of(condition, where["language"], lambda at: _moment(where, at))


@pass_context
def _with_times(where: Scope, text: str) -> Markup:
    """A sentence in which times are said in UTC, with these as ``moment`` says them."""
    parts = _SAID.split(str(text))
    said = (_moment(where, parse_iso(p)) if n % 2 else escape(p) for n, p in enumerate(parts))
    return Markup().join(said)


def _zone_of(where: Scope) -> str:
    context = where.get("context")
    return context.zone if isinstance(context, Context) else "UTC"


class _Compiled(BytecodeCache):
    """Templates are compiled once, not once a language."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """See jinja2."""
        if (known := self._kept.get(bucket.key)) is not None:
            bucket.bytecode_from_string(known)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """See jinja2."""
        self._kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED: Final = _Compiled()


async def warm() -> None:
    """Make ready what pages are made of, one by one beside everything else: nobody waits for it then."""
    await asyncio.to_thread(known_zone, "UTC")
    for language in LANGUAGES:
        environment = await asyncio.to_thread(_environment, language)
        for name in environment.list_templates(extensions=["html"]):
            await asyncio.to_thread(environment.get_template, name)


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        bytecode_cache=_COMPILED,
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]

    environment.filters["moment"] = _moment
    environment.filters["spoken"] = _spoken
    environment.filters["local_field"] = _local_field
    environment.filters["with_times"] = _with_times
    environment.filters["iso"] = iso
    environment.filters["state_of"] = state_of
    environment.filters["reason"] = _reason
    environment.filters["advice_in"] = advice_of
    environment.tests["well"] = well
    environment.filters["json_block"] = _json_block
    environment.filters["segment"] = lambda text: quote(str(text), safe="")
    return environment


def home_of(context: Context) -> str:
    """Where a person's work is."""
    roles = context.who.roles
    return next((path for role, path in HOMES if role in roles), "/login")


def safe_path(path: str | None) -> str | None:
    """A path on this site, or None (never another site)."""
    good = path is not None and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if good else None


def is_htmx(request: Request) -> bool:
    """Whether htmx asks for a part of the page."""
    return request.headers.get("hx-request") == "true"


def page(
    request: Request, context: Context, template: str, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Render a template in the caller's language."""
    found = _environment(context.language).get_template(template)
    return HTMLResponse(found.render(**_common(request, context), **values), status_code=status)


def streamed_page(request: Request, context: Context, template: str, **values: Any) -> StreamingResponse:
    """The same for a long page: its beginning is sent while the rest is still being made, in a thread."""
    found = _environment(context.language).get_template(template)
    pieces = found.stream(**_common(request, context), **values)
    pieces.enable_buffering(PIECE)
    return StreamingResponse(iter(pieces), media_type="text/html")


def _common(request: Request, context: Context) -> dict[str, Any]:
    """What every page needs."""
    who = context.principal
    theme = request.cookies.get(THEME_COOKIE, "auto")
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    menus = menus_of(context, request.url.path) if who else []
    return {
        "assets": f"/assets/{asset_digest()}",
        "context": context,
        "who": who,
        "csrf": csrf_token(context.token) if who else "",
        "lang": html_lang(context.language),
        "language": context.language,
        "theme": theme if theme in {"day", "night"} else "auto",
        "here": path if request.method == "GET" else "/",
        "menus": menus,
        "links": [link for menu in menus for link in menu.links],
        "unseen_mail": unseen_of(request, context) if menus else 0,
    }
