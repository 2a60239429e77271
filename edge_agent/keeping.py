"""Keeps what was decided at the edge: decisions in the outbox, and after that the state that has them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from edge_agent.decision_store import Kept, StateStore
from edge_agent.relearning import Level
from edge_agent.retelling import Key, Words
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DecodeError, StoreRejected, StoreUnavailable
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, Gap, decode_decisions
from rules.state import State
from rules.travelling import Travelling

__all__ = ["KEEP_S", "Keeper", "Outlet"]

log = logging.getLogger(__name__)

KEEP_S: Final = 10.0
"""The state is kept at every transition, and otherwise this often."""
RETRY_S: Final = 1.0
CLOSE_S: Final = 2.0
"""When stopped it may take so long for what is not kept yet."""
KNOWN: Final = 4096
"""Decisions remembered so as not to be put into the outbox twice."""
QUEUE: Final = 4096
"""So many wait for an outbox that takes none; beyond that the oldest are lost."""
BLOCK_DECISIONS: Final = 256
BLOCK_BYTES: Final = 64 * 1024
"""Decisions in one block: far from what the outbox refuses, so that one too many loses none."""
LOST_S: Final = 600.0
"""A loss is told for so long."""

Spans = list[tuple[int, int]]


class Outlet(Protocol):
    """What the decider needs of ``edge_agent.outbox.Outbox``; the fake is ``edge_agent.fake.FakeOutbox``."""

    @property
    def boot(self) -> str:
        """The id of the numbering."""
        ...

    @property
    def accepted(self) -> int:
        """The last number ever given out."""
        ...

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Numbers that are lost."""
        ...

    async def pending(
        self, after: int, max_readings: int, max_bytes: int = ..., until: int | None = None
    ) -> list[Block]:
        """Unreceipted blocks from ``after + 1`` on, in order."""
        ...

    async def append_decisions(
        self, decisions: Sequence[bytes], rests_on: Iterable[tuple[int, int]] = ()
    ) -> tuple[int, int]:
        """Accept a block of decisions."""
        ...

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every transaction."""
        ...


class Keeper:
    """The way of decisions into the outbox, and the snapshot file.

    The file is written only when all decisions that its state has made stand in the outbox, or are lost.
    """

    def __init__(self, outbox: Outlet, store: StateStore, clock: Clock, telemetry: Telemetry) -> None:
        self._outbox, self._store = outbox, store
        self._clock, self._telemetry = clock, telemetry
        self._queue: dict[Key, tuple[bytes, Spans]] = {}
        self._lost: int | None = None
        self._known: dict[Key, None] = {}
        self._words = Words()
        self._kept: Kept | None = None
        self._due = asyncio.Event()
        self._appending: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        """Whether decisions were lost within the last ten minutes."""
        return self._lost is not None and self._clock.monotonic_ns() - self._lost < LOST_S * SECOND

    async def load(self) -> State | None:
        """The state that was kept last; waits while the file cannot be read."""
        while True:
            try:
                found = await asyncio.to_thread(self._store.load)
            except StoreUnavailable as error:
                log.warning("deciding waits: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            if found is None:
                return None
            self._kept, state = found
            if state.anew:
                self._telemetry.count("derived_begun_anew_total", state.anew)
                log.warning("what is usual of %d signals was kept by another release", state.anew)
            self._words.resume(self._kept.words)
            if self._kept.boot != self._outbox.boot:
                self._tell_again()
            return state

    @property
    def waiting(self) -> bool:
        """Whether decisions are on their way into the outbox."""
        return bool(self._queue) or (self._appending is not None and not self._appending.done())

    def last(self, boot: str) -> State | None:
        """The state that was kept last, if it was of this outbox."""
        if self._kept is None or self._kept.boot != boot:
            return None
        return State.from_bytes(self._kept.state)

    @property
    def relearned(self) -> tuple[Level, ...]:
        """The levels that the state kept last has learned anew."""
        return () if self._kept is None else self._kept.relearned

    def stepped(self, boot: str, otherwise: int) -> int:
        """The last number of the outbox that is in the state kept last; of another outbox: ``otherwise``."""
        if self._kept is None or self._kept.boot != boot:
            return otherwise
        return min(self._kept.stepped, self._outbox.accepted)

    def put(self, decision: Travelling, rests_on: Spans) -> None:
        """Have a decision put into the outbox, unless it stands there."""
        key = decision.alarm, decision.kind, decision.at
        if key not in self._known:
            self._know(key)
            self._queue[key] = decision.encode(), rests_on
            self._words.add(key, self._queue[key][0])
            if len(self._queue) > QUEUE:
                del self._queue[next(iter(self._queue))]
                self._lose(f"{QUEUE} others wait for the outbox already")
        self._due.set()

    def shift(self, by: int) -> None:
        """The clock was set by so much (ns): what waits travels in frames of the new time."""
        for key, (payload, rests_on) in list(self._queue.items()):
            self._queue[key] = Travelling.decode(payload).shifted(by).encode(), rests_on
        self._words.shift(by)

    def hurry(self) -> None:
        """Keep the state soon."""
        self._due.set()

    def remember(self, block: Block) -> None:
        """These decisions stand in the outbox: they are not put there a second time."""
        found: dict[Key, bytes] = {}
        try:
            for payload in decode_decisions(block.payload):
                known = Travelling.decode(payload)
                found[known.alarm, known.kind, known.at] = payload
        except DecodeError as error:
            log.error("block %d of decisions cannot be read: %s", block.first, error)  # noqa: TRY400
        for key, payload in found.items():
            self._know(key)
            self._queue.pop(key, None)
            self._words.add(key, payload)

    def _tell_again(self) -> None:
        """Part of the outbox is lost: put the newest decisions there once more."""
        again = [(key, payload) for key, payload in self._words if key not in self._queue]
        if again:
            log.warning("the outbox was damaged: the newest %d decisions are told again", len(again))
            self._telemetry.count("edge_decisions_retold_total", len(again))
        self._queue.update({key: (payload, []) for key, payload in again})

    def _know(self, key: Key) -> None:
        self._known[key] = None
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]

    async def run(self, make: Callable[[], Kept]) -> None:
        """Keep what ``make`` gives, at each decision and now and then, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KEEP_S):
                    await self._due.wait()
            await self.keep(make)

    async def close(self, make: Callable[[], Kept]) -> None:
        """Keep what is not kept yet, if that can be done soon; else it is decided again after the start."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if self._appending is not None:
                    await self._appending
                await self.keep(make)
        except TimeoutError:
            log.warning("stopped before the last decisions were kept; they are made again at the next start")

    async def keep(self, make: Callable[[], Kept]) -> None:
        """Keep what ``make`` gives, if anything has come since the last time."""
        asked = self._due.is_set()
        self._due.clear()
        if self._words.damaged(self._outbox.gaps):
            self._tell_again()
        kept = replace(make(), words=self._words.kept())
        if not asked and not self._queue and self._kept is not None and self._kept.stepped == kept.stepped:
            return
        if self._queue:
            # seen through also when cancelled: what may be committed already must not be put there twice
            if self._appending is None or self._appending.done():
                self._appending = asyncio.create_task(self._append(), name="edge-append-decisions")
            await asyncio.shield(self._appending)
        try:
            await asyncio.to_thread(self._store.save, kept)
        except StoreUnavailable as error:
            self._telemetry.count("edge_state_unsaved_total")
            log.warning("%s; trying on", error)
        else:
            self._kept = kept

    async def _append(self) -> None:
        """Put all that waits into the outbox, in blocks that it takes."""
        most = BLOCK_DECISIONS
        while keys := self._next(most):
            try:
                await self._outbox.append_decisions(
                    [self._queue[key][0] for key in keys],
                    [span for key in keys for span in self._queue[key][1]],
                )
            except StoreUnavailable as error:
                self._telemetry.count("edge_decisions_waiting_total")
                log.warning("%d decisions wait for the outbox: %s", len(self._queue), error)
                await asyncio.sleep(RETRY_S)
                continue
            except StoreRejected as error:
                if len(keys) > 1:
                    most = len(keys) // 2
                    continue
                self._lose(str(error))
            for key in keys:
                self._queue.pop(key, None)
            most = BLOCK_DECISIONS

    def _next(self, most: int) -> list[Key]:
        """The oldest that fit a block, but at least one if there is one."""
        keys: list[Key] = []
        size = 0
        for key, (payload, _) in self._queue.items():
            size += len(payload)
            if len(keys) == most or (keys and size > BLOCK_BYTES):
                break
            keys.append(key)
        return keys

    def _lose(self, reason: str) -> None:
        self._lost = self._clock.monotonic_ns()
        self._telemetry.count("edge_decisions_lost_total")
        log.error("a decision cannot be kept: %s", reason)
