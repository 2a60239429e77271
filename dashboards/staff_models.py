"""What the web shows of staff: who can be reached how, teams, shifts, assignments, hand-overs, policies."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Instant

__all__ = [
    "SHIFT_ROLES",
    "Assignment",
    "HandOver",
    "Hole",
    "PolicyStep",
    "PolicyTarget",
    "PolicyTimetable",
    "PolicyVersion",
    "ShiftRole",
    "StaffMember",
    "Team",
    "Turn",
]

ShiftRole = Literal["nurse", "charge", "doctor", "engineer"]
SHIFT_ROLES: tuple[ShiftRole, ...] = ("nurse", "charge", "doctor", "engineer")
"""What somebody can be on duty as; ``charge`` is the nurse in charge."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StaffMember(_View):
    """Somebody who can be on duty."""

    id: str
    login: str
    name: str
    roles: list[str]
    wards: list[str] | None = Field(None, description="null: every ward")
    phone: str | None = Field(None, description="E.164: + and digits")
    email: str | None = None
    channels: list[str] = Field(default_factory=list, description="by which they can be told of an alarm now")
    pin: bool = Field(default=False, description="whether a PIN for shared walls is set")
    badge: bool = Field(default=False, description="whether a badge (staff chip) is set")


class Team(_View):
    """People who look after patients together."""

    id: str
    name: str
    ward: str | None = None
    members: list[str] = Field(default_factory=list, description="ids of users")


class Assignment(_View):
    """Who looks after a patient from ``start`` on: a person or a team."""

    id: str
    patient: str
    user: str | None = None
    team: str | None = None
    start: Instant
    by: str = Field("", description="id of the user who assigned")


class Turn(_View):
    """One time on duty; several of a weekly shift have the same ``id`` and differ in ``start``."""

    id: str
    user: str
    role: str
    ward: str | None = Field(None, description="null: all wards")
    start: Instant
    end: Instant
    weekly: bool = False
    until: Instant | None = Field(None, description="when a weekly shift stops; null: not known")
    timezone: str


class Hole(_View):
    """Nobody is on duty in a role that escalation needs."""

    ward: str
    role: str
    start: Instant
    end: Instant


class HandOver(_View):
    """Somebody has taken patients and alarms over from somebody."""

    id: str
    at: Instant
    ward: str | None = None
    by: str = Field(description="id of the user who gave them")
    by_name: str = ""
    to: str = Field(description="id of the user who took them")
    to_name: str = ""
    note: str = ""
    patients: list[str] = Field(default_factory=list)
    alarms: list[str] = Field(default_factory=list, description="those that were taken over")


class PolicyTarget(_View):
    """Whom a step tells."""

    kind: str
    role: str = ""
    user: str = ""


class PolicyStep(_View):
    """One row of a timetable."""

    after_s: float
    targets: list[PolicyTarget]
    channels: list[str]


class PolicyTimetable(_View):
    """The steps for one kind and priority of alarm, such as ``physiological.high``."""

    name: str
    steps: list[PolicyStep]
    repeat_s: float = Field(0, description="the last step again after so long; 0: not")
    remind_s: float = Field(0, description="who has accepted is reminded after so long; 0: not")
    redirect_s: float = 60


class PolicyVersion(_View):
    """One version of an escalation policy."""

    id: str
    version: int
    title: dict[str, str]
    active: bool
    shipped: bool = Field(default=False, description="came with the product")
    by: str = ""
    at: Instant | None = None
    text: str = Field("", description="YAML")
    timetables: list[PolicyTimetable] = Field(default_factory=list)
