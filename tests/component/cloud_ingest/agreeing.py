"""Whether records that many lives have written are what one life would have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.models import Alarm, JournalRow, TransitionRow
from cloud_ingest.recovery import recover
from hearthward.core.telemetry import Telemetry
from rules import State, Transition
from tests.unit.cloud_ingest.replaying import by_engine, by_reference, inputs_of
from tests.unit.cloud_ingest.ward import TENANT

__all__ = ["Agreed", "agree"]


class Agreed(NamedTuple):
    """The state that was recovered, and the alarms and their history as they were written."""

    state: State
    alarms: Sequence[Alarm]
    history: Sequence[TransitionRow]


def _written(rows: Sequence[TransitionRow]) -> list[tuple[Any, ...]]:
    """Every transition as far as it says what was decided, in an order of its own."""
    return sorted(
        (
            *(t.alarm, t.seq, t.kind, t.condition, t.at, t.onset, t.recorded, t.late, t.actor or "", t.note),
            *(t.text_en, _json(t.values_json), _json(t.detail)),
        )
        for t in rows
    )


def _decided(transitions: Sequence[Transition]) -> list[tuple[Any, ...]]:
    """The same of what was decided; what is about a whole subject is no alarm's."""
    return sorted(
        (
            *(t.alarm, t.seq, t.kind, t.condition, t.at, t.onset, t.decided, t.late, t.actor or "", t.note),
            *(t.text["en"], _json(t.values), _json(t.detail)),
        )
        for t in transitions
        if t.alarm
    )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _history(session: Session) -> Sequence[TransitionRow]:
    return session.scalars(select(TransitionRow).order_by(TransitionRow.seq, TransitionRow.ordinal)).all()


async def agree(records: Records) -> Agreed:
    """Snapshot and journal give the state that all inputs give, and the records have its transitions."""
    telemetry = Telemetry()
    found = await recover(records, TENANT, telemetry)
    assert telemetry.value("journal_replay_failed_total") == 0
    inputs = await records.read(inputs_of)
    numbers = [event.seq for event in inputs]
    assert numbers == list(range(1, len(inputs) + 1)), "no number is missing and none is given twice"
    kept = await records.read(_history)
    for replay in (by_reference, by_engine):
        state, transitions = replay(inputs)
        assert state.digest() == found.state.digest()
        assert _decided(transitions) == _written(kept)
    shown = {a.id for a in found.state.active()}
    rows = await records.read(lambda s: s.scalars(select(Alarm)).all())
    assert {a.id for a in rows if a.condition == "active" and not a.shadow} == shown
    answered = set(found.state.responses.open)
    assert {a.id for a in rows if a.condition in {"active", "latched"} and not a.shadow} == answered
    starts = [t.alarm for t in kept if t.kind == "start"]
    assert max(Counter(starts).values()) == 1, "one episode, one alarm"
    assert {a.id for a in rows if a.signalled} == set(starts)
    sources = await records.read(lambda s: s.scalars(select(JournalRow.boot)).all())
    assert max(Counter(boot for boot in sources if boot not in {None, "boot-1"}).values(), default=1) == 1
    return Agreed(found.state, rows, kept)
