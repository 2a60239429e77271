"""The on-call schedule: list, add, change, cancel and swap shifts."""

from __future__ import annotations

from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, model_validator

from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft, Flag, Key, OptionalInstant, OptionalKey, RequiredZone
from dashboards.api.handover import confirmed_by
from dashboards.api.readings import instant
from dashboards.api.staff import CONFLICT, audited, found
from dashboards.backend import DirectoryError
from dashboards.models import Instant
from dashboards.people_port import ShiftDraft
from dashboards.problems import ERROR_RESPONSES, MissingError
from dashboards.shift_times import DAY
from dashboards.staff_models import ShiftRole, Turn
from hearthward.trust.access import Action, Scope

__all__ = [
    "CancelBody",
    "OwnSwapBody",
    "ShiftBody",
    "SwapBody",
    "add_shift",
    "cancel_shift",
    "change_shift",
    "router",
    "swap_own_shift",
    "swap_shift",
]

router = APIRouter(prefix="/api/v1", tags=["shifts"], responses=ERROR_RESPONSES)
KIND: Final = "shift"
LONGEST_LIST: Final = 62 * DAY

See = Annotated[Context, Depends(Guard(Action.VIEW_STAFF, KIND))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_STAFF, KIND))]
Own = Annotated[Context, Depends(Guard(Action.VIEW_OWN_ACCOUNT, KIND))]
ShiftKey = Annotated[str, Field(min_length=1, max_length=64)]


class ShiftBody(Draft):
    """A shift: once, or weekly at the same hours of its time zone."""

    user: Key
    role: ShiftRole
    ward: OptionalKey = Field(None, description="null: all wards")
    start: Instant
    end: Instant
    timezone: RequiredZone = Field(examples=["Asia/Shanghai"])
    weekly: Flag = False
    until: OptionalInstant = Field(None, description="when a weekly one stops; null: until it is cancelled")

    def draft(self) -> ShiftDraft:
        """For the records."""
        return ShiftDraft(
            self.user, self.role, self.ward, self.start, self.end, self.timezone, self.weekly, self.until
        )


class CancelBody(Draft):
    """Which time to cancel; null: all that are not over."""

    at: OptionalInstant = Field(None, description="the start of that time")


class SwapBody(Draft):
    """Who takes a time on duty, and which of theirs is taken in return (``back``, ``back_at``), if any."""

    at: Instant = Field(description="the start of the time that is given")
    to: Key
    back: ShiftKey | None = None
    back_at: OptionalInstant = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.back is None) != (self.back_at is None):
            msg = "back and back_at go together"
            raise ValueError(msg)
        return self

    @property
    def against(self) -> tuple[str, int] | None:
        """What is taken in return."""
        return None if self.back is None or self.back_at is None else (self.back, self.back_at)


class OwnSwapBody(SwapBody):
    """The same for the caller's own shift, which the other confirms with a PIN."""

    pin: Annotated[str, Field(max_length=12, description="of the one who takes it")]


class TurnList(BaseModel):
    """Times on duty, by start."""

    items: list[Turn]


@router.get("/shifts")
async def list_shifts(
    context: See,
    from_: Annotated[str | None, Query(alias="from", description="none: now")] = None,
    to: Annotated[str | None, Query(description="none: seven days after")] = None,
    ward: str | None = None,
) -> TurnList:
    """Every time on duty that lies at least partly in a period of at most 62 days."""
    start = instant(from_, "from", 0) if from_ else context.backend.clock.now_ns()
    end = instant(to, "to", 0) if to else start + 7 * DAY
    if not start < end <= start + LONGEST_LIST:
        raise DirectoryError(field="to", code="period", value=to or "")
    turns = await context.backend.shifts(context.scope, start, end)
    return TurnList(items=[t for t in turns if ward is None or t.ward in {None, ward}])


@router.post("/shifts", status_code=201, responses=CONFLICT)
async def post_shift(context: Manage, body: ShiftBody) -> Turn:
    """Add a shift."""
    return await add_shift(context, body)


@router.put("/shifts/{shift}", responses=CONFLICT)
async def put_shift(context: Manage, shift: str, body: ShiftBody) -> Turn:
    """Change a shift from now on; what is past stays as it was."""
    return await change_shift(context, shift, body)


@router.post("/shifts/{shift}/cancel", responses=CONFLICT)
async def post_cancel(context: Manage, shift: str, body: CancelBody) -> Turn:
    """Cancel one time of a shift, or all that are not over."""
    return await cancel_shift(context, shift, body)


@router.post("/shifts/{shift}/swap", responses=CONFLICT)
async def post_swap(context: Manage, shift: str, body: SwapBody) -> Turn:
    """Let somebody else take one time of a shift."""
    return await swap_shift(context, shift, body)


@router.post("/account/shifts/{shift}/swap", responses=CONFLICT)
async def post_own_swap(context: Own, shift: str, body: OwnSwapBody) -> Turn:
    """Let somebody else take one time of the caller's own shift; they confirm with their PIN."""
    return await swap_own_shift(context, shift, body)


async def add_shift(context: Context, body: ShiftBody) -> Turn:
    """Add a shift, audited. Raises DirectoryError, AccessError."""
    act = context.backend.add_shift(context.scope, body.draft(), who=context.who)
    made = await audited(context, Action.MANAGE_STAFF, KIND, act)
    await _note(context, made.id, "create", user=body.user)
    return made


async def change_shift(context: Context, key: str, body: ShiftBody) -> Turn:
    """Change a shift, audited. Raises MissingError, DirectoryError, AccessError."""
    act = context.backend.change_shift(context.scope, key, body.draft(), who=context.who)
    done = found(await audited(context, Action.MANAGE_STAFF, KIND, act, target=key), KIND, key)
    await _note(context, key, "change", user=body.user)
    return done


async def cancel_shift(context: Context, key: str, body: CancelBody) -> Turn:
    """Cancel a shift or one time of it, audited. Raises MissingError, DirectoryError, AccessError."""
    act = context.backend.cancel_shift(context.scope, key, body.at, who=context.who)
    done = found(await audited(context, Action.MANAGE_STAFF, KIND, act, target=key), KIND, key)
    await _note(context, key, "cancel one" if body.at else "cancel", user=done.user)
    return done


async def swap_shift(context: Context, key: str, body: SwapBody) -> Turn:
    """Swap, audited. Raises MissingError, DirectoryError, AccessError."""
    act = context.backend.swap_shift(
        context.scope, key, body.at, to=body.to, back=body.against, who=context.who
    )
    done = found(await audited(context, Action.MANAGE_STAFF, KIND, act, target=key), KIND, key)
    await _note(context, key, "swap", user=body.to)
    return done


async def swap_own_shift(context: Context, key: str, body: OwnSwapBody) -> Turn:
    """Swap the caller's own, audited. Raises MissingError, DirectoryError (``pin``), Throttled."""
    scope = Scope.system(context.who.tenant)
    mine = await context.backend.shifts(scope, body.at, body.at + 1)
    if not any(t.id == key and t.start == body.at and t.user == context.who.user for t in mine):
        raise MissingError(KIND, key)
    await confirmed_by(context, "to", body.to, body.pin, kind=KIND)
    act = context.backend.swap_shift(scope, key, body.at, to=body.to, back=body.against, who=context.who)
    done = found(await act, KIND, key)
    await _note(context, key, "swap", user=body.to, action=Action.VIEW_OWN_ACCOUNT)
    return done


async def _note(
    context: Context, key: str, do: str, *, user: str, action: Action = Action.MANAGE_STAFF
) -> None:
    await context.audit(action, KIND, target=key, detail={"do": do, "user": user})
