"""Logging in and out by API clients, and where somebody is logged in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.account_models import OwnSession
from dashboards.browsers import agent_of
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from hearthward.core.errors import AccessError
from hearthward.trust.access import Action

__all__ = ["Own", "end_others", "end_session", "router"]

router = APIRouter(prefix="/api/v1", tags=["session"], responses=ERROR_RESPONSES)

Own = Annotated[Context, Depends(Guard(Action.VIEW_OWN_ACCOUNT, "session"))]


class LoginBody(BaseModel):
    """Who."""

    login: str = Field(max_length=120, examples=["nurse"])
    password: str = Field(max_length=1000)


class LoginAnswer(BaseModel):
    """The token to send as ``Authorization: Bearer TOKEN``; it is shown only here."""

    token: str
    name: str
    roles: list[str]


class Me(BaseModel):
    """The caller."""

    user: str
    name: str
    tenant: str
    roles: list[str]
    wards: list[str] | None = Field(description="null: all")
    patient: str | None


@router.post("/login", responses={429: {"model": Problem, "description": "too many failures"}})
async def login(
    request: Request, context: Annotated[Context, Depends(Guard(public=True))], body: LoginBody
) -> LoginAnswer:
    """Open a session."""
    opened = await context.backend.login(body.login, body.password, agent=agent_of(request))
    if opened is None:
        msg = "wrong login or password"
        raise AccessError(msg, authenticated=False)
    await context.backend.audit(opened.principal, "login", "session")
    who = opened.principal
    return LoginAnswer(token=opened.token, name=who.name, roles=sorted(who.roles))


@router.post("/logout", status_code=204)
async def logout(context: Annotated[Context, Depends(Guard())]) -> None:
    """End the session of the token."""
    await context.backend.logout(context.token)
    await context.audit("logout", "session")


@router.get("/me")
async def me(context: Annotated[Context, Depends(Guard())]) -> Me:
    """Who the caller is."""
    who = context.who
    return Me(
        user=who.user,
        name=who.name,
        tenant=who.tenant,
        roles=sorted(who.roles),
        wards=None if who.wards is None else sorted(who.wards),
        patient=who.patient,
    )


# --- where the caller is logged in ------------------------------------------------------------------


class OwnSessions(BaseModel):
    """Where the caller is logged in now, what was used last first."""

    items: list[OwnSession]


class Ended(BaseModel):
    """How many sessions that ended."""

    ended: int


async def end_session(context: Context, key: str) -> OwnSession:
    """End one of the caller's sessions. Raises MissingError."""
    ended = await context.backend.end_session(context.who, context.token, key)
    if ended is None:
        raise MissingError(kind="session", key=key)
    await context.audit("logout", "session", target=context.who.user, detail={"session": key})
    return ended


async def end_others(context: Context) -> int:
    """End all of the caller's sessions but this one; how many that were."""
    ended = await context.backend.end_other_sessions(context.who, context.token)
    await context.audit("logout", "session", target=context.who.user, detail={"others": ended})
    return ended


@router.get("/me/sessions")
async def get_sessions(context: Own) -> OwnSessions:
    """Where the caller is logged in."""
    return OwnSessions(items=list(await context.backend.own_sessions(context.who, context.token)))


@router.post("/me/sessions/end-others")
async def post_end_others(context: Own) -> Ended:
    """Log out everywhere but here."""
    return Ended(ended=await end_others(context))


@router.post("/me/sessions/{session}/end")
async def post_end_session(context: Own, session: str) -> OwnSession:
    """Log out in one place, which may be this one."""
    return await end_session(context, session)
