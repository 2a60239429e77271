"""Templates: one Jinja environment per language, and what every page needs."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from babel.dates import format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dashboards.access import Context, csrf_token
from dashboards.i18n import N_, html_lang, translations
from hearthward.core.clock import iso
from hearthward.trust.access import Action, Role

__all__ = ["ASSETS", "asset_digest", "home_of", "is_htmx", "page", "safe_path"]

FOLDER: Final = Path(__file__).parent.parent
ASSETS: Final = FOLDER / "assets"
THEME_COOKIE: Final = "hearthward_theme"
HOMES: Final = (
    (Role.NURSE, "/ward"),
    (Role.DOCTOR, "/ward"),
    (Role.DISPLAY, "/ward"),
    (Role.ADMIN, "/admin"),
    (Role.ENGINEER, "/devices"),
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


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]

    def moment(at: int | None) -> Markup:
        """A time as the server can say it; the page's script puts it into the reader's zone."""
        if at is None:
            return Markup("–")  # noqa: RUF001 - a constant
        shown = format_datetime(datetime.fromtimestamp(at / 1e9, UTC), "yyyy-MM-dd HH:mm:ss", locale=language)
        return Markup('<time datetime="{}">{} UTC</time>').format(iso(at), shown)

    environment.filters["moment"] = moment
    environment.filters["iso"] = iso
    environment.filters["json_block"] = _json_block
    environment.filters["segment"] = lambda text: quote(str(text), safe="")
    return environment


LINKS: Final = (
    ("/ward", N_("Ward wall"), (Action.VIEW_WARD,)),
    ("/alarms", N_("Alarms"), (Action.VIEW_WARD, Action.VIEW_TECHNICAL_ALARMS)),
    ("/messages", N_("Messages"), (Action.MANAGE_CARE_PLAN,)),
    ("/staff", N_("Staff"), (Action.VIEW_STAFF,)),
    ("/handover", N_("Hand-over"), (Action.HAND_OVER,)),
    ("/admin", N_("Directory"), (Action.VIEW_DEVICES,)),
    ("/devices", N_("Devices"), (Action.VIEW_DEVICES,)),
    ("/users", N_("Users"), (Action.VIEW_USERS,)),
    ("/rules", N_("Rules"), (Action.VIEW_RULES,)),
    ("/channels", N_("Channels"), (Action.VIEW_CHANNELS,)),
    ("/burden", N_("Alarm burden"), (Action.VIEW_BURDEN,)),
    ("/ledger", N_("Loss ledger"), (Action.VIEW_SYSTEM,)),
    ("/deadletters", N_("Dead letters"), (Action.VIEW_SYSTEM,)),
)
"""Pages in every header: address, name, and the actions of which one is needed to see it."""


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
    environment = _environment(context.language)
    who = context.principal
    theme = request.cookies.get(THEME_COOKIE, "auto")
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    html = environment.get_template(template).render(
        assets=f"/assets/{asset_digest()}",
        context=context,
        who=who,
        csrf=csrf_token(context.token) if who else "",
        lang=html_lang(context.language),
        language=context.language,
        theme=theme if theme in {"day", "night"} else "auto",
        here=path if request.method == "GET" else "/",
        links=[(path, name) for path, name, actions in LINKS if any(map(context.may, actions))],
        **values,
    )
    return HTMLResponse(html, status_code=status)
