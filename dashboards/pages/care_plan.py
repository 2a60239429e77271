"""The care plan as staff keep it: what a patient is to do, what was done of it, and how much was kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from cloud_ingest.careplan import MEASURED
from dashboards.access import Context, Guard
from dashboards.api.care import PLAN, TaskBody, add_task, allow, end_task
from dashboards.backend import DirectoryError
from dashboards.care_models import CarePlan, TaskDue
from dashboards.models import Patient
from dashboards.own_words import Times, known_zone, last_days
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.me_plan import by_day, week_plan
from dashboards.pages.render import page
from dashboards.problems import MissingError
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
DAYS: Final = (7, 30)
WINDOWS_MIN: Final = (30, 60, 120, 240)
MONDAY: Final = date(2024, 1, 1)
"""Some Monday, to name the days of the week by."""

Look = Annotated[Context, Depends(Guard(Action.VIEW_CARE_PLAN, PLAN, reads=True))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_CARE_PLAN, PLAN))]


def _rows(plan: CarePlan, days: Sequence[Sequence[TaskDue]]) -> list[tuple[TaskDue, list[list[TaskDue]]]]:
    """Each task that had a time in these days, with its times by day."""
    first = {due.task: due for due in reversed(plan.dues)}
    return [(due, [[d for d in day if d.task == task] for day in days]) for task, due in first.items()]


async def _show(
    request: Request, context: Context, patient: str, *, days: int = 7, attempt: Attempt | None = None
) -> Response:
    await allow(context, patient, Action.VIEW_CARE_PLAN, PLAN)
    backend, scope = context.backend, context.scope
    person = await backend.item(scope, "patient", patient)
    if not isinstance(person, Patient) or context.who.patient is not None:
        raise MissingError(kind="patient", key=patient)
    zone = known_zone(await backend.care_zone(scope, patient))
    times = Times(context.language, zone, backend.clock.now_ns())
    span = days if days in DAYS else DAYS[0]
    plan = await week_plan(context, patient, times, span)
    cells = by_day(plan.dues, times, span)
    return page(
        request,
        context,
        "care_plan.html",
        status=422 if attempt else 200,
        person=person,
        times=times,
        plan=plan,
        span=span,
        spans=DAYS,
        days=last_days(times, span),
        rows=_rows(plan, cells),
        metrics=MEASURED,
        windows=WINDOWS_MIN,
        weekday_name=lambda n: times.weekday(MONDAY + timedelta(days=n - 1)),
        attempt=attempt,
        reasons=REASONS,
    )


@router.get("/patients/{patient}/plan")
async def plan(request: Request, context: Look, patient: str, days: int = 7) -> Response:
    """The plan, and what was done of it in the last 7 or 30 days."""
    return await _show(request, context, patient, days=days)


@router.post("/patients/{patient}/plan")
async def add(request: Request, context: Manage, patient: str) -> Response:
    """Plan a task; on refusal the form again with what was typed."""
    form = await form_of(request)
    chosen = [str(day) for day in (await request.form()).getlist("weekdays")]
    try:
        await add_task(context, patient, _body(form, chosen).draft)
    except (ValidationError, DirectoryError) as error:
        attempt = blame("task", form, error)
        attempt.chosen = tuple(chosen)
        return await _show(request, context, patient, attempt=attempt)
    return RedirectResponse(f"/patients/{quote(patient, safe='')}/plan", status_code=303)


def _body(form: dict[str, str], weekdays: Sequence[str]) -> TaskBody:
    """What a form asks for; commas and colons as Chinese keyboards give them, too. Raises ValidationError."""
    kind = form.get("kind", "")
    times = re.split(r"[\s,\uff0c\u3001;]+", form.get("times", "").replace("\uff1a", ":").strip())
    return TaskBody.model_validate(
        {
            "kind": kind,
            "metric": (form.get("metric") or None) if kind == "measure" else None,
            "title": form.get("title", ""),
            "times": [t for t in times if t],
            "weekdays": list(weekdays) or None,
            "timezone": form.get("timezone", "") or form.get("zone", ""),
            "window_s": _window(form.get("window", "")),
            "remind": bool(form.get("remind")),
        }
    )


def _window(minutes: str) -> int:
    """Minutes as typed -> seconds, two hours where they are no number; the records know how many may be."""
    return int(minutes) * 60 if minutes.isdecimal() and len(minutes) < len("10000") else 7200


@router.post("/patients/{patient}/plan/{task}/end")
async def end(context: Manage, patient: str, task: str) -> Response:
    """End a task now; what was done of it stays."""
    await end_task(context, patient, task)
    return RedirectResponse(f"/patients/{quote(patient, safe='')}/plan", status_code=303)
