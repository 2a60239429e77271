"""Why an alarm fired, and why a rule did not."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from dashboards.access import Context, Guard
from dashboards.api.readings import instant
from dashboards.problems import ERROR_RESPONSES, MissingError
from dashboards.why_models import Why, WhyNot
from hearthward.trust.access import Action

__all__ = ["router", "why_not_of", "why_of"]

router = APIRouter(prefix="/api/v1", tags=["why"], responses=ERROR_RESPONSES)


@router.get("/alarms/{alarm}/why")
async def get_why(
    context: Annotated[Context, Depends(Guard(Action.VIEW_ALARMS, "alarm", reads=True))], alarm: str
) -> Why:
    """The rule as it was, its condition with values and limits, who set them, its life, and every hop."""
    return await why_of(context, alarm)


@router.get("/patients/{patient}/why-not/{rule}")
async def get_why_not(
    context: Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "patient", reads=True))],
    patient: str,
    rule: str,
    at: Annotated[
        str | None, Query(description="ISO 8601, UTC unless it has a zone; now when left out")
    ] = None,
) -> WhyNot:
    """The predicate that kept a rule from firing for a patient at a moment; or that it did fire."""
    return await why_not_of(context, patient, rule, at)


async def why_of(context: Context, alarm: str) -> Why:
    """The answer for the caller. Raises MissingError."""
    found = await context.backend.why(context.scope, alarm)
    if found is None:
        raise MissingError(kind="alarm", key=alarm)
    return found


async def why_not_of(context: Context, patient: str, rule: str, at: str | None) -> WhyNot:
    """The answer for the caller. Raises MissingError, DirectoryError."""
    moment = instant(at, "at", context.backend.clock.now_ns())
    found = await context.backend.why_not(context.scope, patient, rule, moment)
    if found is None:
        raise MissingError(kind="patient", key=patient)
    return found
