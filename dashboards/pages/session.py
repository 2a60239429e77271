"""Login, one-time link, logout, language, and the way home."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import COOKIE, LANG_COOKIE, Context, Guard
from dashboards.backend import DirectoryError, Login, Throttled
from dashboards.browsers import agent_of
from dashboards.i18n import LANGUAGES
from dashboards.pages.render import home_of, is_htmx, page, safe_path
from dashboards.problems import MissingError
from hearthward.trust.access import OF_ONE, Action

__all__ = ["page_before", "router", "to_login"]

router = APIRouter(include_in_schema=False)
YEAR_S = 365 * 86_400

Public = Annotated[Context, Depends(Guard(public=True))]
LoggedIn = Annotated[Context, Depends(Guard())]


def page_before(request: Request, said: str | None = None) -> str:
    """The page of this site from which a form or a part of it was asked for, or the start page."""
    address = urlsplit(request.headers.get("referer", "") if said is None else said)
    own = address.netloc == request.headers.get("host", "")
    path = address.path + (f"?{address.query}" if address.query else "")
    return (safe_path(path) if own else None) or "/"


def to_login(request: Request) -> Response:
    """Send a browser to the login page and afterwards back to its page, also from a form or a part of it."""
    if is_htmx(request):  # a redirection would be followed, and the login page put into the part
        where = page_before(request, request.headers.get("hx-current-url", ""))
        return Response(status_code=401, headers={"HX-Redirect": f"/login?next={quote(where)}"})
    query = f"?{request.url.query}" if request.url.query else ""
    where = request.url.path + query if request.method == "GET" else page_before(request)
    return RedirectResponse(f"/login?next={quote(where)}", status_code=303)


def _enter(request: Request, login: Login, target: str) -> Response:
    """Set the session's cookie; the server's own expiry holds besides.

    It ends with the browser, but for a wall's and for those of patients and relatives, whose telephones are
    their own: they are to open their page without a password when it reminds them.
    """
    answer = RedirectResponse(target, status_code=303)
    secure = request.url.scheme == "https"
    who = login.principal
    forever = YEAR_S if who.kind == "display" or OF_ONE.intersection(who.roles) else None
    answer.set_cookie(COOKIE, login.token, max_age=forever, httponly=True, secure=secure, samesite="lax")
    return answer


@router.get("/")
async def home(context: LoggedIn) -> Response:
    """To the caller's own page."""
    return RedirectResponse(home_of(context), status_code=303)


@router.get("/login")
async def login_page(request: Request, context: Public, next: str | None = None) -> Response:  # noqa: A002 - the query's name
    """The form; it says so where a login has expired or was ended."""
    over = context.principal is None and COOKIE in request.cookies
    return page(
        request,
        context,
        "login.html",
        target=safe_path(next) or "",
        wrong="over" if over else None,
        login="",
    )


@router.post("/login")
async def login(request: Request, context: Public) -> Response:
    """Open a session for a browser."""
    form = await request.form()
    name, password = str(form.get("login", "")).strip(), str(form.get("password", ""))
    target = safe_path(str(form.get("next", "")))
    wrong, wait = "password", 0.0
    try:
        opened = await context.backend.login(name, password, agent=agent_of(request))
    except Throttled as error:
        opened, wrong, wait = None, "throttled", error.wait_s
    if opened is None:
        status = 429 if wait else 401
        answer = page(
            request, context, "login.html", status=status, target=target or "", wrong=wrong, login=name
        )
        if wait:
            answer.headers["Retry-After"] = str(round(wait))
        return answer
    await context.backend.audit(opened.principal, "login", "session")
    inside = Context(context.backend, opened.principal, opened.token, context.language)
    return _enter(request, opened, target or home_of(inside))


@router.post("/logout")
async def logout(context: LoggedIn) -> Response:
    """End the session."""
    await context.backend.logout(context.token)
    await context.audit("logout", "session")
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/link/{token}")
async def link_page(request: Request, context: Public, token: str) -> Response:
    """The form of a one-time link."""
    name = await context.backend.link_login(token)
    if name is None:
        raise MissingError(kind="link", key="one-time")
    return page(request, context, "link.html", login=name, wrong=None)


@router.post("/link/{token}")
async def link(request: Request, context: Public, token: str) -> Response:
    """Set the password and open a session; the link is then used up."""
    name = await context.backend.link_login(token)
    if name is None:
        raise MissingError(kind="link", key="one-time")
    form = await request.form()
    password = str(form.get("password", ""))
    if password != str(form.get("again", "")):
        return page(request, context, "link.html", status=422, login=name, wrong="again")
    try:
        opened = await context.backend.use_link(token, password, agent=agent_of(request))
    except DirectoryError as error:
        return page(request, context, "link.html", status=422, login=name, wrong=error.code)
    if opened is None:
        raise MissingError(kind="link", key="one-time")
    await context.backend.audit(opened.principal, "set_password", "session")
    return _enter(request, opened, "/")


@router.get("/lang/{language}")
async def lang(
    request: Request,
    context: Public,
    language: str,
    next: str | None = None,  # noqa: A002 - the query's name
) -> Response:
    """Switch the language, also that in which the caller's own login is written to, and go back."""
    who, own = context.principal, request.headers.get("sec-fetch-site", "same-origin")
    if language in LANGUAGES and who is not None and who.kind == "user" and own in {"same-origin", "none"}:
        tongue = "zh" if language.startswith("zh") else language
        if await context.backend.set_own_language(who, tongue):
            detail = {"do": "language", "language": tongue}
            await context.audit(Action.VIEW_OWN_ACCOUNT, "user", target=who.user, detail=detail)
    answer = RedirectResponse(safe_path(next) or "/", status_code=303)
    if language in LANGUAGES:
        answer.set_cookie(LANG_COOKIE, language, max_age=YEAR_S, samesite="lax")
    return answer
