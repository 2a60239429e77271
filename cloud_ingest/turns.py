"""One turn at a time: whoever has it decides, commits all of it in one transaction, and tells of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from cloud_ingest import journal
from cloud_ingest.deciding import Decider, Decision, transitions_of, write_decisions
from cloud_ingest.feed import AlarmChanged, Feed, InactivationsChanged, TechnicalEvent
from cloud_ingest.mishaps import Mishaps
from cloud_ingest.patience import Patience
from cloud_ingest.records import Records
from cloud_ingest.records.models import Alarm
from cloud_ingest.telling.wording import Wording
from hearthward.core.clock import SECOND, Clock
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame
from rules.model import Transition

__all__ = ["Committed", "Hooks", "Turns"]

log = logging.getLogger(__name__)

SNAPSHOT_EVERY_S: Final = 10.0


@dataclass(slots=True)
class Hooks:
    """Observers of what was committed, for demonstrations and measurements; called in the event loop."""

    on_stored: Callable[[ReadingBatch, list[str | None]], None] | None = None
    on_transitions: Callable[[Sequence[Transition]], None] | None = None
    on_frame: Callable[[Frame], None] | None = None
    on_clock: Callable[[str, int], None] | None = None
    """Gateway, and what is added to the times of its clock (ns), with each frame; 0: it is right."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Decisions that are in the journal now, and the alarms that they changed."""

    decisions: Sequence[Decision] = ()
    alarms: Sequence[Alarm] = ()


class Turns:
    """The owner of the rules' state: nothing else steps it, and only in its turn.

    A snapshot of the state goes with a commit every ``SNAPSHOT_EVERY_S``.
    """

    def __init__(
        self,
        tenant: str,
        records: Records,
        *,
        feed: Feed,
        clock: Clock,
        telemetry: Telemetry,
        wake: Callable[[], None],
        mishaps: Mishaps,
        wording: Wording | None = None,
    ) -> None:
        self.tenant, self.mishaps = tenant, mishaps
        self.hooks = Hooks()
        self.began: Callable[[Sequence[Transition]], None] = lambda _transitions: None
        """Told of all transitions that were committed."""
        self.decider = Decider(records, tenant, telemetry)
        self.patience = Patience(telemetry, lambda why: self.technical("store_unavailable", None, why))
        self._records, self._feed, self._clock, self._telemetry = records, feed, clock, telemetry
        self._wake, self._wording = wake, wording
        self._lock = asyncio.Lock()
        self._acts: set[asyncio.Task[None]] = set()
        self._snapshot_seq, self._snapshot_at = -1, 0

    @asynccontextmanager
    async def taken(self, *, patiently: bool = False) -> AsyncIterator[Decider]:
        """Wait for the turn; the state is then exactly what is committed.

        Raises StoreUnavailable when that cannot be read now, unless it is to be waited for ``patiently``.
        """
        async with self._lock:
            settle = self.decider.settle
            await (self.patience.until_done(settle) if patiently else settle())
            yield self.decider

    async def commit(
        self, also: Callable[[Session], None] | None = None, *, patiently: bool = False
    ) -> Committed:
        """Write what the turn has decided, and what ``also`` writes, in one transaction.

        Raises StoreUnavailable (unless ``patiently``) and whatever the writing raises; what was decided is
        then taken back when the next turn begins.
        """
        decider, now = self.decider, self._clock.now_ns()
        wall = self._records.wall.now_ns()
        decisions, seq = list(decider.pending), decider.seq
        due = self._clock.monotonic_ns() - self._snapshot_at >= SNAPSHOT_EVERY_S * SECOND
        snapshot: bytes | None = None
        if due and seq > max(0, self._snapshot_seq):
            # in a thread: hundreds of patients take a while, and only this turn changes the state
            snapshot = await asyncio.to_thread(decider.state.to_bytes)

        def write(session: Session) -> list[Alarm]:
            alarms = write_decisions(session, self.tenant, decisions, self._wording, wall=wall)
            if also is not None:
                also(session)
            if snapshot is not None:
                journal.save_snapshot(session, self.tenant, seq, now, snapshot)
            return alarms

        if patiently:
            alarms = await self.patience.until_done(lambda: self._records.run(write))
        else:
            alarms = await self._records.run(write)
        if snapshot is not None:
            self._snapshot_seq, self._snapshot_at = seq, self._clock.monotonic_ns()
        return Committed(decider.committed(), alarms)

    def tell(self, done: Committed) -> None:
        """Tell notifier, feed and observers of what was committed."""
        transitions = transitions_of(done.decisions)
        every = sum(len(d.transitions) for d in done.decisions)
        self._telemetry.count("shadow_transitions_total", every - len(transitions))
        if not transitions:
            return
        self._wake()
        for transition in transitions:
            self._telemetry.count("transitions_total", kind=transition.kind)
        for alarm in done.alarms:
            self._feed.publish(AlarmChanged(self.tenant, alarm, alarm.last_transition))
        if any(t.kind in {"pause", "resume"} for t in transitions):
            self._feed.publish(InactivationsChanged(self.tenant))
        self.began(transitions)
        if self.hooks.on_transitions is not None:
            self.hooks.on_transitions(transitions)

    async def act(self, decide: Callable[[Decider], object]) -> None:
        """Decide and commit in a turn of its own. A caller who goes away does not tear it in two.

        Raises what ``decide`` raises, and StoreUnavailable.
        """

        async def act() -> None:
            async with self.taken() as decider:
                decide(decider)
                if decider.pending:
                    self.tell(await self.commit())

        await self.whole(act())

    async def whole(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work to its end, even when the caller is cancelled meanwhile."""
        task = asyncio.create_task(work, name="pipeline-act")
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)
        await asyncio.shield(task)

    async def close(self) -> None:
        """Finish the acts, and keep the state, so that the next start has nothing to step again."""
        if self._acts:
            await asyncio.wait(self._acts)
        async with self._lock:
            decider = self.decider
            if decider.ahead or decider.seq in {0, self._snapshot_seq}:
                return
            state, seq, now = decider.state.to_bytes(), decider.seq, self._clock.now_ns()
            await self._records.run(lambda s: journal.save_snapshot(s, self.tenant, seq, now, state))
            self._snapshot_seq = seq

    def technical(self, kind: str, gateway: str | None, detail: str) -> None:
        """Tell that something is wrong with the machinery: the feed, and where it goes on the rules."""
        self.mishaps.noticed(kind, gateway)
        self._feed.publish(TechnicalEvent(self.tenant, kind, gateway, detail, self._clock.now_ns()))
