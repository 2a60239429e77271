"""A patient's own values in plain words, and seven days of them on one sheet of paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from cloud_ingest.entry import manual_device
from dashboards.access import Context, Guard
from dashboards.backend import ReadingQuery
from dashboards.models import Patient, Value
from dashboards.own_words import Week, last_days, week_of
from dashboards.pages.me_plan import by_day, week_plan
from dashboards.pages.own import SHOWN, Own, own, part
from dashboards.sparkline import svg_line
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
POINTS: Final = 600
WRITTEN: Final = 60
"""Symptoms and pains on the sheet."""

Look = Annotated[Context, Depends(Guard(Action.VIEW_OWN_PAGE, "reading", reads=True))]


async def _weeks(context: Context, found: Own) -> list[Week]:
    """What the last seven days of each metric were like."""
    backend, scope, now = context.backend, context.scope, found.times.now
    start, _ = found.times.day_bounds(last_days(found.times, 14)[0])
    known = set(await backend.measured(scope, found.patient))
    trends = [
        await backend.trend(scope, found.patient, m, start, now + 1, POINTS) for m in SHOWN if m in known
    ]
    return [week for trend in trends if (week := week_of(trend, found.times)) is not None]


async def _told(context: Context, found: Own) -> Sequence[Value]:
    """Symptoms and pain of the last seven days, the newest first."""
    query = ReadingQuery(
        patient=found.patient,
        devices=(manual_device(found.patient),),
        metrics=("symptom", "pain"),
        start=found.times.day_bounds(last_days(found.times)[0])[0],
        limit=WRITTEN,
        newest=True,
    )
    return list(await context.backend.readings(context.scope, query))[::-1]


@router.get("/me/values")
async def values(request: Request, context: Look) -> Response:
    """Each metric: the last seven days against the seven before, in words, a line and a table."""
    found = await own(request, context, "values")
    weeks, told = await _weeks(context, found), await _told(context, found)
    return await part(
        request,
        context,
        found,
        "me_values.html",
        weeks=weeks,
        told=told,
        lines={
            w.metric: svg_line([(p.time, p.mean) for p in w.points], width=720, height=120) for w in weeks
        },
    )


@router.get("/me/sheet")
async def sheet(request: Request, context: Look) -> Response:
    """Seven days on one sheet of A4."""
    found = await own(request, context, "values")
    person = await context.backend.item(context.scope, "patient", found.patient)
    plan = await week_plan(context, found.patient, found.times) if found.sees("plan") else None
    return await part(
        request,
        context,
        found,
        "me_sheet.html",
        person=person if isinstance(person, Patient) else None,
        weeks=await _weeks(context, found),
        told=await _told(context, found),
        plan=plan,
        days=last_days(found.times),
        done=[] if plan is None else by_day(plan.dues, found.times),
    )
