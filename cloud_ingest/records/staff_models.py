"""Tables of who is there: teams, shifts, who looks after whom, hand-overs, escalation policies, browsers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base, one_open, within_tenant

__all__ = ["Assignment", "Handover", "PolicyVersion", "PushSubscription", "Shift", "Team", "TeamMember"]


class Team(Base):
    """People who look after patients together, in one ward or (None) the whole organisation."""

    __tablename__ = "teams"
    __table_args__ = (within_tenant("ward", "wards"),)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    ward: Mapped[str | None]
    created: Mapped[int]
    ended: Mapped[int | None]


class TeamMember(Base):
    """A user belongs to a team during [start, end)."""

    __tablename__ = "team_members"
    __table_args__ = (
        within_tenant("team", "teams"),
        within_tenant("user", "users"),
        one_open("ix_team_members_open", "team", "user"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    team: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    end: Mapped[int | None]


class Shift(Base):
    """A user is on duty during [start, end) in a role, in one ward or (None) all.

    ``weekly``: again each week at the same local time of ``timezone``, as long as it begins before ``until``
    (None: for ever). ``skipped`` are [start, from] of single times that are off from then on. From
    ``cancelled`` on nothing holds; what was before stays.
    """

    __tablename__ = "shifts"
    __table_args__ = (
        within_tenant("user", "users"),
        within_tenant("ward", "wards"),
        CheckConstraint("role IN ('nurse', 'charge', 'doctor', 'engineer')", name="role"),
        CheckConstraint('"end" > start', name="period"),
        CheckConstraint("weekly OR until IS NULL", name="until"),
        Index(None, "tenant", "ward", "start"),
        Index(None, "tenant", "user", "start"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str]
    role: Mapped[str]
    ward: Mapped[str | None]
    start: Mapped[int]
    end: Mapped[int]
    weekly: Mapped[bool]
    until: Mapped[int | None]
    timezone: Mapped[str]
    skipped: Mapped[list[Any]] = mapped_column(default=list)
    cancelled: Mapped[int | None]


class Assignment(Base):
    """A patient is looked after by a user or a team during [start, end); ``by`` is who said so."""

    __tablename__ = "assignments"
    __table_args__ = (
        within_tenant("patient", "patients"),
        within_tenant("user", "users"),
        within_tenant("team", "teams"),
        CheckConstraint('("user" IS NULL) <> (team IS NULL)', name="who"),
        CheckConstraint('"end" IS NULL OR "end" > start', name="period"),
        one_open("ix_assignments_open_user", "patient", "user"),
        one_open("ix_assignments_open_team", "patient", "team"),
        Index(None, "tenant", "patient", "start"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    user: Mapped[str | None]
    team: Mapped[str | None]
    start: Mapped[int]
    end: Mapped[int | None]
    by: Mapped[str]


class Handover(Base):
    """Somebody (``by``) gave alarms and patients over ``to`` somebody."""

    __tablename__ = "handovers"
    __table_args__ = (
        within_tenant("ward", "wards"),
        within_tenant("by", "users"),
        within_tenant("to", "users"),
        Index(None, "tenant", "at"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    ward: Mapped[str | None]
    at: Mapped[int]
    by: Mapped[str]
    to: Mapped[str]
    note: Mapped[str]
    alarms: Mapped[list[str]]
    patients: Mapped[list[str]]


class PolicyVersion(Base):
    """A site's version of an escalation policy; only ``active`` ever changes.

    ``content`` is ``rules.response.policy.Policy.content()``, ``source`` the text that it was read from.
    """

    __tablename__ = "policies"
    __table_args__ = (
        Index(
            "ix_policies_one_active",
            "tenant",
            "id",
            unique=True,
            sqlite_where=text("active"),
            postgresql_where=text("active"),
        ),
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[list[Any]]
    source: Mapped[str | None]
    by: Mapped[str]
    at: Mapped[int]
    active: Mapped[bool]


class PushSubscription(Base):
    """A browser of a user that can be reached by web push."""

    __tablename__ = "push_subscriptions"
    __table_args__ = (
        within_tenant("user", "users"),
        Index(
            "ix_push_subscriptions_open",
            "tenant",
            "endpoint",
            unique=True,
            sqlite_where=text("ended IS NULL"),
            postgresql_where=text("ended IS NULL"),
        ),
        Index(None, "tenant", "user"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str]
    endpoint: Mapped[str]
    keys: Mapped[dict[str, Any]]
    created: Mapped[int]
    ended: Mapped[int | None]
