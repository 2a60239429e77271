"""The ward wall and a patient's detail on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.access import Context, Guard
from dashboards.aside import parted
from dashboards.backend import AlarmQuery
from dashboards.care_models import PatientNote
from dashboards.i18n import script_strings
from dashboards.live.hub import LiveHub
from dashboards.live.states import of_patient
from dashboards.pages.patient import learned_risk
from dashboards.pages.render import page, streamed_page
from dashboards.problems import MissingError
from hearthward.core.codes import CLOCK_SKEW
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
SHOWN_ALARMS = 20
OPEN = frozenset({"active", "latched"})


@router.get("/ward")
async def wall(
    request: Request, context: Annotated[Context, Depends(Guard(Action.VIEW_WARD, "wall", reads=True))]
) -> Response:
    """The whole wall in one answer; the page's script keeps it live."""
    hub: LiveHub = request.app.state.hub
    return page(
        request,
        context,
        "wall.html",
        snapshot=hub.snapshot(context.scope),
        strings=script_strings(context.language),
        may_accept=context.may(Action.ACCEPT_ALARM) or context.who.kind == "display",
    )


@router.get("/ward/print")
async def sheet(
    request: Request, context: Annotated[Context, Depends(Guard(Action.VIEW_WARD, "wall", reads=True))]
) -> Response:
    """The wall on paper: every value with its age when it was asked for; no script and no database needed."""
    hub: LiveHub = request.app.state.hub
    seen = hub.snapshot(context.scope)
    found = {key: seen[key] for key in ("now", "tiles", "loose")}
    return streamed_page(request, context, "wall_sheet.html", trouble=seen["why"], **found)


@router.get("/ward/patient/{patient}")
async def detail(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.VIEW_ALARMS, "patient", reads=True))],
    patient: str,
) -> Response:
    """Newest values with time and device, and why each alarm fired."""
    hub: LiveHub = request.app.state.hub
    tile = hub.tile(context.scope, patient)
    if tile is None:
        raise MissingError(kind="patient", key=patient)
    alarms = await context.backend.alarms(context.scope, AlarmQuery(patient=patient, limit=SHOWN_ALARMS))
    newest, aside = parted(await context.backend.newest(context.scope, patient))
    details = [await context.backend.alarm(context.scope, a.id) for a in alarms if a.condition in OPEN]
    return page(
        request,
        context,
        "detail.html",
        tile=tile,
        may_enter=context.may(Action.ENTER_READING),
        values=[v for v in newest if not v.metric.startswith("device_") and v.metric != CLOCK_SKEW],
        aside=[v for v in aside if of_patient(v.metric)],
        states=hub.states(context.scope, patient, newest),
        known=hub.known(context.scope, patient, newest),
        asked=await context.backend.alarms(context.scope, AlarmQuery(patient=patient, asked=True)),
        active=[d for d in details if d is not None],
        past=[a for a in alarms if a.condition not in OPEN],
        off=await context.backend.inactivations(context.scope, subject=patient),
        about=await _about(context, patient),
        **await learned_risk(context, patient),
    )


async def _about(context: Context, patient: str) -> list[PatientNote]:
    """The notes about the patient that count, as far as the caller may see them."""
    if not context.may(Action.VIEW_NOTES):
        return []
    notes = await context.backend.patient_notes(context.scope, patient) or ()
    return [note for note in notes if note.struck is None]
