"""Gateways and devices with their state: what an engineer looks at first."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.access import Context, Guard
from dashboards.backend import is_equipment
from dashboards.directory_port import AskedItems
from dashboards.models import Device, Gateway
from dashboards.pages.render import page
from dashboards.paging import PAGE, Pager, page_number
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/devices")
async def devices(
    request: Request, context: Annotated[Context, Depends(Guard(Action.VIEW_DEVICES, "device"))]
) -> Response:
    """One table of gateways, one of devices, each searched and paged; no patient's name or value."""
    backend, scope, query = context.backend, context.scope, request.query_params
    asked = {name: query.get(name, "").strip()[:120] for name in ("q", "page", "gateways")}
    numbers = {name: page_number(asked[name]) for name in ("page", "gateways")}
    near = await backend.item_page(
        scope, AskedItems("gateway", asked["q"], offset=(numbers["gateways"] - 1) * PAGE)
    )
    found = await backend.item_page(
        scope, AskedItems("device", asked["q"], offset=(numbers["page"] - 1) * PAGE)
    )
    gateways = [g for g in near.items if isinstance(g, Gateway)]
    shown = [d for d in found.items if isinstance(d, Device)]
    seen = await backend.seen_at(scope, [d.id for d in shown])
    off = await backend.inactivations(scope)
    held = defaultdict(bool, {i.subject: True for i in off if is_equipment(i.subject)})
    return page(
        request,
        context,
        "devices.html",
        gateways=gateways,
        devices=[(d, seen.get(d.id)) for d in shown],
        held=held,
        asked=asked,
        of_gateways=Pager("/devices", asked, near.total, numbers["gateways"], name="gateways"),
        of_devices=Pager("/devices", asked, found.total, numbers["page"]),
    )
