"""Rules: what is in force, what each says, and their release in steps that two people take."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest.records.releases import Act
from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from dashboards.rule_models import Release, RuleDetail, RuleView
from hearthward.core.errors import AccessError
from hearthward.trust.access import Action

__all__ = ["ACTIONS", "RuleDraft", "advance", "draft_rule", "router"]

router = APIRouter(prefix="/api/v1/rules", tags=["rules"], responses=ERROR_RESPONSES)
T = TypeVar("T")
KIND: Final = "rule"
CONFLICT: Final[dict[int | str, dict[str, object]]] = {409: {"model": Problem, "description": "Conflict"}}
MAX_TEXT: Final = 100_000
ACTIONS: Final[dict[Act, Action]] = {
    "shadow": Action.DRAFT_RULE,
    "withdraw": Action.DRAFT_RULE,
    "approve": Action.APPROVE_RULE,
    "activate": Action.APPROVE_RULE,
    "rollback": Action.APPROVE_RULE,
}
"""Who may take which step of a release."""

See = Annotated[Context, Depends(Guard(Action.VIEW_RULES, KIND))]
Write = Annotated[Context, Depends(Guard(Action.DRAFT_RULE, KIND))]
Approve = Annotated[Context, Depends(Guard(Action.APPROVE_RULE, KIND))]


class RuleDraft(Draft):
    """A site's own version of a rule; its text is kept as it is."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)

    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="the rule's file, YAML")]
    note: str = Field("", max_length=500, description="why", examples=["fewer alarms at night"])


class RuleList(BaseModel):
    """Rules in force and on trial, by id."""

    items: list[RuleView]


class ReleaseList(BaseModel):
    """Releases, newest first."""

    items: list[Release]


@router.get("")
async def list_rules(context: See) -> RuleList:
    """Every rule in force with its version, hash and limit, and what is on trial beside it."""
    return RuleList(items=list(await context.backend.rules(context.scope)))


@router.get("/releases")
async def list_releases(context: See) -> ReleaseList:
    """Every release that there ever was."""
    return ReleaseList(items=list(await context.backend.releases(context.scope)))


@router.get("/{rule}")
async def get_rule(context: See, rule: str) -> RuleDetail:
    """One rule: its text, its releases, and every content that it ever had."""
    found = await context.backend.rule(context.scope, rule)
    if found is None:
        raise MissingError(kind=KIND, key=rule)
    return found


@router.post("/drafts", status_code=201, responses=CONFLICT)
async def post_draft(context: Write, body: RuleDraft) -> Release:
    """Enter a draft; it is checked strictly, and refused with file and line."""
    return await draft_rule(context, body)


@router.post("/releases/{release}/shadow", responses=CONFLICT)
async def shadow(context: Write, release: str) -> Release:
    """Put a draft on trial: decided beside the rule in force, never signalled. Its examples must hold."""
    return await advance(context, release, "shadow")


@router.post("/releases/{release}/approve", responses=CONFLICT)
async def approve(context: Approve, release: str) -> Release:
    """Approve what somebody else wrote and put on trial."""
    return await advance(context, release, "approve")


@router.post("/releases/{release}/activate", responses=CONFLICT)
async def activate(context: Approve, release: str) -> Release:
    """Put an approved release in force, in the place of the rule of that id."""
    return await advance(context, release, "activate")


@router.post("/releases/{release}/rollback", responses=CONFLICT)
async def rollback(context: Approve, release: str) -> Release:
    """Take the active release out of force; what it replaced is in force again."""
    return await advance(context, release, "rollback")


@router.post("/releases/{release}/withdraw", responses=CONFLICT)
async def withdraw(context: Write, release: str) -> Release:
    """Give up a release that was never active."""
    return await advance(context, release, "withdraw")


async def draft_rule(context: Context, body: RuleDraft) -> Release:
    """Enter a draft for the caller, audited with its hash. Raises RuleFileError and the port's refusals."""
    work = context.backend.draft_rule(context.scope, body.text, note=body.note, who=context.who)
    made = await _audited(context, work, Action.DRAFT_RULE)
    await context.audit(Action.DRAFT_RULE, KIND, target=made.rule, detail=_detail(made, "draft"))
    return made


async def advance(context: Context, release: str, act: Act) -> Release:
    """Take a release one step for the caller, audited with its hash. Raises the port's refusals."""
    action = ACTIONS[act]
    work = context.backend.advance_release(context.scope, release, act, who=context.who)
    done = await _audited(context, work, action, release)
    if done is None:
        raise MissingError(kind="release", key=release)
    await context.audit(action, KIND, target=done.rule, detail=_detail(done, act))
    return done


def _detail(release: Release, do: str) -> dict[str, object]:
    return {
        "do": do,
        "release": release.id,
        "version": release.version,
        "hash": release.hash,
        "state": release.state,
    }


async def _audited(context: Context, act: Awaitable[T], action: Action, target: str = "") -> T:
    """What ``act`` gives; a refusal for the caller's scope or person is audited as the guard's are."""
    try:
        return await act
    except AccessError:
        await context.audit(action, KIND, target=target, outcome="refused")
        raise
