"""A patient's own page: plain, large, and claiming nothing but that values were received."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.access import Context, Guard
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
)


@router.get("/me")
async def me(
    request: Request, context: Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "reading", reads=True))]
) -> Response:
    """Own newest values."""
    patient = context.who.patient
    if patient is None:
        raise MissingError(kind="patient", key=context.who.user)
    values = [v for v in await context.backend.newest(context.scope, patient) if v.metric in SHOWN]
    order = {metric: i for i, metric in enumerate(SHOWN)}
    return page(request, context, "me.html", values=sorted(values, key=lambda v: order[v.metric]))
