"""Observations entered by hand, by staff for a patient and by patients for themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt

from cloud_ingest.entry import ENTERABLE, ENTERABLE_BY_PATIENT, Draft
from cloud_ingest.manual import NotJudgedError
from dashboards.access import Context, Guard
from dashboards.models import Instant, Value
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from hearthward.trust.access import Action, Role

__all__ = ["EntryDone", "enter", "enterable", "router"]

router = APIRouter(prefix="/api/v1", tags=["readings"], responses=ERROR_RESPONSES)
MOST_VALUES = 40


class EntryBody(BaseModel):
    """What was observed; all of it is entered, or nothing."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(
        None,
        description="chosen by the client: the same entry sent again is entered once",
        examples=["ent_5f1c22"],
    )
    at: Instant | None = Field(
        None,
        description="when it was observed, at most 24 hours ago; null: now",
        examples=["2026-03-01T08:15:00Z"],
    )
    values: dict[str, StrictFloat | StrictInt | str] = Field(
        max_length=MOST_VALUES,
        description="metric -> number, or code of a coded metric",
        examples=[{"consciousness": "A", "supplemental_oxygen": "air", "respiratory_rate": 18, "pain": 3}],
    )
    units: dict[str, str] = Field(
        default_factory=dict,
        description="metric -> UCUM unit, where it is not the metric's own",
        examples=[{"blood_glucose": "mmol/L"}],
    )


class EntryDone(BaseModel):
    """An entry as it is stored and was decided on: its readings have one ``group``."""

    id: str
    patient: str
    items: list[Value]


def enterable(context: Context) -> frozenset[str]:
    """The metrics that the caller may enter."""
    staff = context.who.roles - {Role.PATIENT}
    return ENTERABLE if staff and context.who.patient is None else ENTERABLE_BY_PATIENT


async def enter(context: Context, patient: str, draft: Draft) -> EntryDone:
    """Enter for the caller, audited.

    Raises AccessError, MissingError, EntryError, StoreUnavailable, and NotJudgedError: stored, but the rules
    failed on it.
    """
    if await context.backend.item(context.scope, "patient", patient) is None:
        raise MissingError(kind="patient", key=patient)
    await context.demand(Action.ENTER_READING, "entry", patient=patient, target=patient)
    try:
        found = await context.backend.enter(context.scope, patient, draft, author=context.who.user)
    except NotJudgedError:
        detail = {"entry": draft.id, "metrics": ",".join(draft.values), "judged": False}
        await context.audit(Action.ENTER_READING, "entry", target=patient, detail=detail)
        raise
    if found is None:
        raise MissingError(kind="patient", key=patient)
    detail = {"entry": draft.id, "metrics": ",".join(v.metric for v in found)}
    await context.audit(Action.ENTER_READING, "entry", target=patient, detail=detail)
    return EntryDone(id=draft.id, patient=patient, items=list(found))


@router.post(
    "/patients/{patient}/entries",
    status_code=201,
    responses={409: {"model": Problem, "description": "the id was used for another entry, or not in care"}},
)
async def enter_observations(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.ENTER_READING, "entry"))],
    patient: str,
    body: EntryBody,
) -> EntryDone:
    """Enter observations by hand; answers once they are stored and the rules have decided on them.

    An error 500 that says so means that they are stored, but the rules failed on them.

    Each value keeps who entered it. Patients may enter symptoms, pain and what they measure themselves, for
    themselves only. Sent again with the same ``id`` it gives the same answer and enters nothing twice. Of a
    patient without a stay only those who see every ward can enter something.
    """
    key = body.id if body.id is not None else request.app.state.ids.new("ent")
    draft = Draft(key, body.values, body.units, body.at, enterable(context))
    return await enter(context, patient, draft)
