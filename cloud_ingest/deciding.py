"""Inputs stepped through the rules: numbered, decided, and then committed together or taken back.

The rules' engine changes in place, so between ``step`` and ``committed`` it is ahead of the journal.
Whoever takes a turn calls ``settle`` first: after a commit that failed, or a caller who was cancelled in
it, the engine comes back from snapshot and journal as if nothing had been tried.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from cloud_ingest import journal
from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import Alarm
from cloud_ingest.records.rule_versions import keep_versions
from cloud_ingest.recovery import NODE, Orphan, Recovered, recover, reset
from cloud_ingest.telling.enqueue import enqueue
from cloud_ingest.telling.wording import Wording
from hearthward.core.errors import RuleError
from hearthward.core.telemetry import Telemetry
from rules.engine import Engine
from rules.model import Command, Configuration, Input, Transition
from rules.state import State

__all__ = ["Decider", "Decision", "transitions_of", "write_decisions"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decision:
    """An input and what came of it."""

    entry: journal.Entry
    transitions: tuple[Transition, ...]


class Decider:
    """The engine, the journal's numbering, and the decisions that are not committed yet (``pending``)."""

    def __init__(self, records: Records, tenant: str, telemetry: Telemetry) -> None:
        self._records, self._tenant, self._telemetry = records, tenant, telemetry
        self._engine = Engine(State.empty(NODE))
        self._committed = 0
        self._ahead = False
        self.seq = 0
        self.pending: list[Decision] = []

    @property
    def state(self) -> State:
        """The rules' state, changed in place by the next step."""
        return self._engine.state

    @property
    def ahead(self) -> bool:
        """Whether the state has (or may have) inputs that are not committed."""
        return self._ahead

    def due(self, now: int) -> bool:
        """Whether a Tick at ``now`` would do anything."""
        return self._engine.due(now)

    def step(self, make: Callable[[int], Input], source: tuple[str, str] | None = None) -> Decision:
        """Decide the input made with the next sequence number; it is to be committed.

        Raises RuleError for a refused command, which leaves no trace; anything else raised says that the
        engine is lost: ``go_back``. A command that changes nothing is no input and takes no number.
        """
        event, was = make(self.seq + 1), self._ahead
        self._ahead = True
        try:
            transitions = self._engine.step(event)
        except RuleError:
            self._ahead = was or not isinstance(event, Command)
            raise
        decision = Decision(journal.Entry(event, *(source or (None, None))), transitions)
        if isinstance(event, Command) and not transitions:
            self._ahead = was
            return decision
        self.seq = event.seq
        self.pending.append(decision)
        return decision

    def reset(self, alarms: Iterable[Orphan]) -> None:
        """End alarms that the rules' state knows nothing of, together with the last decision."""
        last = self.pending[-1]
        resets = tuple(reset(alarm, self.seq, last.entry.event.now) for alarm in alarms)
        self.pending[-1] = replace(last, transitions=last.transitions + resets)

    def committed(self) -> list[Decision]:
        """What was pending is in the journal now; returns it."""
        done, self.pending = self.pending, []
        self._ahead = False
        return done

    async def settle(self) -> None:
        """Begin a turn: with a state that is exactly what is committed. Raises StoreUnavailable."""
        if self._ahead:
            self._telemetry.count("decisions_taken_back_total")
            log.warning("what was decided was not committed; going back to what is")
            await self.go_back()

    async def go_back(self) -> Recovered:
        """The engine anew from the last snapshot and the journal. Raises StoreUnavailable."""
        # a commit may still be under way in the writer's thread though its caller is gone
        await self._records.run(lambda _session: None)
        found = await recover(self._records, self._tenant, self._telemetry)
        self._engine, self.seq = Engine(found.state), found.seq
        self.pending, self._ahead = [], False
        return found


def transitions_of(decisions: Iterable[Decision]) -> list[Transition]:
    """All transitions that people may see, in order: none of a rule in shadow."""
    return [t for d in decisions for t in d.transitions if not t.shadow]


def write_decisions(
    session: Session,
    tenant: str,
    decisions: Sequence[Decision],
    wording: Wording | None = None,
    *,
    wall: int | None = None,
) -> list[Alarm]:
    """Journal inputs and write their transitions, alarms and notifications; returns the changed alarms.

    What rules in shadow decide is written and goes no further: its alarms are not among those returned.
    ``wall`` is the real time (UTC ns), where that of the inputs is a recording's.
    """
    journal.append(session, tenant, [d.entry for d in decisions])
    for event in (d.entry.event for d in decisions):
        if isinstance(event, Configuration) and event.rules is not None:
            keep_versions(session, tenant, event.rules, event.now)  # what an alarm's hash stands for
    transitions = [t for d in decisions for t in d.transitions]
    if not transitions:
        return []
    # all inputs of a commit at once: a hundred alarms in one second come from as many gateways
    now = decisions[-1].entry.event.now
    changed = apply_transitions(session, tenant, transitions, now)
    enqueue(session, tenant, transitions, now, wording, wall=wall)
    return [alarm for alarm in changed if not alarm.shadow]
