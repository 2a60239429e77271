"""Notes about a patient as a whole, from that patient's page."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.notes import NOTE, strike_note, write_note
from dashboards.backend import DirectoryError
from dashboards.pages.forms import blame, form_of
from dashboards.pages.patient import show_patient
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

Write = Annotated[Context, Depends(Guard(Action.WRITE_NOTE, NOTE))]


def _back(patient: str) -> Response:
    return RedirectResponse(f"/patients/{quote(patient, safe='')}#notes", status_code=303)


@router.post("/patients/{patient}/notes")
async def post_note(request: Request, context: Write, patient: str) -> Response:
    """Write one; on refusal the page again with what was typed."""
    form = await form_of(request)
    try:
        await write_note(context, patient, form.get("text", ""))
    except DirectoryError as error:
        return await show_patient(request, context, patient, attempt=blame("note", form, error))
    return _back(patient)


@router.post("/patients/{patient}/notes/{note}/strike")
async def post_strike(context: Write, patient: str, note: str) -> Response:
    """Strike one out."""
    await strike_note(context, patient, note)
    return _back(patient)
