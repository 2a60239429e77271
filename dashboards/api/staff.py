"""Staff: who can be told and how, teams, who looks after whom, who is on duty now and where nobody is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Self, TypeVar

from fastapi import APIRouter, Depends
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft, Key, OptionalKey, Text
from dashboards.api.limits import patient_of
from dashboards.duty_views import AHEAD, DutyWard, duty_board
from dashboards.models import Ward
from dashboards.people_port import TeamDraft
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from dashboards.staff_models import Assignment, StaffMember, Team
from hearthward.core.errors import AccessError
from hearthward.trust.access import Action, Scope

__all__ = [
    "AssignBody",
    "BadgeBody",
    "ContactsBody",
    "PinBody",
    "TeamBody",
    "add_team",
    "assign",
    "board_of",
    "change_team",
    "end_team",
    "router",
    "set_badge",
    "set_contacts",
    "set_pin",
    "unassign",
]

router = APIRouter(prefix="/api/v1", tags=["staff"], responses=ERROR_RESPONSES)
T = TypeVar("T")
KIND: Final = "staff"
CONFLICT: Final[dict[int | str, dict[str, object]]] = {409: {"model": Problem, "description": "Conflict"}}

See = Annotated[Context, Depends(Guard(Action.VIEW_STAFF, KIND))]
Own = Annotated[Context, Depends(Guard(Action.VIEW_OWN_ACCOUNT, KIND))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_STAFF, KIND))]
SeeWho = Annotated[Context, Depends(Guard(Action.VIEW_DIRECTORY, "assignment", reads=True))]
Assign = Annotated[Context, Depends(Guard(Action.ASSIGN_PATIENT, "assignment"))]


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


_Short = Annotated[str, Field(max_length=200)]
_OptionalShort = Annotated[_Short | None, BeforeValidator(_blank_is_none)]
_Pin = Annotated[str, Field(max_length=12)]


class ContactsBody(Draft):
    """By what somebody is reached; what is left out is taken away."""

    phone: _OptionalShort = Field(None, examples=["+8613800138000"])
    email: _OptionalShort = Field(None, examples=["li.na@hospital.example"])


class PinBody(Draft):
    """The PIN for shared walls; null takes it away."""

    pin: Annotated[_Pin | None, BeforeValidator(_blank_is_none)] = Field(None, examples=["4711"])


class BadgeBody(Draft):
    """What the badge says when it is read; null takes it away."""

    badge: _OptionalShort = Field(None, examples=["04A2249C5F6180"])


class TeamBody(Draft):
    """A team."""

    name: Text = Field(examples=["Team east"])
    ward: OptionalKey = None
    members: list[Key] = Field(default_factory=list, max_length=200)

    def draft(self) -> TeamDraft:
        """For the records."""
        return TeamDraft(self.name, self.ward, tuple(dict.fromkeys(self.members)))


class AssignBody(Draft):
    """Who looks after a patient from now on: a person or a team."""

    patient: Key
    user: OptionalKey = None
    team: OptionalKey = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.user is None) == (self.team is None):
            msg = "name either a user or a team"
            raise ValueError(msg)
        return self


class StaffList(BaseModel):
    """Staff by name."""

    items: list[StaffMember]


class DutyBoard(BaseModel):
    """The caller's wards with who is on duty now, and the holes of the next 24 hours."""

    items: list[DutyWard]


class TeamList(BaseModel):
    """Teams by name."""

    items: list[Team]


class AssignmentList(BaseModel):
    """Who looks after whom now."""

    items: list[Assignment]


@router.get("/staff")
async def list_staff(context: See) -> StaffList:
    """Everybody who can be on duty in the caller's wards, and by which channels they can be told."""
    return StaffList(items=list(await context.backend.staff(context.scope)))


@router.get("/duty")
async def get_duty(context: See) -> DutyBoard:
    """Who is on duty now, per ward and role; a ward without a schedule counts everybody of it."""
    return DutyBoard(items=await board_of(context))


async def board_of(context: Context) -> list[DutyWard]:
    """The caller's wards with who is there."""
    backend, now = context.backend, context.backend.clock.now_ns()
    wards = [w for w in await backend.items(context.scope, "ward") if isinstance(w, Ward)]
    turns = await backend.shifts(context.scope, now, now + AHEAD)
    staff = await backend.staff(context.scope)
    duty = await backend.duty(context.scope)
    return duty_board(duty, [(w.id, w.name) for w in wards], turns, staff, now)


# --- contacts, PIN, badge: of others by those who manage staff, of their own by everybody ---------


@router.post("/staff/{user}/contacts")
async def post_contacts(context: Manage, user: str, body: ContactsBody) -> StaffMember:
    """Set phone and e-mail of somebody."""
    return await set_contacts(context, user, body)


@router.post("/account/contacts")
async def post_own_contacts(context: Own, body: ContactsBody) -> StaffMember:
    """Set the caller's own phone and e-mail."""
    return await set_contacts(context, context.who.user, body)


@router.post("/staff/{user}/pin")
async def post_pin(context: Manage, user: str, body: PinBody) -> StaffMember:
    """Set somebody's PIN for shared walls."""
    return await set_pin(context, user, body)


@router.post("/account/pin")
async def post_own_pin(context: Own, body: PinBody) -> StaffMember:
    """Set the caller's own PIN."""
    return await set_pin(context, context.who.user, body)


@router.post("/staff/{user}/badge")
async def post_badge(context: Manage, user: str, body: BadgeBody) -> StaffMember:
    """Set somebody's badge."""
    return await set_badge(context, user, body)


@router.post("/account/badge")
async def post_own_badge(context: Own, body: BadgeBody) -> StaffMember:
    """Set the caller's own badge."""
    return await set_badge(context, context.who.user, body)


async def set_contacts(context: Context, user: str, body: ContactsBody) -> StaffMember:
    """Set contacts, audited without the addresses. Raises MissingError, DirectoryError, AccessError."""

    async def act(scope: Scope) -> StaffMember | None:
        return await context.backend.set_contacts(scope, user, phone=body.phone, email=body.email)

    return await _account(context, user, "contacts", act)


async def set_pin(context: Context, user: str, body: PinBody) -> StaffMember:
    """Set or take away a PIN, audited. Raises MissingError, DirectoryError, AccessError."""
    return await _account(context, user, "pin", lambda scope: context.backend.set_pin(scope, user, body.pin))


async def set_badge(context: Context, user: str, body: BadgeBody) -> StaffMember:
    """Set or take away a badge, audited. Raises MissingError, DirectoryError, AccessError."""
    return await _account(
        context, user, "badge", lambda scope: context.backend.set_badge(scope, user, body.badge)
    )


async def _account(
    context: Context, user: str, do: str, act: Callable[[Scope], Awaitable[StaffMember | None]]
) -> StaffMember:
    """Do something to an account; to their own, people may whatever their wards are."""
    own = user == context.who.user
    action = Action.VIEW_OWN_ACCOUNT if own else Action.MANAGE_STAFF
    scope = Scope.system(context.who.tenant) if own else context.scope
    done = await audited(context, action, KIND, act(scope), target=user)
    if done is None:
        raise MissingError(kind="user", key=user)
    await context.audit(action, KIND, target=user, detail={"do": do})
    return done


# --- teams --------------------------------------------------------------------------------------


@router.get("/teams")
async def list_teams(context: See) -> TeamList:
    """The teams of the caller's wards."""
    return TeamList(items=list(await context.backend.teams(context.scope)))


@router.post("/teams", status_code=201, responses=CONFLICT)
async def post_team(context: Manage, body: TeamBody) -> Team:
    """Make a team."""
    return await add_team(context, body)


@router.put("/teams/{team}", responses=CONFLICT)
async def put_team(context: Manage, team: str, body: TeamBody) -> Team:
    """Change a team's name, ward and members."""
    return await change_team(context, team, body)


@router.post("/teams/{team}/end", responses=CONFLICT)
async def post_team_end(context: Manage, team: str) -> Team:
    """End a team: what was assigned to it is assigned to nobody."""
    return await end_team(context, team)


async def add_team(context: Context, body: TeamBody) -> Team:
    """Make a team, audited. Raises DirectoryError, AccessError."""
    made = await audited(
        context, Action.MANAGE_STAFF, "team", context.backend.add_team(context.scope, body.draft())
    )
    await context.audit(Action.MANAGE_STAFF, "team", target=made.id, detail={"do": "create"})
    return made


async def change_team(context: Context, key: str, body: TeamBody) -> Team:
    """Change a team, audited. Raises MissingError, DirectoryError, AccessError."""
    act = context.backend.change_team(context.scope, key, body.draft())
    done = found(await audited(context, Action.MANAGE_STAFF, "team", act, target=key), "team", key)
    await context.audit(Action.MANAGE_STAFF, "team", target=key, detail={"do": "change"})
    return done


async def end_team(context: Context, key: str) -> Team:
    """End a team, audited. Raises MissingError, DirectoryError, AccessError."""
    act = context.backend.end_team(context.scope, key)
    done = found(await audited(context, Action.MANAGE_STAFF, "team", act, target=key), "team", key)
    await context.audit(Action.MANAGE_STAFF, "team", target=key, detail={"do": "end"})
    return done


# --- who looks after whom -----------------------------------------------------------------------


@router.get("/assignments")
async def list_assignments(context: SeeWho) -> AssignmentList:
    """Who looks after which patient now."""
    return AssignmentList(items=list(await context.backend.assignments(context.scope)))


@router.post("/assignments", status_code=201, responses=CONFLICT)
async def post_assignment(context: Assign, body: AssignBody) -> Assignment:
    """Assign a patient to a person or a team; what was assigned of the same kind before ends."""
    return await assign(context, body)


@router.post("/assignments/{assignment}/end")
async def post_assignment_end(context: Assign, assignment: str) -> Assignment:
    """End an assignment."""
    return await unassign(context, assignment)


async def assign(context: Context, body: AssignBody) -> Assignment:
    """Assign a patient, audited. Raises MissingError, DirectoryError, AccessError."""
    await patient_of(context, body.patient)
    await context.demand(Action.ASSIGN_PATIENT, "assignment", patient=body.patient, target=body.patient)
    made = await context.backend.assign(
        context.scope, body.patient, user=body.user, team=body.team, who=context.who
    )
    done = found(made, "patient", body.patient)
    detail = {"do": "assign", "patient": body.patient, "to": body.user or body.team or ""}
    await context.audit(Action.ASSIGN_PATIENT, "assignment", target=done.id, detail=detail)
    return done


async def unassign(context: Context, key: str) -> Assignment:
    """End an assignment, audited. Raises MissingError, DirectoryError."""
    done = found(await context.backend.unassign(context.scope, key), "assignment", key)
    detail = {"do": "end", "patient": done.patient}
    await context.audit(Action.ASSIGN_PATIENT, "assignment", target=key, detail=detail)
    return done


# --- for the routes about people ------------------------------------------------------------------


async def audited(context: Context, action: Action, kind: str, act: Awaitable[T], *, target: str = "") -> T:
    """What ``act`` gives; a refusal for the caller's scope is audited as the guard's are."""
    try:
        return await act
    except AccessError:
        await context.audit(action, kind, target=target, outcome="refused")
        raise


def found(value: T | None, kind: str, key: str) -> T:
    """The value. Raises MissingError for None."""
    if value is None:
        raise MissingError(kind, key)
    return value
