"""Who is on duty, where nobody is, and whom a policy would tell: what the pages and the API say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, Field

from cloud_ingest.watch import ROLES
from dashboards.models import Instant
from dashboards.shift_times import DAY, gaps
from dashboards.staff_models import (
    SHIFT_ROLES,
    Hole,
    PolicyStep,
    PolicyTarget,
    PolicyTimetable,
    StaffMember,
    Turn,
)
from rules.response.duty import WALL, Duty, duty_of
from rules.response.policy import Policy, Timetable

__all__ = [
    "AHEAD",
    "DutyWard",
    "Present",
    "RoleOnDuty",
    "ToldNow",
    "ToldStep",
    "duty_board",
    "roles_told",
    "roles_watched",
    "timetables_of",
    "told_now",
]

AHEAD: Final = DAY
"""How far ahead holes are looked for."""


class Present(BaseModel):
    """Somebody on duty."""

    user: str
    name: str
    until: Instant | None = Field(None, description="when their time ends; null: there is no schedule")
    channels: list[str] = Field(default_factory=list)


class RoleOnDuty(BaseModel):
    """A role on a ward and who holds it now."""

    role: str
    needed: bool = Field(description="whether somebody has to be on duty as this")
    people: list[Present]


class DutyWard(BaseModel):
    """A ward and who is there."""

    ward: str
    name: str
    scheduled: bool = Field(description="false: everybody of the ward counts as on duty")
    roles: list[RoleOnDuty]
    holes: list[Hole] = Field(description="of the next 24 hours")


class ToldStep(BaseModel):
    """A step of a policy as it would be taken now."""

    after_s: float
    targets: list[PolicyTarget]
    channels: list[str]
    told: list[tuple[str, str]] = Field(description="[channel, user's id | wall | @name of an endpoint]")


class ToldNow(BaseModel):
    """Whom a policy would tell now, step by step."""

    policy: str
    kind: str
    priority: str
    ward: str | None
    steps: list[ToldStep]
    repeat_s: float
    names: dict[str, str] = Field(description="user's id -> name")


def roles_told(duty: Duty) -> frozenset[str]:
    """The roles that the policies in force name."""
    return frozenset(
        target.role
        for policy in duty.policies.values()
        for table in policy.timetables.values()
        for step in table.steps
        for target in step.targets
        if target.kind == "on_duty"
    )


def roles_watched(turns: Iterable[Turn]) -> tuple[str, ...]:
    """The roles of which a ward with a schedule is to have somebody: nurse and doctor, and what it has."""
    return tuple(sorted({*ROLES, *(t.role for t in turns)}, key=_order))


def _order(role: str) -> tuple[int, str]:
    return (SHIFT_ROLES.index(role) if role in SHIFT_ROLES else len(SHIFT_ROLES)), role


def duty_board(
    duty: Duty,
    wards: Iterable[tuple[str, str]],
    turns: Sequence[Turn],
    staff: Iterable[StaffMember],
    now: int,
) -> list[DutyWard]:
    """Each ward (id, name) with who is there now and where nobody will be.

    ``turns`` are those of the next 24 hours; ``staff`` whom the caller may see.
    """
    names = {s.id: s.name for s in staff}
    told = roles_told(duty)
    board = []
    for ward, name in wards:
        scheduled = ward in duty.scheduled
        mine = [t for t in turns if t.ward in {None, ward}]
        watched = roles_watched(mine)
        roles = sorted({*told, *watched}, key=_order)
        board.append(
            DutyWard(
                ward=ward,
                name=name,
                scheduled=scheduled,
                roles=[_role(duty, ward, r, mine, names, now, needed=r in watched) for r in roles],
                holes=[h for r in watched for h in gaps(ward, r, mine, now, now + AHEAD)]
                if scheduled
                else [],
            )
        )
    return board


def _role(
    duty: Duty,
    ward: str,
    role: str,
    turns: Sequence[Turn],
    names: Mapping[str, str],
    now: int,
    *,
    needed: bool,
) -> RoleOnDuty:
    people = []
    for user in duty.on_duty(ward, role, now):
        mine = [t.end for t in turns if t.user == user and t.role == role and t.start <= now < t.end]
        until = max(mine, default=None) if ward in duty.scheduled else None
        person = duty.people[user]
        name = names.get(user, person.name)
        people.append(Present(user=user, name=name, until=until, channels=list(person.channels)))
    return RoleOnDuty(role=role, needed=needed, people=people)


def timetables_of(policy: Policy) -> list[PolicyTimetable]:
    """A policy's timetables, physiological before technical, the most urgent first."""
    order = {"high": 0, "medium": 1, "low": 2}

    def place(name: str) -> tuple[str, int]:
        kind, _, priority = name.partition(".")
        return kind, order.get(priority, 3)

    return [_timetable(name, policy.timetables[name]) for name in sorted(policy.timetables, key=place)]


def _timetable(name: str, table: Timetable) -> PolicyTimetable:
    return PolicyTimetable(
        name=name,
        steps=[
            PolicyStep(
                after_s=s.after_s,
                targets=[PolicyTarget(kind=t.kind, role=t.role, user=t.user) for t in s.targets],
                channels=list(s.channels),
            )
            for s in table.steps
        ],
        repeat_s=table.repeat_s,
        remind_s=table.remind_s,
        redirect_s=table.redirect_s,
    )


def told_now(
    duty: Duty, policy: Policy, name: str, *, patient: str | None, ward: str | None, at: int
) -> ToldNow:
    """Whom ``policy`` would tell of an alarm ``name`` (``physiological.high``) of a patient, or in a ward.

    Of a rule that is also meant for patients; the walls count as there and every channel as alive.
    """
    kind, _, priority = name.partition(".")
    subject = patient or duty_of(ward or "")
    table = policy.timetable(kind, priority)  # type: ignore[arg-type]
    shown = _timetable(name, table)
    steps = [
        ToldStep(
            after_s=view.after_s,
            targets=view.targets,
            channels=view.channels,
            told=list(duty.recipients(step, subject, at, audience=("patient",))),
        )
        for view, step in zip(shown.steps, table.steps, strict=True)
    ]
    who = {user for step in steps for _, user in step.told if user != WALL and user in duty.people}
    return ToldNow(
        policy=policy.id,
        kind=kind,
        priority=priority,
        ward=duty.ward_of(subject),
        steps=steps,
        repeat_s=table.repeat_s,
        names={user: duty.people[user].name for user in sorted(who)},
    )
