"""The list of alarms with its filters in the address; one alarm with all that a person can do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.alarms import alarm_of, answer_alarm
from dashboards.api.switches import see_inactivations
from dashboards.backend import AlarmQuery, DirectoryError, RosterEntry, is_equipment
from dashboards.i18n import N_
from dashboards.models import Alarm, AlarmDetail, AlarmKind, Priority, Signal, Ward
from dashboards.pages.alarm_chart import timeline
from dashboards.pages.alarm_words import CONDITIONS, DONE, OFF, REFUSED, SIGNALS, VIEWS
from dashboards.pages.channels import CHANNELS
from dashboards.pages.render import page, safe_path
from dashboards.pages.waves import waves_at
from dashboards.problems import MissingError
from dashboards.response_models import ANSWERS, LONGEST_S, SECOND, Act, can_answer
from dashboards.staff_models import StaffMember
from dashboards.subjects import names_of
from dashboards.unlock import Acting
from dashboards.zones import local_iso, moment_in
from hearthward.core.errors import RuleError
from hearthward.trust.access import Action

__all__ = ["places", "router"]

router = APIRouter(include_in_schema=False)
TAKING: Final = ("accept", "take_over")
PAGE: Final = 100
MOST: Final = 1000
"""What is open is shown whole, up to so many; it is sorted by how bad it is."""
RANKS: Final = get_args(Priority)
FILTERS: Final = ("show", "ward", "priority", "kind", "signal", "patient", "rule", "from", "to")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "priority": RANKS,
    "kind": get_args(AlarmKind),
    "signal": get_args(Signal),
}

_SEES: Final = (Action.VIEW_TECHNICAL_ALARMS,)
_ANSWERS: Final = (Action.ANSWER_TECHNICAL_ALARM, Action.PAUSE_ALARM)
List = Annotated[Context, Depends(Guard(Action.VIEW_WARD, "alarm", reads=True, others=_SEES))]
See = Annotated[Context, Depends(Guard(Action.VIEW_ALARMS, "alarm", reads=True, others=_SEES))]
Do = Annotated[Context, Depends(Guard(Action.ACCEPT_ALARM, "alarm", others=_ANSWERS))]


@router.get("/alarms")
async def alarms(request: Request, context: List, before: str | None = None) -> Response:
    """Alarms: what is open worst first, with what each explains below it; all others newest first."""
    asked = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    if asked["show"] not in VIEWS:
        asked["show"] = "open"
    wrong = ""
    try:
        query = query_of(context, asked, before)
    except DirectoryError as error:
        wrong, query = error.field, query_of(context, {**asked, "from": "", "to": ""}, before)
    found = list(await context.backend.alarms(context.scope, query))
    more = len(found) == query.limit
    link = urlencode({**{k: v for k, v in asked.items() if v}, "before": found[-1].id}) if more else ""
    rows = found if asked["show"] in {"all", "worklist"} else worst_first(found)
    named = await places(context, [a.patient for a in rows])
    now = context.backend.clock.now_ns()
    return page(
        request,
        context,
        "alarms.html",
        status=422 if wrong else 200,
        rows=rows,
        chart=timeline(context, rows, named, now),
        now=now,
        under=lambda a: a.root is not None and any(b.id == a.root for b in rows),
        places=named,
        asked=_shown(context, asked, query),
        wrong=wrong,
        more=link,
        wards=[w for w in await context.backend.items(context.scope, "ward") if isinstance(w, Ward)],
        held=len(await see_inactivations(context)),
        choices=CHOICES,
        may=lambda a: may_answer(context, a),
        **words(context),
    )


def query_of(context: Context, asked: Mapping[str, str], before: str | None) -> AlarmQuery:
    """What the filters ask for; those that are not known count as not given. Raises DirectoryError."""
    chosen = {k: (asked[k] if asked[k] in known else None) for k, known in CHOICES.items()}
    show = asked["show"]
    return AlarmQuery(
        open_only=show in {"open", "unaccepted", "mine"},
        latched=show == "latched",
        unaccepted=show == "unaccepted",
        owner=context.who.user if show == "mine" else None,
        worklist={"worklist": True, "all": None}.get(show, False),
        ward=asked["ward"] or None,
        patient=asked["patient"] or None,
        rule=asked["rule"] or None,
        kind=cast("AlarmKind | None", chosen["kind"]),
        priority=cast("Priority | None", chosen["priority"]),
        signal=cast("Signal | None", chosen["signal"]),
        equipment=not context.may(Action.VIEW_ALARMS),
        start=_moment(context, asked, "from"),
        end=_moment(context, asked, "to"),
        before=before,
        limit=PAGE if show in {"all", "worklist"} else MOST,
    )


def _moment(context: Context, asked: Mapping[str, str], field: str) -> int | None:
    """A time of the filters, in the page's zone unless it says one. Raises DirectoryError."""
    if not asked[field]:
        return None
    try:
        return moment_in(asked[field], context.zone)
    except (ValueError, OverflowError) as error:
        raise DirectoryError(field=field, code="invalid", value=asked[field]) from error


def _shown(context: Context, asked: Mapping[str, str], query: AlarmQuery) -> dict[str, str]:
    """The filters as their fields take them: times of the page's zone; what cannot be understood as typed."""
    times = {"from": query.start, "to": query.end}
    found = {name: local_iso(at, context.zone) for name, at in times.items() if at is not None}
    return {**asked, **found}


def worst_first(found: Sequence[Alarm]) -> list[Alarm]:
    """By condition, priority, whether anybody has it, and age; right after each comes what it explains."""
    ids = {a.id for a in found}
    tops = [a for a in found if a.root not in ids]
    tops.sort(
        key=lambda a: (
            a.condition == "latched",
            RANKS.index(a.priority),
            a.accepted_by is not None,
            a.onset,
        )
    )
    return [b for a in tops for b in (a, *(c for c in found if c.root == a.id))]


@router.get("/alarms/{alarm}")
async def alarm(request: Request, context: See, alarm: str, done: str = "") -> Response:
    """One alarm: its axes, who was told and how that went, its history, and what can be done."""
    return await _show(request, context, await alarm_of(context, alarm), done=DONE.get(done, ""))


@router.post("/alarms/{alarm}/{act}")
async def answer(request: Request, context: Do, alarm: str, act: str) -> Response:
    """Do something about it, then show where it was asked for."""
    kind = act.replace("-", "_")
    if kind not in ANSWERS:
        raise MissingError(kind="act", key=act)
    form = {k: str(v).strip() for k, v in (await request.form()).items()}
    until = context.backend.clock.now_ns() + LONGEST_S["pause_audio"] * SECOND
    asked = Act(
        kind,
        context.who.user,
        note=form.get("note", "")[:500],
        until=until if kind == "pause_audio" else 0,
        to=form.get("to", ""),
    )
    try:
        seen = form.get("shown", "") if kind in TAKING else ""
        await answer_alarm(Acting(context), alarm, asked, seen=seen)
    except RuleError as error:
        code = str(error.details.get("code"))
        found = await alarm_of(context, alarm)
        first = found.accepted_name or "" if code == "taken" and found.accepted_at is not None else ""
        refused = REFUSED["first"] if first else REFUSED.get(code, REFUSED["nothing"])
        return await _show(request, context, found, refused=refused)
    back = safe_path(form.get("next")) or f"/alarms/{alarm}?done={kind}"
    return RedirectResponse(back, status_code=303)


async def _show(
    request: Request, context: Context, found: AlarmDetail, *, done: str = "", refused: str = ""
) -> Response:
    others = {found.accepted_by, context.who.user}
    colleagues = [s for s in await _askable(context, found) if s.id not in others]
    roots: list[AlarmDetail] = []
    if found.root is not None:
        root = await context.backend.alarm(context.scope, found.root)
        roots = (
            [root]
            if root is not None and (context.may(Action.VIEW_ALARMS) or is_equipment(root.patient))
            else []
        )
    related = [found, *roots, *found.children]
    return page(
        request,
        context,
        "alarm.html",
        waves=await waves_at(context, found.patient, found.onset),
        status=409 if refused else 200,
        found=found,
        root=roots[0] if roots else None,
        places=await places(context, [a.patient for a in related]),
        colleagues=colleagues,
        done=done,
        refused=refused,
        me=context.who.user,
        may=lambda a: may_answer(context, a),
        **words(context),
    )


async def _askable(context: Context, found: Alarm) -> list[StaffMember]:
    """To whom an alarm can be passed on: those of its ward who may answer it."""
    equipment, here = is_equipment(found.patient), context.backend
    ward = None if equipment else await here.ward_of(context.scope, str(found.patient))
    return [
        s
        for s in await here.staff(context.scope)
        if can_answer(s.roles, equipment=equipment) and (equipment or s.wards is None or ward in s.wards)
    ]


def may_answer(context: Context, found: Alarm) -> bool:
    """Whether the caller may take responsibility for an alarm of this kind of subject."""
    needed = Action.ANSWER_TECHNICAL_ALARM if is_equipment(found.patient) else Action.ACCEPT_ALARM
    return context.may(needed)


async def places(context: Context, subjects: Sequence[str | None]) -> Mapping[str | None, str]:
    """What people call each subject: bed and name of a patient, id and label of equipment."""
    roster: dict[str, RosterEntry] = {}
    if any(not is_equipment(s) for s in subjects):
        roster = {e.patient: e for e in await context.backend.roster(context.scope)}
    asked = {str(subject) for subject in subjects if subject is not None}
    out: dict[str | None, str] = {None: ""}
    out.update((await names_of(context.backend, context.scope, asked - roster.keys())).items())
    for key in asked & roster.keys():
        out[key] = " · ".join(filter(None, (roster[key].bed_label, roster[key].name)))
    return out


def words(context: Context) -> dict[str, Any]:
    """What all these pages say with."""
    return {
        "tongue": context.language.split("_", maxsplit=1)[0],
        "signals": SIGNALS,
        "conditions": CONDITIONS,
        "views": VIEWS,
        "off": OFF,
        "channels": {name: said[0] for name, said in CHANNELS.items()},
        "kinds": {"gateway": N_("Gateway"), "device": N_("Device"), "component": N_("Component")},
    }
