"""The record that the burden of alarms is worked out from, read one alarm at a time.

The database folds the transitions of each alarm into one row, so that 100,000 alarms are 100,000 rows and
not a million.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import Session

from cloud_ingest.burden import Asked, Burden, Fact, Stay, burden
from cloud_ingest.records.models import Alarm, Association, Device, Encounter, Gateway, TransitionRow, User
from hearthward.trust.access import Role, Scope
from rules.response.duty import ward_in

__all__ = ["read_burden"]

RANK: Final = {"high": 0, "medium": 1, "low": 2}
PRIORITIES: Final = tuple(RANK)
ENDING: Final = ("end", "reset")
TAKING: Final = ("accept", "take_over")
ACTS: Final = (*TAKING, "reject", "release", "redirect", "acknowledge", "note")
TELLING: Final = ("start", "update", "escalate", "tell", "continue")
AT_ONCE: Final = 2_000
"""Rows taken from the database at a time."""


def read_burden(session: Session, scope: Scope, asked: Asked, shown: Callable[[str], bool]) -> Burden:
    """The burden within ``scope``: of its wards, as they were when each alarm began."""
    wards = scope.wards
    if asked.ward is not None:
        wards = frozenset({asked.ward}) if wards is None or asked.ward in wards else frozenset()
    places = _Places(session, scope.tenant, asked)
    facts = _facts(session, scope, asked, places)
    stays = places.stays()
    return burden(
        (f for f in facts if wards is None or f.ward in wards),
        (s for s in stays if (wards is None or s.ward in wards) and scope.patient in {None, s.patient}),
        asked,
        shown,
    )


def _facts(session: Session, scope: Scope, asked: Asked, places: _Places) -> Iterator[Fact]:
    """The alarms of the period in their order."""
    doctors = _doctors(session, scope.tenant)
    for row in session.execute(_folded(scope, asked).execution_options(yield_per=AT_ONCE)):
        (
            alarm,
            subject,
            rule,
            kind,
            started,
            rank,
            ended,
            accepted,
            acted,
            step,
            pauses,
            failed,
            rises,
            unanswered,
            told,
        ) = row
        yield Fact(
            alarm=alarm,
            subject=subject or "",
            rule=rule,
            kind=kind,
            priority=PRIORITIES[rank],
            ward=places.ward_of(subject or "", started),
            started=started,
            ended=ended,
            accepted=None if unanswered else accepted,
            acted=bool(acted),
            step=step or 0,
            doctor=told is not None and any(doctor in told for doctor in doctors),
            audio_pauses=pauses,
            undelivered=failed,
            rises=rises,
        )


def _folded(scope: Scope, asked: Asked) -> Select[*tuple[Any, ...]]:
    t = TransitionRow
    risen = and_(t.kind == "escalate", t.detail["why"].as_string() == "raised")
    paused = and_(t.kind == "signal", t.detail["axes", "signal"].as_string() == "audio_paused")
    return (
        select(
            Alarm.id,
            Alarm.patient,
            Alarm.rule,
            Alarm.kind,
            Alarm.started,
            func.min(case(RANK, value=t.priority, else_=2)),
            func.min(case((t.kind.in_(ENDING), t.at))),
            func.min(case((t.kind.in_(TAKING), t.at))),
            func.max(case((t.kind.in_(ACTS), 1), else_=0)),
            func.max(case((t.kind == "tell", t.detail["step"].as_integer()), else_=0)),
            func.sum(case((and_(paused, t.actor.is_not(None)), 1), else_=0)),
            func.sum(case((t.kind == "undelivered", 1), else_=0)),
            func.sum(case((risen, 1), else_=0)),
            func.max(case((risen, t.seq), else_=0)) > func.max(case((t.kind.in_(TAKING), t.seq), else_=0)),
            func.aggregate_strings(case((t.kind.in_(TELLING), t.detail["told"].as_string())), " "),
        )
        .join(t, and_(t.tenant == Alarm.tenant, t.alarm == Alarm.id))
        .where(*_counted(scope, asked))
        .group_by(Alarm.tenant, Alarm.id)
        .order_by(Alarm.started, Alarm.id)
    )


def _doctors(session: Session, tenant: str) -> tuple[str, ...]:
    """Those who are doctors now, as they stand in a list of hops."""
    people = session.execute(select(User.id, User.roles).where(User.tenant == tenant)).all()
    return tuple(f'"{user}"' for user, roles in people if Role.DOCTOR in roles)


def _counted(scope: Scope, asked: Asked) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        Alarm.tenant == scope.tenant,
        Alarm.started >= asked.start,
        Alarm.started < asked.end,
        Alarm.signalled.is_(True),
        Alarm.worklist.is_(False),
        Alarm.shadow.is_(False),
    ]
    if asked.rule is not None:
        conditions.append(Alarm.rule == asked.rule)
    if scope.patient is not None:
        conditions.append(Alarm.patient == scope.patient)
    return conditions


class _Places:
    """Where everything was during a period: stays of patients, devices on them, gateways in wards.

    Of devices only those that an alarm of the period is about.
    """

    def __init__(self, session: Session, tenant: str, asked: Asked) -> None:
        about = select(func.substr(Alarm.patient, len("device:") + 1)).where(
            Alarm.tenant == tenant,
            Alarm.started >= asked.start,
            Alarm.started < asked.end,
            Alarm.patient.startswith("device:"),
        )
        stays = session.execute(
            select(Encounter.patient, Encounter.ward, Encounter.start, Encounter.end)
            .where(
                Encounter.tenant == tenant,
                Encounter.start < asked.end,
                or_(Encounter.end.is_(None), Encounter.end > asked.start),
            )
            .order_by(Encounter.start)
        )
        self._stays: dict[str, list[Stay]] = {}
        for row in stays:
            self._stays.setdefault(row.patient, []).append(Stay(*row))
        self._starts = {patient: [s.start for s in found] for patient, found in self._stays.items()}
        gateways = session.execute(select(Gateway.id, Gateway.ward).where(Gateway.tenant == tenant))
        self._gateways = {ident: ward for ident, ward in gateways}  # noqa: C416 - rows are no pairs
        devices = session.execute(
            select(Device.id, Device.gateway).where(Device.tenant == tenant, Device.id.in_(about))
        )
        self._devices = {ident: gateway for ident, gateway in devices}  # noqa: C416 - rows are no pairs
        self._worn: dict[str, list[tuple[int, int | None, str]]] = {}
        for device, start, end, patient in session.execute(
            select(Association.device, Association.start, Association.end, Association.patient).where(
                Association.tenant == tenant,
                Association.superseded_at.is_(None),
                Association.device.in_(about),
                Association.start < asked.end,
                or_(Association.end.is_(None), Association.end > asked.start),
            )
        ):
            self._worn.setdefault(device, []).append((start, end, patient))

    def stays(self) -> Iterator[Stay]:
        """Every stay of the period."""
        return (stay for found in self._stays.values() for stay in found)

    def ward_of(self, subject: str, at: int) -> str | None:
        """The ward that was responsible for a subject at ``at``."""
        kind, colon, name = subject.partition(":")
        if not colon:
            place = bisect_right(self._starts.get(subject, []), at) - 1
            stay = self._stays[subject][place] if place >= 0 else None
            return stay.ward if stay is not None and (stay.end is None or at < stay.end) else None
        if kind == "gateway":
            return self._gateways.get(name)
        if kind == "device":
            worn = self._worn.get(name, ())
            patient = next((p for start, end, p in worn if start <= at and (end is None or at < end)), None)
            ward = None if patient is None else self.ward_of(patient, at)
            return ward or self._gateways.get(self._devices.get(name, ""))
        return ward_in(subject)
