"""Inviting a patient or a relative by a one-time link, by which they choose a password of their own."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, BeforeValidator, Field

from dashboards.access import Context, Guard
from dashboards.account_models import Account, NewLink, Texted
from dashboards.accounts_port import Invitee
from dashboards.api.drafts import Draft, Flag, OptionalText
from dashboards.api.limits import patient_of
from dashboards.consent_models import Relative
from dashboards.links import address_of, send_by_sms
from dashboards.models import Instant, Patient
from dashboards.problems import ERROR_RESPONSES, MissingError
from hearthward.trust.access import Action

__all__ = [
    "InviteBody",
    "LinkAnswer",
    "Tongue",
    "answer_of",
    "invite",
    "invite_again",
    "people_of",
    "router",
]

router = APIRouter(prefix="/api/v1/patients/{patient}", tags=["users"], responses=ERROR_RESPONSES)
KIND: Final = "invitation"

See = Annotated[Context, Depends(Guard(Action.INVITE_PERSON, KIND, reads=True))]
Invite = Annotated[Context, Depends(Guard(Action.INVITE_PERSON, KIND))]


def _blank_is_none(value: object) -> object:
    """Of a form's field that was left empty nothing is given."""
    return None if isinstance(value, str) and not value.strip() else value


Tongue = Annotated[Literal["en", "zh"] | None, BeforeValidator(_blank_is_none)]
"""Somebody's language; None: not known."""


class InviteBody(Draft):
    """Whom to invite: the patient, or a ``relative`` with a ``name``."""

    relative: Flag = False
    name: OptionalText = Field(None, description="a relative's; a patient's is known", examples=["Li Wei"])
    phone: Annotated[Annotated[str, Field(max_length=40)] | None, BeforeValidator(_blank_is_none)] = None
    language: Tongue = None
    sms: Flag = Field(default=False, description="send the link by SMS, too")


class AgainBody(Draft):
    """A new link for a login that is there."""

    sms: Flag = False


class LinkAnswer(BaseModel):
    """A one-time link; it is shown only here. Whoever opens it chooses the password of the login."""

    login: str
    name: str
    url: str
    expires: Instant
    sms: Texted | None = Field(None, description="what became of the SMS; null: none was asked for")


class PeopleOfPatient(BaseModel):
    """Logins about a patient: their own and their relatives', and what those may see now."""

    items: list[Account]
    relatives: list[Relative]


async def people_of(context: Context, patient: str) -> tuple[Patient, list[Account], list[Relative]]:
    """The patient, the logins about them, and what relatives may see. Raises MissingError."""
    person = await patient_of(context, patient)
    logins = await context.backend.accounts_about(context.scope, patient)
    if logins is None:
        raise MissingError(kind="patient", key=patient)
    return person, list(logins), list(await context.backend.relatives(context.scope, patient))


async def invite(context: Context, patient: str, body: InviteBody) -> NewLink:
    """Make the invitation. Raises MissingError, DirectoryError."""
    await patient_of(context, patient)
    await context.demand(Action.INVITE_PERSON, KIND, patient=patient, target=patient)
    invitee = Invitee(relative=body.relative, name=body.name or "", phone=body.phone, language=body.language)
    made = await context.backend.invite(context.who, patient, invitee)
    if made is None:
        raise MissingError(kind="patient", key=patient)
    return await _noted(context, patient, made, "invite")


async def invite_again(context: Context, patient: str, login: str) -> NewLink:
    """A new link for a login about the patient. Raises MissingError, DirectoryError."""
    await patient_of(context, patient)
    await context.demand(Action.INVITE_PERSON, KIND, patient=patient, target=patient)
    made = await context.backend.invite_again(context.who, patient, login)
    if made is None:
        raise MissingError(kind="login", key=login)
    return await _noted(context, patient, made, "link")


async def _noted(context: Context, patient: str, made: NewLink, do: str) -> NewLink:
    detail = {"do": do, "user": made.user.id, "roles": ",".join(made.user.roles)}
    await context.audit(Action.INVITE_PERSON, KIND, target=patient, detail=detail)
    return made


async def answer_of(request: Request, context: Context, made: NewLink, *, sms: bool) -> LinkAnswer:
    """What is shown of a link just made; it is sent by SMS first where that is asked for."""
    sent = await send_by_sms(request, context.backend, made) if sms else None
    return LinkAnswer(
        login=made.user.login,
        name=made.user.name,
        url=address_of(request, made.secret),
        expires=made.expires,
        sms=sent,
    )


@router.get("/people")
async def get_people(context: See, patient: str) -> PeopleOfPatient:
    """Who has a login about the patient, and what relatives may see now."""
    _, logins, relatives = await people_of(context, patient)
    return PeopleOfPatient(items=logins, relatives=relatives)


@router.post("/invitations", status_code=201)
async def post_invitation(request: Request, context: Invite, patient: str, body: InviteBody) -> LinkAnswer:
    """Invite the patient or a relative, who sees nothing until the patient allows it."""
    made = await invite(context, patient, body)
    return await answer_of(request, context, made, sms=body.sms)


@router.post("/invitations/{login}", status_code=201)
async def post_invitation_again(
    request: Request, context: Invite, patient: str, login: str, body: AgainBody
) -> LinkAnswer:
    """A new link for somebody who has a login: a lost link, or a forgotten password."""
    made = await invite_again(context, patient, login)
    return await answer_of(request, context, made, sms=body.sms)
