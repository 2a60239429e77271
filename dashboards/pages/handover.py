"""The hand-over sheet: to look at, to print, and to hand patients and alarms over with."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.api.handover import HandOverBody, hand_over, sheet, takers
from dashboards.backend import DirectoryError
from dashboards.models import Ward
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.render import page
from dashboards.subjects import names_of
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
SHOWN: Final = 20

See = Annotated[Context, Depends(Guard(Action.HAND_OVER, "handover", reads=True))]
Do = Annotated[Context, Depends(Guard(Action.HAND_OVER, "handover"))]


@router.get("/handover")
async def handover(request: Request, context: See, ward: str = "", by: str = "", done: str = "") -> Response:
    """The sheet of the caller's patients, or of ``by``'s, or of a whole ward; and past hand-overs."""
    return await _show(request, context, ward, by, done=done)


@router.post("/handover")
async def post_handover(request: Request, context: Do) -> Response:
    """Hand over: the chosen patients with their alarms."""
    form = await form_of(request)
    chosen = [str(p) for p in (await request.form()).getlist("patients")]
    body = {name: form[name] for name in ("by", "to", "ward", "note", "pin") if form.get(name)}
    try:
        done = await hand_over(context, HandOverBody.model_validate({**body, "patients": chosen}))
    except (ValidationError, DirectoryError) as error:
        attempt = blame("handover", form, error)
        attempt.chosen = tuple(chosen)
        return await _show(request, context, form.get("ward", ""), form.get("by", ""), attempt=attempt)
    return RedirectResponse(f"/handover?done={done.id}#past", status_code=303)


async def _show(
    request: Request,
    context: Context,
    ward: str,
    by: str,
    *,
    attempt: Attempt | None = None,
    done: str = "",
) -> Response:
    backend, scope = context.backend, context.scope
    made = await sheet(request, context, by, ward)
    past = list(await backend.hand_overs(scope, limit=SHOWN, reader=context.who.user))
    people = await takers(context)
    return page(
        request,
        context,
        "handover.html",
        status=422 if attempt else 200,
        sheet=made,
        past=past,
        just=next((h for h in past if h.id == done), None),
        people=people,
        wards=[w for w in await backend.items(scope, "ward") if isinstance(w, Ward)],
        patient_names=await names_of(backend, scope, {p for h in past for p in h.patients}),
        mine=sum(a.accepted_by == made.by for p in made.patients for a in p.alarms) + len(made.others),
        reasons=REASONS,
        attempt=attempt,
    )
