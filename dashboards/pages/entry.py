"""Observations entered by hand on one form: by staff for a patient, by patients for themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from cloud_ingest.entry import UNITS, Draft, EntryError, Problem, manual_device
from dashboards.access import Context, Guard
from dashboards.api.entry import enter, enterable
from dashboards.backend import ReadingQuery
from dashboards.i18n import N_
from dashboards.models import Patient, Value
from dashboards.pages.render import page
from dashboards.problems import MissingError
from dashboards.stays import place_of
from hearthward.core.clock import SECOND, parse_iso
from hearthward.core.codes import METRICS
from hearthward.trust.access import Action, Role

__all__ = ["EntryForm", "blank", "entered_before", "router", "take"]

router = APIRouter(include_in_schema=False)

FIRST: Final = (
    "consciousness",
    "supplemental_oxygen",
    "respiratory_rate",
    "pain",
    "symptom",
    "body_weight",
)
MORE: Final = ("body_temperature", "nibp_systolic", "nibp_diastolic", "pulse_rate", "spo2", "blood_glucose")
OWN_FIRST: Final = ("symptom", "pain")
OWN_MORE: Final = (
    "nibp_systolic",
    "nibp_diastolic",
    "pulse_rate",
    "spo2",
    "body_weight",
    "body_temperature",
    "blood_glucose",
)
SHOWN_S: Final = 24 * 3600
SHOWN: Final = 200
REASONS: Final = {
    "empty": N_("choose or type at least one value"),
    "unknown": N_("is not known"),
    "not_enterable": N_("cannot be entered by hand"),
    "not_yours": N_("is for staff to enter"),
    "number": N_("{value} is not a number"),
    "whole": N_("{value} is not a whole number from {low} to {high}"),
    "range": N_("{value} is not within {low} to {high} {unit}"),
    "code": N_("{value} is none of the choices"),
    "unit": N_("{value} is not one of its units"),
    "order": N_("{value} must be below the systolic pressure of {high} {unit}"),
    "future": N_("is in the future"),
    "old": N_("is more than 24 hours ago"),
    "time": N_("{value} is not a date and time"),
    "id": N_("the form is damaged: open it again"),
    "taken": N_("this form was used already: open it again"),
    "ended": N_("is no longer in care here"),
}
"""What a refused field says on the page, by the code of a Problem."""


@dataclass(frozen=True, slots=True)
class EntryForm:
    """A form as shown: what it asks for, and after a refusal what was typed and what is wrong."""

    id: str
    action: str
    first: Sequence[str]
    more: Sequence[str]
    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[Problem] = ()

    def problem(self, name: str) -> Problem | None:
        """What is wrong with a field."""
        return next((p for p in self.problems if p.field == name), None)

    @property
    def texts(self) -> Mapping[str, str]:
        """Code -> text of a refusal."""
        return REASONS

    @property
    def codes(self) -> Mapping[str, tuple[str, ...]]:
        """The choices of coded metrics; pain is chosen, too."""
        chosen = {m: METRICS[m].codes for m in (*self.first, *self.more) if METRICS[m].codes}
        return {**chosen, "pain": tuple(map(str, range(11)))}

    @property
    def units(self) -> Mapping[str, tuple[str, ...]]:
        """The units of metrics that have several; the first is the metric's own."""
        return {
            m: (METRICS[m].unit or "", *UNITS[m]) for m in ("blood_glucose", "body_temperature") if m in UNITS
        }

    @property
    def own_unit(self) -> Mapping[str, str]:
        """A metric's unit."""
        return {m: METRICS[m].unit or "" for m in (*self.first, *self.more)}


def blank(request: Request, context: Context, action: str, **more: Any) -> EntryForm:
    """A form for the caller to fill in; without an ``id`` it is a new entry."""
    own = Role.PATIENT in context.who.roles
    key = more.pop("id", None) or request.app.state.ids.new("ent")
    return EntryForm(key, action, OWN_FIRST if own else FIRST, OWN_MORE if own else MORE, **more)


def _moment(typed: Mapping[str, str]) -> int | None:
    """The time of a form: local to its zone, unless it says a zone itself. Raises EntryError."""
    text = typed.get("at", "").strip()
    if not text:
        return None
    try:
        local = datetime.fromisoformat(text)
        if local.tzinfo is None:
            local = local.replace(tzinfo=ZoneInfo(typed.get("zone") or "UTC"))
        return parse_iso(local.astimezone(UTC).isoformat())
    except (ValueError, KeyError, OSError, OverflowError) as error:
        raise EntryError(Problem("at", "time", text[:64])) from error


def _draft(context: Context, form: EntryForm) -> Draft:
    """What was typed. Raises EntryError."""
    typed = form.typed
    names = (*form.first, *form.more)
    values = {m: typed[m].strip() for m in names if typed.get(m, "").strip()}
    units = {m: typed[f"unit:{m}"] for m in values if typed.get(f"unit:{m}")}
    return Draft(form.id, values, units, _moment(typed), enterable(context))


async def take(request: Request, context: Context, patient: str, action: str) -> EntryForm | str:
    """Enter what a form brought: the ``group`` of its readings, or when it is refused the form again."""
    typed = {k: str(v) for k, v in (await request.form()).items() if k != "csrf"}
    form = blank(request, context, action, id=typed.pop("entry", ""), typed=typed)
    try:
        done = await enter(context, patient, _draft(context, form))
    except EntryError as error:
        stuck = any(p.field == "id" for p in error.problems)
        return blank(
            request, context, action, id="" if stuck else form.id, typed=typed, problems=error.problems
        )
    return done.items[0].group


async def entered_before(context: Context, patient: str) -> list[list[Value]]:
    """What was entered by hand lately, one list an entry, the newest first."""
    now = context.backend.clock.now_ns()
    query = ReadingQuery(
        patient=patient,
        devices=(manual_device(patient),),
        start=now - SHOWN_S * SECOND,
        limit=SHOWN,
        newest=True,
    )
    found = await context.backend.readings(context.scope, query)
    ordered = sorted(found, key=lambda v: (v.time, v.received, v.group), reverse=True)
    return [sorted(vs, key=_order) for _, vs in groupby(ordered, key=lambda v: v.group)]


def _order(value: Value) -> int:
    names = (*FIRST, *MORE)
    return names.index(value.metric) if value.metric in names else len(names)


async def _show(
    request: Request, context: Context, patient: str, form: EntryForm | None, *, saved: str = ""
) -> Response:
    person = await context.backend.item(context.scope, "patient", patient)
    if not isinstance(person, Patient):
        raise MissingError(kind="patient", key=patient)
    await context.demand(Action.ENTER_READING, "entry", patient=patient, target=patient)
    before = await entered_before(context, patient)
    return page(
        request,
        context,
        "entry.html",
        status=422 if form else 200,
        person=person,
        place=await place_of(context, patient),
        form=form or blank(request, context, _address(patient)),
        saved=next((values for values in before if values[0].group == saved), None),
        before=before,
    )


def _address(patient: str) -> str:
    return f"/patients/{quote(patient, safe='')}/entry"


@router.get("/patients/{patient}/entry")
async def entry_form(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.ENTER_READING, "entry", reads=True))],
    patient: str,
    saved: str = "",
) -> Response:
    """The form, and what was entered before."""
    return await _show(request, context, patient, None, saved=saved)


@router.post("/patients/{patient}/entry")
async def entry(
    request: Request, context: Annotated[Context, Depends(Guard(Action.ENTER_READING, "entry"))], patient: str
) -> Response:
    """Enter; on refusal the form again with what was typed."""
    done = await take(request, context, patient, _address(patient))
    if isinstance(done, EntryForm):
        return await _show(request, context, patient, done)
    return RedirectResponse(f"{_address(patient)}?saved={done}", status_code=303)
