"""The on-call schedule: a week per ward and role, and one time on duty to change, cancel or swap."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.api.readings import instant
from dashboards.api.shifts import (
    CancelBody,
    OwnSwapBody,
    ShiftBody,
    SwapBody,
    add_shift,
    cancel_shift,
    change_shift,
    swap_own_shift,
    swap_shift,
)
from dashboards.backend import DirectoryError
from dashboards.duty_views import roles_told, roles_watched
from dashboards.i18n import N_
from dashboards.models import Ward
from dashboards.pages.forms import REASONS, Attempt, blame, form_of
from dashboards.pages.render import page
from dashboards.pages.staff import show_account
from dashboards.problems import MissingError
from dashboards.shift_times import DAY, at_local, day_of, gaps, hour_of, week_of
from dashboards.staff_models import SHIFT_ROLES, Hole, Turn
from dashboards.zones import known_zone
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
DONE: Final = {
    "add": N_("Added. It counts for alarms from now on."),
    "change": N_("Changed."),
    "cancel": N_("Cancelled."),
    "swap": N_("Swapped."),
}
NAMES: Final = ("user", "role", "ward", "weekly")

See = Annotated[Context, Depends(Guard(Action.VIEW_STAFF, "shift"))]
Own = Annotated[Context, Depends(Guard(Action.VIEW_OWN_ACCOUNT, "shift"))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_STAFF, "shift"))]


@dataclass(frozen=True, slots=True)
class Slot:
    """A time on duty as a cell of the week shows it; without ``begins`` it began the week before."""

    turn: Turn
    begins: str
    ends: str
    next_day: bool


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role of a ward over seven days."""

    role: str
    days: tuple[tuple[Slot, ...], ...]
    holes: tuple[tuple[Hole, ...], ...]


@dataclass(frozen=True, slots=True)
class WardWeek:
    """A ward's week; one without a schedule has no rows of its own."""

    ward: str
    name: str
    scheduled: bool
    rows: tuple[RoleRow, ...]


@router.get("/oncall")
async def oncall(
    request: Request, context: See, day: str = "", zone: str = "", ward: str = "", done: str = ""
) -> Response:
    """The week of ``day``, of all of the caller's wards or one."""
    query = {"day": day, "zone": zone, "ward": ward}
    return await _show(request, context, query, done=DONE.get(done, ""))


@router.get("/oncall/{shift}")
async def shift(request: Request, context: See, shift: str, at: str = "", done: str = "") -> Response:
    """One time on duty."""
    start = instant(at, "at", 0) if at else context.backend.clock.now_ns()
    return await _show_shift(request, context, shift, start, done=DONE.get(done, ""))


@router.post("/oncall")
async def post_shift(request: Request, context: Manage) -> Response:
    """Add a shift."""
    form = await form_of(request)
    try:
        made = await add_shift(context, _body(form))
    except (ValidationError, DirectoryError) as error:
        return await _show(request, context, form, attempt=_blame("add", form, error))
    return _to_week(made, "add")


@router.post("/oncall/{shift}")
async def post_change(request: Request, context: Manage, shift: str) -> Response:
    """Change a shift from now on."""
    form = await form_of(request)
    try:
        made = await change_shift(context, shift, _body(form))
    except (ValidationError, DirectoryError) as error:
        return await _again(request, context, shift, form, _blame("change", form, error))
    return _to_week(made, "change")


@router.post("/oncall/{shift}/cancel")
async def post_cancel(request: Request, context: Manage, shift: str) -> Response:
    """Cancel one time (``which`` is ``one``) or the whole shift."""
    form = await form_of(request)
    try:
        at = form.get("at", "") if form.get("which") == "one" else ""
        done = await cancel_shift(context, shift, CancelBody.model_validate({"at": at}))
    except (ValidationError, DirectoryError) as error:
        return await _again(request, context, shift, form, blame("cancel", form, error))
    return _to_week(done, "cancel")


@router.post("/oncall/{shift}/swap")
async def post_swap(request: Request, context: Manage, shift: str) -> Response:
    """Let somebody else take one time."""
    form = await form_of(request)
    try:
        done = await swap_shift(context, shift, SwapBody.model_validate(_swap(form)))
    except (ValidationError, DirectoryError) as error:
        return await _again(request, context, shift, form, blame("swap", form, error))
    return _to_week(done, "swap")


@router.post("/account/shifts/{shift}/swap")
async def post_own_swap(request: Request, context: Own, shift: str) -> Response:
    """Let somebody else take one time of the caller's; they confirm with their PIN."""
    form = await form_of(request)
    try:
        body = OwnSwapBody.model_validate({**_swap(form), "pin": form.get("pin", "")})
        await swap_own_shift(context, shift, body)
    except (ValidationError, DirectoryError) as error:
        attempt = blame(f"swap-{shift}-{form.get('at', '')}", form, error)
        return await show_account(request, context, attempt=attempt)
    return RedirectResponse("/account?done=swap", status_code=303)


def _swap(form: Mapping[str, str]) -> dict[str, Any]:
    """``with`` is ``USER`` or, against a time of theirs, ``USER|SHIFT|START``."""
    to, _, theirs = form.get("with", "").partition("|")
    back, _, back_at = theirs.partition("|")
    return {
        "at": form.get("at", ""),
        "to": to,
        **({"back": back, "back_at": back_at} if back else {}),
    }


def _body(form: Mapping[str, str]) -> ShiftBody:
    """The shift of a form: a day, two hours and a zone. Raises ValidationError, DirectoryError."""
    zone = form.get("zone") or form.get("timezone", "")
    if known_zone(zone) is None:
        raise DirectoryError(field="timezone", code="invalid" if zone else "required", value=zone)
    first, begins, ends = _day(form, "day"), _hour(form, "from"), _hour(form, "to")
    start = at_local(first, begins, zone)
    end = at_local(first + timedelta(days=ends <= begins), ends, zone)
    values: dict[str, Any] = {name: form[name] for name in NAMES if form.get(name)}
    if values.get("weekly") and form.get("until"):
        values["until"] = at_local(_day(form, "until") + timedelta(days=1), time(), zone)
    return ShiftBody.model_validate({**values, "start": start, "end": end, "timezone": zone})


def _day(form: Mapping[str, str], name: str) -> date:
    try:
        return date.fromisoformat(form.get(name, ""))
    except ValueError as error:
        code = "invalid" if form.get(name) else "required"
        raise DirectoryError(field=name, code=code, value=form.get(name, "")) from error


def _hour(form: Mapping[str, str], name: str) -> time:
    try:
        return time.fromisoformat(form.get(name, "")).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError as error:
        code = "invalid" if form.get(name) else "required"
        raise DirectoryError(field=name, code=code, value=form.get(name, "")) from error


def _blame(form: str, values: Mapping[str, str], error: ValidationError | DirectoryError) -> Attempt:
    attempt = blame(form, values, error)
    if "end" in attempt.errors:
        attempt.errors["to"] = attempt.errors.pop("end")
    return attempt


async def _show(
    request: Request,
    context: Context,
    query: Mapping[str, str],
    *,
    attempt: Attempt | None = None,
    done: str = "",
) -> Response:
    backend, scope, now = context.backend, context.scope, context.backend.clock.now_ns()
    wards = [w for w in await backend.items(scope, "ward") if isinstance(w, Ward)]
    zone = query.get("zone") or query.get("timezone") or ""
    if known_zone(zone) is None:
        zone = await _zone_of(context)
    monday = week_of(_given(query.get("day", ""), day_of(now, zone)))
    days = [monday + timedelta(days=i) for i in range(7)]
    edges = [at_local(d, time(), zone) for d in (*days, monday + timedelta(days=7))]
    turns = await backend.shifts(scope, edges[0], edges[-1])
    duty = await backend.duty(scope)
    told = roles_told(duty)
    only = query.get("ward", "") if attempt is None else ""
    weeks = [
        _week(w, w.id in duty.scheduled, turns, told, edges, zone, now) for w in wards if only in {"", w.id}
    ]
    people = await backend.staff(scope)
    return page(
        request,
        context,
        "oncall.html",
        status=422 if attempt else 200,
        weeks=weeks,
        wards=wards,
        only=only,
        days=days,
        today=day_of(now, zone),
        zone=zone,
        before=monday - timedelta(days=7),
        after=monday + timedelta(days=7),
        people=people,
        names={s.id: s.name for s in people},
        roles=SHIFT_ROLES,
        may_manage=context.may(Action.MANAGE_STAFF, "shift"),
        reasons=REASONS,
        attempt=attempt,
        done=done,
    )


def _given(text: str, other: date) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return other


async def _zone_of(context: Context) -> str:
    """The time zone of the schedule: that of a shift of these weeks, else of the place."""
    now = context.backend.clock.now_ns()
    turns = await context.backend.shifts(context.scope, now - 7 * DAY, now + 7 * DAY)
    return next((t.timezone for t in turns if known_zone(t.timezone)), context.zone)


def _week(
    ward: Ward,
    scheduled: bool,  # noqa: FBT001 - of the ward
    turns: Sequence[Turn],
    told: Collection[str],
    edges: Sequence[int],
    zone: str,
    now: int,
) -> WardWeek:
    mine = [t for t in turns if t.ward in {None, ward.id}]
    watched = roles_watched(mine)
    roles = [r for r in SHIFT_ROLES if r in told or r in watched] if scheduled else []
    rows = []
    for role in roles:
        of_role = [t for t in mine if t.role == role]
        first = max(now, edges[0])
        seen = role in watched and first < edges[-1]
        holes = gaps(ward.id, role, of_role, first, edges[-1]) if seen else []
        days, missing = [], []
        for begins, ends in itertools.pairwise(edges):
            here = [t for t in of_role if begins <= t.start < ends or (t.start < edges[0] == begins)]
            days.append(tuple(_slot(t, zone, edges[0]) for t in here))
            missing.append(tuple(h for h in holes if h.start < ends and h.end > begins))
        rows.append(RoleRow(role, tuple(days), tuple(missing)))
    return WardWeek(ward.id, ward.name, scheduled, tuple(rows))


def _slot(turn: Turn, zone: str, first: int) -> Slot:
    return Slot(
        turn,
        "" if turn.start < first else hour_of(turn.start, zone),
        hour_of(turn.end, zone),
        next_day=turn.start >= first and day_of(turn.end - 1, zone) > day_of(turn.start, zone),
    )


async def _again(
    request: Request, context: Context, key: str, form: Mapping[str, str], attempt: Attempt
) -> Response:
    at = form.get("at", "")
    try:
        start = instant(at, "at", 0) if at else context.backend.clock.now_ns()
    except DirectoryError:
        start = context.backend.clock.now_ns()
    return await _show_shift(request, context, key, start, attempt=attempt)


async def _show_shift(
    request: Request,
    context: Context,
    key: str,
    start: int,
    *,
    attempt: Attempt | None = None,
    done: str = "",
) -> Response:
    """One time of a shift: the one that starts at ``start``, or else the next one."""
    backend, scope, now = context.backend, context.scope, context.backend.clock.now_ns()
    turns = await backend.shifts(scope, min(start, now) - DAY, max(start, now) + 28 * DAY)
    mine = [t for t in turns if t.id == key]
    turn = next((t for t in mine if t.start == start), None) or next((t for t in mine if t.end > start), None)
    if turn is None:
        raise MissingError(kind="shift", key=key)
    people = await backend.staff(scope)
    wards = [w for w in await backend.items(scope, "ward") if isinstance(w, Ward)]
    ends = day_of(turn.until - 1, turn.timezone) if turn.until is not None else ""
    return page(
        request,
        context,
        "shift.html",
        status=422 if attempt else 200,
        turn=turn,
        starts=day_of(turn.start, turn.timezone),
        over=turn.end <= now,
        now_values={
            "user": turn.user,
            "role": turn.role,
            "ward": turn.ward or "",
            "day": str(day_of(max(turn.start, now) if turn.weekly else turn.start, turn.timezone)),
            "from": hour_of(turn.start, turn.timezone),
            "to": hour_of(turn.end, turn.timezone),
            "zone": turn.timezone,
            "weekly": "true" if turn.weekly else "",
            "until": str(ends),
        },
        others=[t for t in turns if t.user != turn.user and t.start > now],
        people=people,
        names={s.id: s.name for s in people},
        wards=wards,
        ward_names={w.id: w.name for w in wards},
        roles=SHIFT_ROLES,
        may_manage=context.may(Action.MANAGE_STAFF, "shift"),
        reasons=REASONS,
        attempt=attempt,
        done=done,
    )


def _to_week(turn: Turn, done: str) -> Response:
    query = urlencode({"day": day_of(turn.start, turn.timezone), "zone": turn.timezone, "done": done})
    return RedirectResponse(f"/oncall?{query}", status_code=303)
