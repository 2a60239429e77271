"""Why an alarm fired, and why a rule did not: pages for people who look after patients."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.access import Context, Guard
from dashboards.api.why import why_not_of, why_of
from dashboards.backend import DirectoryError
from dashboards.i18n import N_
from dashboards.pages.render import page
from dashboards.problems import MissingError
from dashboards.subjects import name_of
from dashboards.zones import local_iso, moment_in
from hearthward.core.clock import iso
from hearthward.trust.access import Action
from rules.telling import lasting, source

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
KINDS: Final = {
    "alarm": N_("Alarm"),
    "asked": N_("Second measurement asked for"),
    "worklist": N_("Worklist: no alarm, it came too late to signal"),
    "trial": N_("Trial: no alarm, a rule on trial would have signalled"),
}
STATES: Final = {
    "active": N_("active"),
    "asked": N_("waits for the second measurement"),
    "pending": N_("pending"),
    "inactive": N_("ended"),
}
OUTCOMES: Final = {
    "fired": N_("It did fire"),
    "active": N_("It was active already"),
    "pending": N_("Its delay was not over"),
    "asked": N_("A second measurement was waited for"),
    "trial": N_("Only on trial"),
    "blocked": N_("It did not fire"),
}
REASONS: Final = {
    "unknown": N_("there is no such rule: {value}"),
    "future": N_("the time is still to come: {value}"),
    "invalid": N_("is not valid: {value}"),
}


@router.get("/alarms/{alarm}/why")
async def why(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.VIEW_ALARMS, "alarm", reads=True))],
    alarm: str,
) -> Response:
    """One alarm in full."""
    found = await why_of(context, alarm)
    return page(
        request,
        context,
        "why.html",
        found=found,
        subject=await name_of(context.backend, context.scope, found.patient) if found.patient else "",
        kinds=KINDS,
        states=STATES,
        **_words(context),
    )


@router.get("/patients/{patient}/why-not")
async def why_not(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "patient", reads=True))],
    patient: str,
    rule: str = "",
    at: str = "",
) -> Response:
    """A form for rule and time, and the answer."""
    person = await context.backend.item(context.scope, "patient", patient)
    if person is None:
        raise MissingError(kind="patient", key=patient)
    found, wrong = None, None
    if rule:
        try:
            found = await why_not_of(context, patient, rule, _moment(context, at))
        except DirectoryError as error:
            wrong = error.field, REASONS.get(error.code, REASONS["invalid"]), error.value
    now = context.backend.clock.now_ns() if found is None else found.at
    return page(
        request,
        context,
        "why_not.html",
        status=422 if wrong else 200,
        person=person,
        rules=await context.backend.rules(context.scope),
        found=found,
        wrong=wrong,
        asked={"rule": rule, "at": at if wrong and wrong[0] == "at" else local_iso(now, context.zone)},
        outcomes=OUTCOMES,
        **_words(context),
    )


def _moment(context: Context, at: str) -> str | None:
    """What was typed, in the page's zone unless it says one. Raises DirectoryError."""
    try:
        return iso(moment_in(at, context.zone)) if at else None
    except (ValueError, OverflowError) as error:
        raise DirectoryError(field="at", code="invalid", value=at) from error


def _words(context: Context) -> dict[str, Any]:
    return {"tongue": context.language.split("_", maxsplit=1)[0], "lasting": lasting, "source": source}
