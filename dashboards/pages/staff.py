"""Staff: who is on duty, how people are reached, teams, and who looks after whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ValidationError

from dashboards.access import Context, Guard
from dashboards.api.staff import (
    AssignBody,
    BadgeBody,
    ContactsBody,
    PinBody,
    TeamBody,
    add_team,
    assign,
    board_of,
    change_team,
    end_team,
    set_badge,
    set_contacts,
    set_pin,
    unassign,
)
from dashboards.backend import DirectoryError
from dashboards.browsers import sort_of
from dashboards.i18n import N_
from dashboards.models import Ward
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.own_sessions import ENDED
from dashboards.pages.render import page
from dashboards.shift_times import DAY
from dashboards.staff_models import Assignment, Turn
from hearthward.trust.access import Action, Scope

__all__ = ["DONE", "router"]

router = APIRouter(include_in_schema=False)
OWN_AHEAD: Final = 28 * DAY
CROWD: Final = 200
"""So many people and patients are shown together; of more, one ward at a time."""
DONE: Final = {
    "contacts": N_("Saved. It counts for alarms from now on."),
    "pin": N_("The PIN is set."),
    "nopin": N_("The PIN is taken away."),
    "badge": N_("The badge is set."),
    "nobadge": N_("The badge is taken away."),
    "team": N_("Saved."),
    "noteam": N_("The team has ended."),
    "assign": N_("Assigned."),
    "unassign": N_("No longer assigned."),
    "swap": N_("Swapped."),
}
"""What a page says after a change."""

See = Annotated[Context, Depends(Guard(Action.VIEW_STAFF, "staff"))]
Own = Annotated[Context, Depends(Guard(Action.VIEW_OWN_ACCOUNT, "staff"))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_STAFF, "staff"))]
Assign = Annotated[Context, Depends(Guard(Action.ASSIGN_PATIENT, "assignment"))]


@router.get("/staff")
async def staff(request: Request, context: See, done: str = "", ward: str = "") -> Response:
    """Who is there, how they are reached, teams and assignments; with ``ward`` only of that ward."""
    return await _show(request, context, done=DONE.get(done, ""), ward=ward)


@router.get("/account")
async def account(request: Request, context: Own, done: str = "") -> Response:
    """The caller's own contacts, PIN, badge and next shifts."""
    return await show_account(request, context, done={**DONE, **ENDED}.get(done, ""))


async def _show(
    request: Request, context: Context, *, attempt: Attempt | None = None, done: str = "", ward: str = ""
) -> Response:
    backend, scope = context.backend, context.scope
    asked = attempt.values.get("at", "") if attempt else ward
    sees_patients = context.may(Action.VIEW_DIRECTORY, "assignment")
    board = await board_of(context)
    people = list(await backend.staff(scope))
    teams = list(await backend.teams(scope))
    wards = [w for w in await backend.items(scope, "ward") if isinstance(w, Ward)]
    crowded = len(people) > CROWD and bool(wards)
    only = asked if any(w.id == asked for w in wards) else wards[0].id if crowded else ""
    given, roster = [], []
    if sees_patients:
        await context.audit(Action.VIEW_DIRECTORY, "assignment")
        given = list(await backend.assignments(scope))
        there = replace(scope, wards=frozenset({only})) if only else scope
        roster = list(await backend.roster(there))
    if not only and wards and len(people) + len(roster) > CROWD:
        crowded, only = True, wards[0].id
    named, all_teams, holes = people, teams, [w for w in board if w.holes]
    if only:
        board = [w for w in board if w.ward == only]
        people = [s for s in people if s.wards is None or only in s.wards]
        teams = [t for t in teams if t.ward in {None, only}]
        roster = [entry for entry in roster if entry.ward == only]
    theirs: dict[str, list[Assignment]] = {entry.patient: [] for entry in roster}
    for assignment in given:
        if assignment.patient in theirs:
            theirs[assignment.patient].append(assignment)
    return page(
        request,
        context,
        "staff.html",
        status=422 if attempt else 200,
        board=board,
        people=people,
        names={s.id: s.name for s in named},
        teams=teams,
        team_names={t.id: t.name for t in all_teams},
        elsewhere={s.id for s in named} - {s.id for s in people},
        wards=wards,
        only=only,
        crowded=crowded,
        roster=roster,
        given={patient: sorted(some, key=lambda a: not a.user) for patient, some in theirs.items()},
        holes=holes,
        may_manage=context.may(Action.MANAGE_STAFF, "staff"),
        may_assign=sees_patients and context.may(Action.ASSIGN_PATIENT, "assignment"),
        reasons=REASONS,
        attempt=attempt,
        done=done,
    )


async def show_account(
    request: Request, context: Context, *, attempt: Attempt | None = None, done: str = ""
) -> Response:
    """The caller's own account; after a refusal with what was typed."""
    backend, now, me = context.backend, context.backend.clock.now_ns(), context.who.user
    scope = Scope.system(context.who.tenant)
    turns = await backend.shifts(scope, now, now + OWN_AHEAD)
    own = [t for t in turns if t.user == me]
    others: list[Turn] = [t for t in turns if t.user != me] if own else []
    people = await backend.staff(scope) if own else ()
    wards = [w for w in await backend.items(scope, "ward") if isinstance(w, Ward)] if own else []
    return page(
        request,
        context,
        "account.html",
        status=422 if attempt else 200,
        me=await backend.staff_member(scope, me),
        sessions=await backend.own_sessions(context.who, context.token),
        sort_of=sort_of,
        turns=own,
        others=others,
        people=[s for s in people if s.id != me and s.pin],
        names={s.id: s.name for s in people},
        ward_names={w.id: w.name for w in wards},
        reasons=REASONS,
        attempt=attempt,
        done=done,
    )


# --- contacts, PIN, badge -------------------------------------------------------------------------

BODIES: Final[dict[str, type[BaseModel]]] = {"contacts": ContactsBody, "pin": PinBody, "badge": BadgeBody}
SET: Final[dict[str, Any]] = {"contacts": set_contacts, "pin": set_pin, "badge": set_badge}


async def _set(request: Request, context: Context, user: str, what: str) -> Response:
    """Set one thing of an account; the page that it came from is shown again."""
    form = await form_of(request)
    own = request.url.path.startswith("/account/")
    try:
        body = BODIES[what].model_validate({k: v for k, v in form.items() if k in BODIES[what].model_fields})
        await SET[what](context, user, body)
    except (ValidationError, DirectoryError) as error:
        attempt = blame(f"{what}-{user}", form, error)
        if own:
            return await show_account(request, context, attempt=attempt)
        return await _show(request, context, attempt=attempt)
    done = what if what == "contacts" or form.get(what) else f"no{what}"
    return _back(f"/account?done={done}" if own else _staff(done, form, "people"))


@router.post("/staff/{user}/contacts")
async def post_contacts(request: Request, context: Manage, user: str) -> Response:
    """Set somebody's contacts."""
    return await _set(request, context, user, "contacts")


@router.post("/staff/{user}/pin")
async def post_pin(request: Request, context: Manage, user: str) -> Response:
    """Set or take away somebody's PIN."""
    return await _set(request, context, user, "pin")


@router.post("/staff/{user}/badge")
async def post_badge(request: Request, context: Manage, user: str) -> Response:
    """Set or take away somebody's badge."""
    return await _set(request, context, user, "badge")


@router.post("/account/contacts")
async def post_own_contacts(request: Request, context: Own) -> Response:
    """Set the caller's contacts."""
    return await _set(request, context, context.who.user, "contacts")


@router.post("/account/pin")
async def post_own_pin(request: Request, context: Own) -> Response:
    """Set or take away the caller's PIN."""
    return await _set(request, context, context.who.user, "pin")


@router.post("/account/badge")
async def post_own_badge(request: Request, context: Own) -> Response:
    """Set or take away the caller's badge."""
    return await _set(request, context, context.who.user, "badge")


# --- teams and assignments ------------------------------------------------------------------------


@router.post("/teams")
async def post_team(request: Request, context: Manage) -> Response:
    """Make a team."""
    return await _team(request, context, "")


@router.post("/teams/{team}")
async def post_team_change(request: Request, context: Manage, team: str) -> Response:
    """Change a team."""
    return await _team(request, context, team)


async def _team(request: Request, context: Context, key: str) -> Response:
    form = await form_of(request)
    members = [str(m) for m in (await request.form()).getlist("members")]
    try:
        body = TeamBody.model_validate(
            {"name": form.get("name", ""), "ward": form.get("ward", ""), "members": members}
        )
        if key:
            await change_team(context, key, body)
        else:
            await add_team(context, body)
    except (ValidationError, DirectoryError) as error:
        attempt = blame(f"team-{key}", form, error)
        attempt.chosen = tuple(members)
        return await _show(request, context, attempt=attempt)
    return _back(_staff("team", form, "teams"))


@router.post("/teams/{team}/end")
async def post_team_end(request: Request, context: Manage, team: str) -> Response:
    """End a team."""
    form = await form_of(request)
    try:
        await end_team(context, team)
    except DirectoryError as error:
        return await _show(request, context, attempt=blame(f"team-{team}", form, error))
    return _back(_staff("noteam", form, "teams"))


@router.post("/assignments")
async def post_assignment(request: Request, context: Assign) -> Response:
    """Assign a patient: ``to`` is ``user:ID`` or ``team:ID``."""
    form = await form_of(request)
    patient = form.get("patient", "")
    kind, _, key = form.get("to", "").partition(":")
    body = {"patient": patient, "team" if kind == "team" else "user": key}
    try:
        await assign(context, AssignBody.model_validate(body))
    except (ValidationError, DirectoryError) as error:
        return await _show(request, context, attempt=blame(f"assign-{patient}", form, error))
    return _back(_staff("assign", form, "patients"))


@router.post("/assignments/{assignment}/end")
async def post_assignment_end(request: Request, context: Assign, assignment: str) -> Response:
    """End an assignment."""
    await unassign(context, assignment)
    return _back(_staff("unassign", await form_of(request), "patients"))


def _staff(done: str, form: Mapping[str, str], part: str) -> str:
    """The page again, with what was done, at the ward that it showed."""
    ward = {"ward": form["at"]} if form.get("at") else {}
    return f"/staff?{urlencode({'done': done, **ward})}#{part}"


def _back(to: str) -> Response:
    return RedirectResponse(to, status_code=303)
