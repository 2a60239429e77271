"""Work on devices: opened, given to somebody, done; every step is audited."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, status
from pydantic import Field

from cloud_ingest.device_health.asking import AskedOrders, OrderState
from dashboards.access import Context, Guard
from dashboards.api.directory import MOST_OFFSET
from dashboards.api.drafts import Draft
from dashboards.fleet_models import OrderDraft, OrderPage, OrderRule, WorkOrder
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from hearthward.trust.access import Action

__all__ = [
    "KIND",
    "See",
    "Work",
    "assign_order",
    "comment_order",
    "finish_order",
    "open_order",
    "router",
    "show_order",
]

router = APIRouter(prefix="/api/v1/work-orders", tags=["fleet"], responses=ERROR_RESPONSES)
KIND: Final = "work_order"
See = Annotated[Context, Depends(Guard(Action.VIEW_DEVICES, KIND))]
Work = Annotated[Context, Depends(Guard(Action.MAINTAIN_DEVICE, KIND))]
Key = Annotated[str, Query(max_length=64)]


class AssignBody(Draft):
    """To whom it is given, and from whom it is taken where that is another than the caller."""

    assignee: Annotated[str, Field(min_length=1, max_length=64, description="a user's id")]
    instead_of: Annotated[
        str | None, Field(max_length=64, description="the id of who has it; needed to take it from another")
    ] = None


class DoneBody(Draft):
    """What was done, if there is more to say than that."""

    text: Annotated[str, Field(max_length=500)] = ""
    serviced: Annotated[
        bool, Field(description="of work for a service: it was serviced, and its hours of use count anew")
    ] = True


class CommentBody(Draft):
    """What is to be said."""

    text: Annotated[str, Field(min_length=1, max_length=500)]


@router.get("")
async def get_orders(
    context: See,
    state: Annotated[
        OrderState | Literal["", "all"], Query(description="empty: those that are not done")
    ] = "",
    device: Key = "",
    ward: Key = "",
    assignee: Key = "",
    offset: Annotated[int, Query(ge=0, le=MOST_OFFSET)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> OrderPage:
    """Work orders: those due first."""
    asked = AskedOrders(state, device, ward, assignee, offset, limit)
    return await context.backend.work_orders(context.scope, asked)


@router.post("", status_code=status.HTTP_201_CREATED)
async def post_order(context: Work, body: OrderDraft) -> WorkOrder:
    """Open one, for a finding or of one's own accord."""
    return await open_order(context, body)


@router.get("/rules")
async def get_rules(context: See) -> list[OrderRule]:
    """When a rule opens a work order, for each kind of finding; what the site's settings say."""
    return list(await context.backend.order_rules(context.scope))


@router.get("/{work}")
async def get_order(context: See, work: str) -> WorkOrder:
    """One with all that was done and said."""
    return await show_order(context, work)


@router.post("/{work}/assignee", responses={409: {"model": Problem, "description": "Conflict"}})
async def post_assignee(context: Work, work: str, body: AssignBody) -> WorkOrder:
    """Give it to somebody; 409 with who has it and since when where that is another than ``instead_of``."""
    return await assign_order(context, work, body.assignee, body.instead_of)


@router.post("/{work}/done")
async def post_done(context: Work, work: str, body: DoneBody) -> WorkOrder:
    """Say that it is done."""
    return await finish_order(context, work, body.text, serviced=body.serviced)


@router.post("/{work}/comments")
async def post_comment(context: Work, work: str, body: CommentBody) -> WorkOrder:
    """Write about it."""
    return await comment_order(context, work, body.text)


async def show_order(context: Context, order: str) -> WorkOrder:
    """One for the caller. Raises MissingError."""
    return _there(await context.backend.work_order(context.scope, order), order)


async def open_order(context: Context, draft: OrderDraft) -> WorkOrder:
    """Open one for the caller, audited. Raises DirectoryError."""
    opened = await context.backend.open_work_order(context.who, draft)
    detail = {"do": "open", "device": opened.device, "finding": opened.finding, "assignee": opened.assignee}
    await context.audit(Action.MAINTAIN_DEVICE, KIND, target=opened.id, detail=detail)
    return opened


async def assign_order(
    context: Context, order: str, assignee: str, instead_of: str | None = None
) -> WorkOrder:
    """Give it to somebody for the caller, audited with from whom. Raises MissingError and DirectoryError."""
    before = _there(await context.backend.work_order(context.scope, order), order)
    taken = context.backend.assign_work_order(context.who, order, assignee, instead_of)
    found = _there(await taken, order)
    if before.assignee is None:
        await _told(context, found, "assign", assignee=assignee)
    elif before.assignee != assignee:
        do = "take" if assignee == context.who.user else "assign"
        await _told(context, found, do, assignee=assignee, instead_of=before.assignee)
    return found


async def finish_order(context: Context, order: str, text: str = "", *, serviced: bool = True) -> WorkOrder:
    """It is done, says the caller, audited. Raises MissingError and DirectoryError."""
    step = context.backend.finish_work_order(context.who, order, text, serviced=serviced)
    found = _there(await step, order)
    more = {"serviced": serviced} if found.kind == "service" else {}
    await _told(context, found, "done", **more)
    return found


async def comment_order(context: Context, order: str, text: str) -> WorkOrder:
    """Write about it for the caller, audited. Raises MissingError and DirectoryError."""
    found = _there(await context.backend.comment_work_order(context.who, order, text), order)
    await _told(context, found, "comment")
    return found


def _there(found: WorkOrder | None, order: str) -> WorkOrder:
    if found is None:
        raise MissingError(kind=KIND, key=order)
    return found


async def _told(context: Context, order: WorkOrder, do: str, **more: str | bool) -> None:
    detail = {"do": do, "device": order.device, **more}
    await context.audit(Action.MAINTAIN_DEVICE, KIND, target=order.id, detail=detail)
