"""A patient's limits: what holds, who set it, why and until when, and a form to change each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.api.limits import (
    EndBody,
    LimitBody,
    OrderBody,
    end_limit,
    end_order,
    give_order,
    patient_of,
    set_limit,
)
from dashboards.backend import DirectoryError
from dashboards.i18n import N_
from dashboards.models import Encounter
from dashboards.pages.render import page
from dashboards.rule_models import Limit, RuleView
from hearthward.core.clock import SECOND
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
HOUR: Final = 3600 * SECOND
LASTS: Final = (
    ("", N_("until changed")),
    ("1", N_("1 hour")),
    ("4", N_("4 hours")),
    ("12", N_("12 hours")),
    ("24", N_("1 day")),
    ("72", N_("3 days")),
    ("168", N_("1 week")),
    ("720", N_("30 days")),
)
"""For how many hours something holds: says the same in every time zone."""
REASONS: Final = {
    "required": N_("is required"),
    "invalid": N_("is not valid: {value}"),
    "bounds": N_("must lie within {value}"),
    "past": N_("has passed already: {value}"),
    "unknown": N_("does not exist: {value}"),
    "taken": N_("is in force already; end it first"),
    "ended": N_("has ended already"),
}
DONE: Final = {
    "set": N_("Set. It holds from now on."),
    "end": N_("Ended. The rule's own value holds again."),
    "order": N_("Ordered."),
    "unorder": N_("The order has ended."),
}

See = Annotated[Context, Depends(Guard(Action.VIEW_LIMITS, "limit", reads=True))]
SetLimit = Annotated[Context, Depends(Guard(Action.SET_LIMIT, "limit"))]
GiveOrder = Annotated[Context, Depends(Guard(Action.GIVE_ORDER, "order"))]


@dataclass(slots=True)
class Attempt:
    """A form that was refused: which, what was typed, and what is wrong with which field."""

    form: str
    values: Mapping[str, str]
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter of a rule with the limits that are present for it, the one for all day first."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    present: tuple[Limit, ...]

    @property
    def now(self) -> Limit | None:
        """The limit that is in force at this moment: one for some hours goes before one for all day."""
        holding = [x for x in self.present if x.holds and x.counts]
        return max(holding, key=lambda x: (x.daily_from is not None, x.set_at), default=None)


@router.get("/patients/{patient}/limits")
async def limits(request: Request, context: See, patient: str, done: str = "") -> Response:
    """Every rule that can be set for a patient, with what is set now, orders and the history."""
    return await _show(request, context, patient, done=done if done in DONE else "")


@router.post("/patients/{patient}/limits")
async def post_limit(request: Request, context: SetLimit, patient: str) -> Response:
    """Set one limit."""
    form = await _form(request)
    attempt = Attempt(f"{form.get('rule', '')}/{form.get('parameter', '')}", form)
    names = ("rule", "parameter", "value", "reason", "daily_from", "daily_to")
    body = {name: form[name] for name in names if name in form}
    if body.get("daily_from") or body.get("daily_to"):
        body["timezone"] = form.get("zone", "")
    try:
        draft = LimitBody.model_validate({**body, **_expires(context, form)})
        await set_limit(context, patient, draft)
    except (ValidationError, DirectoryError) as error:
        _blame(attempt, error)
        return await _show(request, context, patient, attempt=attempt)
    return _back(patient, "set", form.get("rule", ""))


@router.post("/patients/{patient}/limits/{limit}/end")
async def post_limit_end(request: Request, context: SetLimit, patient: str, limit: str) -> Response:
    """End one limit."""
    form = await _form(request)
    attempt = Attempt(limit, form)
    try:
        body = EndBody.model_validate({"reason": form.get("reason", "")})
        ended = await end_limit(context, patient, limit, body)
    except (ValidationError, DirectoryError) as error:
        _blame(attempt, error)
        return await _show(request, context, patient, attempt=attempt)
    return _back(patient, "end", ended.rule)


@router.post("/patients/{patient}/orders")
async def post_order(request: Request, context: GiveOrder, patient: str) -> Response:
    """Give an order."""
    form = await _form(request)
    attempt = Attempt("order", form)
    body = {"kind": form.get("kind", ""), "reason": form.get("reason", ""), **_expires(context, form)}
    try:
        await give_order(context, patient, OrderBody.model_validate(body))
    except (ValidationError, DirectoryError) as error:
        _blame(attempt, error)
        return await _show(request, context, patient, attempt=attempt)
    return _back(patient, "order", "orders")


@router.post("/patients/{patient}/orders/{order}/end")
async def post_order_end(request: Request, context: GiveOrder, patient: str, order: str) -> Response:
    """End an order."""
    form = await _form(request)
    attempt = Attempt(order, form)
    try:
        body = EndBody.model_validate({"reason": form.get("reason", "")})
        await end_order(context, patient, order, body)
    except (ValidationError, DirectoryError) as error:
        _blame(attempt, error)
        return await _show(request, context, patient, attempt=attempt)
    return _back(patient, "unorder", "orders")


async def _show(
    request: Request, context: Context, patient: str, *, attempt: Attempt | None = None, done: str = ""
) -> Response:
    person = await patient_of(context, patient)
    set_here = await context.backend.limits(context.scope, patient) or ()
    orders = await context.backend.orders(context.scope, patient) or ()
    rules = await context.backend.rules(context.scope)
    setting = await _setting(context, patient)
    cards = [
        (rule, _rows(rule, [x for x in set_here if x.rule == rule.id and x.present]))
        for rule in rules
        if rule.parameters and rule.state != "shadow" and rule.subject == "patient"
    ]
    language = context.language.split("_", maxsplit=1)[0]
    cards.sort(key=lambda card: (not any(row.present for row in card[1]), card[0].title.get(language, "")))
    return page(
        request,
        context,
        "limits.html",
        status=422 if attempt else 200,
        patient=person,
        cards=[card for card in cards if card[0].setting in {"any", setting or card[0].setting}],
        titles={rule.id: rule.title.get(language, rule.id) for rule in rules},
        orders=[o for o in orders if o.present],
        history=[x for x in set_here if not x.present],
        past_orders=[o for o in orders if not o.present],
        lasts=LASTS,
        reasons=REASONS,
        attempt=attempt,
        done=DONE.get(done, ""),
        may_set=context.may(Action.SET_LIMIT, "limit"),
        may_order=context.may(Action.GIVE_ORDER, "order"),
    )


def _rows(rule: RuleView, present: list[Limit]) -> tuple[Row, ...]:
    return tuple(
        Row(
            p.name,
            p.unit,
            p.value,
            p.low,
            p.high,
            tuple(sorted((x for x in present if x.parameter == p.name), key=lambda x: x.daily_from or "")),
        )
        for p in rule.parameters
    )


async def _setting(context: Context, patient: str) -> str | None:
    """Where the patient is now: rules for another setting are not shown."""
    stays = await context.backend.items(context.scope, "encounter")
    return next((s.kind for s in stays if isinstance(s, Encounter) and s.patient == patient), None)


def _expires(context: Context, form: Mapping[str, str]) -> dict[str, Any]:
    """When it ends, from the number of hours that was chosen."""
    hours = form.get("lasts", "")
    known = {hours for hours, _ in LASTS if hours}
    return {"expires": context.backend.clock.now_ns() + int(hours) * HOUR} if hours in known else {}


async def _form(request: Request) -> dict[str, str]:
    return {k: str(v).strip() for k, v in (await request.form()).items() if k != "csrf"}


def _blame(attempt: Attempt, error: ValidationError | DirectoryError) -> None:
    if isinstance(error, DirectoryError):
        attempt.errors[error.field] = error.code, error.value
        return
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else "daily_to"
        typed = attempt.values.get(name, "")
        attempt.errors[name] = "invalid" if typed else "required", typed


def _back(patient: str, done: str, anchor: str) -> Response:
    return RedirectResponse(f"/patients/{patient}/limits?done={done}#{anchor}", status_code=303)
