"""Logging in and out by API clients."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.problems import ERROR_RESPONSES, Problem
from hearthward.core.errors import AccessError

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["session"], responses=ERROR_RESPONSES)


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
async def login(context: Annotated[Context, Depends(Guard(public=True))], body: LoginBody) -> LoginAnswer:
    """Open a session."""
    opened = await context.backend.login(body.login, body.password)
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
