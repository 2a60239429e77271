"""Escalation policies: what they say, whom they would tell now, new versions, putting one in force."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft
from dashboards.api.limits import patient_of
from dashboards.api.staff import CONFLICT, audited, found
from dashboards.backend import DirectoryError
from dashboards.duty_views import ToldNow, told_now
from dashboards.problems import ERROR_RESPONSES
from dashboards.staff_models import PolicyVersion
from hearthward.trust.access import Action
from rules.response.policies import TIMETABLES

__all__ = ["PolicyBody", "activate_policy", "draft_policy", "router", "rules_using", "told"]

router = APIRouter(prefix="/api/v1/escalation", tags=["escalation"], responses=ERROR_RESPONSES)
KIND: Final = "escalation"
MAX_TEXT: Final = 64_000

See = Annotated[Context, Depends(Guard(Action.VIEW_STAFF, KIND))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_ESCALATION, KIND))]


class PolicyBody(Draft):
    """A new version of a policy."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="YAML")]


class PolicyList(BaseModel):
    """Policies, or versions of one."""

    items: list[PolicyVersion]


@router.get("")
async def list_policies(context: See) -> PolicyList:
    """The policies in force."""
    return PolicyList(items=list(await context.backend.policies(context.scope)))


@router.get("/{policy}")
async def get_policy(context: See, policy: str) -> PolicyList:
    """All versions of a policy, the newest first."""
    versions = await context.backend.policy(context.scope, policy)
    return PolicyList(items=list(found(versions, "policy", policy)))


@router.get("/{policy}/now")
async def get_told(
    context: See,
    policy: str,
    alarm: str = "physiological.high",
    patient: str | None = None,
    ward: str | None = None,
) -> ToldNow:
    """Whom the policy in force would tell now of an alarm of a patient, or about a ward, step by step."""
    return await told(context, policy, alarm, patient=patient, ward=ward)


@router.post("", status_code=201, responses=CONFLICT)
async def post_policy(context: Manage, body: PolicyBody) -> PolicyVersion:
    """Enter a version; it is checked now and holds only once it is put in force."""
    return await draft_policy(context, body)


@router.post("/{policy}/versions/{version}/activate", responses=CONFLICT)
async def post_activate(context: Manage, policy: str, version: int) -> PolicyVersion:
    """Put a version in force; the one before no longer is."""
    return await activate_policy(context, policy, version)


async def told(context: Context, key: str, alarm: str, *, patient: str | None, ward: str | None) -> ToldNow:
    """Whom a policy would tell now. Raises MissingError, AccessError, DirectoryError."""
    if alarm not in TIMETABLES:
        raise DirectoryError(field="alarm", code="unknown", value=alarm)
    if patient:
        await context.demand(Action.VIEW_WARD, "patient", patient=patient, target=patient)
        await patient_of(context, patient)
    elif ward and await context.backend.item(context.scope, "ward", ward) is None:
        raise DirectoryError(field="ward", code="unknown", value=ward)
    duty = await context.backend.duty(context.scope)
    policy = found(duty.policies.get(key), "policy", key)
    now = context.backend.clock.now_ns()
    return told_now(duty, policy, alarm, patient=patient or None, ward=ward or None, at=now)


async def rules_using(context: Context) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """Policy -> the rules in force (id, title) whose alarms it escalates."""
    using: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for rule in await context.backend.rules(context.scope):
        if rule.state != "shadow":
            using.setdefault(rule.escalation, []).append((rule.id, rule.title))
    return using


async def draft_policy(context: Context, body: PolicyBody) -> PolicyVersion:
    """Enter a version, audited. Raises DirectoryError (``text``, ``version``), AccessError."""
    act = context.backend.draft_policy(context.scope, body.text, who=context.who)
    made = await audited(context, Action.MANAGE_ESCALATION, KIND, act)
    detail = {"do": "draft", "version": made.version}
    await context.audit(Action.MANAGE_ESCALATION, KIND, target=made.id, detail=detail)
    return made


async def activate_policy(context: Context, key: str, version: int) -> PolicyVersion:
    """Put a version in force, audited. Raises MissingError, DirectoryError, AccessError."""
    act = context.backend.activate_policy(context.scope, key, version, who=context.who)
    answer = await audited(context, Action.MANAGE_ESCALATION, KIND, act, target=key)
    done = found(answer, "policy", f"{key} v{version}")
    detail = {"do": "activate", "version": version}
    await context.audit(Action.MANAGE_ESCALATION, KIND, target=key, detail=detail)
    return done
