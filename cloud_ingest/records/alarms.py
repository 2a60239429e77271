"""Alarms as they stand and their history: read by people, written by the pipeline's transitions only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import (
    Alarm,
    DeliveryAttempt,
    Device,
    Encounter,
    Gateway,
    Notification,
    RuleVersion,
    TransitionRow,
)
from cloud_ingest.records.scoping import Repository
from hearthward.trust.access import Scope
from rules import Transition
from rules.model import subject_key
from rules.rule import SHADOW

__all__ = ["AlarmHistory", "Alarms", "apply_transitions", "ordinals"]

_CLOSING = frozenset({"end", "reset"})
_TELLING = frozenset({"ask", "start", "update", "escalate", "de-escalate"})
_UNSIGNALLED = frozenset({"ask", "late"})
"""What opens a row without being an alarm (yet)."""


@dataclass(frozen=True, slots=True)
class AlarmHistory:
    """An alarm with every change of it and every try to tell somebody, oldest first."""

    alarm: Alarm
    transitions: Sequence[TransitionRow]
    notifications: Sequence[Notification]
    attempts: Sequence[DeliveryAttempt]


class Alarms(Repository):
    """The alarms of a tenant's patients, gateways, devices and components, to read."""

    def list(  # noqa: PLR0913 - the filters
        self,
        scope: Scope,
        *,
        active: bool | None = None,
        worklist: bool | None = None,
        ward: str | None = None,
        patient: str | None = None,
        rule: str | None = None,
        since: int | None = None,
        shadow: bool = False,
        asked: bool = False,
        limit: int = 500,
    ) -> Sequence[Alarm]:
        """The newest first. ``ward``: of patients in its care now; ``since``: started or ended later.

        Alarms and the worklist; or with ``shadow`` only what rules on trial would have signalled, or with
        ``asked`` only the second measurements that are being waited for.
        """
        query = select(Alarm).where(
            Alarm.tenant == scope.tenant, Alarm.shadow.is_(shadow), *self._subject_limit(scope)
        )
        if asked:
            query = query.where(Alarm.condition == "asked")
        elif not shadow:
            query = query.where(or_(Alarm.signalled, Alarm.worklist))
        if active is not None:
            query = query.where((Alarm.condition == "active") if active else (Alarm.condition != "active"))
        if worklist is not None:
            query = query.where(Alarm.worklist.is_(worklist))
        if ward is not None:
            present = select(Encounter.patient).where(
                Encounter.tenant == scope.tenant,
                Encounter.ward == ward,
                or_(Encounter.end.is_(None), Encounter.end > self.now),
            )
            query = query.where(Alarm.patient.in_(present))
        if patient is not None:
            query = query.where(Alarm.patient == patient)
        if rule is not None:
            query = query.where(Alarm.rule == rule)
        if since is not None:
            query = query.where(or_(Alarm.started >= since, Alarm.ended >= since))
        return self.session.scalars(query.order_by(Alarm.started.desc(), Alarm.id).limit(limit)).all()

    def get(self, scope: Scope, alarm: str) -> AlarmHistory:
        """One alarm with transitions, notifications and attempts. Raises ConfigError (``not_found``)."""
        row = self._find(Alarm, scope, alarm, "alarm", *self._subject_limit(scope))
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
        )

    def _subject_limit(self, scope: Scope) -> Sequence[ColumnElement[bool]]:
        """Alarms of visible patients, and of gateways and devices at the scope's wards."""
        patients = self._patient_limit(Alarm.patient, scope)
        if not patients or scope.wards is None or scope.patient is not None:
            return patients
        gateways = select(subject_key("gateway", "") + Gateway.id).where(
            Gateway.tenant == scope.tenant, *self._ward_limit(Gateway.ward, scope)
        )
        devices = select(subject_key("device", "") + Device.id).where(
            Device.tenant == scope.tenant, *self._device_limit(Device.id, Device.gateway, scope)
        )
        return [or_(*patients, Alarm.patient.in_(gateways), Alarm.patient.in_(devices))]


def ordinals(transitions: Sequence[Transition]) -> list[int]:
    """The place of each transition among those of the same alarm and input, from 0."""
    seen: Counter[tuple[str, int]] = Counter()
    out = []
    for transition in transitions:
        key = transition.alarm, transition.seq
        out.append(seen[key])
        seen[key] += 1
    return out


def apply_transitions(
    session: Session, tenant: str, transitions: Sequence[Transition], now: int
) -> list[Alarm]:
    """Write one input's transitions, within the caller's transaction; returns the alarms that changed.

    All transitions of one input (``seq``) come in one call, in order. What is already there is left as it
    is, so that the same call again changes nothing. ``now`` is when they were recorded (UTC ns). An ``ask``
    makes a row with the condition ``asked``, which starts or ends later; those of rules on trial go into
    the same tables, marked ``shadow``. Kind, audience and latching come from the rule's kept version.
    """
    changed: dict[str, Alarm] = {}
    for transition, ordinal in zip(transitions, ordinals(transitions), strict=True):
        key = tenant, transition.alarm, transition.seq, ordinal
        if session.get(TransitionRow, key) is not None:
            continue
        alarm = session.get(Alarm, (tenant, transition.alarm))
        if alarm is None:
            alarm = _opened(tenant, transition, session.get(RuleVersion, (tenant, transition.rule_hash)))
            session.add(alarm)
        _advance(alarm, transition)
        session.flush()  # the alarm before the transition that points at it
        session.add(_row(tenant, transition, ordinal, now))
        changed[alarm.id] = alarm
    session.flush()
    return list(changed.values())


def _opened(tenant: str, t: Transition, version: RuleVersion | None) -> Alarm:
    content = {} if version is None else version.content
    return Alarm(
        tenant=tenant,
        id=t.alarm,
        patient=t.patient,
        rule=t.rule.removesuffix(SHADOW),
        rule_hash=t.rule_hash,
        priority=t.priority,
        condition="inactive",
        onset=t.onset,
        started=t.at,
        text_en=t.text.get("en", ""),
        text_zh=t.text.get("zh", ""),
        limit_text=t.limit,
        values_json=dict(t.values),
        late=t.late,
        worklist=t.kind == "late",
        signalled=t.kind not in _UNSIGNALLED,
        shadow=t.shadow,
        kind=content.get("kind", "physiological"),
        latching=content.get("latching", False),
        audience=content.get("audience", []),
        last_transition=t.kind,
        last_seq=t.seq,
    )


def _advance(alarm: Alarm, t: Transition) -> None:
    """The alarm's row after ``t``; what ended keeps the text and values that it was told with."""
    if not alarm.signalled and t.kind not in _UNSIGNALLED | _CLOSING:
        alarm.signalled, alarm.started = True, t.at
    if t.kind in _TELLING:
        alarm.priority = t.priority
        alarm.rule_hash = t.rule_hash
        alarm.text_en, alarm.text_zh = t.text.get("en", ""), t.text.get("zh", "")
        alarm.limit_text, alarm.values_json = t.limit, dict(t.values)
        alarm.late = t.late
    if t.kind in _CLOSING:
        alarm.condition, alarm.ended = "inactive", t.at
    elif t.kind != "late":
        alarm.condition = t.condition
    if t.kind == "accept":
        alarm.accepted_by, alarm.accepted_at = t.actor, t.at
    alarm.last_transition, alarm.last_seq = t.kind, t.seq


def _row(tenant: str, t: Transition, ordinal: int, now: int) -> TransitionRow:
    return TransitionRow(
        tenant=tenant,
        alarm=t.alarm,
        seq=t.seq,
        ordinal=ordinal,
        kind=t.kind,
        condition=t.condition,
        priority=t.priority,
        rule_hash=t.rule_hash,
        at=t.at,
        onset=t.onset,
        recorded=now,
        values_json=dict(t.values),
        limit_text=t.limit,
        text_en=t.text.get("en", ""),
        text_zh=t.text.get("zh", ""),
        inputs=[dict(i) for i in t.inputs],
        actor=t.actor,
        note=t.note,
        late=t.late,
        shadow=t.shadow,
        detail=dict(t.detail),
    )
