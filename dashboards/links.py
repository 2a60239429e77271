"""One-time links as people are given them: an address, a QR code, an SMS."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import segno
from markupsafe import Markup
from starlette.requests import Request

from dashboards.account_models import NewLink, Texted
from dashboards.backend import Backend
from dashboards.i18n import N_, negotiate, translations
from hearthward.core.addresses import is_loopback

__all__ = ["SMS_WORDS", "address_of", "only_here", "qr_code", "send_by_sms", "texts"]

SMS_WORDS: Final = N_(
    "Hearthward: your invitation. Open this link within 3 days and choose your own password. "
    "Your login is {login}. {url}"
)


def address_of(request: Request, secret: str) -> str:
    """The whole address of a link: at the public address of the settings, else where the caller is now."""
    public: str | None = request.app.state.public_url
    return f"{(public or str(request.base_url)).rstrip('/')}/link/{secret}"


def only_here(url: str) -> bool:
    """Whether an address leads to the machine itself, so that no telephone can open it."""
    return is_loopback(urlsplit(url).hostname or "")


def qr_code(text: str, title: str) -> Markup:
    """A QR code as SVG, black on white in any theme, with the quiet zone that readers need."""
    code = segno.make_qr(text, error="m", boost_error=False)
    svg = code.svg_inline(omitsize=True, border=4, dark="#000", light="#fff", svgclass="qr", title=title)
    return Markup(svg)  # noqa: S704 - made of our own numbers; segno escapes the title


def texts(request: Request, backend: Backend) -> bool:
    """Whether a link can be sent by SMS: there is a channel, and an address that a telephone can open."""
    return backend.can_text() and request.app.state.public_url is not None


async def send_by_sms(request: Request, backend: Backend, link: NewLink) -> Texted:
    """Send a link to the number of whom it is for, in their language."""
    if not texts(request, backend):
        return "no_channel"
    language = negotiate("", link.user.language)
    words = translations(language).gettext(SMS_WORDS)
    filled = words.replace("{login}", link.user.login).replace("{url}", address_of(request, link.secret))
    return await backend.text(link, filled, (link.user.language or "en"))
