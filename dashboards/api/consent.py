"""Consent: a patient lets a relative see something, takes it back, and sees who looked."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.account_models import NewLink
from dashboards.accounts_port import Invitee
from dashboards.api.drafts import Draft, Key, OptionalInstant, Text
from dashboards.api.invitations import LinkAnswer, Tongue, answer_of
from dashboards.consent_models import Consent, Look, Part, Relative
from dashboards.problems import ERROR_RESPONSES, MissingError
from hearthward.core.clock import SECOND
from hearthward.trust.access import Action

__all__ = [
    "LOOKED_BACK",
    "ConsentBody",
    "RelativeBody",
    "dismiss",
    "give",
    "invite_relative",
    "own_patient",
    "relative_link",
    "revoke",
    "router",
]

router = APIRouter(prefix="/api/v1/me", tags=["consent"], responses=ERROR_RESPONSES)
KIND: Final = "consent"
LOOKED_BACK: Final = 30 * 86_400 * SECOND
"""Who looked is told for so long."""

See = Annotated[Context, Depends(Guard(Action.VIEW_CONSENT, KIND, reads=True))]
Give = Annotated[Context, Depends(Guard(Action.GIVE_CONSENT, KIND))]


class ConsentBody(Draft):
    """What a relative may see from now on, instead of what held before."""

    person: Key = Field(description="id of the relative's login")
    sees: list[Part] = Field(max_length=10)
    until: OptionalInstant = Field(None, description="null: until it is taken back")


class RelativeBody(Draft):
    """A relative whom the patient invites, and what they may see from now on."""

    name: Text = Field(examples=["Li Wei"])
    language: Tongue = None
    sees: list[Part] = Field(max_length=10)
    until: OptionalInstant = Field(None, description="null: until it is taken back")


class OwnConsents(BaseModel):
    """Who may see what of the patient's, and all that was ever allowed."""

    relatives: list[Relative]
    consents: list[Consent]


class LookList(BaseModel):
    """Who looked, the newest first."""

    items: list[Look]


def own_patient(context: Context) -> str:
    """The patient that the caller is, or is a relative of. Raises MissingError."""
    if context.who.patient is None:
        raise MissingError(kind="patient", key=context.who.user)
    return context.who.patient


async def give(context: Context, body: ConsentBody) -> Consent:
    """Let a relative see something. Raises DirectoryError."""
    patient = own_patient(context)
    given = await context.backend.give_consent(
        context.who, body.person, sees=frozenset(body.sees), until=body.until
    )
    detail = {"do": "give", "consent": given.id, "person": given.person, "sees": ",".join(given.sees)}
    await context.audit(Action.GIVE_CONSENT, KIND, target=patient, detail=detail)
    return given


async def revoke(context: Context, key: str) -> Consent:
    """Take a consent back. Raises MissingError."""
    patient = own_patient(context)
    found = await context.backend.revoke_consent(context.who, key)
    if found is None:
        raise MissingError(KIND, key)
    detail = {"do": "revoke", "consent": found.id, "person": found.person}
    await context.audit(Action.GIVE_CONSENT, KIND, target=patient, detail=detail)
    return found


async def invite_relative(context: Context, body: RelativeBody) -> NewLink:
    """Invite a relative, who needs no more than the link. Raises DirectoryError."""
    patient = own_patient(context)
    invitee = Invitee(relative=True, name=body.name, language=body.language)
    made = await context.backend.invite_relative(
        context.who, invitee, sees=frozenset(body.sees), until=body.until
    )
    detail = {"do": "invite", "person": made.user.id, "sees": ",".join(sorted(body.sees))}
    await context.audit(Action.GIVE_CONSENT, KIND, target=patient, detail=detail)
    return made


async def relative_link(context: Context, person: str) -> NewLink:
    """A new link for a relative of the patient's. Raises MissingError, DirectoryError."""
    patient = own_patient(context)
    made = await context.backend.relative_link(context.who, person)
    if made is None:
        raise MissingError(kind="relative", key=person)
    detail = {"do": "link", "person": made.user.id}
    await context.audit(Action.GIVE_CONSENT, KIND, target=patient, detail=detail)
    return made


async def dismiss(context: Context, person: str) -> None:
    """Let a relative in no longer. Raises MissingError."""
    patient = own_patient(context)
    gone = await context.backend.dismiss_relative(context.who, person)
    if gone is None:
        raise MissingError(kind="relative", key=person)
    detail = {"do": "dismiss", "person": gone.id}
    await context.audit(Action.GIVE_CONSENT, KIND, target=patient, detail=detail)


@router.get("/consents")
async def get_consents(context: See) -> OwnConsents:
    """What relatives may see; a relative sees only what is about themselves."""
    patient, me = own_patient(context), context.who.user
    relatives = list(await context.backend.relatives(context.scope, patient))
    consents = list(await context.backend.consents(context.scope, patient))
    if not context.may(Action.GIVE_CONSENT, KIND):
        relatives = [r for r in relatives if r.id == me]
        consents = [c for c in consents if c.person == me]
    return OwnConsents(relatives=relatives, consents=consents)


@router.post("/consents", status_code=201)
async def post_consent(context: Give, body: ConsentBody) -> Consent:
    """Let a relative see something from now on."""
    return await give(context, body)


@router.post("/consents/{consent}/revoke")
async def post_revoke(context: Give, consent: str) -> Consent:
    """Take a consent back; it holds no longer from this moment on."""
    return await revoke(context, consent)


@router.get("/looks")
async def get_looks(context: Give) -> LookList:
    """Who looked at the patient's data within the last 30 days; staff by their role."""
    since = context.backend.real_now() - LOOKED_BACK
    return LookList(items=list(await context.backend.looks(context.scope, own_patient(context), since)))


@router.post("/relatives", status_code=201)
async def post_relative(request: Request, context: Give, body: RelativeBody) -> LinkAnswer:
    """Invite a relative by a link that is shown once; what they may see holds from now on."""
    return await answer_of(request, context, await invite_relative(context, body), sms=False)


@router.post("/relatives/{person}/link", status_code=201)
async def post_relative_link(request: Request, context: Give, person: str) -> LinkAnswer:
    """A new link for a relative: a lost one, or a forgotten password."""
    return await answer_of(request, context, await relative_link(context, person), sms=False)


@router.post("/relatives/{person}/dismiss", status_code=204)
async def post_dismiss(context: Give, person: str) -> None:
    """Let a relative in no longer: consent, sessions and link end at once."""
    await dismiss(context, person)
