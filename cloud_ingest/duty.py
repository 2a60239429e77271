"""Who is there to be told, out of the records: the duty that alarms are escalated by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records.escalation import policy_in
from cloud_ingest.records.models import (
    Assignment,
    Association,
    Device,
    Encounter,
    Gateway,
    PolicyVersion,
    PushSubscription,
    Shift,
    Team,
    TeamMember,
    User,
)
from cloud_ingest.records.rota import times
from cloud_ingest.records.shifts import held
from cloud_ingest.records.staff import channels_of
from hearthward.core.clock import SECOND
from hearthward.trust.access import Role
from rules.response import duty
from rules.response.duty import Duty, Person
from rules.response.model import NEVER
from rules.response.policy import Policy

__all__ = ["load_duty"]

DAY: Final = 86_400 * SECOND
AHEAD: Final = 3 * DAY
"""How far shifts are looked up; whoever holds a duty loads another long before."""
_UNTOLD: Final = frozenset({Role.DISPLAY, Role.FAMILY})


def load_duty(
    session: Session,
    tenant: str,
    now: int,
    *,
    channels: Sequence[str],
    endpoints: Mapping[str, tuple[str, ...]],
    shipped: Sequence[Policy] = (),
) -> Duty:
    """The duty as the records have it at ``now`` (UTC ns); the same records give the same duty.

    ``channels`` and ``endpoints`` are those that the settings name. Shifts are those of [the beginning of
    ``now``'s day in UTC, three days on), so that time alone changes the duty once a day at most. A policy
    in force takes the place of the ``shipped`` one of the same id.
    """
    first = now - now % DAY
    return Duty(
        people=_people(session, tenant, tuple(channels)),
        shifts=_shifts(session, tenant, first, first + AHEAD),
        scheduled=_scheduled(session, tenant),
        teams=_teams(session, tenant),
        assignments=_assignments(session, tenant, first),
        patients=_patients(session, tenant, now),
        devices=_devices(session, tenant, now),
        gateways=_gateways(session, tenant),
        policies=_policies(session, tenant, shipped),
        channels=tuple(channels),
        endpoints={channel: tuple(names) for channel, names in endpoints.items()},
    )


def _people(session: Session, tenant: str, channels: tuple[str, ...]) -> dict[str, Person]:
    """Everybody who can log in. A wall display is nobody, nor is a relative: no consent lets them be told."""
    pushed = set(
        session.scalars(
            select(PushSubscription.user)
            .where(PushSubscription.tenant == tenant, PushSubscription.ended.is_(None))
            .distinct()
        )
    )
    users = select(User).where(User.tenant == tenant, User.disabled.is_(None)).order_by(User.id)
    return {
        user.id: Person(
            id=user.id,
            name=user.name,
            roles=tuple(user.roles),
            wards=None if user.wards is None else tuple(user.wards),
            channels=channels_of(user, channels, push=user.id in pushed),
            patient=user.patient,
        )
        for user in session.scalars(users)
        if _UNTOLD.isdisjoint(user.roles)
    }


def _shifts(session: Session, tenant: str, first: int, last: int) -> tuple[duty.Shift, ...]:
    rows = select(Shift).where(
        Shift.tenant == tenant,
        Shift.start < last,
        or_(Shift.weekly, Shift.end > first),
        or_(Shift.cancelled.is_(None), Shift.cancelled > first),
    )
    found = (
        duty.Shift(row.user, row.role, row.ward, start, end)
        for row in session.scalars(rows)
        for start, end in times(row, first, last)
    )
    return tuple(sorted(found, key=lambda s: (s.start, s.end, s.user, s.role, s.ward or "")))


def _scheduled(session: Session, tenant: str) -> frozenset[str]:
    rows = select(Shift.ward).where(Shift.tenant == tenant, Shift.ward.is_not(None), held()).distinct()
    return frozenset(ward for ward in session.scalars(rows) if ward is not None)


def _teams(session: Session, tenant: str) -> dict[str, duty.Team]:
    teams = select(Team.id).where(Team.tenant == tenant, Team.ended.is_(None)).order_by(Team.id)
    members: dict[str, list[str]] = {team: [] for team in session.scalars(teams)}
    rows = select(TeamMember.team, TeamMember.user).where(
        TeamMember.tenant == tenant, TeamMember.end.is_(None)
    )
    for team, user in session.execute(rows.order_by(TeamMember.start, TeamMember.user)):
        if team in members:
            members[team].append(user)
    return {team: duty.Team(team, tuple(users)) for team, users in members.items()}


def _assignments(session: Session, tenant: str, first: int) -> tuple[duty.Assignment, ...]:
    rows = select(Assignment).where(
        Assignment.tenant == tenant, or_(Assignment.end.is_(None), Assignment.end > first)
    )
    return tuple(
        duty.Assignment(row.patient, row.user, row.team, row.start, NEVER if row.end is None else row.end)
        for row in session.scalars(rows.order_by(Assignment.start, Assignment.patient, Assignment.id))
    )


def _patients(session: Session, tenant: str, now: int) -> dict[str, str | None]:
    rows = select(Encounter.patient, Encounter.ward).where(
        Encounter.tenant == tenant,
        Encounter.start <= now,
        or_(Encounter.end.is_(None), Encounter.end > now),
    )
    return {patient: ward for patient, ward in session.execute(rows.order_by(Encounter.patient))}  # noqa: C416


def _devices(session: Session, tenant: str, now: int) -> dict[str, tuple[str, str | None]]:
    worn = select(Association.device, Association.patient).where(
        Association.tenant == tenant,
        Association.superseded_at.is_(None),
        Association.start <= now,
        or_(Association.end.is_(None), Association.end > now),
    )
    patients: dict[str, str] = {device: patient for device, patient in session.execute(worn)}  # noqa: C416
    rows = select(Device.id, Device.gateway).where(Device.tenant == tenant, Device.ended.is_(None))
    return {
        device: (gateway, patients.get(device))
        for device, gateway in session.execute(rows.order_by(Device.id))
    }


def _gateways(session: Session, tenant: str) -> dict[str, str | None]:
    rows = select(Gateway.id, Gateway.ward).where(Gateway.tenant == tenant, Gateway.ended.is_(None))
    return {gateway: ward for gateway, ward in session.execute(rows.order_by(Gateway.id))}  # noqa: C416


def _policies(session: Session, tenant: str, shipped: Sequence[Policy]) -> dict[str, Policy]:
    active = select(PolicyVersion).where(PolicyVersion.tenant == tenant, PolicyVersion.active)
    own = [policy_in(row) for row in session.scalars(active)]
    found = {policy.id: policy for policy in (*shipped, *own)}
    return dict(sorted(found.items()))
