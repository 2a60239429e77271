"""What if: a rule's numbers moved and tried on the last days' readings, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.api.whatif import HOME, Try, TryDraft, job_of, numbers_of, rule_to_try, start_try, view_of
from dashboards.backend import DirectoryError
from dashboards.drawings import Series, columns
from dashboards.i18n import N_, translations
from dashboards.models import Ward
from dashboards.pages.alarms import places
from dashboards.pages.burden_chart import day_labels, days_between
from dashboards.pages.render import is_htmx, page
from dashboards.pages.rules import REASONS as RULE_REASONS
from dashboards.problems import MissingError
from dashboards.tries import Job
from dashboards.whatif_models import TryView
from hearthward.core.text import natural
from hearthward.trust.access import Action
from rules.examples import failures
from rules.loader import load_rule
from rules.telling import lasting
from rules.whatif import LISTED, SHORT_S

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
DAYS: Final = (1, 3, 7, 14, 30)
USUAL_DAYS: Final = 7
PREFIX: Final = "to:"
REASONS: Final = {
    **RULE_REASONS,
    "unknown": N_("does not exist: {value}"),
    "busy": N_("too many trials are waiting already; try again when one of them is done"),
    "nobody": N_("nobody was in care there in this period"),
    "bounds": N_("more than {value} patients were in care there; choose a ward"),
}
NAMES: Final = {
    "value": N_("limit"),
    "hysteresis": N_("clears only this far back"),
    "by": N_("change"),
    "clear_below": N_("clears below"),
    "for_s": N_("time without data"),
    "within_s": N_("within"),
    "at_least": N_("at least so many times"),
    "after_s": N_("measured again not before"),
    "timeout_s": N_("waits for the second measurement"),
    "delay_s": N_("told after"),
    "clear_after_s": N_("clears after"),
    "window_s": N_("mean or median over"),
    "above": N_("only values above"),
}
"""What a number is called that is no parameter."""
SCORES: Final = {"news2": "NEWS2", "news2_three": "NEWS2"}
Draft = Annotated[Context, Depends(Guard(Action.DRAFT_RULE, "rule"))]


@router.get("/rules/{rule}/try")
async def form(request: Request, context: Try, rule: str) -> Response:
    """The rule's numbers, and on which history they are to be tried; filled in from the address."""
    return await _form(request, context, rule, request.query_params)


@router.post("/rules/{rule}/try")
async def start(request: Request, context: Try, rule: str) -> Response:
    """Begin, and go to where it can be watched."""
    given = {k: str(v) for k, v in (await request.form()).items()}
    moved = {k.removeprefix(PREFIX): v for k, v in given.items() if k.startswith(PREFIX) and v.strip()}
    rest = {k: v for k, v in given.items() if k in {"days", "ward", "patient"}}
    rest["zone"] = given.get("zone") or context.zone
    try:
        job = await start_try(context, request, rule, TryDraft.model_validate({"moved": moved, **rest}))
    except ValidationError as error:
        place = [str(part) for part in error.errors()[0]["loc"]]
        value = str(error.errors()[0]["input"])
        return await _form(request, context, rule, given, wrong=(place[-1], "invalid", value))
    except DirectoryError as error:
        return await _form(request, context, rule, given, wrong=(error.field, error.code, error.value))
    return RedirectResponse(f"/rules/{rule}/try/{job.id}", status_code=303)


@router.get("/rules/{rule}/try/{key}")
async def tried(request: Request, context: Try, rule: str, key: str) -> Response:
    """How far it is, again each second; then what came of it."""
    job = await job_of(context, request, rule, key)
    if not is_htmx(request):
        return await _show(request, context, job)
    if job.open:
        return page(request, context, "tried_progress.html", found=view_of(job))
    return Response(headers={"HX-Refresh": "true"})


@router.post("/rules/{rule}/try/{key}/cancel")
async def cancel(request: Request, context: Try, rule: str, key: str) -> Response:
    """Give it up."""
    request.app.state.tries.cancel(await job_of(context, request, rule, key))
    return RedirectResponse(f"/rules/{rule}/try/{key}", status_code=303)


@router.get("/rules/{rule}/try/{key}/draft")
async def as_draft(request: Request, context: Draft, rule: str, key: str) -> Response:
    """The rule's file with the numbers moved, to be looked at and kept as a draft."""
    job = await job_of(context, request, rule, key)
    return page(
        request,
        context,
        "tried_draft.html",
        rule=rule,
        found=view_of(job),
        text=job.text,
        failing=list(failures(load_rule(job.text, rule))),
    )


async def _form(
    request: Request,
    context: Context,
    rule: str,
    given: Mapping[str, str],
    *,
    wrong: tuple[str, str, str] | None = None,
) -> Response:
    try:
        detail = await rule_to_try(context, rule)
    except DirectoryError as error:  # no page leads there
        raise MissingError(kind="rule", key=rule) from error
    wards = await context.backend.items(context.scope, "ward")
    return page(
        request,
        context,
        "try.html",
        status=422 if wrong else 200,
        detail=detail,
        numbers=numbers_of(detail),
        given=given,
        prefix=PREFIX,
        days=DAYS,
        usual=USUAL_DAYS,
        wards=[w for w in wards if isinstance(w, Ward)],
        home=HOME,
        wrong=wrong,
        reasons=REASONS,
        **_words(context),
    )


async def _show(request: Request, context: Context, job: Job) -> Response:
    found = view_of(job)
    detail = await context.backend.rule(context.scope, job.rule)
    named = await places(context, [one.patient for one in found.patients] + found.left)
    return page(
        request,
        context,
        "tried.html",
        found=found,
        detail=detail,
        ward=job.ward,
        places=named,
        beds=sorted(found.patients, key=lambda one: natural(named.get(one.patient, ""))),
        charts=_charts(context, found),
        listed=LISTED,
        short=SHORT_S,
        may_draft=context.may(Action.DRAFT_RULE, "rule"),
        again=_again(job, found),
        **_words(context),
    )


def _again(job: Job, found: TryView) -> dict[str, str]:
    """The form's fields as they were, to change them and try again."""
    days = round((found.end - found.start) / 86_400e9)
    moved = {PREFIX + n.path: f"{n.moved:g}" for n in found.numbers}
    return {**moved, "days": str(days), "ward": job.ward}


def _charts(context: Context, found: TryView) -> dict[str, Any]:
    """Alarms by day before and after; empty while there is nothing to draw."""
    if found.before is None or found.after is None:
        return {}
    days = days_between(found.start, found.end, found.zone)
    gettext = translations(context.language).gettext
    sides = (gettext("as it is"), "before", found.before), (gettext("changed"), "after", found.after)
    series = [Series(name, style, [side.by_day.get(d, 0) for d in days]) for name, style, side in sides]
    text = gettext("{before} alarms as the rule is, {after} with the change, over {n} days")
    told = text.format(before=found.before.alarms, after=found.after.alarms, n=len(days))
    drawn = columns(
        day_labels(context, days), series, title=gettext("Alarms by day"), description=told, stacked=False
    )
    return {"days": days, "series": series, "drawn": drawn} if days else {}


def _words(context: Context) -> dict[str, Any]:
    return {
        "tongue": context.language.split("_", maxsplit=1)[0],
        "names": NAMES,
        "scores": SCORES,
        "lasting": lasting,
    }
