"""The rules in force, each in full, and their release step by step."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from cloud_ingest.records.releases import STEPS, Act
from dashboards.access import Context, Guard
from dashboards.api.rules import ACTIONS, RuleDraft, advance, draft_rule
from dashboards.backend import AlarmQuery, DirectoryError
from dashboards.i18n import N_
from dashboards.pages.alarms import places
from dashboards.pages.calibration import calibration_part
from dashboards.pages.render import page
from dashboards.problems import MissingError
from dashboards.rule_models import Release, RuleDetail
from hearthward.trust.access import Action
from rules import Rule
from rules.context import Context as Known
from rules.explain import explain
from rules.rule_words import about
from rules.state import Subject

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
REASONS: Final = {
    "required": N_("is required"),
    "invalid": N_("is not valid: {value}"),
    "taken": N_("is known already: {value}; raise the rule's version"),
    "state": N_("it is {value}; this step does not lead on from there"),
    "trial": N_("another release of this rule is on trial: {value}; activate or withdraw it first"),
    "examples": N_("its own examples fail: {value}"),
    "stages": N_(
        "the stages of one alarm do not fit: {value}; put the other one in force first, or mend this one"
    ),
    "rule": N_("the rule is not accepted: {value}"),
}
TRIALS: Final = 50
"""So many of a trial's are shown."""
OPEN: Final = frozenset({"draft", "shadow", "approved"})
STATES: Final = {
    "draft": N_("draft"),
    "shadow": N_("on trial"),
    "approved": N_("approved, still on trial"),
    "active": N_("in force"),
    "retired": N_("replaced"),
    "rolled_back": N_("rolled back"),
    "withdrawn": N_("withdrawn"),
}
ACTS: Final[dict[Act, str]] = {
    "shadow": N_("Put on trial"),
    "approve": N_("Approve"),
    "activate": N_("Put in force"),
    "rollback": N_("Roll back"),
    "withdraw": N_("Withdraw"),
}
DONE: Final = {
    "draft": N_("The draft is kept. Nothing has changed yet."),
    "shadow": N_("On trial: decided beside the rule in force, never signalled."),
    "approve": N_("Approved. It can be put in force now."),
    "activate": N_("In force from now on."),
    "rollback": N_("Rolled back: what was in force before is in force again."),
    "withdraw": N_("Withdrawn."),
}

See = Annotated[Context, Depends(Guard(Action.VIEW_RULES, "rule"))]
Write = Annotated[Context, Depends(Guard(Action.DRAFT_RULE, "rule"))]


@router.get("/rules")
async def rules(request: Request, context: See) -> Response:
    """Every rule in force and on trial, on one page."""
    return await _list(request, context)


@router.get("/rules/{rule}")
async def rule_page(request: Request, context: See, rule: str, done: str = "") -> Response:
    """One rule: what it says, where that comes from, and how it came into force."""
    return await _detail(request, context, rule, done=DONE.get(done, ""))


@router.post("/rules/drafts")
async def draft(request: Request, context: Write) -> Response:
    """Enter a draft."""
    form = {k: str(v).replace("\r\n", "\n") for k, v in (await request.form()).items() if k != "csrf"}
    try:
        made = await draft_rule(context, RuleDraft.model_validate(form))
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        return await _list(request, context, form=form, wrong=("required", name))
    except DirectoryError as error:
        return await _list(request, context, form=form, wrong=(error.code, error.value))
    return RedirectResponse(f"/rules/{made.rule}?done=draft", status_code=303)


def _add(act: Act) -> None:
    guard = Annotated[Context, Depends(Guard(ACTIONS[act], "rule"))]

    async def take(request: Request, context: Context, release: str) -> Response:
        try:
            done = await advance(context, release, act)
        except DirectoryError as error:
            rule = next(
                (r.rule for r in await context.backend.releases(context.scope) if r.id == release), ""
            )
            return await _detail(request, context, rule, wrong=(error.code, error.value))
        return RedirectResponse(f"/rules/{done.rule}?done={act}", status_code=303)

    take.__name__ = f"{act}_release"
    take.__annotations__.update({"context": guard, "request": Request, "return": Response})
    router.add_api_route(
        f"/rules/releases/{{release}}/{act}", take, methods=["POST"], response_class=Response
    )


for _act in STEPS:
    _add(_act)


async def _list(
    request: Request,
    context: Context,
    *,
    form: Mapping[str, str] | None = None,
    wrong: tuple[str, str] | None = None,
) -> Response:
    return page(
        request,
        context,
        "rules.html",
        status=422 if wrong else 200,
        rules=await context.backend.rules(context.scope),
        releases=(releases := await context.backend.releases(context.scope)),
        under_way=[(r, [act for act, _ in _acts(context, r)]) for r in releases if r.state in OPEN],
        **_words(context),
        form=form or {},
        wrong=wrong,
    )


async def _detail(
    request: Request,
    context: Context,
    rule: str,
    *,
    done: str = "",
    wrong: tuple[str, str] | None = None,
) -> Response:
    found = await context.backend.rule(context.scope, rule)
    if found is None:
        raise MissingError(kind="rule", key=rule)
    return page(
        request,
        context,
        "rule.html",
        status=409 if wrong else 200,
        detail=found,
        may_try=_may_try(context, found),
        words=_in_words(found),
        trials=await _trials(context, found),
        acts={release.id: _acts(context, release) for release in found.releases},
        changes={r.id: _changes(found.text, found.texts[r.id]) for r in found.releases if r.state in OPEN},
        **_words(context),
        **calibration_part(request, context, found),
        done=done,
        wrong=wrong,
    )


def _in_words(found: RuleDetail) -> dict[str, Any]:
    """The rule in force in sentences: its condition as a tree, then its times; empty for one not kept."""
    if found.rule is None:
        return {}
    shown = next((v for v in found.versions if v.hash == found.rule.hash), None)
    if shown is None:
        return {}
    rule = Rule.from_content(shown.content)
    return {"condition": explain(rule, Subject(), Known(), 0).root, "about": list(about(rule))}


async def _trials(context: Context, found: RuleDetail) -> dict[str, Any]:
    """What the rule on trial would have signalled; empty for who may not see alarms of patients."""
    trial = found.rule.trial if found.rule else None
    if trial is None or not context.may(Action.VIEW_ALARMS, "alarm"):
        return {}
    query = AlarmQuery(rule=found.id, trial=True, start=trial.since, limit=TRIALS)
    rows = [
        a
        for a in await context.backend.alarms(context.scope, query)
        if a.rule_hash == trial.release.hash and not a.worklist
    ]
    await context.audit(Action.VIEW_ALARMS, "alarm", target=found.id, detail={"trial": trial.release.id})
    return {"rows": rows, "places": await places(context, [a.patient for a in rows])}


def _may_try(context: Context, found: RuleDetail) -> bool:
    """Whether what-if is offered: a rule in force, about patients, whose file is at hand."""
    rule = found.rule
    tried = rule is not None and rule.subject == "patient" and rule.state != "shadow" and bool(found.text)
    return tried and context.may(Action.TRY_RULE, "rule")


def _acts(context: Context, release: Release) -> list[tuple[Act, str]]:
    """The steps that this person may take with a release now; nobody approves what they wrote."""
    return [
        (act, ACTS[act])
        for act, step in STEPS.items()
        if release.state in step.sources
        and context.may(ACTIONS[act], "rule")
        and not (act == "approve" and release.author_id == context.who.user)
    ]


def _changes(old: str, new: str) -> str:
    """What a release changes of the text in force, line by line; what is approved must be seen."""
    return "\n".join(list(unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=3))[2:])


def _words(context: Context) -> dict[str, Any]:
    return {
        "tongue": context.language.split("_", maxsplit=1)[0],
        "states": STATES,
        "reasons": REASONS,
        "may_draft": context.may(Action.DRAFT_RULE, "rule"),
    }
