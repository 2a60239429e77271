"""Logins: who may log in, adding one, a new password. The server makes the passwords."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft, Key, OptionalKey, Text
from dashboards.models import User
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from hearthward.core.errors import AccessError
from hearthward.trust.access import Action, Role
from hearthward.trust.passwords import readable_password

__all__ = ["UserDraft", "router"]

router = APIRouter(prefix="/api/v1/users", tags=["users"], responses=ERROR_RESPONSES)
T = TypeVar("T")
KIND: Final = "user"

See = Annotated[Context, Depends(Guard(Action.VIEW_USERS, KIND, reads=True))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_USERS, KIND))]


class UserDraft(Draft):
    """A new login."""

    login: Annotated[str, Field(min_length=1, max_length=64, examples=["li.na"])]
    name: Text = Field(examples=["Li Na"])
    roles: list[Role] = Field(min_length=1, description="patient, family and display stand alone")
    wards: list[Key] | None = Field(None, description="null: every ward")
    patient: OptionalKey = Field(None, description="whom a login with the role patient or family is about")
    language: Literal["en", "zh"] | None = None


class UserList(BaseModel):
    """Who may log in, by login."""

    items: list[User]


class NewUser(BaseModel):
    """A login just made; its password is shown only here."""

    user: User
    password: str


class NewPassword(BaseModel):
    """A password just made; it is shown only here."""

    login: str
    password: str


async def _audited(context: Context, act: Awaitable[T], target: str = "") -> T:
    """What ``act`` gives; a refusal for the caller's scope is audited as the guard's are."""
    try:
        return await act
    except AccessError:
        await context.audit(Action.MANAGE_USERS, KIND, target=target, outcome="refused")
        raise


@router.get("")
async def list_users(context: See) -> UserList:
    """Everybody who may log in, disabled logins included."""
    return UserList(items=list(await _audited(context, context.backend.users(context.scope))))


@router.post("", status_code=201, responses={409: {"model": Problem, "description": "Conflict"}})
async def add_user(context: Manage, body: UserDraft) -> NewUser:
    """Add a login and make its first password."""
    fields: dict[str, Any] = body.model_dump()
    password = readable_password()
    user = await _audited(context, context.backend.add_user(context.scope, fields, password))
    given = {
        "do": "create",
        "roles": ",".join(user.roles),
        "fields": ",".join(sorted(body.model_fields_set)),
    }
    await context.audit(Action.MANAGE_USERS, KIND, target=user.id, detail=given)
    return NewUser(user=user, password=password)


@router.post("/{login}/password")
async def new_password(context: Manage, login: str) -> NewPassword:
    """Make a new password for a login; whoever is logged in with it is logged out."""
    password = readable_password()
    user = await _audited(context, context.backend.set_password(context.scope, login, password), login)
    if user is None:
        raise MissingError(KIND, login)
    await context.audit(Action.MANAGE_USERS, KIND, target=user.id, detail={"do": "password"})
    return NewPassword(login=user.login, password=password)
