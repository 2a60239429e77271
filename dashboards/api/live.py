"""The wall's whole state, the stream of its changes, and what walls tell of themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.backend import DirectoryError
from dashboards.live.hub import LiveHub
from dashboards.problems import ERROR_RESPONSES
from dashboards.response_models import WallState
from dashboards.sound_checks import SoundCheck, SoundChecks
from dashboards.unlock import UNLOCK_S, Proof, prove
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["live"], responses=ERROR_RESPONSES)


@router.get("/wall")
async def wall(
    request: Request, context: Annotated[Context, Depends(Guard(Action.VIEW_WARD, "wall", reads=True))]
) -> Response:
    """Everything that the caller's wall shows, and the stream position (``boot``-``seq``) of it."""
    hub: LiveHub = request.app.state.hub
    return Response(hub.snapshot_text(context.scope), media_type="application/json")


@router.get("/live", response_class=StreamingResponse)
async def live(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.VIEW_WARD, "wall", reads=True))],
    last_event_id: Annotated[str | None, Header(description="resume after this event")] = None,
    after: Annotated[str | None, Query(description="the same, for a first connection")] = None,
) -> StreamingResponse:
    """Server-sent events: ``patch`` (changed tiles), ``beat`` every 2 s, ``refetch`` (GET /wall again)."""
    hub: LiveHub = request.app.state.hub

    async def alive() -> bool:
        service = context.token in request.app.state.services
        return service or await context.backend.principal(context.token) == context.principal

    return StreamingResponse(
        hub.stream(context.scope, last_event_id or after, alive),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


Report = Annotated[Context, Depends(Guard(Action.REPORT_WALL, "wall"))]


class WallReport(BaseModel):
    """What a wall tells every few seconds."""

    wall: str = Field(min_length=1, max_length=80, description="an id of the page, for as long as it is open")
    audible: bool = Field(description="whether the browser lets sound out")
    closed: bool = Field(default=False, description="the page is being closed")


class WallStates(BaseModel):
    """The walls of the caller's wards, and the sound check that is due at the one that reports."""

    wards: list[WallState]
    check: SoundCheck | None = None


class Unlocked(BaseModel):
    """Who may act with one tap now, and for how long."""

    name: str
    seconds: float


@router.post("/live/wall")
async def report_wall(request: Request, context: Report, body: WallReport) -> WallStates:
    """A wall is there; the server raises an alarm in a ward where none is audible.

    A person's page of all wards is told how the walls are, and counts as none: it may be open anywhere. A
    wall that was not heard when its sound was checked is not audible, whatever its browser says.
    """
    checks: SoundChecks = request.app.state.sound_checks
    who = context.who
    counts = who.kind == "display" or who.wards is not None
    check = await checks.due(who) if counts and not body.closed else None
    audible = body.audible and not (check is not None and check.failed)
    seen = await context.backend.wall_seen(
        f"{who.user}:{body.wall}", who.wards, audible=audible, closed=body.closed, counts=counts
    )
    return WallStates(wards=list(seen), check=check)


@router.post("/live/unlock")
async def unlock(request: Request, context: Report, body: Proof) -> Unlocked:
    """Let somebody act at this wall for a minute without proving each time who they are."""
    person = await prove(context, body)
    if person is None:
        raise DirectoryError(field="badge", code="required")
    request.app.state.unlocks.open(context.token, person)
    await context.backend.audit(person, "unlock_wall", "wall", detail={"via": context.who.user})
    return Unlocked(name=person.name, seconds=UNLOCK_S)


@router.post("/live/lock", status_code=204)
async def lock(request: Request, context: Report) -> None:
    """Lock this wall again."""
    request.app.state.unlocks.close(context.token)
