"""What the rules decided, as rows: alarms as they stand, their history, and what is switched off.

It runs in the ingest's transaction: everything is looked up in bulk and written in bulk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Alarm, InactivationRow, RuleVersion, TransitionRow
from hearthward.core.ids import stable_id
from rules import Transition
from rules.rule import SHADOW

__all__ = ["apply_transitions", "ordinals"]

T = TypeVar("T")

_CLOSING: Final = frozenset({"end", "reset"})
_TELLING: Final = frozenset({"ask", "start", "update", "escalate", "de-escalate"})
_UNSIGNALLED: Final = frozenset({"ask", "late"})
"""What opens a row without being an alarm (yet)."""
_CHUNK: Final = 500
"""Keys in one query; SQLite takes 32766 parameters at most."""


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
    """Write the transitions of some inputs, within the caller's transaction; returns the changed alarms.

    All transitions of one input (``seq``) come in one call, in order. What is already there is left as it
    is, so that the same call again changes nothing. ``now`` is when they were recorded (UTC ns), of those
    that do not say when they were decided. An ``ask``
    makes a row with the condition ``asked``, which starts or ends later; those of rules on trial go into
    the same tables, marked ``shadow``. Kind, audience and latching come from the rule's kept version.

    A latching alarm's ``end`` leaves it ``latched``; ``reset`` closes it. Signal, responsibility and
    escalation are taken from ``detail["axes"]``. A pause or resume of a whole subject (``alarm`` "") makes
    or ends a row of ``inactivations``.
    """
    known = _known(session, tenant, transitions)
    alarms = _alarms(session, tenant, transitions)
    versions = _versions(session, tenant, transitions)
    changed: dict[str, Alarm] = {}
    rows: list[dict[str, Any]] = []
    for transition, ordinal in zip(transitions, ordinals(transitions), strict=True):
        if not transition.alarm:
            _switch(session, tenant, transition)
            continue
        if (transition.alarm, transition.seq, ordinal) in known:
            continue
        alarm = alarms.get(transition.alarm)
        if alarm is None:
            alarm = _opened(tenant, transition, versions.get(transition.rule_hash))
            alarms[alarm.id] = alarm
            session.add(alarm)
        _advance(alarm, transition, versions.get(transition.rule_hash))
        rows.append(_row(tenant, transition, ordinal, now))
        changed[alarm.id] = alarm
    session.flush()  # the alarms before the transitions that point at them
    if rows:
        session.execute(insert(TransitionRow), rows)
    return list(changed.values())


# -- what is there already


def _known(session: Session, tenant: str, transitions: Sequence[Transition]) -> set[tuple[str, int, int]]:
    """(alarm, seq, ordinal) of those that are written already."""
    columns = TransitionRow.alarm, TransitionRow.seq, TransitionRow.ordinal
    found: set[tuple[str, int, int]] = set()
    for some in _chunks({t.seq for t in transitions if t.alarm}):
        query = select(*columns).where(TransitionRow.tenant == tenant, TransitionRow.seq.in_(some))
        found.update((alarm, seq, ordinal) for alarm, seq, ordinal in session.execute(query))
    return found


def _alarms(session: Session, tenant: str, transitions: Sequence[Transition]) -> dict[str, Alarm]:
    found: dict[str, Alarm] = {}
    for some in _chunks({t.alarm for t in transitions if t.alarm}):
        query = select(Alarm).where(Alarm.tenant == tenant, Alarm.id.in_(some))
        found.update((alarm.id, alarm) for alarm in session.scalars(query))
    return found


def _versions(session: Session, tenant: str, transitions: Sequence[Transition]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for some in _chunks({t.rule_hash for t in transitions if t.alarm}):
        query = select(RuleVersion.hash, RuleVersion.content).where(
            RuleVersion.tenant == tenant, RuleVersion.hash.in_(some)
        )
        found.update((hashed, content) for hashed, content in session.execute(query))
    return found


def _chunks(keys: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(keys)
    while some := list(islice(rest, _CHUNK)):
        yield some


# -- one transition


def _opened(tenant: str, t: Transition, content: dict[str, Any] | None) -> Alarm:
    rule = content or {}
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
        kind=rule.get("kind", "physiological"),
        latching=rule.get("latching", False),
        audience=rule.get("audience", []),
        last_transition=t.kind,
        last_seq=t.seq,
    )


def _advance(alarm: Alarm, t: Transition, content: dict[str, Any] | None) -> None:
    """The alarm's row after ``t``; what ended keeps the text and values that it was told with.

    One that has risen to a graver stage goes by that one's rule until it falls again.
    """
    if not alarm.signalled and t.kind not in _UNSIGNALLED | _CLOSING:
        alarm.signalled, alarm.started = True, t.at
    if t.kind in _TELLING and t.condition != "inactive":
        alarm.priority = t.priority
        if t.rule.removesuffix(SHADOW) != alarm.rule and content is not None:
            alarm.latching = alarm.latching or content.get("latching", False)
            alarm.audience = list(dict.fromkeys([*alarm.audience, *content.get("audience", [])]))
        alarm.rule, alarm.rule_hash = t.rule.removesuffix(SHADOW), t.rule_hash
        alarm.text_en, alarm.text_zh = t.text.get("en", ""), t.text.get("zh", "")
        alarm.limit_text, alarm.values_json = t.limit, dict(t.values)
        alarm.late = t.late
    if t.kind == "late":
        _entry(alarm, t)
    else:
        _condition(alarm, t)
    if "axes" in t.detail:
        _axes(alarm, t.detail["axes"])
    alarm.last_transition, alarm.last_seq = t.kind, t.seq


def _entry(alarm: Alarm, t: Transition) -> None:
    """What a gateway saw end has ended; what turned out to be a part of an alarm is looked at there."""
    if "ended" in t.detail and (alarm.worklist or alarm.ended is None):
        alarm.ended = t.detail["ended"]
    if "into" in t.detail:
        alarm.worklist = False


def _condition(alarm: Alarm, t: Transition) -> None:
    """A latched alarm ended when its condition did, not when somebody acknowledged it."""
    closes = t.kind in _CLOSING
    alarm.condition = "inactive" if closes and t.condition != "latched" else t.condition
    if closes or alarm.condition in {"inactive", "latched"}:
        if alarm.ended is None:
            alarm.ended = t.at
    else:
        alarm.ended = None


def _axes(alarm: Alarm, axes: dict[str, Any]) -> None:
    alarm.signal, alarm.signal_until = axes["signal"], axes["until"]
    alarm.accepted_by, alarm.accepted_at = axes["owner"], axes["owned_at"]
    alarm.rejected, alarm.root = list(axes["rejected"]), axes["root"]
    alarm.policy, alarm.step = axes["policy"], axes["step"]
    alarm.next_at, alarm.next_to = axes["next_at"], list(axes["next_to"])
    alarm.episodes, alarm.since = axes["episodes"], axes["since"]


def _row(tenant: str, t: Transition, ordinal: int, now: int) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "alarm": t.alarm,
        "seq": t.seq,
        "ordinal": ordinal,
        "kind": t.kind,
        "condition": t.condition,
        "priority": t.priority,
        "rule_hash": t.rule_hash,
        "at": t.at,
        "onset": t.onset,
        "recorded": t.decided or now,
        "values_json": dict(t.values),
        "limit_text": t.limit,
        "text_en": t.text.get("en", ""),
        "text_zh": t.text.get("zh", ""),
        "inputs": [dict(i) for i in t.inputs],
        "actor": t.actor,
        "note": t.note,
        "late": t.late,
        "shadow": t.shadow,
        "detail": dict(t.detail),
    }


# -- what is switched off


def _switch(session: Session, tenant: str, t: Transition) -> None:
    """Make or end the row of a subject's inactivation; a row is ended by a later input only."""
    kind = str(t.detail["kind"])
    ident = stable_id("off", tenant, t.patient, kind, t.seq)
    present = session.scalars(
        select(InactivationRow).where(
            InactivationRow.tenant == tenant,
            InactivationRow.subject == t.patient,
            InactivationRow.kind == kind,
            InactivationRow.ended.is_(None),
            InactivationRow.seq < t.seq,
        )
    ).one_or_none()
    pause = t.kind == "pause"
    if pause and session.get(InactivationRow, (tenant, ident)) is not None:
        return
    if present is not None:
        present.ended, present.ended_by = t.at, t.actor
        present.replaced_by = ident if pause else None
        session.flush()
    if pause:
        row = InactivationRow(
            tenant=tenant,
            id=ident,
            subject=t.patient,
            kind=kind,
            by=t.actor or "",
            reason=str(t.detail.get("reason", t.note)),
            start=t.at,
            until=int(t.detail["until"]),
            seq=t.seq,
        )
        session.add(row)
        session.flush()
