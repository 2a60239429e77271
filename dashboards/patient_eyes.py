"""What patients see of their own alarms: what happened and when, but neither names nor notes of staff.

Texts get no names where they are made (``Unnamed``); the fields that are left are taken out here.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, TypeVar

from cloud_ingest.life_words import WARD
from dashboards.care_models import TaskDue
from dashboards.models import Alarm, AlarmDetail, AlarmTransition, Delivery, Hop, Inactivation, Value
from dashboards.why_models import Why
from hearthward.trust.access import Scope

__all__ = ["alarm_seen", "due_seen", "off_seen", "value_seen", "why_seen"]

A = TypeVar("A", bound=Alarm)


def alarm_seen(scope: Scope, alarm: A) -> A:
    """An alarm as the scope may see it; staff see it as it is."""
    if scope.patient is None:
        return alarm
    taken = None if alarm.accepted_by is None else WARD
    change: dict[str, Any] = {
        "accepted_by": taken,
        "accepted_name": taken,
        "rejected": [],
        "next_to": [WARD] if alarm.next_to else [],
    }
    if isinstance(alarm, AlarmDetail):
        change |= {
            "transitions": [_line(t) for t in alarm.transitions],
            "deliveries": _unaddressed(alarm.deliveries),
            "hops": [_hop(h) for h in alarm.hops],
            "children": [alarm_seen(scope, a) for a in alarm.children],
            "inactivations": [off_seen(scope, i) for i in alarm.inactivations],
        }
    return alarm.model_copy(update=change)


def off_seen(scope: Scope, row: Inactivation) -> Inactivation:
    """What is switched off as the scope may see it."""
    if scope.patient is None:
        return row
    ended = None if row.ended_by is None else WARD
    change = {"by": WARD, "by_name": WARD, "reason": "", "ended_by": ended, "ended_name": ended}
    return row.model_copy(update=change)


def why_seen(scope: Scope, why: Why) -> Why:
    """The answer as the scope may see it."""
    if scope.patient is None:
        return why
    settings = [s.model_copy(update={"by": s.by and WARD, "reason": None}) for s in why.settings]
    life = [m.model_copy(update={"note": ""}) for m in why.life]
    rule = why.rule.model_copy(update={"released_by": None})
    return why.model_copy(update={"settings": settings, "life": life, "rule": rule})


def value_seen(scope: Scope, value: Value, own: Container[str]) -> Value:
    """A reading as the scope may see it; ``own`` are the users that a patient may know, themselves first."""
    if scope.patient is None or value.author is None or value.author in own:
        return value
    return value.model_copy(update={"author": WARD, "author_name": None})


def due_seen(scope: Scope, due: TaskDue, own: Container[str]) -> TaskDue:
    """A task at one of its times as the scope may see it."""
    if scope.patient is None or due.by is None or due.by in own:
        return due
    return due.model_copy(update={"by": WARD})


def _line(t: AlarmTransition) -> AlarmTransition:
    by = None if t.actor is None else WARD
    return t.model_copy(update={"actor": by, "actor_name": by, "note": "", "detail": {}})


def _hop(hop: Hop) -> Hop:
    who = WARD if hop.name == WARD else hop.who
    return hop.model_copy(update={"who": who, "recipient": "", "attempts": _unaddressed(hop.attempts)})


def _unaddressed(tries: Sequence[Delivery]) -> list[Delivery]:
    return [d.model_copy(update={"recipient": "", "reason": ""}) for d in tries]
