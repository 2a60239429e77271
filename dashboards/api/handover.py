"""Hand-over: the sheet of somebody's patients, and taking them and their alarms over."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, BeforeValidator, Field

from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft, Key, OptionalKey
from dashboards.api.limits import patient_of
from dashboards.api.staff import CONFLICT
from dashboards.backend import AlarmQuery, DirectoryError, is_equipment
from dashboards.handover_sheet import Sheet, sheet_of
from dashboards.live.hub import LiveHub
from dashboards.people_port import HandOverDraft
from dashboards.problems import ERROR_RESPONSES
from dashboards.response_models import Act
from dashboards.staff_models import HandOver, StaffMember
from hearthward.core.errors import RuleError
from hearthward.trust.access import Action, Role

__all__ = ["HandOverBody", "confirmed_by", "hand_over", "router", "sheet", "takers"]

router = APIRouter(prefix="/api/v1", tags=["hand-over"], responses=ERROR_RESPONSES)
KIND: Final = "handover"
TAKERS: Final = frozenset({Role.NURSE, Role.DOCTOR})
"""Who can be responsible for patients."""

See = Annotated[Context, Depends(Guard(Action.HAND_OVER, KIND, reads=True))]
Do = Annotated[Context, Depends(Guard(Action.HAND_OVER, KIND))]


_Pin = Annotated[str, Field(max_length=12)]
OptionalPin = Annotated[_Pin | None, BeforeValidator(lambda value: value or None)]


class HandOverBody(Draft):
    """Who gives which patients to whom. The one who takes confirms: by their own login, or by their PIN."""

    to: Key
    by: OptionalKey = Field(None, description="who gives them; null: the caller")
    ward: OptionalKey = None
    patients: list[Key] = Field(default_factory=list, max_length=500)
    note: str = Field("", max_length=2000)
    pin: OptionalPin = Field(None, description="of the one who takes them, unless that is the caller")


class HandOverList(BaseModel):
    """Past hand-overs, the newest first."""

    items: list[HandOver]


@router.get("/handover")
async def get_sheet(request: Request, context: See, ward: str | None = None, by: str | None = None) -> Sheet:
    """The sheet of the caller's patients (or of ``by``'s); with ``ward`` of all patients of a ward."""
    return await sheet(request, context, by, ward)


@router.get("/handovers")
async def list_hand_overs(context: See) -> HandOverList:
    """Past hand-overs in the caller's wards, and the caller's own."""
    return HandOverList(items=list(await context.backend.hand_overs(context.scope, reader=context.who.user)))


@router.post("/handovers", status_code=201, responses=CONFLICT)
async def post_hand_over(context: Do, body: HandOverBody) -> HandOver:
    """Take patients over, with those alarms of theirs that ``by`` is responsible for."""
    return await hand_over(context, body)


async def sheet(request: Request, context: Context, by: str | None, ward: str | None) -> Sheet:
    """Somebody's sheet. Raises DirectoryError for a person or a ward that is not there."""
    scope = context.scope
    if by and by != context.who.user and by not in {s.id for s in await context.backend.staff(scope)}:
        raise DirectoryError(field="by", code="unknown", value=by)
    if ward and await context.backend.item(scope, "ward", ward) is None:
        raise DirectoryError(field="ward", code="unknown", value=ward)
    hub: LiveHub = request.app.state.hub
    states = partial(hub.states, scope)
    return await sheet_of(context.backend, scope, by or context.who.user, ward or None, states)


async def takers(context: Context) -> list[StaffMember]:
    """Who can take patients over."""
    return [s for s in await context.backend.staff(context.scope) if TAKERS & set(map(Role, s.roles))]


async def hand_over(context: Context, body: HandOverBody) -> HandOver:
    """Carry a hand-over out, audited. Raises MissingError, AccessError, DirectoryError, Throttled.

    The alarms first, since they cannot wait; what is recorded is what really changed hands.
    """
    by = body.by or context.who.user
    scope, backend = context.scope, context.backend
    for patient in body.patients:
        await patient_of(context, patient)
        await context.demand(Action.HAND_OVER, KIND, patient=patient, target=patient)
    await _check_people(context, body, by)
    if body.to != context.who.user:
        await confirmed_by(context, "to", body.to, body.pin or "", kind=KIND)
    alarms = []
    for alarm in await _alarms_of(context, by, body.patients):
        act = Act("take_over", actor=body.to, note=body.note)
        try:
            taken = await backend.answer(scope, alarm, act)
        except RuleError:  # it has ended, or is somebody else's by now
            continue
        if taken is not None:
            alarms.append(alarm)
    draft = HandOverDraft(by, body.to, body.ward, body.note, tuple(body.patients), tuple(alarms))
    done = await backend.hand_over(scope, draft, who=context.who)
    detail = {"by": by, "to": body.to, "patients": len(done.patients), "alarms": len(done.alarms)}
    await context.audit(Action.HAND_OVER, KIND, target=done.id, detail=detail)
    return done


async def _check_people(context: Context, body: HandOverBody, by: str) -> None:
    if body.to == by:
        raise DirectoryError(field="to", code="invalid", value=body.to)
    if body.ward and await context.backend.item(context.scope, "ward", body.ward) is None:
        raise DirectoryError(field="ward", code="unknown", value=body.ward)
    staff = {s.id: s for s in await context.backend.staff(context.scope)}
    for field, user in (("by", by), ("to", body.to)):
        if user not in staff and user != context.who.user:
            raise DirectoryError(field=field, code="unknown", value=user)
    taker = staff.get(body.to)
    if taker is None:
        return
    wards = {await context.backend.ward_of(context.scope, p) for p in body.patients}
    if not TAKERS & set(map(Role, taker.roles)) or (taker.wards is not None and wards - {*taker.wards}):
        raise DirectoryError(field="to", code="invalid", value=taker.name)


async def _alarms_of(context: Context, by: str, patients: list[str]) -> list[str]:
    """The open alarms that somebody is responsible for: of these patients, and of none (technical ones)."""
    query = AlarmQuery(open_only=True, owner=by, limit=1000)
    found = await context.backend.alarms(context.scope, query)
    return [a.id for a in found if is_equipment(a.patient) or a.patient in patients]


async def confirmed_by(context: Context, field: str, user: str, pin: str, *, kind: str) -> None:
    """Have somebody agree by their PIN. Raises DirectoryError (``pin``), audited, and Throttled."""
    staff = await context.backend.staff(context.scope)
    login = next((s.login for s in staff if s.id == user), None)
    if login is None:
        raise DirectoryError(field=field, code="unknown", value=user)
    known = await context.backend.person_by_pin(login, pin) if pin else None
    if known is None or known.user != user or known.tenant != context.who.tenant:
        await context.audit("confirm", kind, target=user, outcome="refused")
        raise DirectoryError(field="pin", code="wrong" if pin else "required", value="")
