"""Escalation policies as readable timetables, whom they would tell now, and new versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.api.escalation import PolicyBody, activate_policy, draft_policy, rules_using, told
from dashboards.api.staff import found
from dashboards.backend import DirectoryError
from dashboards.duty_views import ToldNow
from dashboards.models import Ward
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.render import page
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

See = Annotated[Context, Depends(Guard(Action.VIEW_STAFF, "escalation"))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_ESCALATION, "escalation"))]


@router.get("/escalation")
async def escalation(request: Request, context: See) -> Response:
    """The policies in force."""
    return await _list(request, context)


@router.get("/escalation/{policy}")
async def policy(
    request: Request,
    context: See,
    policy: str,
    alarm: str = "",
    patient: str = "",
    ward: str = "",
    done: str = "",
) -> Response:
    """One policy: its versions, whom it would tell now, and a text to make a new version from."""
    asked = {"alarm": alarm, "patient": patient, "ward": ward}
    return await _show(request, context, policy, asked=asked, done=done)


@router.post("/escalation")
async def post_policy(request: Request, context: Manage) -> Response:
    """Enter a new version; ``policy`` is the page that it came from."""
    form = await form_of(request)
    text = str((await request.form()).get("text", "")).replace("\r\n", "\n")
    try:
        made = await draft_policy(context, PolicyBody.model_validate({"text": text}))
    except (ValidationError, DirectoryError) as error:
        attempt = blame("text", {**form, "text": text}, error)
        key = form.get("policy", "")
        if await context.backend.policy(context.scope, key):
            return await _show(request, context, key, attempt=attempt)
        return await _list(request, context, attempt=attempt)
    return RedirectResponse(f"/escalation/{made.id}?done=draft#versions", status_code=303)


@router.post("/escalation/{policy}/versions/{version}/activate")
async def post_activate(request: Request, context: Manage, policy: str, version: int) -> Response:
    """Put a version in force."""
    try:
        await activate_policy(context, policy, version)
    except DirectoryError as error:
        return await _show(request, context, policy, attempt=blame(f"version-{version}", {}, error))
    return RedirectResponse(f"/escalation/{policy}?done=activate#versions", status_code=303)


async def _list(request: Request, context: Context, *, attempt: Attempt | None = None) -> Response:
    scope = context.scope
    return page(
        request,
        context,
        "escalation.html",
        status=422 if attempt else 200,
        policies=await context.backend.policies(scope),
        using=await rules_using(context),
        names={s.id: s.name for s in await context.backend.staff(scope)},
        may_manage=context.may(Action.MANAGE_ESCALATION, "escalation"),
        reasons=REASONS,
        attempt=attempt,
    )


async def _show(
    request: Request,
    context: Context,
    key: str,
    *,
    asked: dict[str, str] | None = None,
    attempt: Attempt | None = None,
    done: str = "",
) -> Response:
    backend, scope = context.backend, context.scope
    versions = found(await backend.policy(scope, key), "policy", key)
    shown = next((v for v in versions if v.active), versions[0])
    asked = asked or {}
    sees_patients = context.may(Action.VIEW_WARD, "patient")
    roster = list(await backend.roster(scope)) if sees_patients else []
    if roster:
        await context.audit(Action.VIEW_WARD, "patient", target=asked.get("patient", ""))
    wards = [w for w in await backend.items(scope, "ward") if isinstance(w, Ward)]
    now: ToldNow | None = None
    absent = ""
    if shown.active and (asked.get("patient") or asked.get("ward")):
        alarm = asked.get("alarm") or shown.timetables[0].name
        try:
            now = await told(
                context, key, alarm, patient=asked.get("patient") or None, ward=asked.get("ward") or None
            )
        except DirectoryError as error:
            absent = error.field
    return page(
        request,
        context,
        "policy.html",
        status=422 if attempt or absent else 200,
        policy=shown,
        versions=versions,
        using=(await rules_using(context)).get(key, []),
        names={s.id: s.name for s in await backend.staff(scope)},
        roster=roster,
        wards=wards,
        asked=asked,
        now=now,
        absent=absent,
        may_manage=context.may(Action.MANAGE_ESCALATION, "escalation"),
        reasons=REASONS,
        attempt=attempt,
        done=done if done in {"draft", "activate"} else "",
    )
