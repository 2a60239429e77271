"""Logins: who may log in, adding and changing one, letting in no longer, links and new passwords.

Nobody chooses a password for somebody else: the server makes one, or a one-time link lets them choose.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.account_models import Account, NewLink
from dashboards.api.drafts import Draft, Key, OptionalKey, Text
from dashboards.api.invitations import LinkAnswer, answer_of
from dashboards.models import User
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from hearthward.core.errors import AccessError
from hearthward.trust.access import Action, Role
from hearthward.trust.passwords import readable_password

__all__ = [
    "KIND",
    "Manage",
    "See",
    "UserChange",
    "UserDraft",
    "account_of",
    "add_account",
    "audited",
    "change_account",
    "issue_link",
    "let_in",
    "log_out",
    "router",
]

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


class UserChange(Draft):
    """What changes of a login; what is left out stays."""

    name: Text | None = None
    roles: list[Role] | None = Field(None, min_length=1)
    wards: list[Key] | None = Field(None, description="null: every ward")
    language: Literal["en", "zh"] | None = Field(None, description="null: what the browser asks for")


class LinkBody(Draft):
    """A link for somebody."""

    sms: bool = Field(default=False, description="send it by SMS, too")


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


async def audited(context: Context, act: Awaitable[T], target: str = "") -> T:
    """What ``act`` gives; a refusal for the caller's scope is audited as the guard's are."""
    try:
        return await act
    except AccessError:
        await context.audit(Action.MANAGE_USERS, KIND, target=target, outcome="refused")
        raise


async def add_account(context: Context, body: UserDraft, password: str | None) -> User:
    """Add a login; without a password only a link lets in. Raises DirectoryError, AccessError."""
    user = await audited(context, context.backend.add_user(context.scope, body.model_dump(), password))
    given = {
        "do": "create",
        "roles": ",".join(user.roles),
        "fields": ",".join(sorted(body.model_fields_set)),
    }
    await context.audit(Action.MANAGE_USERS, KIND, target=user.id, detail=given)
    return user


async def account_of(context: Context, login: str) -> Account:
    """A login and how it stands. Raises MissingError, AccessError."""
    return _found(await audited(context, context.backend.account(context.scope, login), login), login)


async def change_account(context: Context, login: str, body: UserChange) -> Account:
    """Change a login. Raises MissingError, DirectoryError, AccessError."""
    fields: dict[str, Any] = body.model_dump(exclude_unset=True)
    for name in ("name", "roles"):
        if fields.get(name, "") is None:
            del fields[name]
    act = context.backend.change_account(context.scope, login, fields)
    return await _changed(context, login, act, do="change", fields=",".join(sorted(fields)))


async def let_in(context: Context, login: str, *, allowed: bool) -> Account:
    """Let somebody in again, or no longer. Raises MissingError, DirectoryError, AccessError."""
    act = context.backend.let_in(context.scope, login, allowed=allowed)
    return await _changed(context, login, act, do="enable" if allowed else "disable")


async def log_out(context: Context, login: str) -> Account:
    """End somebody's sessions. Raises MissingError, AccessError."""
    return await _changed(context, login, context.backend.log_out(context.scope, login), do="logout")


async def issue_link(context: Context, login: str) -> NewLink:
    """A link by which somebody chooses a password. Raises MissingError, DirectoryError, AccessError."""
    act = context.backend.issue_link(context.scope, login, by=context.who.user)
    made = _found(await audited(context, act, login), login)
    await context.audit(Action.MANAGE_USERS, KIND, target=made.user.id, detail={"do": "link"})
    return made


async def _changed(context: Context, login: str, act: Awaitable[Account | None], **detail: str) -> Account:
    changed = _found(await audited(context, act, login), login)
    await context.audit(Action.MANAGE_USERS, KIND, target=changed.user.id, detail=detail)
    return changed


def _found(found: T | None, login: str) -> T:
    if found is None:
        raise MissingError(KIND, login)
    return found


@router.get("")
async def list_users(context: See) -> UserList:
    """Everybody who may log in, disabled logins included."""
    return UserList(items=list(await audited(context, context.backend.users(context.scope))))


@router.post("", status_code=201, responses={409: {"model": Problem, "description": "Conflict"}})
async def add_user(context: Manage, body: UserDraft) -> NewUser:
    """Add a login and make its first password."""
    password = readable_password()
    return NewUser(user=await add_account(context, body, password), password=password)


@router.post("/{login}/password")
async def new_password(context: Manage, login: str) -> NewPassword:
    """Make a new password for a login; whoever is logged in with it is logged out."""
    password = readable_password()
    user = await audited(context, context.backend.set_password(context.scope, login, password), login)
    if user is None:
        raise MissingError(KIND, login)
    await context.audit(Action.MANAGE_USERS, KIND, target=user.id, detail={"do": "password"})
    return NewPassword(login=user.login, password=password)


@router.get("/{login}")
async def get_user(context: See, login: str) -> Account:
    """One login and how it stands."""
    return await account_of(context, login)


@router.patch("/{login}", responses={409: {"model": Problem, "description": "Conflict"}})
async def patch_user(context: Manage, login: str, body: UserChange) -> Account:
    """Change a login; whoever is logged in with it has the new rights at once."""
    return await change_account(context, login, body)


@router.post("/{login}/disable", responses={409: {"model": Problem, "description": "Conflict"}})
async def post_disable(context: Manage, login: str) -> Account:
    """Let somebody in no longer: sessions and links end at once."""
    return await let_in(context, login, allowed=False)


@router.post("/{login}/enable")
async def post_enable(context: Manage, login: str) -> Account:
    """Let somebody in again."""
    return await let_in(context, login, allowed=True)


@router.post("/{login}/logout")
async def post_logout(context: Manage, login: str) -> Account:
    """End all sessions of a login."""
    return await log_out(context, login)


@router.post("/{login}/link", status_code=201)
async def post_link(request: Request, context: Manage, login: str, body: LinkBody) -> LinkAnswer:
    """A one-time link by which somebody chooses a password of their own."""
    return await answer_of(request, context, await issue_link(context, login), sms=body.sms)
