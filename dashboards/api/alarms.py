"""Alarms: list, detail with history, and what a person can do about one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.api.readings import instant
from dashboards.backend import AlarmQuery, is_equipment
from dashboards.models import Alarm, AlarmDetail, AlarmKind, Priority, Signal
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from dashboards.repeats import HEADER, Repeats
from dashboards.response_models import LONGEST_S, SECOND, Act, Answer, can_answer
from dashboards.unlock import Acting, Proof, acting
from hearthward.core.clock import iso
from hearthward.core.errors import RuleError
from hearthward.trust.access import Action, Scope

__all__ = ["ACTIONS", "alarm_of", "answer_alarm", "router"]

router = APIRouter(prefix="/api/v1", tags=["alarms"], responses=ERROR_RESPONSES)
ANSWERED: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": Problem, "description": "the alarm is not in a state for that"}
}
ACTIONS: Final[dict[Answer, Action]] = {
    "accept": Action.ACCEPT_ALARM,
    "take_over": Action.ACCEPT_ALARM,
    "reject": Action.ACCEPT_ALARM,
    "release": Action.ACCEPT_ALARM,
    "redirect": Action.ACCEPT_ALARM,
    "acknowledge": Action.ACCEPT_ALARM,
    "note": Action.ACCEPT_ALARM,
    "pause_audio": Action.PAUSE_ALARM,
    "resume_audio": Action.PAUSE_ALARM,
}
"""What each answer to a patient's alarm needs; to one of equipment ANSWER_TECHNICAL_ALARM."""

See = Annotated[
    Context, Depends(Guard(Action.VIEW_ALARMS, "alarm", reads=True, others=(Action.VIEW_TECHNICAL_ALARMS,)))
]
_OTHERS: Final = (Action.ANSWER_TECHNICAL_ALARM, Action.REPORT_WALL)
Take = Annotated[Context, Depends(Guard(Action.ACCEPT_ALARM, "alarm", others=_OTHERS))]
Pause = Annotated[Context, Depends(Guard(Action.PAUSE_ALARM, "alarm", others=_OTHERS))]


class AlarmList(BaseModel):
    """Alarms, newest first."""

    items: list[Alarm]
    next: str | None = Field(None, description="give it as `before` to go on; null: that was all")


class NoteBody(Proof):
    """Why, or what is being done; may be empty where nothing is refused or said."""

    note: str = Field("", max_length=500, examples=["on my way"])


class TakeBody(NoteBody):
    """For what responsibility is taken."""

    seen: str | None = Field(
        None,
        max_length=64,
        description="`rule` of the alarm as it was seen: where a graver stage has begun since, it is "
        "refused with 409, so that nobody takes what they have not seen; left out, it is taken as it is",
        examples=["ibp-mean-low"],
    )


class SayBody(Proof):
    """What is to be kept with the alarm."""

    note: str = Field(min_length=1, max_length=500, examples=["the cuff had slipped"])


class RedirectBody(NoteBody):
    """To whom it is passed on."""

    to: str = Field(min_length=1, max_length=120, description="id of a user", examples=["usr_doctor"])


class PauseBody(Proof):
    """For how long."""

    seconds: int = Field(LONGEST_S["pause_audio"], ge=1, le=LONGEST_S["pause_audio"])


@router.get("/alarms")
async def list_alarms(  # noqa: PLR0913, PLR0917 - the query's filters
    context: See,
    active: Annotated[bool, Query(description="only those that are active now")] = False,  # noqa: FBT002 - a query flag
    open_: Annotated[bool, Query(alias="open", description="only active and latched ones")] = False,  # noqa: FBT002 - a query flag
    latched: Annotated[bool, Query(description="only those to be acknowledged")] = False,  # noqa: FBT002 - a query flag
    unaccepted: Annotated[bool, Query(description="only those that nobody has accepted")] = False,  # noqa: FBT002 - a query flag
    mine: Annotated[bool, Query(description="only those that the caller has accepted")] = False,  # noqa: FBT002 - a query flag
    owner: Annotated[str | None, Query(description="id of the user who has accepted it")] = None,
    ward: str | None = None,
    patient: Annotated[
        str | None, Query(description="or `device:ID`, `gateway:ID`, `component:NAME`")
    ] = None,
    rule: str | None = None,
    kind: AlarmKind | None = None,
    priority: Priority | None = None,
    signal: Signal | None = None,
    from_: Annotated[str | None, Query(alias="from", description="started at or after")] = None,
    to: Annotated[str | None, Query(description="started before")] = None,
    before: Annotated[str | None, Query(description="`next` of the answer before")] = None,
    worklist: Annotated[
        bool | None, Query(description="true: only breaches that came too late to signal; false: only alarms")
    ] = None,
    asked: Annotated[  # noqa: FBT002 - a query flag
        bool, Query(description="only second measurements that are being waited for: no alarms yet")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> AlarmList:
    """Alarms in the caller's scope; without the right to see patients' those of equipment only."""
    query = AlarmQuery(
        active_only=active,
        open_only=open_,
        latched=latched,
        unaccepted=unaccepted,
        owner=context.who.user if mine else owner,
        ward=ward,
        patient=patient,
        rule=rule,
        kind=kind,
        priority=priority,
        signal=signal,
        equipment=not context.may(Action.VIEW_ALARMS),
        start=instant(from_, "from", 0) if from_ else None,
        end=instant(to, "to", 0) if to else None,
        before=before,
        worklist=worklist,
        asked=asked,
        limit=limit,
    )
    items = list(await context.backend.alarms(context.scope, query))
    return AlarmList(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/alarms/{alarm}")
async def get_alarm(context: See, alarm: str) -> AlarmDetail:
    """One alarm: its axes, why it fired, every transition, everybody told, and what is under it."""
    return await alarm_of(context, alarm)


async def alarm_of(context: Context, key: str) -> AlarmDetail:
    """An alarm that the caller may see. Raises MissingError."""
    found = await context.backend.alarm(context.scope, key)
    whole = context.may(Action.VIEW_ALARMS)
    if found is None or not (whole or is_equipment(found.patient)):
        raise MissingError(kind="alarm", key=key)
    if not context.may(Action.VIEW_STAFF):
        found = _without_addresses(found)
    if whole:
        return found
    return found.model_copy(update={"children": [a for a in found.children if is_equipment(a.patient)]})


def _without_addresses(found: AlarmDetail) -> AlarmDetail:
    """Patients and walls see who was told and how that went, but nobody's number or address."""
    unaddressed: dict[str, Any] = {"recipient": ""}
    hops = [
        h.model_copy(
            update={**unaddressed, "attempts": [a.model_copy(update=unaddressed) for a in h.attempts]}
        )
        for h in found.hops
    ]
    deliveries = [d.model_copy(update=unaddressed) for d in found.deliveries]
    return found.model_copy(update={"hops": hops, "deliveries": deliveries})


# --- what a person does about one ---------------------------------------------------------------------


@router.post("/alarms/{alarm}/accept", responses=ANSWERED)
async def accept(request: Request, context: Take, alarm: str, body: TakeBody | None = None) -> Alarm:
    """Take responsibility for an active alarm that nobody has yet; it is not silenced by that."""
    return await _answer(request, context, alarm, "accept", body)


@router.post("/alarms/{alarm}/take-over", responses=ANSWERED)
async def take_over(request: Request, context: Take, alarm: str, body: TakeBody | None = None) -> Alarm:
    """Take responsibility from whoever has it."""
    return await _answer(request, context, alarm, "take_over", body)


@router.post("/alarms/{alarm}/reject", responses=ANSWERED)
async def reject(request: Request, context: Take, alarm: str, body: NoteBody | None = None) -> Alarm:
    """Refuse responsibility, best with a reason; the next on the timetable is told at once."""
    return await _answer(request, context, alarm, "reject", body)


@router.post("/alarms/{alarm}/release", responses=ANSWERED)
async def release(request: Request, context: Take, alarm: str, body: NoteBody | None = None) -> Alarm:
    """Give responsibility back; the timetable starts anew."""
    return await _answer(request, context, alarm, "release", body)


@router.post("/alarms/{alarm}/redirect", responses=ANSWERED)
async def redirect(request: Request, context: Take, alarm: str, body: RedirectBody) -> Alarm:
    """Pass it on to one person, who is told at once."""
    return await _answer(request, context, alarm, "redirect", body, to=body.to)


@router.post("/alarms/{alarm}/acknowledge", responses=ANSWERED)
async def acknowledge(request: Request, context: Take, alarm: str, body: NoteBody | None = None) -> Alarm:
    """End a latched one; of an active one the owner turns the sound off until it worsens or ends."""
    return await _answer(request, context, alarm, "acknowledge", body)


@router.post("/alarms/{alarm}/note", responses=ANSWERED)
async def note(request: Request, context: Take, alarm: str, body: SayBody) -> Alarm:
    """Write a line into its history."""
    return await _answer(request, context, alarm, "note", body)


@router.post("/alarms/{alarm}/pause-audio", responses=ANSWERED)
async def pause_audio(request: Request, context: Pause, alarm: str, body: PauseBody | None = None) -> Alarm:
    """Pause the sound of this one alarm, for 120 s at most; any other goes on."""
    seconds = (body or PauseBody.model_construct(seconds=LONGEST_S["pause_audio"])).seconds
    until = context.backend.clock.now_ns() + seconds * SECOND
    return await _answer(request, context, alarm, "pause_audio", body, until=until)


@router.post("/alarms/{alarm}/resume-audio", responses=ANSWERED)
async def resume_audio(request: Request, context: Pause, alarm: str, body: NoteBody | None = None) -> Alarm:
    """Let it sound again."""
    return await _answer(request, context, alarm, "resume_audio", body)


async def _answer(
    request: Request,
    context: Context,
    alarm: str,
    kind: Answer,
    body: Proof | None,
    *,
    until: int = 0,
    to: str = "",
) -> Alarm:
    """Act for whoever asks; a request that comes again with the same ``Idempotency-Key`` acts once."""
    person = await acting(context, request.app.state.unlocks, body)
    await alarm_of(context, alarm)  # the wall shows it, whoever stands before it
    seen = (body.seen or "") if isinstance(body, TakeBody) else ""
    said = body.note if isinstance(body, NoteBody | SayBody) else ""
    act = Act(kind, person.who.user, said, until, to)
    key = request.headers.get(HEADER, "")
    who = person.who.tenant, person.who.user
    repeats: Repeats = request.app.state.repeats
    do = partial(answer_alarm, person, alarm, act, seen=seen)
    return await repeats.once(who, key, (alarm, kind, said, to, seen), do)


async def answer_alarm(person: Acting, key: str, act: Act, *, seen: str = "") -> Alarm:
    """Answer for a person, audited. Raises AccessError, MissingError, RuleError.

    ``seen`` is the rule that the alarm was shown with to who takes it; empty: nothing is known of that.
    """
    context = person.context
    found = await alarm_of(context, key)
    equipment = is_equipment(found.patient)
    action = Action.ANSWER_TECHNICAL_ALARM if equipment else ACTIONS[act.kind]  # type: ignore[index]
    await context.demand(action, "alarm", patient=None if equipment else found.patient, target=key)
    if seen and found.rises and found.rises[-1].rule == found.rule != seen:
        msg = f"it is {found.rule!r} now, graver than {seen!r}, which was seen: look at it and take it then"
        raise RuleError(msg, code="risen", alarm=key, rule=found.rule)
    if act.kind == "redirect" and not await _may_be_asked(context, act.to, found):
        msg = f"{act.to!r} does not work here, or may not answer this alarm: choose somebody else"
        raise RuleError(msg, code="unknown_user", to=act.to)
    try:
        done = await context.backend.answer(context.scope, key, replace(act, seen=seen))
    except RuleError as error:
        if error.details.get("code") == "taken":
            await _say_who_was_first(context, key, error)
        raise
    if done is None:
        raise MissingError(kind="alarm", key=key)
    await context.audit(action, "alarm", target=key, detail=person.detail(do=act.kind))
    return done


async def _say_who_was_first(context: Context, key: str, error: RuleError) -> None:
    """Two accept at once: the second is told by whom and when it was accepted."""
    found = await alarm_of(context, key)
    if found.accepted_at is not None:
        error.message = f"{found.accepted_name or found.accepted_by} accepted it at {iso(found.accepted_at)}"


async def _may_be_asked(context: Context, user: str, found: AlarmDetail) -> bool:
    """Whether an alarm can be passed on to somebody: nobody is told of what they may not see and answer."""
    person = await context.backend.staff_member(context.scope, user)
    if person is None or not can_answer(person.roles, equipment=is_equipment(found.patient)):
        return False
    wards = None if person.wards is None else frozenset(person.wards)
    return await context.backend.alarm(Scope(context.who.tenant, wards), found.id) is not None
