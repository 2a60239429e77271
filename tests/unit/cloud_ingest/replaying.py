"""The journal of records stepped anew from its first row, by the reference and by the engine."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest import journal
from cloud_ingest.inputs import decode_input
from cloud_ingest.records.models import TransitionRow
from cloud_ingest.recovery import NODE
from rules import Engine, Input, State, Transition, step


class Told(NamedTuple):
    """A transition as far as it says what was decided."""

    alarm: str
    seq: int
    kind: str
    condition: str
    at: int
    onset: int
    values: dict[str, float]
    text: str
    late: bool


def inputs_of(session: Session, tenant: str = "main") -> list[Input]:
    rows = journal.replay(session, tenant, 0, 1_000_000)
    return [decode_input(row.seq, row.kind, row.payload) for row in rows]


def told_of(session: Session) -> list[Told]:
    """The transitions as they are in the records."""
    rows = session.scalars(select(TransitionRow).order_by(TransitionRow.seq, TransitionRow.alarm))
    return sorted(
        Told(t.alarm, t.seq, t.kind, t.condition, t.at, t.onset, t.values_json, t.text_en, t.late)
        for t in rows
    )


def told(transitions: list[Transition]) -> list[Told]:
    return sorted(
        Told(t.alarm, t.seq, t.kind, t.condition, t.at, t.onset, dict(t.values), t.text["en"], t.late)
        for t in transitions
    )


def by_reference(inputs: list[Input]) -> tuple[State, list[Transition]]:
    state, found = State.empty(NODE), []
    for event in inputs:
        state, transitions = step(state, event)
        found += transitions
    return state, found


def by_engine(inputs: list[Input]) -> tuple[State, list[Transition]]:
    engine, found = Engine(State.empty(NODE)), []
    for event in inputs:
        found += engine.step(event)
    return engine.state, found
