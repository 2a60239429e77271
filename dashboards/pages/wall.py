"""The ward wall and a patient's detail on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.access import Context, Guard
from dashboards.backend import AlarmQuery, ReadingQuery
from dashboards.i18n import script_strings
from dashboards.live.hub import LiveHub
from dashboards.models import Value
from dashboards.pages.render import page
from dashboards.problems import MissingError
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
SHOWN_ALARMS = 20
LOOK_BACK = 400


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
        may_accept=context.may(Action.ACCEPT_ALARM),
    )


@router.get("/ward/patient/{patient}")
async def detail(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.VIEW_ALARMS, "patient", reads=True))],
    patient: str,
) -> Response:
    """Newest values with time and device, and why each alarm fired."""
    hub: LiveHub = request.app.state.hub
    tile = next((t for t in hub.snapshot(context.scope)["tiles"] if t["id"] == patient), None)
    if tile is None:
        raise MissingError(kind="patient", key=patient)
    values = await context.backend.readings(
        context.scope, ReadingQuery(patient=patient, limit=LOOK_BACK, newest=True)
    )
    alarms = await context.backend.alarms(context.scope, AlarmQuery(patient=patient, limit=SHOWN_ALARMS))
    details = [await context.backend.alarm(context.scope, a.id) for a in alarms if a.condition == "active"]
    return page(
        request,
        context,
        "detail.html",
        tile=tile,
        values=newest(values),
        active=[d for d in details if d is not None],
        past=[a for a in alarms if a.condition != "active"],
    )


def newest(values: Sequence[Value]) -> list[Value]:
    """The newest reading of every metric, in the order of their names."""
    last = {v.metric: v for v in values}
    return [last[k] for k in sorted(last)]
