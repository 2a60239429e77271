"""Where somebody is logged in, and ending it: a patient's own page, and what the account page posts."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import COOKIE, Context, Guard
from dashboards.api.session import end_others, end_session
from dashboards.browsers import sort_of
from dashboards.i18n import N_
from dashboards.own_words import Times
from dashboards.pages.forms import form_of
from dashboards.pages.render import page
from hearthward.trust.access import Action

__all__ = ["ENDED", "router"]

router = APIRouter(include_in_schema=False)
ENDED: Final = {"session": N_("Logged out there."), "others": N_("Logged out everywhere else.")}
"""What the pages say after something was ended."""

Mine = Annotated[Context, Depends(Guard(Action.VIEW_OWN_ACCOUNT, "session"))]


@router.get("/me/logins")
async def logins(request: Request, context: Mine, done: str = "") -> Response:
    """A patient's or relative's own logins, large; staff have them in their account."""
    if context.who.patient is None:
        return RedirectResponse("/account#logins", status_code=303)
    return page(
        request,
        context,
        "me_logins.html",
        sessions=await context.backend.own_sessions(context.who, context.token),
        sort_of=sort_of,
        times=Times(context.language, context.zone, context.backend.real_now()),
        done=ENDED.get(done, ""),
    )


@router.post("/account/sessions/end-others")
async def post_others(request: Request, context: Mine) -> Response:
    """Log out everywhere but here."""
    form = await form_of(request)
    await end_others(context)
    return _back(form, "others")


@router.post("/account/sessions/{session}/end")
async def post_end(request: Request, context: Mine, session: str) -> Response:
    """Log out in one place; here, it is as the button for it."""
    form = await form_of(request)
    ended = await end_session(context, session)
    if not ended.here:
        return _back(form, "session")
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


def _back(form: dict[str, str], done: str) -> Response:
    where = f"/me/logins?done={done}" if form.get("back") == "me" else f"/account?done={done}#logins"
    return RedirectResponse(where, status_code=303)
