"""Alarms of the records as the web shows them: with names for people, and words for what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cloud_ingest.life_words import happened
from cloud_ingest.records import AlarmHistory
from cloud_ingest.records import models as rows
from dashboards.models import (
    Alarm,
    AlarmDetail,
    AlarmInput,
    AlarmRise,
    AlarmTransition,
    Delivery,
    EdgeEpisode,
    Hop,
    Inactivation,
)
from rules import RuleSet

__all__ = ["alarm_of", "detail_of", "hops_of", "inactivation_of", "people_in"]

Names = Mapping[str, str]
"""Names of users by their ids."""
SHOWN = frozenset({"active", "asked", "latched"})
TEXTS = frozenset({"wall"})
"""Stands where an id could, and is put into words by who shows it."""


def people_in(alarm: rows.Alarm) -> set[str]:
    """The ids of everybody whom a row names."""
    return {*filter(None, (alarm.accepted_by,)), *alarm.next_to, *alarm.rejected}


def _name(who: str, names: Names) -> str:
    return who if who in TEXTS else names.get(who, who)


def _alarm_fields(row: rows.Alarm, rules: RuleSet, names: Names, origin: str | None) -> dict[str, Any]:
    rule = rules.by_id.get(row.rule)
    same = rule is not None and rules.hashes[rule.key] == row.rule_hash
    return {
        "id": row.id,
        "patient": row.patient,
        "rule": row.rule,
        "rule_hash": row.rule_hash,
        "kind": rule.kind if rule is not None and same else row.kind,
        "priority": row.priority,
        "condition": row.condition if row.condition in SHOWN else "inactive",
        "onset": row.onset,
        "started": row.started,
        "ended": row.ended,
        "accepted_by": row.accepted_by,
        "accepted_at": row.accepted_at,
        "accepted_name": None if row.accepted_by is None else _name(row.accepted_by, names),
        "signal": row.signal,
        "signal_until": row.signal_until,
        "rejected": [_name(who, names) for who in row.rejected],
        "root": row.root,
        "policy": row.policy,
        "step": row.step,
        "next_at": row.next_at,
        "next_to": [_name(who, names) for who in row.next_to],
        "episodes": row.episodes,
        "since": row.since,
        "text": {"en": row.text_en, "zh": row.text_zh},
        "explanation": dict(rule.title) if rule is not None and same else {},
        "values": row.values_json,
        "limit": row.limit_text,
        "late": row.late,
        "worklist": row.worklist,
        "origin": origin,
    }


def alarm_of(row: rows.Alarm, rules: RuleSet, names: Names, origin: str | None = None) -> Alarm:
    """An alarm; the rule's title only while the very same rule is in force. ``origin``: a gateway's id."""
    return Alarm(**_alarm_fields(row, rules, names, origin))


def _edge(row: rows.EdgeAlarm) -> EdgeEpisode:
    same = {name: getattr(row, name) for name in EdgeEpisode.model_fields if name != "limit"}
    return EdgeEpisode(**same, limit=row.limit_text)


def detail_of(history: AlarmHistory, rules: RuleSet, names: Names, **more: Any) -> AlarmDetail:
    """An alarm with its transitions and everybody who was told or is still to be."""
    alarm = history.alarm
    origin = next((e.gateway for e in history.edges if e.id == alarm.id), None)
    return AlarmDetail(
        **_alarm_fields(alarm, rules, names, origin),
        priority_at_onset=next((t.priority for t in history.transitions if t.kind == "start"), None),
        rises=[
            AlarmRise(
                at=t.at,
                priority=t.priority,
                rule=t.detail["part"]["rule"],
                text={"en": t.text_en, "zh": t.text_zh},
            )
            for t in history.transitions
            if t.kind == "escalate" and t.detail.get("why") == "raised"
        ],
        edges=[_edge(e) for e in history.edges],
        transitions=[
            AlarmTransition(
                kind=t.kind,
                condition=t.condition,
                priority=t.priority,
                text=happened(t, names),
                at=t.at,
                values=t.values_json,
                limit=t.limit_text,
                rule_hash=t.rule_hash,
                actor=t.actor,
                actor_name=None if t.actor is None else _name(t.actor, names),
                note=t.note,
                late=t.late,
                inputs=[AlarmInput(**i) for i in t.inputs],
                detail=t.detail,
            )
            for t in history.transitions
        ],
        deliveries=_deliveries(history),
        hops=hops_of(history, names),
        **more,
    )


def _deliveries(history: AlarmHistory) -> list[Delivery]:
    told = {n.id: n for n in history.notifications}
    tried: Counter[str] = Counter()
    out = []
    for a in history.attempts:
        tried[a.notification] += 1
        out.append(_delivery(told[a.notification], a, tried[a.notification]))
    waiting = (n for n in history.notifications if n.state == "queued" and not tried[n.id])
    out += [
        Delivery(channel=n.channel, recipient=n.target, state=n.state, attempt=0, at=n.created)
        for n in waiting
    ]
    return out


def _delivery(note: rows.Notification, a: rows.DeliveryAttempt, number: int) -> Delivery:
    return Delivery(
        channel=note.channel,
        recipient=note.target,
        state=a.outcome,
        attempt=number,
        at=a.at,
        reason=a.detail,
        latency_ms=a.latency_ms,
        after_ms=a.after_ms,
    )


def hops_of(history: AlarmHistory, names: Names) -> list[Hop]:
    """Everybody who was told or is to be told, each with every try."""
    return [
        Hop(
            id=n.id,
            channel=n.channel,
            who=n.who,
            name=_name(n.who, names),
            recipient=n.target,
            kind=n.kind,
            step=n.step,
            at=n.created,
            state=n.state,
            attempts=[
                _delivery(n, a, number)
                for number, a in enumerate((a for a in history.attempts if a.notification == n.id), 1)
            ],
        )
        for n in history.notifications
    ]


def inactivation_of(row: rows.InactivationRow, subject: str, names: Names) -> Inactivation:
    """What is switched off; ``subject`` as people call it."""
    return Inactivation(
        id=row.id,
        subject=row.subject,
        name=subject,
        kind=row.kind,
        by=row.by,
        by_name=_name(row.by, names),
        reason=row.reason,
        start=row.start,
        until=row.until,
        ended=row.ended,
        ended_by=row.ended_by,
        ended_name=None if row.ended_by is None else _name(row.ended_by, names),
    )
