"""Alarms as they stand and their history: read by people, written by the pipeline's transitions only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict, Unpack

from sqlalchemy import ColumnElement, and_, not_, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from cloud_ingest.records.edge_alarms import alarm_named, edge_alarms_of
from cloud_ingest.records.models import (
    Alarm,
    DeliveryAttempt,
    EdgeAlarm,
    Notification,
    TransitionRow,
)
from cloud_ingest.records.scoping import SUBJECT_KINDS, Repository
from cloud_ingest.records.transitions import apply_transitions, ordinals
from hearthward.trust.access import Scope

__all__ = ["OPEN", "AlarmFilters", "AlarmHistory", "Alarms", "apply_transitions", "ordinals"]


OPEN: Final = ("active", "latched")
"""Conditions of what people still have to deal with."""


@dataclass(frozen=True, slots=True)
class AlarmHistory:
    """An alarm with every change of it and every try to tell somebody, oldest first.

    ``edges`` is what gateways told of it, each by its own name.
    """

    alarm: Alarm
    transitions: Sequence[TransitionRow]
    notifications: Sequence[Notification]
    attempts: Sequence[DeliveryAttempt]
    edges: Sequence[EdgeAlarm] = ()


class AlarmFilters(TypedDict, total=False):
    """Which alarms are wanted; what is None or not there does not matter.

    ``active``: the condition lasts; ``open``: that, or latched; ``latched``: over, not yet acknowledged.
    ``ward``: of patients in its care now, of its gateways, their devices and its components. ``equipment``:
    of devices, gateways and components (True: what engineers may see), or of patients. ``top`` (True) leaves
    out what is shown under another, ``root`` wants just what is shown under that one. ``since``: started or
    ended later (UTC ns). ``until``: started earlier. Alarms and the worklist; or with ``shadow`` only what
    rules on trial would have signalled, or with ``asked`` only the second measurements that are waited for.
    """

    active: bool | None
    open: bool | None
    latched: bool | None
    accepted: bool | None
    owner: str | None
    signal: str | None
    kind: str | None
    priority: str | None
    worklist: bool | None
    ward: str | None
    patient: str | None
    equipment: bool | None
    rule: str | None
    top: bool | None
    root: str | None
    since: int | None
    until: int | None
    shadow: bool
    asked: bool


_EQUAL: Final[dict[str, InstrumentedAttribute[Any]]] = {
    "owner": Alarm.accepted_by,
    "signal": Alarm.signal,
    "kind": Alarm.kind,
    "priority": Alarm.priority,
    "patient": Alarm.patient,
    "rule": Alarm.rule,
    "root": Alarm.root,
    "worklist": Alarm.worklist,
}


class Alarms(Repository):
    """The alarms of a tenant's patients, gateways, devices and components, to read."""

    def list(
        self, scope: Scope, *, before: str | None = None, limit: int = 500, **filters: Unpack[AlarmFilters]
    ) -> Sequence[Alarm]:
        """The newest first, ``limit`` of them; those after the alarm ``before``, to read on from a page.

        The filters are those of ``AlarmFilters``. Raises ConfigError (``not_found``): no alarm ``before``.
        """
        query = select(Alarm).where(
            Alarm.tenant == scope.tenant,
            *self._subject_limit(Alarm.patient, scope),
            *self._chosen(scope, filters),
        )
        if before is not None:
            last = self._find(Alarm, scope, before, "before")
            query = query.where(
                or_(Alarm.started < last.started, and_(Alarm.started == last.started, Alarm.id > last.id))
            )
        return self.session.scalars(query.order_by(Alarm.started.desc(), Alarm.id).limit(limit)).all()

    def get(self, scope: Scope, alarm: str) -> AlarmHistory:
        """One alarm with all that is known of it, by its id or a gateway's name of it.

        Raises ConfigError (``not_found``).
        """
        if self.session.get(Alarm, (scope.tenant, alarm)) is None:
            alarm = alarm_named(self.session, scope.tenant, alarm) or alarm
        row = self._find(Alarm, scope, alarm, "alarm", *self._subject_limit(Alarm.patient, scope))
        transitions = select(TransitionRow).where(
            TransitionRow.tenant == scope.tenant, TransitionRow.alarm == alarm
        )
        notifications = self.session.scalars(
            select(Notification)
            .where(Notification.tenant == scope.tenant, Notification.alarm == alarm)
            .order_by(Notification.seq, Notification.ordinal, Notification.id)
        ).all()
        attempts = select(DeliveryAttempt).where(
            DeliveryAttempt.tenant == scope.tenant,
            DeliveryAttempt.notification.in_([n.id for n in notifications]),
        )
        return AlarmHistory(
            row,
            self.session.scalars(transitions.order_by(TransitionRow.seq, TransitionRow.ordinal)).all(),
            notifications,
            self.session.scalars(attempts.order_by(DeliveryAttempt.id)).all(),
            edge_alarms_of(self.session, scope.tenant, [alarm]).get(alarm, ()),
        )

    def opened_there(self, scope: Scope, alarms: Collection[str]) -> Mapping[str, str]:
        """Which of these alarms a gateway's own rules opened first, and which gateway's."""
        query = select(EdgeAlarm.id, EdgeAlarm.gateway).where(
            EdgeAlarm.tenant == scope.tenant, EdgeAlarm.id.in_(alarms)
        )
        return {row.id: row.gateway for row in self.session.execute(query)}

    def notes(self, scope: Scope, alarms: Collection[str]) -> Sequence[TransitionRow]:
        """The transitions of these alarms with which somebody wrote something, in order of time."""
        query = (
            select(TransitionRow)
            .join(Alarm, and_(Alarm.tenant == TransitionRow.tenant, Alarm.id == TransitionRow.alarm))
            .where(
                Alarm.tenant == scope.tenant,
                Alarm.shadow.is_(False),
                Alarm.id.in_(alarms),
                *self._subject_limit(Alarm.patient, scope),
                TransitionRow.note != "",
                TransitionRow.actor.is_not(None),
            )
        )
        order = TransitionRow.at, TransitionRow.seq, TransitionRow.ordinal
        return self.session.scalars(query.order_by(*order)).all()

    def _chosen(self, scope: Scope, wanted: AlarmFilters) -> Iterator[ColumnElement[bool]]:
        """The conditions that a list's filters stand for."""
        shadow = wanted.get("shadow", False)
        yield Alarm.shadow.is_(shadow)
        if wanted.get("asked"):
            yield Alarm.condition == "asked"
        elif not shadow:
            yield or_(Alarm.signalled, Alarm.worklist)
        for name, column in _EQUAL.items():
            value = wanted.get(name)
            if value is not None:
                yield column == value
        conditions = {
            "active": Alarm.condition == "active",
            "open": Alarm.condition.in_(OPEN),
            "latched": Alarm.condition == "latched",
            "accepted": Alarm.accepted_by.is_not(None),
            "equipment": or_(*(Alarm.patient.startswith(f"{kind}:") for kind in SUBJECT_KINDS)),
            "top": Alarm.root.is_(None),
        }
        for name, condition in conditions.items():
            value = wanted.get(name)
            if value is not None:
                yield condition if value else not_(condition)
        ward, since, until = wanted.get("ward"), wanted.get("since"), wanted.get("until")
        if ward is not None:
            yield from self._subject_limit(Alarm.patient, Scope(scope.tenant, frozenset({ward})), house=False)
        if since is not None:
            yield or_(Alarm.started >= since, Alarm.ended >= since)
        if until is not None:
            yield Alarm.started < until
