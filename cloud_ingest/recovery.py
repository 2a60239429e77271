"""The rules' state after a stop, a kill or a failed commit: a snapshot and the journal from there on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest import journal
from cloud_ingest.inputs import OLDEST, decode_input, version_of
from cloud_ingest.records import Records
from cloud_ingest.records.models import Alarm, JournalRow, Notification
from hearthward.core.errors import HearthwardError, RuleError
from hearthward.core.telemetry import Telemetry
from rules.engine import Engine
from rules.model import Input, Transition
from rules.response.answers import WALL
from rules.rule import Priority
from rules.state import State
from rules.step import step

__all__ = ["NODE", "Orphan", "Recovered", "orphans", "recover", "reset"]

log = logging.getLogger(__name__)

NODE: Final = "cloud"
"""Part of the identity of every alarm that is opened here."""
_CHUNK: Final = 500
_LOST: Final = {
    "en": "Ended: what was known of it was lost; it starts anew if it still holds",
    "zh": "报警结束 (状态丢失, 若情况持续将重新报警)",
}


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where deciding goes on: state, the last number given out, the last time seen (UTC ns)."""

    state: State
    seq: int
    at: int
    replayed: int


@dataclass(slots=True)
class _Start:
    """A snapshot to go on from; ``seq`` is the last input that is in it."""

    state: State
    seq: int
    at: int


class _Unsteppable(Exception):
    """The engine failed in the middle of an input: nothing is known of its state any more."""


async def recover(records: Records, tenant: str, telemetry: Telemetry) -> Recovered:
    """The state as it was: the newest whole snapshot, and the journal stepped from there, silently.

    What an earlier release wrote is passed over: its rules and state meant something else. A row that
    cannot be read or stepped is counted (``journal_replay_failed_total``), and the next ones go on.
    """
    try:
        return await _replay(records, tenant, telemetry, _Fast)
    except _Unsteppable:
        log.exception("the journal cannot be stepped as it is; stepping it again without what fails")
        return await _replay(records, tenant, telemetry, _Careful)


class _Fast:
    """Steps with the engine."""

    def __init__(self, state: State) -> None:
        self._engine = Engine(state)

    @property
    def state(self) -> State:
        return self._engine.state

    def step(self, event: Input) -> None:
        try:
            self._engine.step(event)
        except HearthwardError:
            raise
        except Exception as error:
            msg = f"input {event.seq} failed: {type(error).__name__}"
            raise _Unsteppable(msg) from error


class _Careful:
    """Steps with the scalar reference, which leaves the state as it was when it fails."""

    def __init__(self, state: State) -> None:
        self.state = state

    def step(self, event: Input) -> None:
        self.state, _ = step(self.state, event)


async def _replay(
    records: Records, tenant: str, telemetry: Telemetry, stepper: Callable[[State], _Fast | _Careful]
) -> Recovered:
    start = await _snapshot(records, tenant, telemetry)
    steps, seq, at = stepper(start.state), start.seq, start.at
    replayed = old = 0
    async for row in _rows(records, tenant, start.seq):
        seq, at = row.seq, max(at, row.at)
        if 0 < version_of(row.payload) < OLDEST:
            old += 1
            continue
        replayed += 1
        try:
            steps.step(decode_input(row.seq, row.kind, row.payload))
        except _Unsteppable:
            raise
        except Exception:
            telemetry.count("journal_replay_failed_total")
            log.exception("journal row %d cannot be stepped again; going on with the next", row.seq)
    if old:
        telemetry.count("journal_old_rows_total", old)
        log.warning("%d inputs of an earlier release are not stepped again: rules begin anew", old)
    last = await records.read(journal.last_seq)
    return Recovered(steps.state, max(seq, last), at, replayed)


async def _rows(records: Records, tenant: str, after: int) -> AsyncIterator[JournalRow]:
    more = True
    while more:
        rows = await records.read(partial(journal.replay, tenant=tenant, after=after, limit=_CHUNK))
        more = len(rows) == _CHUNK
        for row in rows:
            after = row.seq
            yield row


async def _snapshot(records: Records, tenant: str, telemetry: Telemetry) -> _Start:
    kept = await records.read(lambda s: [(x.seq, x.at, x.state) for x in journal.snapshots(s, tenant)])
    for seq, at, payload in kept:
        try:
            state = State.from_bytes(payload)
        except RuleError:
            log.exception("a snapshot of the rules' state cannot be used; taking the one before")
            continue
        if state.anew:
            telemetry.count("derived_begun_anew_total", state.anew)
            log.warning("what is usual of %d signals was kept by another release: learned anew", state.anew)
        return _Start(state, seq, at)
    return _Start(State.empty(NODE), 0, 0)


@dataclass(frozen=True, slots=True)
class Orphan:
    """An alarm that the rules' state does not have, and whom it was told to (channel, who)."""

    alarm: Alarm
    told: Sequence[tuple[str, str]]


def orphans(session: Session, tenant: str, state: State) -> Sequence[Orphan]:
    """Alarms that people see as active and the rules' state does not have: snapshots or journal were lost."""
    shown = select(Alarm).where(Alarm.tenant == tenant, Alarm.condition.in_(("active", "asked", "latched")))
    known = state.alarms.keys() - state.responses.joined.keys() | state.responses.open.keys()
    rows = session.scalars(shown.order_by(Alarm.started, Alarm.id)).all()
    return [Orphan(a, _told(session, tenant, a.id)) for a in rows if a.id not in known]


def _told(session: Session, tenant: str, alarm: str) -> Sequence[tuple[str, str]]:
    """Whoever was told of an alarm, but nobody is called up for its end."""
    query = select(Notification.channel, Notification.who).where(
        Notification.tenant == tenant, Notification.alarm == alarm, Notification.channel != "voice"
    )
    hops = [(channel, who) for channel, who in session.execute(query.distinct().order_by("channel", "who"))]
    return hops or [WALL]


def reset(orphan: Orphan, seq: int, now: int) -> Transition:
    """The end of an alarm that the rules know nothing of, and why."""
    alarm = orphan.alarm
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
        detail={"told": [list(hop) for hop in orphan.told]},
    )
