"""A patient's own page: plain, large, claiming only that values were received; with a form of their own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.backend import AlarmQuery
from dashboards.pages.entry import EntryForm, blank, entered_before, take
from dashboards.pages.render import page
from dashboards.problems import MissingError
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
SHOWN = (
    "heart_rate",
    "pulse_rate",
    "spo2",
    "respiratory_rate",
    "nibp_systolic",
    "nibp_diastolic",
    "body_temperature",
    "body_weight",
    "blood_glucose",
    "pain",
    "symptom",
)


def _patient(context: Context) -> str:
    if context.who.patient is None:
        raise MissingError(kind="patient", key=context.who.user)
    return context.who.patient


async def _show(
    request: Request, context: Context, patient: str, form: EntryForm | None, *, saved: str = ""
) -> Response:
    before = await entered_before(context, patient)
    values = [v for v in await context.backend.newest(context.scope, patient) if v.metric in SHOWN]
    order = {metric: i for i, metric in enumerate(SHOWN)}
    return page(
        request,
        context,
        "me.html",
        status=422 if form else 200,
        values=sorted(values, key=lambda v: order[v.metric]),
        asked=await context.backend.alarms(context.scope, AlarmQuery(patient=patient, asked=True)),
        form=form or blank(request, context, "/me"),
        saved=next((values for values in before if values[0].group == saved), None),
    )


@router.get("/me")
async def me(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "reading", reads=True))],
    saved: str = "",
) -> Response:
    """Own newest values, and a form for what no device measures."""
    return await _show(request, context, _patient(context), None, saved=saved)


@router.post("/me")
async def tell(
    request: Request, context: Annotated[Context, Depends(Guard(Action.ENTER_READING, "entry"))]
) -> Response:
    """Enter something for oneself; on refusal the page again with what was typed."""
    patient = _patient(context)
    done = await take(request, context, patient, "/me")
    if isinstance(done, EntryForm):
        return await _show(request, context, patient, done)
    return RedirectResponse(f"/me?saved={done}", status_code=303)
