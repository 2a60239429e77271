"""Limits and orders for one patient: list, set, end. Who, when, why and until when stay on record."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, TypeVar

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from cloud_ingest.records.limits import MAX_REASON, LimitDraft
from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft, OptionalInstant, Zone
from dashboards.models import Patient
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from dashboards.rule_models import Limit, Order
from dashboards.rule_views import minute_of
from hearthward.trust.access import Action

__all__ = [
    "EndBody",
    "LimitBody",
    "OrderBody",
    "end_limit",
    "end_order",
    "give_order",
    "patient_of",
    "router",
    "set_limit",
]

router = APIRouter(prefix="/api/v1", tags=["limits"], responses=ERROR_RESPONSES)
T = TypeVar("T")
LIMIT: Final = "limit"
ORDER: Final = "order"
CONFLICT: Final[dict[int | str, dict[str, object]]] = {409: {"model": Problem, "description": "Conflict"}}

See = Annotated[Context, Depends(Guard(Action.VIEW_LIMITS, LIMIT, reads=True))]
SetLimit = Annotated[Context, Depends(Guard(Action.SET_LIMIT, LIMIT))]
GiveOrder = Annotated[Context, Depends(Guard(Action.GIVE_ORDER, ORDER))]


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _time_of_day(value: str | None) -> str | None:
    if value is not None:
        minute_of(value)
    return value


Reason = Annotated[
    str, Field(min_length=1, max_length=MAX_REASON, examples=["COPD, target 88-92 %"], description="why")
]
TimeOfDay = Annotated[str | None, BeforeValidator(_blank_is_none), AfterValidator(_time_of_day)]


class LimitBody(Draft):
    """One parameter of a rule for one patient, within the rule's bounds."""

    rule: Annotated[str, Field(min_length=1, max_length=64, examples=["spo2-low"])]
    parameter: Annotated[str, Field(min_length=1, max_length=64, examples=["limit"])]
    value: Annotated[float, Field(allow_inf_nan=False, examples=[86])]
    reason: Reason
    expires: OptionalInstant = Field(None, description="until when; none: until changed")
    daily_from: TimeOfDay = Field(None, examples=["22:00"], description="HH:MM; none: all day")
    daily_to: TimeOfDay = Field(None, examples=["06:00"])
    timezone: Zone = Field(None, description="needed with hours of the day", examples=["Asia/Shanghai"])

    @model_validator(mode="after")
    def _both_hours(self) -> Self:
        if (self.daily_from is None) != (self.daily_to is None):
            msg = "daily_from and daily_to go together"
            raise ValueError(msg)
        return self

    def draft(self) -> LimitDraft:
        """For the records."""
        daily = None
        if self.daily_from is not None and self.daily_to is not None:
            daily = minute_of(self.daily_from), minute_of(self.daily_to)
        return LimitDraft(
            self.rule, self.parameter, self.value, self.reason, self.expires, daily, self.timezone
        )


class OrderBody(Draft):
    """A doctor's order."""

    kind: Literal["spo2_scale_2"]
    reason: Reason
    expires: OptionalInstant = None


class EndBody(Draft):
    """Why it ends."""

    reason: Reason


class LimitList(BaseModel):
    """Limits of a patient, newest first, ended ones included."""

    items: list[Limit]


class OrderList(BaseModel):
    """Orders for a patient, newest first, ended ones included."""

    items: list[Order]


@router.get("/patients/{patient}/limits")
async def list_limits(context: See, patient: str) -> LimitList:
    """All limits that were ever set for a patient."""
    return LimitList(items=list(_found(await context.backend.limits(context.scope, patient), patient)))


@router.post("/patients/{patient}/limits", status_code=201)
async def post_limit(context: SetLimit, patient: str, body: LimitBody) -> Limit:
    """Set a limit from now on; it takes the place of the one before for the same hours."""
    return await set_limit(context, patient, body)


@router.post("/patients/{patient}/limits/{limit}/end", responses=CONFLICT)
async def post_limit_end(context: SetLimit, patient: str, limit: str, body: EndBody) -> Limit:
    """End a limit: the rule's own value holds again."""
    return await end_limit(context, patient, limit, body)


@router.get("/patients/{patient}/orders")
async def list_orders(context: See, patient: str) -> OrderList:
    """All orders that were ever given for a patient."""
    return OrderList(items=list(_found(await context.backend.orders(context.scope, patient), patient)))


@router.post("/patients/{patient}/orders", status_code=201, responses=CONFLICT)
async def post_order(context: GiveOrder, patient: str, body: OrderBody) -> Order:
    """Give an order from now on: `spo2_scale_2` judges oxygen by NEWS2's second scale."""
    return await give_order(context, patient, body)


@router.post("/patients/{patient}/orders/{order}/end", responses=CONFLICT)
async def post_order_end(context: GiveOrder, patient: str, order: str, body: EndBody) -> Order:
    """End an order."""
    return await end_order(context, patient, order, body)


async def set_limit(context: Context, patient: str, body: LimitBody) -> Limit:
    """Set a limit for the caller, audited. Raises AccessError, MissingError, DirectoryError."""
    await patient_of(context, patient)
    await context.demand(Action.SET_LIMIT, LIMIT, patient=patient)
    made = await context.backend.set_limit(context.scope, patient, body.draft(), who=context.who)
    found = _found(made, patient)
    detail = {"do": "set", "patient": patient, "rule": body.rule, "parameter": body.parameter}
    await context.audit(Action.SET_LIMIT, LIMIT, target=found.id, detail=detail)
    return found


async def end_limit(context: Context, patient: str, key: str, body: EndBody) -> Limit:
    """End a limit for the caller, audited. Raises AccessError, MissingError, DirectoryError."""
    await patient_of(context, patient)
    await context.demand(Action.SET_LIMIT, LIMIT, patient=patient, target=key)
    ended = await context.backend.end_limit(context.scope, patient, key, reason=body.reason, who=context.who)
    if ended is None:
        raise MissingError(kind=LIMIT, key=key)
    await context.audit(Action.SET_LIMIT, LIMIT, target=key, detail={"do": "end", "patient": patient})
    return ended


async def give_order(context: Context, patient: str, body: OrderBody) -> Order:
    """Give an order for the caller, audited. Raises AccessError, MissingError, DirectoryError."""
    await patient_of(context, patient)
    await context.demand(Action.GIVE_ORDER, ORDER, patient=patient)
    given = await context.backend.give_order(
        context.scope, patient, body.kind, reason=body.reason, expires=body.expires, who=context.who
    )
    found = _found(given, patient)
    detail = {"do": "give", "patient": patient, "kind": body.kind}
    await context.audit(Action.GIVE_ORDER, ORDER, target=found.id, detail=detail)
    return found


async def end_order(context: Context, patient: str, key: str, body: EndBody) -> Order:
    """End an order for the caller, audited. Raises AccessError, MissingError, DirectoryError."""
    await patient_of(context, patient)
    await context.demand(Action.GIVE_ORDER, ORDER, patient=patient, target=key)
    ended = await context.backend.end_order(context.scope, patient, key, reason=body.reason, who=context.who)
    if ended is None:
        raise MissingError(kind=ORDER, key=key)
    await context.audit(Action.GIVE_ORDER, ORDER, target=key, detail={"do": "end", "patient": patient})
    return ended


async def patient_of(context: Context, patient: str) -> Patient:
    """The patient, if the caller may see them. Raises MissingError."""
    found = await context.backend.item(context.scope, "patient", patient)
    if not isinstance(found, Patient):
        raise MissingError(kind="patient", key=patient)
    return found


def _found(value: T | None, patient: str) -> T:
    if value is None:
        raise MissingError(kind="patient", key=patient)
    return value
