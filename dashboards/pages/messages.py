"""The care team's side of messages: who has written, and the conversation with one patient."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.care import MESSAGE, allow, see_messages, send_message
from dashboards.backend import DirectoryError
from dashboards.care_words import cares
from dashboards.models import Patient
from dashboards.pages.forms import Attempt, blame, form_of
from dashboards.pages.render import page
from dashboards.problems import MissingError
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

Look = Annotated[Context, Depends(Guard(Action.VIEW_MESSAGES, MESSAGE, reads=True))]
Poll = Annotated[Context, Depends(Guard(Action.VIEW_MESSAGES, MESSAGE))]
Write = Annotated[Context, Depends(Guard(Action.WRITE_MESSAGE, MESSAGE))]


def _staff(context: Context) -> None:
    """The list is the care team's; a patient's own are under /me. Raises MissingError."""
    if context.who.patient is not None:
        raise MissingError(kind="page", key="messages")


@router.get("/messages")
async def inbox(request: Request, context: Look) -> Response:
    """Who has written, those who wait longest first."""
    _staff(context)
    return page(request, context, "messages.html", items=await context.backend.inbox(context.who))


@router.get("/messages/list")
async def listed(request: Request, context: Poll) -> Response:
    """The list again, while the page is open (its opening was audited)."""
    _staff(context)
    return page(request, context, "messages_list.html", items=await context.backend.inbox(context.who))


async def _thread(context: Context, patient: str) -> dict[str, Any]:
    """Whose messages, and what was said. Raises MissingError, AccessError."""
    _staff(context)
    await allow(context, patient, Action.VIEW_MESSAGES, MESSAGE)
    person = await context.backend.item(context.scope, "patient", patient)
    thread = await context.backend.messages(context.scope, patient)
    if not isinstance(person, Patient) or thread is None:
        raise MissingError(kind="patient", key=patient)
    fresh = any(m.seen is None and not m.from_care for m in thread)
    return {"person": person, "thread": thread, "counts": cares(context.who), "fresh": fresh}


async def _show(
    request: Request, context: Context, patient: str, *, attempt: Attempt | None = None
) -> Response:
    return page(
        request,
        context,
        "conversation.html",
        status=422 if attempt else 200,
        attempt=attempt,
        client=request.app.state.ids.new("cli"),
        **await _thread(context, patient),
    )


@router.get("/patients/{patient}/messages")
async def conversation(request: Request, context: Look, patient: str) -> Response:
    """The messages with a patient; by opening it a nurse or doctor has seen them."""
    _staff(context)
    await see_messages(context, patient)
    return await _show(request, context, patient)


@router.get("/patients/{patient}/messages/list")
async def talk(request: Request, context: Poll, patient: str) -> Response:
    """The messages again, while the page is open: a page that nobody may be looking at sees nothing."""
    return page(request, context, "conversation_talk.html", **await _thread(context, patient))


@router.post("/patients/{patient}/messages/seen")
async def seen(context: Poll, patient: str) -> Response:
    """The caller has seen what came while the page was open."""
    _staff(context)
    await see_messages(context, patient)
    return RedirectResponse(f"/patients/{quote(patient, safe='')}/messages#end", status_code=303)


@router.post("/patients/{patient}/messages")
async def write(request: Request, context: Write, patient: str) -> Response:
    """Answer; on refusal the page again with what was typed."""
    _staff(context)
    form = await form_of(request)
    try:
        await send_message(context, patient, form.get("text", ""), client=form.get("client", ""))
    except DirectoryError as error:
        return await _show(request, context, patient, attempt=blame("message", form, error))
    return RedirectResponse(f"/patients/{quote(patient, safe='')}/messages#end", status_code=303)
