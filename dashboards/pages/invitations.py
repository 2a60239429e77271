"""Who has a login about a patient; inviting the patient or a relative by a link that is shown once."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.account_models import NewLink
from dashboards.api.invitations import KIND, InviteBody, answer_of, invite, invite_again, people_of
from dashboards.backend import DirectoryError
from dashboards.links import only_here, qr_code, texts
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.render import page
from hearthward.trust.access import Action

__all__ = ["router", "shown_link"]

router = APIRouter(include_in_schema=False)
FIELDS: Final = frozenset(InviteBody.model_fields)

See = Annotated[Context, Depends(Guard(Action.INVITE_PERSON, KIND, reads=True))]
Invite = Annotated[Context, Depends(Guard(Action.INVITE_PERSON, KIND))]


async def shown_link(
    request: Request, context: Context, made: NewLink, *, sms: bool = False
) -> dict[str, object]:
    """What the card of a link just made needs."""
    link = await answer_of(request, context, made, sms=sms)
    return {"link": link, "qr": qr_code(link.url, link.login), "only_here": only_here(link.url)}


async def _show(
    request: Request,
    context: Context,
    patient: str,
    *,
    attempt: Attempt | None = None,
    made: NewLink | None = None,
    sms: bool = False,
) -> Response:
    person, logins, relatives = await people_of(context, patient)
    shown: dict[str, object] = {"link": None, "qr": None}
    if made is not None:
        shown = await shown_link(request, context, made, sms=sms)
    return page(
        request,
        context,
        "invitations.html",
        status=422 if attempt else 200,
        person=person,
        own=[a for a in logins if "patient" in a.user.roles],
        logins=[a for a in logins if "patient" not in a.user.roles],
        sees={r.id: r.consent for r in relatives},
        may_text=texts(request, context.backend),
        reasons=REASONS,
        attempt=attempt,
        **shown,
    )


@router.get("/patients/{patient}/people")
async def people(request: Request, context: See, patient: str) -> Response:
    """The logins about a patient."""
    return await _show(request, context, patient)


@router.post("/patients/{patient}/people")
async def post_invitation(request: Request, context: Invite, patient: str) -> Response:
    """Invite; the link is on the page that comes back, and nowhere else."""
    form = await form_of(request)
    try:
        body = InviteBody.model_validate({k: v for k, v in form.items() if k in FIELDS})
        made = await invite(context, patient, body)
    except (ValidationError, DirectoryError) as error:
        which = "relative" if form.get("relative") else "patient"
        return await _show(request, context, patient, attempt=blame(which, form, error))
    return await _show(request, context, patient, made=made, sms=body.sms)


@router.post("/patients/{patient}/people/{login}")
async def post_again(request: Request, context: Invite, patient: str, login: str) -> Response:
    """A new link for a login that is there."""
    form = await form_of(request)
    try:
        made = await invite_again(context, patient, login)
    except DirectoryError as error:
        return await _show(request, context, patient, attempt=blame(f"again-{login}", form, error))
    return await _show(request, context, patient, made=made, sms="sms" in form)
