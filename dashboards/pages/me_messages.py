"""A patient's messages with the care team."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.care import MESSAGE, see_messages, send_message
from dashboards.backend import DirectoryError
from dashboards.pages.forms import Attempt, blame, form_of
from dashboards.pages.own import own, own_patient, part
from dashboards.problems import MissingError
from dashboards.watching import watch_of
from hearthward.trust.access import Action, Scope

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

Look = Annotated[Context, Depends(Guard(Action.VIEW_MESSAGES, MESSAGE, reads=True))]
Poll = Annotated[Context, Depends(Guard(Action.VIEW_MESSAGES, MESSAGE))]
Write = Annotated[Context, Depends(Guard(Action.WRITE_MESSAGE, MESSAGE))]


async def _show(
    request: Request, context: Context, template: str, *, attempt: Attempt | None = None
) -> Response:
    found = await own(request, context)
    if not found.view.own:
        raise MissingError(kind="consent", key=found.patient)
    thread = await context.backend.messages(context.scope, found.patient)
    if thread is None:
        raise MissingError(kind="patient", key=found.patient)
    roster = await context.backend.roster(context.scope)
    duty = await context.backend.duty(Scope.system(context.who.tenant))
    return await part(
        request,
        context,
        found,
        template,
        status=422 if attempt else 200,
        thread=thread,
        attempt=attempt,
        client=request.app.state.ids.new("cli"),
        watch=watch_of(duty, found.patient, found.times.now),
        ward=next((e.ward_name for e in roster if e.patient == found.patient), ""),
    )


@router.get("/me/messages")
async def messages(request: Request, context: Look) -> Response:
    """The messages; those of the care team are seen by that."""
    await see_messages(context, own_patient(context))
    return await _show(request, context, "me_messages.html")


@router.get("/me/messages/thread")
async def thread(request: Request, context: Poll) -> Response:
    """The messages again, while the page is open (its opening was audited); nothing is seen by that."""
    return await _show(request, context, "me_thread.html")


@router.post("/me/messages")
async def write(request: Request, context: Write) -> Response:
    """Write to the care team; on refusal the page again with what was typed."""
    form = await form_of(request)
    try:
        await send_message(context, own_patient(context), form.get("text", ""), client=form.get("client", ""))
    except DirectoryError as error:
        return await _show(request, context, "me_messages.html", attempt=blame("message", form, error))
    return RedirectResponse("/me/messages#end", status_code=303)
