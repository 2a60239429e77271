"""Notes of the care team about a patient as a whole: written, struck out, never deleted."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from dashboards.access import Context, Guard
from dashboards.api.care import allow
from dashboards.care_models import PatientNote
from dashboards.problems import ERROR_RESPONSES, MissingError
from hearthward.trust.access import Action

__all__ = ["NOTE", "router", "strike_note", "write_note"]

router = APIRouter(prefix="/api/v1", tags=["care"], responses=ERROR_RESPONSES)
NOTE: Final = "note"

See = Annotated[Context, Depends(Guard(Action.VIEW_NOTES, NOTE, reads=True))]
Write = Annotated[Context, Depends(Guard(Action.WRITE_NOTE, NOTE))]


class NoteBody(BaseModel):
    """What is to be known about the patient."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=4000, examples=["Hard of hearing: speak into the left ear."])


class NoteList(BaseModel):
    """The newest notes about a patient, the newest first."""

    items: list[PatientNote]


@router.get("/patients/{patient}/notes")
async def list_notes(context: See, patient: str) -> NoteList:
    """What the care team wrote about the patient; a note that was struck out says so."""
    await allow(context, patient, Action.VIEW_NOTES, NOTE)
    found = await context.backend.patient_notes(context.scope, patient)
    if found is None:
        raise MissingError(kind="patient", key=patient)
    return NoteList(items=list(found))


@router.post("/patients/{patient}/notes", status_code=201)
async def post_note(context: Write, patient: str, body: NoteBody) -> PatientNote:
    """Write a note about the patient."""
    return await write_note(context, patient, body.text)


async def write_note(context: Context, patient: str, text: str) -> PatientNote:
    """Keep the caller's note, audited. Raises MissingError, AccessError, DirectoryError."""
    await allow(context, patient, Action.WRITE_NOTE, NOTE)
    made = await context.backend.write_note(context.who, patient, text)
    if made is None:
        raise MissingError(kind="patient", key=patient)
    await context.audit(Action.WRITE_NOTE, NOTE, target=patient, detail={"do": "write", "note": made.id})
    return made


@router.post("/patients/{patient}/notes/{note}/strike")
async def post_strike(context: Write, patient: str, note: str) -> PatientNote:
    """Strike a note out: it stays readable, with who did it and when."""
    return await strike_note(context, patient, note)


async def strike_note(context: Context, patient: str, note: str) -> PatientNote:
    """Strike a note out, audited. Raises MissingError, AccessError."""
    await allow(context, patient, Action.WRITE_NOTE, NOTE)
    struck = await context.backend.strike_note(context.who, patient, note)
    if struck is None:
        raise MissingError(kind="note", key=note)
    await context.audit(Action.WRITE_NOTE, NOTE, target=patient, detail={"do": "strike", "note": note})
    return struck
