"""Inputs stepped through the rules: a plan is decided first, committed next, and adopted only then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest import journal
from cloud_ingest.inputs import decode_input
from cloud_ingest.notifier import Target, enqueue
from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import Alarm
from hearthward.core.errors import HearthwardError, RuleError
from hearthward.core.telemetry import Telemetry
from rules import Input, State, Transition
from rules.model import Priority
from rules.step import step

__all__ = ["NODE", "Decision", "Plan", "Recovered", "orphans", "recover", "write_decisions"]

log = logging.getLogger(__name__)

NODE: Final = "cloud"
"""Part of the identity of every alarm that is opened here."""
_CHUNK: Final = 500
_LOST: Final = {
    "en": "Ended: what was known of it was lost; it starts anew if it still holds",
    "zh": "报警结束 (状态丢失, 若情况持续将重新报警)",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """An input and what came of it."""

    entry: journal.Entry
    transitions: tuple[Transition, ...]


class Plan:
    """Steps inputs from a state without touching it: a failed commit leaves nothing to undo."""

    def __init__(self, state: State, seq: int) -> None:
        self.state = state
        self.seq = seq
        self.decisions: list[Decision] = []

    def step(self, make: Callable[[int], Input], source: tuple[str, str] | None = None) -> Decision:
        """Decide the input made with the next sequence number. What ``rules.step`` raises, this raises."""
        event = make(self.seq + 1)
        state, transitions = step(self.state, event)
        self.state, self.seq = state, event.seq
        decision = Decision(journal.Entry(event, *(source or (None, None))), transitions)
        self.decisions.append(decision)
        return decision

    def reset(self, alarms: Iterable[Alarm]) -> None:
        """End alarms that the rules' state knows nothing of, together with the last decision."""
        last = self.decisions[-1]
        resets = tuple(_reset(alarm, self.seq, last.entry.event.now) for alarm in alarms)
        self.decisions[-1] = replace(last, transitions=last.transitions + resets)

    @property
    def transitions(self) -> list[Transition]:
        """All of them, in order."""
        return [t for d in self.decisions for t in d.transitions]


def write_decisions(
    session: Session, tenant: str, decisions: Sequence[Decision], targets: Sequence[Target]
) -> list[Alarm]:
    """Journal inputs and write their transitions, alarms and notifications; returns the changed alarms."""
    journal.append(session, tenant, [d.entry for d in decisions])
    changed: dict[str, Alarm] = {}
    for decision in decisions:
        if not decision.transitions:
            continue
        now = decision.entry.event.now
        for alarm in apply_transitions(session, tenant, decision.transitions, now):
            changed[alarm.id] = alarm
        enqueue(session, tenant, decision.transitions, now, targets)
    return list(changed.values())


def orphans(session: Session, tenant: str, state: State) -> Sequence[Alarm]:
    """Alarms that people see as active and the rules' state does not have: snapshots or journal were lost."""
    active = select(Alarm).where(Alarm.tenant == tenant, Alarm.condition == "active")
    return [a for a in session.scalars(active.order_by(Alarm.started, Alarm.id)) if a.id not in state.alarms]


def _reset(alarm: Alarm, seq: int, now: int) -> Transition:
    return Transition(
        alarm=alarm.id,
        patient=alarm.patient or "",
        rule=alarm.rule,
        rule_hash=alarm.rule_hash,
        kind="reset",
        condition="inactive",
        priority=cast("Priority", alarm.priority),
        at=max(now, alarm.started),
        onset=alarm.onset,
        seq=seq,
        values=dict(alarm.values_json),
        limit=alarm.limit_text,
        text=dict(_LOST),
        decided=now,
        note="state lost",
    )


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where deciding goes on: state, the last number given out, the last time seen (UTC ns)."""

    state: State
    seq: int
    at: int
    replayed: int


async def recover(records: Records, tenant: str, telemetry: Telemetry) -> Recovered:
    """The state as it was: the newest whole snapshot, and the journal stepped from there, silently."""
    state, at = await _snapshot(records, tenant)
    seq, replayed, more = state.seq, 0, True
    while more:
        rows = await records.read(partial(journal.replay, tenant=tenant, after=seq, limit=_CHUNK))
        more = len(rows) == _CHUNK
        for row in rows:
            seq, at = row.seq, max(at, row.at)
            replayed += 1
            try:
                state, _ = step(state, decode_input(row.seq, row.kind, row.payload))
            except HearthwardError:
                telemetry.count("journal_replay_failed_total")
                log.exception("journal row %d cannot be stepped again; going on with the next", row.seq)
    last = await records.read(journal.last_seq)
    return Recovered(state, max(seq, last), at, replayed)


async def _snapshot(records: Records, tenant: str) -> tuple[State, int]:
    kept = await records.read(lambda s: [(x.at, x.state) for x in journal.snapshots(s, tenant)])
    for at, payload in kept:
        try:
            return State.from_bytes(payload), at
        except RuleError:
            log.exception("a snapshot of the rules' state is damaged; taking the one before")
    return State.empty(NODE), 0
