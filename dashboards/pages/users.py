"""The administrator's page of logins: who may log in, roles, wards, sessions; links instead of passwords."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context
from dashboards.account_models import NewLink
from dashboards.accounts_port import AskedUsers
from dashboards.api.users import (
    Manage,
    See,
    UserChange,
    UserDraft,
    account_of,
    add_account,
    audited,
    change_account,
    issue_link,
    let_in,
    log_out,
)
from dashboards.backend import DirectoryError
from dashboards.i18n import N_
from dashboards.links import texts
from dashboards.models import Patient, Ward
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.invitations import shown_link
from dashboards.pages.render import page
from hearthward.trust.access import OF_ONE, Action, Role, Scope

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
PAGE: Final = 50
TONGUES: Final = (("en", "English"), ("zh", "中文"))
GIVEN: Final = tuple(role for role in Role if role not in OF_ONE)
"""Roles that are given here; patients and relatives are invited from the patient's page."""
DONE: Final = {
    "change": N_("Saved. It holds from now on."),
    "disable": N_("Let in no longer: logged out everywhere, links lead nowhere."),
    "enable": N_("Let in again."),
    "logout": N_("Logged out everywhere."),
}


def _wards_of(form: dict[str, str], chosen: list[str]) -> list[str] | None:
    return None if form.get("all_wards") else chosen


async def _chosen(request: Request, name: str) -> list[str]:
    return [str(value) for value in (await request.form()).getlist(name)]


async def _wards(context: Context) -> list[Ward]:
    scope = Scope.system(context.who.tenant)
    return [w for w in await context.backend.items(scope, "ward") if isinstance(w, Ward)]


async def _list(
    request: Request, context: Context, asked: AskedUsers, *, attempt: Attempt | None = None
) -> Response:
    found = await audited(context, context.backend.find_accounts(context.scope, asked))
    kept = {"q": asked.text, "role": asked.role, "state": asked.state}
    query = {k: v for k, v in kept.items() if v}
    last = asked.first + len(found.items)
    return page(
        request,
        context,
        "users.html",
        status=422 if attempt else 200,
        found=found,
        asked=asked,
        last=last,
        earlier="/users?" + urlencode({**query, "first": max(0, asked.first - PAGE)}) if asked.first else "",
        later="/users?" + urlencode({**query, "first": last}) if last < found.total else "",
        roles=tuple(Role),
        given=GIVEN,
        wards=await _wards(context),
        tongues=TONGUES,
        may_manage=context.may(Action.MANAGE_USERS, "user"),
        reasons=REASONS,
        attempt=attempt,
        done="",
    )


async def _one(
    request: Request,
    context: Context,
    login: str,
    *,
    attempt: Attempt | None = None,
    made: NewLink | None = None,
    sms: bool = False,
    done: str = "",
) -> Response:
    account = await account_of(context, login)
    patient = None
    if account.user.patient is not None:
        patient = await context.backend.item(context.scope, "patient", account.user.patient)
    shown: dict[str, Any] = {"link": None, "qr": None}
    if made is not None:
        shown = await shown_link(request, context, made, sms=sms)
    return page(
        request,
        context,
        "user.html",
        status=422 if attempt else 200,
        account=account,
        user=account.user,
        patient=patient if isinstance(patient, Patient) else None,
        given=GIVEN,
        wards=await _wards(context),
        tongues=TONGUES,
        may_manage=context.may(Action.MANAGE_USERS, "user"),
        may_text=texts(request, context.backend),
        reasons=REASONS,
        attempt=attempt,
        done=DONE.get(done, ""),
        **shown,
    )


@router.get("/users")
async def users(
    request: Request,
    context: See,
    q: Annotated[str, Query(max_length=100)] = "",
    role: Annotated[str, Query(max_length=20)] = "",
    state: Annotated[str, Query(max_length=10)] = "",
    first: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """Some of the logins."""
    known = {str(r) for r in Role}
    asked = AskedUsers(
        text=q.strip(),
        role=role if role in known else "",
        state=state if state in {"in", "disabled"} else "",
        first=first,
        limit=PAGE,
    )
    return await _list(request, context, asked)


@router.post("/users")
async def post_user(request: Request, context: Manage) -> Response:
    """Add a login; its link is on the page that comes back, and nowhere else."""
    form = await form_of(request)
    chosen = {name: await _chosen(request, name) for name in ("roles", "wards")}
    try:
        fields = {"login": form.get("login", ""), "name": form.get("name", ""), "roles": chosen["roles"]}
        body = UserDraft.model_validate(
            {**fields, "wards": _wards_of(form, chosen["wards"]), "language": form.get("language") or None}
        )
        user = await add_account(context, body, None)
        made = await issue_link(context, user.login)
    except (ValidationError, DirectoryError) as error:
        attempt = blame("add", form, error)
        attempt.chosen = (*chosen["roles"], *chosen["wards"])
        return await _list(request, context, AskedUsers(limit=PAGE), attempt=attempt)
    return await _one(request, context, user.login, made=made)


@router.get("/users/{login}")
async def user(request: Request, context: See, login: str, done: str = "") -> Response:
    """One login."""
    return await _one(request, context, login, done=done)


@router.post("/users/{login}")
async def post_change(request: Request, context: Manage, login: str) -> Response:
    """Change a login: a patient's or relative's keeps its role."""
    form = await form_of(request)
    chosen = {name: await _chosen(request, name) for name in ("roles", "wards")}
    try:
        fields: dict[str, Any] = {"name": form.get("name", ""), "language": form.get("language") or None}
        if "staff" in form:
            fields |= {"roles": chosen["roles"], "wards": _wards_of(form, chosen["wards"])}
        await change_account(context, login, UserChange.model_validate(fields))
    except (ValidationError, DirectoryError) as error:
        attempt = blame("change", form, error)
        attempt.chosen = (*chosen["roles"], *chosen["wards"])
        return await _one(request, context, login, attempt=attempt)
    return _back(login, "change")


@router.post("/users/{login}/disable")
async def post_disable(request: Request, context: Manage, login: str) -> Response:
    """Let somebody in no longer."""
    try:
        await let_in(context, login, allowed=False)
    except DirectoryError as error:
        return await _one(request, context, login, attempt=blame("disable", {}, error))
    return _back(login, "disable")


@router.post("/users/{login}/enable")
async def post_enable(context: Manage, login: str) -> Response:
    """Let somebody in again."""
    await let_in(context, login, allowed=True)
    return _back(login, "enable")


@router.post("/users/{login}/logout")
async def post_logout(context: Manage, login: str) -> Response:
    """End somebody's sessions."""
    await log_out(context, login)
    return _back(login, "logout")


@router.post("/users/{login}/link")
async def post_link(request: Request, context: Manage, login: str) -> Response:
    """A new link; it is on the page that comes back, and nowhere else."""
    try:
        made = await issue_link(context, login)
    except DirectoryError as error:
        return await _one(request, context, login, attempt=blame("link", {}, error))
    return await _one(request, context, login, made=made, sms="sms" in await form_of(request))


def _back(login: str, done: str) -> Response:
    return RedirectResponse(f"/users/{quote(login, safe='')}?done={done}", status_code=303)
