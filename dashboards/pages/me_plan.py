"""A patient's care plan: what is to be done today, what was done in the last days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.care import PLAN, mark_task
from dashboards.backend import DirectoryError
from dashboards.care_models import CarePlan, TaskDue
from dashboards.own_words import Times, last_days
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.own import Own, own, own_patient, part
from dashboards.problems import MissingError
from hearthward.core.clock import parse_iso
from hearthward.trust.access import Action

__all__ = ["by_day", "router", "week_plan"]

router = APIRouter(include_in_schema=False)

Look = Annotated[Context, Depends(Guard(Action.VIEW_OWN_PAGE, PLAN, reads=True))]
Do = Annotated[Context, Depends(Guard(Action.MARK_TASK, PLAN))]


async def week_plan(context: Context, patient: str, times: Times, days: int = 7) -> CarePlan:
    """The plan of the last ``days`` days with today to its end. Raises MissingError."""
    start, _ = times.day_bounds(last_days(times, days)[0])
    _, end = times.day_bounds(times.today())
    found = await context.backend.care_plan(context.scope, patient, start, end)
    if found is None:
        raise MissingError(kind="patient", key=patient)
    return found


def by_day(dues: Sequence[TaskDue], times: Times, days: int = 7) -> list[list[TaskDue]]:
    """The times of each of the last days, the earliest day first."""
    kept: dict[object, list[TaskDue]] = {day: [] for day in last_days(times, days)}
    for due in dues:
        kept.get(times.local(due.due).date(), []).append(due)
    return list(kept.values())


async def _show(request: Request, context: Context, found: Own, attempt: Attempt | None = None) -> Response:
    plan = await week_plan(context, found.patient, found.times)
    days = by_day(plan.dues, found.times)
    return await part(
        request,
        context,
        found,
        "me_plan.html",
        status=422 if attempt else 200,
        plan=plan,
        days=list(zip(last_days(found.times), days, strict=True)),
        today=days[-1],
        attempt=attempt,
        reasons=REASONS,
    )


@router.get("/me/plan")
async def plan(request: Request, context: Look) -> Response:
    """Today and the last seven days."""
    return await _show(request, context, await own(request, context, "plan"))


@router.post("/me/plan/{task}")
async def mark(request: Request, context: Do, task: str) -> Response:
    """Say that something was done, or skipped."""
    patient = own_patient(context)
    form = await form_of(request)
    state: Literal["done", "skipped"] = "done" if form.get("state") == "done" else "skipped"
    try:
        due = parse_iso(form.get("due", ""))
    except ValueError as error:
        raise MissingError(kind="time", key=form.get("due", "")[:40]) from error
    try:
        await mark_task(context, patient, task, due, state=state, note=form.get("note", ""))
    except DirectoryError as error:
        return await _show(request, context, await own(request, context), blame("mark", form, error))
    return RedirectResponse("/me#today" if form.get("back") == "home" else "/me/plan", status_code=303)
