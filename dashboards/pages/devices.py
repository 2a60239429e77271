"""Gateways and devices with their state: what an engineer looks at first."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.access import Context, Guard
from dashboards.backend import is_equipment
from dashboards.models import Device, Gateway
from dashboards.pages.render import page
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/devices")
async def devices(
    request: Request, context: Annotated[Context, Depends(Guard(Action.VIEW_DEVICES, "device"))]
) -> Response:
    """One table of gateways, one of devices; no patient's name or value."""
    gateways = [g for g in await context.backend.items(context.scope, "gateway") if isinstance(g, Gateway)]
    found = [d for d in await context.backend.items(context.scope, "device") if isinstance(d, Device)]
    by_id = {g.id: g for g in gateways}
    seen = await context.backend.last_seen(context.scope)
    rows = [
        (d, by_id[d.gateway].states.get(d.id, "") if d.gateway in by_id else "", seen.get(d.id))
        for d in found
    ]
    off = await context.backend.inactivations(context.scope)
    held = defaultdict(bool, {i.subject: True for i in off if is_equipment(i.subject)})
    return page(request, context, "devices.html", gateways=gateways, devices=rows, held=held)
