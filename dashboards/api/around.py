"""What gateways see around them, configured or not; and having one listen now."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft
from dashboards.around_models import Around
from dashboards.problems import ERROR_RESPONSES
from hearthward.core.sightings import MOST_SCAN_S
from hearthward.trust.access import Action

__all__ = ["ScanAsked", "router", "scan"]

router = APIRouter(prefix="/api/v1", tags=["discovery"], responses=ERROR_RESPONSES)
KIND: Final = "gateway"


class ScanBody(Draft):
    """For how long."""

    seconds: int = Field(10, ge=1, le=MOST_SCAN_S)


class ScanAsked(BaseModel):
    """The gateway was asked; what it sees is among the sightings some seconds after it has listened."""

    gateway: str
    seconds: int


@router.get("/sightings")
async def get_sightings(context: Annotated[Context, Depends(Guard(Action.VIEW_DEVICES, KIND))]) -> Around:
    """All that the gateways in scope heard or found plugged in lately, as each told last."""
    return await context.backend.around(context.scope)


@router.post("/gateways/{key}/scan", status_code=202)
async def post_scan(
    context: Annotated[Context, Depends(Guard(Action.MANAGE_DEVICES, KIND))],
    key: str,
    body: ScanBody | None = None,
) -> ScanAsked:
    """Have a gateway's radio listen now; connections go on meanwhile."""
    return await scan(context, key, (body or ScanBody(seconds=10)).seconds)


async def scan(context: Context, gateway: str, seconds: int) -> ScanAsked:
    """Ask for the caller, audited. Raises DirectoryError, AccessError."""
    await context.backend.scan(context.scope, gateway, seconds)
    await context.audit(
        Action.MANAGE_DEVICES, KIND, target=gateway, detail={"do": "scan", "seconds": seconds}
    )
    return ScanAsked(gateway=gateway, seconds=seconds)
