"""The patient's page about consent: who may see what, until when, and who looked; a relative's part of it."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.account_models import NewLink
from dashboards.api.consent import (
    KIND,
    LOOKED_BACK,
    ConsentBody,
    RelativeBody,
    dismiss,
    give,
    invite_relative,
    own_patient,
    relative_link,
    revoke,
)
from dashboards.backend import DirectoryError
from dashboards.consent_models import PARTS
from dashboards.i18n import N_, negotiate, translations
from dashboards.links import address_of, only_here, qr_code
from dashboards.models import Patient
from dashboards.own_words import Times, known_zone
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.own import ZONE_COOKIE
from dashboards.pages.render import page
from dashboards.shift_times import DAY
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
SHOWN: Final = 60
"""Visits on the page; the API has all."""
SPANS: Final = {
    "7": N_("for 1 week"),
    "30": N_("for 1 month"),
    "90": N_("for 3 months"),
    "": N_("until I take it back"),
}
"""Days -> how long a consent holds."""
DONE: Final = {
    "give": N_("Saved. It holds from now on."),
    "revoke": N_("Taken back. They see nothing any more from now on."),
    "dismiss": N_("Removed. They can log in no longer."),
}
INVITE: Final = "invite"
"""The form for somebody new."""
WORDS: Final = N_(
    "{patient} lets you see their health values in Hearthward. Open this link within 3 days and choose your "
    "own password. Your login is {login}. {url}"
)
"""What the patient sends to whom they invite."""

See = Annotated[Context, Depends(Guard(Action.VIEW_CONSENT, KIND, reads=True))]
Give = Annotated[Context, Depends(Guard(Action.GIVE_CONSENT, KIND))]


async def _show(
    request: Request,
    context: Context,
    *,
    attempt: Attempt | None = None,
    done: str = "",
    made: NewLink | None = None,
) -> Response:
    backend, scope, patient = context.backend, context.scope, own_patient(context)
    own = context.may(Action.GIVE_CONSENT, KIND)
    relatives = [r for r in await backend.relatives(scope, patient) if own or r.id == context.who.user]
    person = await backend.item(scope, "patient", patient)
    zone = known_zone(request.cookies.get(ZONE_COOKIE))
    zone = zone or known_zone(await backend.care_zone(scope, patient))
    name = person.name if isinstance(person, Patient) else ""
    looks = await backend.looks(scope, patient, backend.real_now() - LOOKED_BACK) if own else ()
    return page(
        request,
        context,
        "consent.html",
        status=422 if attempt else 200,
        own=own,
        times=Times(context.language, zone, backend.real_now()),
        patient_name=name,
        **_handout(request, made, name),
        relatives=[r for r in relatives if not r.disabled],
        looks=[look for look in looks if look.who != "self"][:SHOWN],
        parts=PARTS,
        spans=SPANS,
        reasons=REASONS,
        attempt=attempt,
        done=DONE.get(done, ""),
    )


def _handout(request: Request, made: NewLink | None, patient: str) -> dict[str, object]:
    """What the card of a link just made needs: the address, its code, and the words to send it with."""
    if made is None:
        return {"link": None}
    url = address_of(request, made.secret)
    words = translations(negotiate("", made.user.language)).gettext(WORDS)
    said = words.format(patient=patient, login=made.user.login, url=url)
    shown = {"link": made, "url": url, "only_here": only_here(url)}
    return {**shown, "qr": qr_code(url, made.user.login), "letter": quote(said)}


AS_NOW: Final = "as_now"
"""What is allowed changes, until when it holds does not."""


async def _until(context: Context, days: str, person: str = "") -> int | None:
    """When a consent for so many days ends, or ends as ``person``'s does now. Raises DirectoryError."""
    held = await context.backend.consent_of(context.scope, person) if days == AS_NOW else None
    if held is not None:
        return held.until
    if days not in SPANS:
        raise DirectoryError(field="days", code="invalid", value=days)
    return context.backend.real_now() + int(days) * DAY if days else None


@router.get("/me/consent")
async def consent(request: Request, context: See, done: str = "") -> Response:
    """Who may see what and who looked."""
    return await _show(request, context, done=done)


@router.post("/me/consent")
async def post_consent(request: Request, context: Give) -> Response:
    """Let a relative see something for a time."""
    form = await form_of(request)
    person, days = form.get("person", ""), form.get("days", "")
    sees = [str(part) for part in (await request.form()).getlist("sees")]
    try:
        body = ConsentBody.model_validate(
            {"person": person, "sees": sees, "until": await _until(context, days, person)}
        )
        await give(context, body)
    except (ValidationError, DirectoryError) as error:
        attempt = blame(person, form, error)
        attempt.chosen = tuple(sees)
        return await _show(request, context, attempt=attempt)
    return RedirectResponse("/me/consent?done=give", status_code=303)


@router.post("/me/consent/{consent}/revoke")
async def post_revoke(context: Give, consent: str) -> Response:
    """Take a consent back."""
    await revoke(context, consent)
    return RedirectResponse("/me/consent?done=revoke", status_code=303)


@router.post("/me/consent/relatives")
async def post_relative(request: Request, context: Give) -> Response:
    """Invite a relative; the link is on the page that comes back, and nowhere else."""
    form = await form_of(request)
    sees = [str(part) for part in (await request.form()).getlist("sees")]
    try:
        given = {"name": form.get("name", ""), "language": form.get("language", ""), "sees": sees}
        body = RelativeBody.model_validate({**given, "until": await _until(context, form.get("days", ""))})
        made = await invite_relative(context, body)
    except (ValidationError, DirectoryError) as error:
        attempt = blame(INVITE, form, error)
        attempt.chosen = tuple(sees)
        return await _show(request, context, attempt=attempt)
    return await _show(request, context, made=made)


@router.post("/me/consent/relatives/{person}/link")
async def post_link(request: Request, context: Give, person: str) -> Response:
    """A new link for a relative who lost theirs, or the password."""
    return await _show(request, context, made=await relative_link(context, person))


@router.post("/me/consent/relatives/{person}/dismiss")
async def post_dismiss(context: Give, person: str) -> Response:
    """Let a relative in no longer."""
    await dismiss(context, person)
    return RedirectResponse("/me/consent?done=dismiss", status_code=303)
