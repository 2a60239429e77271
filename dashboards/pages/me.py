"""A patient's own page: one sentence, one button, who is watching; how to measure again, how one feels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.aside import parted
from dashboards.backend import AlarmQuery
from dashboards.care_models import TaskDue
from dashboards.models import Alarm, Value
from dashboards.pages.entry import EntryForm, blank, entered_before, take
from dashboards.pages.own import SHOWN, Own, own, own_patient, part
from dashboards.watching import watch_of
from hearthward.core.clock import SECOND
from hearthward.trust.access import Action, Scope

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
REST_NS: Final = 5 * 60 * SECOND
"""How long somebody rests before a blood pressure is measured again (ESC/ESH 2018: five minutes)."""
OPEN_NS: Final = 6 * 3600 * SECOND
"""The longest window of a task."""
TOGETHER_NS: Final = 60 * SECOND
"""Values of one group that are so close are of one measurement."""
GRAVE: Final = ("chest_pain", "breathlessness", "fainting", "weakness")
"""Symptoms that are shown first, with the word of emergency."""
MEASURES: Final = {
    "nibp_systolic": ("nibp_systolic", "nibp_diastolic", "pulse_rate"),
    "pain": ("pain",),
}
"""What is asked for together with a metric."""

Look = Annotated[Context, Depends(Guard(Action.VIEW_OWN_PAGE, "patient", reads=True))]
Poll = Annotated[Context, Depends(Guard(Action.VIEW_OWN_PAGE, "patient"))]
Tell = Annotated[Context, Depends(Guard(Action.ENTER_READING, "entry"))]
Ask = Annotated[Context, Depends(Guard(Action.ENTER_READING, "entry", reads=True))]


@dataclass(frozen=True, slots=True)
class Now:
    """What the page says first. ``kind``: again, task, told, received, hidden (not let be seen) or nothing.

    ``asked``: a second measurement is waited for; ``alarm``: the worst that lasts, where it comes first;
    ``others``: what lasts besides.
    """

    kind: str
    asked: Alarm | None = None
    alarm: Alarm | None = None
    others: Sequence[Alarm] = ()
    rested: int | None = None
    task: TaskDue | None = None
    values: Sequence[Value] = ()


async def _newest(context: Context, found: Own) -> list[Value]:
    if not found.sees("values"):
        return []
    newest, _ = parted(await context.backend.newest(context.scope, found.patient))
    values = [v for v in newest if v.metric in SHOWN]
    return sorted(values, key=lambda v: SHOWN.index(v.metric))


async def _today(context: Context, found: Own) -> Sequence[TaskDue]:
    """What is to be done today, by its time, and what of yesterday can still be done."""
    if not found.sees("plan"):
        return []
    start, end = found.times.day_bounds(found.times.today())
    now = found.times.now
    plan = await context.backend.care_plan(context.scope, found.patient, min(start, now - OPEN_NS), end)
    return [] if plan is None else [d for d in plan.dues if d.due >= start or d.state == "now"]


async def _asked(context: Context, found: Own) -> Alarm | None:
    """The newest second measurement that is waited for."""
    if not found.sees("alarms"):
        return None
    query = AlarmQuery(patient=found.patient, asked=True, limit=1)
    return next(iter(await context.backend.alarms(context.scope, query)), None)


async def _lasting(context: Context, found: Own) -> list[Alarm]:
    """The alarms that last, the worst first."""
    if not found.sees("alarms"):
        return []
    query = AlarmQuery(patient=found.patient, active_only=True, kind="physiological")
    return sorted(
        (a for a in await context.backend.alarms(context.scope, query) if not a.worklist),
        key=lambda a: (("high", "medium", "low").index(a.priority), -a.started),
    )


async def _now(context: Context, found: Own, values: Sequence[Value], today: Sequence[TaskDue]) -> Now:
    asked, lasting = await _asked(context, found), await _lasting(context, found)
    rested = None if asked is None else asked.started + REST_NS
    rested = rested if rested is not None and rested > found.times.now else None
    if lasting and (asked is None or lasting[0].priority == "high"):
        return Now("told", asked, lasting[0], lasting[1:], rested)
    if asked is not None:
        return Now("again", asked, None, lasting, rested)
    task = next((t for t in today if t.state == "now"), None)
    if task is not None:
        return Now("task", task=task)
    if not values:
        return Now("nothing" if found.sees("values") else "hidden")
    last = max(values, key=lambda v: v.time)
    return Now("received", values=[v for v in values if _together(v, last)])


async def _home(request: Request, context: Context, template: str) -> Response:
    found = await own(request, context)
    values, today = await _newest(context, found), await _today(context, found)
    roster = await context.backend.roster(context.scope)
    duty = await context.backend.duty(Scope.system(context.who.tenant))
    return await part(
        request,
        context,
        found,
        template,
        refreshed=template == "me_live.html",
        now=await _now(context, found, values, today),
        values=values,
        partner=lambda v: _other_half(v, values, "nibp_systolic", "nibp_diastolic"),
        paired=lambda v: _other_half(v, values, "nibp_diastolic", "nibp_systolic") is not None,
        today=today,
        following=next((t for t in today if t.state == "later"), None),
        watch=watch_of(duty, found.patient, found.times.now),
        ward=next((e.ward_name for e in roster if e.patient == found.patient), ""),
    )


def _other_half(value: Value, values: Sequence[Value], one: str, other: str) -> Value | None:
    """Of a blood pressure's ``one`` value the ``other`` of the same measurement."""
    same = (v for v in values if v.metric == other and _together(v, value))
    return next(same, None) if value.metric == one else None


def _together(one: Value, other: Value) -> bool:
    """Whether two values are of one measurement."""
    return one.group == other.group and abs(one.time - other.time) < TOGETHER_NS


@router.get("/me")
async def me(request: Request, context: Look) -> Response:
    """What matters now, who is watching, what is to be done today, and the newest values."""
    return await _home(request, context, "me.html")


@router.get("/me/now")
async def now(request: Request, context: Poll) -> Response:
    """What changes on the page again, while it is open (its opening was audited)."""
    return await _home(request, context, "me_live.html")


# --- measuring ------------------------------------------------------------------------------------------


def _numbers(form: EntryForm, metric: str) -> EntryForm:
    """The form with what is measured only; ``metric`` alone, and what goes with it, where it is asked for."""
    asked = [m for m in MEASURES.get(metric, (metric,)) if m in (*form.first, *form.more)]
    rest = [m for m in form.more if m not in asked]
    return replace(form, first=asked, more=() if asked else rest)


async def _measure(
    request: Request, context: Context, form: EntryForm | None, *, metric: str = "", saved: str = ""
) -> Response:
    found = await own(request, context)
    asked = await _asked(context, found)
    rested = None if asked is None else asked.started + REST_NS
    before = await entered_before(context, found.patient)
    return await part(
        request,
        context,
        found,
        "me_measure.html",
        status=422 if form else 200,
        form=_numbers(form or blank(request, context, _address(metric)), metric),
        metric=metric,
        asked=asked,
        rested=rested if rested is not None and rested > found.times.now else None,
        values=await _newest(context, found),
        saved=next((values for values in before if values[0].group == saved), None),
    )


def _address(metric: str) -> str:
    return f"/me/measure?metric={metric}" if metric in SHOWN else "/me/measure"


@router.get("/me/measure")
async def measure(request: Request, context: Ask, metric: str = "", saved: str = "") -> Response:
    """How to measure, what has come, and a form for what no device sends."""
    return await _measure(request, context, None, metric=metric, saved=saved)


@router.post("/me/measure")
async def measured(request: Request, context: Tell, metric: str = "") -> Response:
    """Enter what was measured; on refusal the form again with what was typed."""
    done = await take(request, context, own_patient(context), _address(metric))
    if isinstance(done, EntryForm):
        return await _measure(request, context, done, metric=metric)
    mark = "&" if metric in SHOWN else "?"
    return RedirectResponse(f"{_address(metric)}{mark}saved={done}", status_code=303)


# --- how one feels ----------------------------------------------------------------------------------------


async def _feel(request: Request, context: Context, form: EntryForm | None, *, saved: str = "") -> Response:
    found = await own(request, context)
    before = await entered_before(context, found.patient)
    form = form or blank(request, context, "/me/feel")
    return await part(
        request,
        context,
        found,
        "me_feel.html",
        status=422 if form.problems else 200,
        form=form,
        symptoms=[c for c in form.codes["symptom"] if c not in GRAVE],
        grave=[c for c in GRAVE if c in form.codes["symptom"]],
        saved=next((values for values in before if values[0].group == saved), None),
    )


@router.get("/me/feel")
async def feel(request: Request, context: Ask, saved: str = "") -> Response:
    """How are you? One click tells a symptom."""
    return await _feel(request, context, None, saved=saved)


@router.post("/me/feel")
async def felt(request: Request, context: Tell) -> Response:
    """Tell a symptom or a pain."""
    done = await take(request, context, own_patient(context), "/me/feel")
    if isinstance(done, EntryForm):
        return await _feel(request, context, done)
    return RedirectResponse(f"/me/feel?saved={done}", status_code=303)
