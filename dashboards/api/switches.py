"""Switching signals off for a patient, a device or a gateway, and on again: who, why, until when."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, model_validator

from dashboards.access import Context, Guard
from dashboards.api.alarms import ANSWERED, PauseBody
from dashboards.backend import is_equipment
from dashboards.models import Inactivation, InactivationKind, Instant
from dashboards.problems import ERROR_RESPONSES, MissingError
from dashboards.response_models import LONGEST_S, SECOND, Act, Switch
from dashboards.unlock import Acting, Proof, acting
from hearthward.trust.access import Action

__all__ = ["SWITCH_ACTIONS", "router", "see_inactivations", "switch_subject"]

router = APIRouter(prefix="/api/v1", tags=["alarms"], responses={**ERROR_RESPONSES, **ANSWERED})
MONTH_MIN: Final = LONGEST_S["maintenance"] // 60
SWITCH_ACTIONS: Final[dict[Switch, Action]] = {
    "pause_audio": Action.PAUSE_ALARM,
    "pause_alarms": Action.PAUSE_ALARM,
    "audio_off": Action.SWITCH_OFF_ALARM,
    "alarms_off": Action.SWITCH_OFF_ALARM,
    "maintenance": Action.MAINTAIN_DEVICE,
    "resume": Action.PAUSE_ALARM,
}
"""What each needs; to switch equipment on again takes MAINTAIN_DEVICE."""

_WALL: Final = (Action.REPORT_WALL,)
See = Annotated[
    Context, Depends(Guard(Action.VIEW_ALARMS, "alarm", reads=True, others=(Action.VIEW_TECHNICAL_ALARMS,)))
]
Pause = Annotated[Context, Depends(Guard(Action.PAUSE_ALARM, "patient", others=_WALL))]
Off = Annotated[Context, Depends(Guard(Action.SWITCH_OFF_ALARM, "patient", others=_WALL))]
Maintain = Annotated[Context, Depends(Guard(Action.MAINTAIN_DEVICE, "device"))]


class SwitchBody(Proof):
    """Why, and until when: in minutes from now, or a time."""

    reason: str = Field(min_length=1, max_length=500, examples=["bathing"])
    minutes: int | None = Field(None, ge=1, le=MONTH_MIN)
    until: Instant | None = None

    @model_validator(mode="after")
    def _one_end(self) -> SwitchBody:
        if (self.minutes is None) == (self.until is None):
            msg = "give minutes or until: everything that is switched off has an end"
            raise ValueError(msg)
        return self

    def end(self, now: int) -> int:
        """The end in UTC ns."""
        return self.until if self.until is not None else now + (self.minutes or 0) * 60 * SECOND


class ResumeBody(Proof):
    """What goes on again; without a kind everything."""

    kind: InactivationKind | None = None


class InactivationList(BaseModel):
    """What is switched off, newest first."""

    items: list[Inactivation]


@router.get("/inactivations")
async def list_inactivations(
    context: See,
    subject: Annotated[str | None, Query(description="a patient's id, `device:ID`, `gateway:ID`")] = None,
    ended: Annotated[bool, Query(description="also what is over")] = False,  # noqa: FBT002 - a query flag
) -> InactivationList:
    """Everything in the caller's scope that is paused or off: who, why, until when."""
    return InactivationList(items=await see_inactivations(context, subject=subject, ended=ended))


async def see_inactivations(
    context: Context, *, subject: str | None = None, ended: bool = False
) -> list[Inactivation]:
    """Those that the caller may see: without the right to see patients' alarms those of equipment."""
    found = await context.backend.inactivations(context.scope, subject=subject, ended=ended)
    return [i for i in found if context.may(Action.VIEW_ALARMS) or is_equipment(i.subject)]


@router.post("/patients/{patient}/pause-audio", status_code=204)
async def pause_audio(request: Request, context: Pause, patient: str, body: PauseBody | None = None) -> None:
    """Pause the sound of all present alarms of a patient; any new one sounds."""
    seconds = (body or PauseBody.model_construct(seconds=LONGEST_S["pause_audio"])).seconds
    until = context.backend.clock.now_ns() + seconds * SECOND
    await _switch(request, context, patient, "pause_audio", body, until=until)


@router.post("/patients/{patient}/audio-off", status_code=204)
async def audio_off(request: Request, context: Off, patient: str, body: SwitchBody) -> None:
    """Turn the sound of a patient's alarms off for a time."""
    await _off(request, context, patient, "audio_off", body)


@router.post("/patients/{patient}/pause-alarms", status_code=204)
async def pause_alarms(request: Request, context: Pause, patient: str, body: SwitchBody) -> None:
    """Pause a patient's alarms, sound and messages, for some hours at most."""
    await _off(request, context, patient, "pause_alarms", body)


@router.post("/patients/{patient}/alarms-off", status_code=204)
async def alarms_off(request: Request, context: Off, patient: str, body: SwitchBody) -> None:
    """Turn a patient's alarms off for a time."""
    await _off(request, context, patient, "alarms_off", body)


@router.post("/patients/{patient}/resume", status_code=204)
async def resume(request: Request, context: Pause, patient: str, body: ResumeBody | None = None) -> None:
    """Switch a patient's alarms on again."""
    await _switch(request, context, patient, "resume", body, to=(body and body.kind) or "")


@router.post("/devices/{key}/maintenance", status_code=204)
async def device_maintenance(request: Request, context: Maintain, key: str, body: SwitchBody) -> None:
    """Technical alarms that rest on this device alone are silent while somebody works on it."""
    await _off(request, context, f"device:{key}", "maintenance", body)


@router.post("/devices/{key}/resume", status_code=204)
async def device_resume(
    request: Request, context: Maintain, key: str, body: ResumeBody | None = None
) -> None:
    """End the maintenance."""
    await _switch(request, context, f"device:{key}", "resume", body, to=(body and body.kind) or "")


@router.post("/gateways/{key}/maintenance", status_code=204)
async def gateway_maintenance(request: Request, context: Maintain, key: str, body: SwitchBody) -> None:
    """Technical alarms that rest on this gateway alone are silent while somebody works on it."""
    await _off(request, context, f"gateway:{key}", "maintenance", body)


@router.post("/gateways/{key}/resume", status_code=204)
async def gateway_resume(
    request: Request, context: Maintain, key: str, body: ResumeBody | None = None
) -> None:
    """End the maintenance."""
    await _switch(request, context, f"gateway:{key}", "resume", body, to=(body and body.kind) or "")


async def _off(request: Request, context: Context, subject: str, kind: Switch, body: SwitchBody) -> None:
    until = body.end(context.backend.clock.now_ns())
    await _switch(request, context, subject, kind, body, note=body.reason, until=until)


async def _switch(
    request: Request,
    context: Context,
    subject: str,
    kind: Switch,
    body: Proof | None,
    *,
    note: str = "",
    until: int = 0,
    to: str = "",
) -> None:
    person = await acting(context, request.app.state.unlocks, body)
    await switch_subject(person, subject, Act(kind, person.who.user, note, until, to))


async def switch_subject(person: Acting, subject: str, act: Act) -> None:
    """Switch for a person, audited. Raises AccessError, MissingError, RuleError."""
    context, equipment = person.context, is_equipment(subject)
    action = Action.MAINTAIN_DEVICE if equipment else SWITCH_ACTIONS[act.kind]  # type: ignore[index]
    kind = subject.partition(":")[0] if equipment else "patient"
    await context.demand(action, kind, patient=None if equipment else subject, target=subject)
    if not await context.backend.switch(context.scope, subject, act):
        raise MissingError(kind=kind, key=subject)
    detail = person.detail(do=act.kind, until=act.until, reason=act.note)
    await context.audit(action, kind, target=subject, detail=detail)
