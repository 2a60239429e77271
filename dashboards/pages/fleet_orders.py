"""Work orders: the list, one with its notes, and what can be done about it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, cast

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from cloud_ingest.device_health.asking import ORDER_STATES, AskedOrders, OrderState
from dashboards.access import Context
from dashboards.api.work_orders import assign_order, comment_order, finish_order, show_order
from dashboards.backend import DirectoryError
from dashboards.fleet_models import WorkOrder
from dashboards.models import Ward
from dashboards.pages.fleet_common import See, Work, hands_of, said_of, words
from dashboards.pages.forms import form_of
from dashboards.pages.render import page, safe_path
from dashboards.paging import PAGE, Pager, page_number
from dashboards.zones import local

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
HELD: Final = "held"
FILTERS: Final = ("state", "device", "ward", "assignee", "page")


def _today(context: Context) -> str:
    """The day it is where the caller is, as an order's day is written."""
    return local(context.backend.clock.now_ns(), context.zone).date().isoformat()


@router.get("/fleet/orders")
async def orders(request: Request, context: See) -> Response:
    """What is to be done, earliest due first; ``assignee=me`` keeps the caller's own."""
    asked = {name: request.query_params.get(name, "").strip()[:120] for name in FILTERS}
    if asked["state"] not in {"", "all", *ORDER_STATES}:
        asked["state"] = ""
    number = page_number(asked["page"])
    query = AskedOrders(
        state=cast("OrderState", asked["state"]),
        device=asked["device"],
        ward=asked["ward"],
        assignee=context.who.user if asked["assignee"] == "me" else asked["assignee"],
        offset=(number - 1) * PAGE,
    )
    found = await context.backend.work_orders(context.scope, query)
    wards = await context.backend.items(context.scope, "ward")
    return page(
        request,
        context,
        "fleet_orders.html",
        asked=asked,
        found=found,
        rules=await context.backend.order_rules(context.scope),
        now=context.backend.clock.now_ns(),
        today=_today(context),
        wards=[w for w in wards if isinstance(w, Ward)],
        hands=await hands_of(context),
        pager=Pager("/fleet/orders", asked, found.total, number),
        **words(context),
    )


@router.get("/fleet/orders/{order}")
async def order(request: Request, context: See, order: str) -> Response:
    """One work order with all that was written about it."""
    return await _show(request, context, order)


@router.post("/fleet/orders/{order}/assign")
async def assign(request: Request, context: Work, order: str) -> Response:
    """Give it to somebody; ``me`` is the caller. From another only where the form says from whom."""
    form = await form_of(request)
    chosen = context.who.user if form.get("assignee") == "me" else form.get("assignee", "")[:64]
    step = assign_order(context, order, chosen, form.get("instead_of", "")[:64] or None)
    return await _after(request, context, order, form, step)


@router.post("/fleet/orders/{order}/done")
async def done(request: Request, context: Work, order: str) -> Response:
    """Say that it is done, and how; of a service whether it was serviced."""
    form = await form_of(request)
    step = finish_order(context, order, form.get("text", ""), serviced=form.get("serviced") == "1")
    return await _after(request, context, order, form, step)


@router.post("/fleet/orders/{order}/comment")
async def comment(request: Request, context: Work, order: str) -> Response:
    """Write something about it."""
    form = await form_of(request)
    return await _after(request, context, order, form, comment_order(context, order, form.get("text", "")))


async def _after(
    request: Request, context: Context, key: str, form: dict[str, str], step: Awaitable[WorkOrder]
) -> Response:
    """Do it, then go back to where the button was; or show the order with what was wrong."""
    try:
        await step
    except DirectoryError as error:
        status = 409 if error.code == HELD else 422
        return await _show(request, context, key, (status, said_of(error)), form.get("text", ""))
    return RedirectResponse(safe_path(form.get("next")) or f"/fleet/orders/{key}", status_code=303)


async def _show(
    request: Request, context: Context, key: str, wrong: tuple[int, str] = (200, ""), typed: str = ""
) -> Response:
    found = await show_order(context, key)
    return page(
        request,
        context,
        "fleet_order.html",
        status=wrong[0],
        wrong=wrong[1],
        typed=typed,
        order=found,
        now=context.backend.clock.now_ns(),
        today=_today(context),
        hands=await hands_of(context),
        **words(context),
    )
