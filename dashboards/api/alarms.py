"""Alarms: list, detail with history, accept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.api.readings import instant
from dashboards.backend import AlarmQuery
from dashboards.models import Alarm, AlarmDetail, Priority
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from hearthward.trust.access import Action

__all__ = ["accept_alarm", "router"]

router = APIRouter(prefix="/api/v1", tags=["alarms"], responses=ERROR_RESPONSES)


class AlarmList(BaseModel):
    """Alarms, newest first."""

    items: list[Alarm]


class AcceptBody(BaseModel):
    """Why, or what is being done; may be empty."""

    note: str = Field("", max_length=500, examples=["on my way"])


@router.get("/alarms")
async def list_alarms(  # noqa: PLR0913, PLR0917 - the query's filters
    context: Annotated[Context, Depends(Guard(Action.VIEW_ALARMS, "alarm", reads=True))],
    active: Annotated[bool, Query(description="only those that are active now")] = False,  # noqa: FBT002 - a query flag
    patient: str | None = None,
    rule: str | None = None,
    priority: Priority | None = None,
    from_: Annotated[str | None, Query(alias="from", description="started at or after")] = None,
    to: Annotated[str | None, Query(description="started before")] = None,
    worklist: Annotated[
        bool | None, Query(description="true: only breaches that came too late to signal; false: only alarms")
    ] = None,
    asked: Annotated[  # noqa: FBT002 - a query flag
        bool, Query(description="only second measurements that are being waited for: no alarms yet")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> AlarmList:
    """Alarms in the caller's scope."""
    query = AlarmQuery(
        active_only=active,
        patient=patient,
        rule=rule,
        priority=priority,
        start=instant(from_, "from", 0) if from_ else None,
        end=instant(to, "to", 0) if to else None,
        worklist=worklist,
        asked=asked,
        limit=limit,
    )
    return AlarmList(items=list(await context.backend.alarms(context.scope, query)))


@router.get("/alarms/{alarm}")
async def get_alarm(
    context: Annotated[Context, Depends(Guard(Action.VIEW_ALARMS, "alarm", reads=True))], alarm: str
) -> AlarmDetail:
    """One alarm: why it fired (values, limit, rule hash, inputs), every transition, every delivery."""
    found = await context.backend.alarm(context.scope, alarm)
    if found is None:
        raise MissingError(kind="alarm", key=alarm)
    return found


@router.post("/alarms/{alarm}/accept", responses={409: {"model": Problem, "description": "not active"}})
async def accept(
    context: Annotated[Context, Depends(Guard(Action.ACCEPT_ALARM, "alarm"))],
    alarm: str,
    body: AcceptBody | None = None,
) -> Alarm:
    """Take responsibility for an active alarm; returns once that is committed."""
    return await accept_alarm(context, alarm, body.note if body else "")


async def accept_alarm(context: Context, key: str, note: str) -> Alarm:
    """Accept for the caller, audited. Raises AccessError, MissingError, RuleError."""
    found = await context.backend.alarm(context.scope, key)
    if found is None:
        raise MissingError(kind="alarm", key=key)
    await context.demand(Action.ACCEPT_ALARM, "alarm", patient=found.patient, target=key)
    done = await context.backend.accept(context.scope, key, actor=context.who.name, note=note)
    if done is None:
        raise MissingError(kind="alarm", key=key)
    await context.audit(Action.ACCEPT_ALARM, "alarm", target=key)
    return done
