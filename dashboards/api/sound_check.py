"""What somebody at a wall says of its sound."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from dashboards.access import Context, Guard
from dashboards.problems import ERROR_RESPONSES
from dashboards.sound_checks import SoundChecks
from dashboards.unlock import Proof, acting
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["live"], responses=ERROR_RESPONSES)


class Heard(Proof):
    """Whether the alarm tone was heard; at a shared wall with who says so."""

    heard: bool = Field(description="false: the wall counts as silent until a check succeeds")


@router.post("/live/sound-check", status_code=204)
async def check_sound(
    request: Request, context: Annotated[Context, Depends(Guard(Action.REPORT_WALL, "wall"))], body: Heard
) -> None:
    """Say whether the alarm tone that this wall has just played was heard."""
    checks: SoundChecks = request.app.state.sound_checks
    person = await acting(context, request.app.state.unlocks, body)
    await person.context.demand(Action.REPORT_WALL, "wall", patient=None)
    await checks.made(context.who, person.who, heard=body.heard)
