"""The wall's whole state, and the stream of its changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from dashboards.access import Context, Guard
from dashboards.live.hub import LiveHub
from dashboards.problems import ERROR_RESPONSES
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["live"], responses=ERROR_RESPONSES)


@router.get("/wall")
async def wall(
    request: Request, context: Annotated[Context, Depends(Guard(Action.VIEW_WARD, "wall", reads=True))]
) -> dict[str, Any]:
    """Everything that the caller's wall shows, and the stream position (``boot``-``seq``) of it."""
    hub: LiveHub = request.app.state.hub
    return hub.snapshot(context.scope)


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
