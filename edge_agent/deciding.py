"""The edge decides: the cloud's rules, stepped on what is in the outbox, with or without an uplink.

Inputs are the outbox's blocks, in order, each under its own first number and as of its own receive time. So a
block that is stepped again after a kill gives the same alarms under the same names. Before each block, and
now and then between them, the timers run up to when the next came: what was silent then was so, too.

What is decided is told here at once (``LocalAlarms``), put into the outbox in blocks of decisions, and
only then is the state that has it kept. A kill in between makes the same decision twice: what already
stands in the outbox is left out then, the rest the cloud knows by alarm, kind and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from edge_agent.annunciation.base import LocalAlarm, Signals
from edge_agent.decision_store import Kept, StateStore
from edge_agent.edge_config import Knowledge
from edge_agent.keeping import Keeper, Outlet
from edge_agent.relearning import Relearning
from edge_agent.rests import Rests
from edge_agent.steady import SteadyTime
from edge_agent.telling import Telling
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DecodeError, StoreUnavailable
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, decode_block
from rules.context import Context
from rules.engine import Engine
from rules.grace import Grace
from rules.intake import FUTURE_SKEW
from rules.model import Configuration, Readings, Rows, Tick, Transition
from rules.rule import RuleSet
from rules.shifting import shifted
from rules.state import State

__all__ = ["EdgeDecider"]

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
LAG_NS: Final = SECOND // 4
"""Timers stay so far behind what may still be on its way into the outbox."""
CHUNK: Final = 4000
"""Readings stepped before others get their turn."""
REPLAY_READINGS: Final = 200_000
"""Where no state was kept, so many of the newest readings of the outbox are stepped."""
AGAIN_S: Final = 1.0
"""After a failure it goes on from what was kept, so long after."""
WELL_S: Final = 60.0
"""It decides again once it has not failed for so long."""


class _Lost(Exception):
    """The engine failed in the middle of an input: its state cannot be used any more."""


def _ahead(state: State, now: int) -> int:
    """How far (ns) a state is of a later time than now: to it, everything measured now would be old."""
    ahead = max((wall for wall, _ in state.sources.values()), default=0) - now
    return ahead if ahead > FUTURE_SKEW else 0


class EdgeDecider:
    """Steps the rules on one gateway's readings; ``run`` it until cancelled.

    ``configure`` may be called at any time, also before.
    """

    def __init__(
        self,
        gateway: str,
        outbox: Outlet,
        store: StateStore,
        *,
        clock: Clock,
        telemetry: Telemetry,
        signals: Signals | None = None,
    ) -> None:
        self.gateway = gateway
        self._outbox = outbox
        self._keeper = Keeper(outbox, store, clock, telemetry)
        self._clock, self._telemetry, self._signals = clock, telemetry, signals
        self._time = SteadyTime(clock)
        self._engine = Engine(State.empty(gateway), responding=False)
        self._grace: Grace | None = None
        self._document: Knowledge | None = None
        self._knowledge: Knowledge | None = None
        self._boot, self._stepped = "", 0
        self._rests = Rests()
        self._telling = Telling(self._keeper, self._rests, signals, telemetry)
        self._relearning = Relearning()
        self._poison = RangeSet()
        self._undecided = self._timers_failed = self._configured = self._anew = False
        self._failed: int | None = None
        self._moved: float | None = None
        self._work = asyncio.Event()
        outbox.on_commit(self._work.set)

    @property
    def alarms(self) -> Sequence[LocalAlarm]:
        """What is present now, the oldest first."""
        return self._telling.alarms

    @property
    def stepped(self) -> int:
        """The last number of the outbox that was decided on."""
        return self._stepped

    @property
    def settled(self) -> bool:
        """Whether all that is accepted was decided on, and all decisions stand in the outbox."""
        done = not self._configured or self._stepped >= self._outbox.accepted
        return done and not self._keeper.waiting

    @property
    def still_s(self) -> float:
        """Seconds since it last got on, which it does several times a second; 0 while it does not decide."""
        return 0.0 if self._moved is None else asyncio.get_running_loop().time() - self._moved

    @property
    def trouble(self) -> dict[str, str]:
        """What keeps it from deciding, as the gateway's status says it."""
        lost = {"decisions": "lost"} if self._keeper.lost else {}
        if self._knowledge is None:
            return {"rules": "absent"} | lost
        failed = self._undecided or self._timers_failed or self._failed is not None
        return ({"rules": "failed"} if failed else {}) | lost

    def configure(self, knowledge: Knowledge | None) -> None:
        """Decide by this from now on; None: the cloud has given no rules, nothing can be decided."""
        if knowledge is None:
            log.warning("the configuration has no rules: until one with rules comes, only the cloud decides")
        elif self._document is None or knowledge.issued != self._document.issued:
            self._time.told(knowledge.issued)
        self._document, self._configured, self._anew = knowledge, True, True
        self._relearning.tell({} if knowledge is None else knowledge.relearned)
        self._know()
        self._undecided = self._timers_failed = False
        self._poison = RangeSet()
        self._work.set()

    async def run(self) -> None:
        """Decide until cancelled, whatever fails: then it goes on from what was kept.

        What is told at the gateway stays told meanwhile, and ``trouble`` says that the rules failed.
        """
        async with asyncio.TaskGroup() as tasks:
            if self._signals is not None:
                tasks.create_task(self._signals.run(), name="edge-local-alarms")
            tasks.create_task(self._go_on(), name="edge-deciding")

    async def _go_on(self) -> None:
        while True:
            try:
                await self._attempt()
            except Exception:
                log.exception("deciding at the edge failed; it goes on from what was kept")
                self._telemetry.count("edge_decider_failed_total")
                self._failed = self._clock.monotonic_ns()
            await asyncio.sleep(AGAIN_S)

    async def _attempt(self) -> None:
        """Go on from what was kept, then decide until cancelled or something fails."""
        self._moved = None
        await self.begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._rounds(), name="edge-rounds")
                tasks.create_task(self._keeper.run(self._kept), name="edge-keeping-decisions")
        except asyncio.CancelledError:
            await self._keeper.close(self._kept)
            raise

    async def keep(self) -> None:
        """Put what was decided into the outbox, and keep the state that has it."""
        await self._keeper.keep(self._kept)

    def _kept(self) -> Kept:
        state, relearned = self._engine.state.to_bytes(), self._relearning.kept()
        return Kept(self._boot, self._stepped, state, relearned=relearned)

    # -- start

    async def begin(self) -> None:
        """Step what is not in the kept state yet, then put the present configuration in force."""
        self._grace = None
        state = await self._keeper.load()
        if state is not None and state.node != self.gateway:
            log.error("the state kept of the rules is of gateway %s: deciding begins anew", state.node)
            state = None
        self._renumber()
        self._resume(state)
        if state is not None:
            self._stepped = self._keeper.stepped(self._boot, self._stepped)
            self._look()
            await self._recall()
            await self._catch_up()
        self._grace, self._anew = Grace(self._engine.state, self._time.now()), self._configured
        await self._catch_up()
        log.info("the rules go on from number %d, %d alarms open", self._stepped, len(self.alarms))

    def _resume(self, state: State | None) -> None:
        """Go on from a state; one of a later time than now is of a clock that has been put back since."""
        if state is not None and (ahead := _ahead(state, self._time.now())):
            log.warning("the state kept of the rules is of %.0f s from now: it is put back", ahead / SECOND)
            state = shifted(state, -ahead)
            self._time.was_set(-ahead)
        self._engine = Engine(state or State.empty(self.gateway), responding=False)
        self._relearning.resume(() if state is None else self._keeper.relearned)

    async def _recall(self) -> None:
        """Find again where the newest readings stand that are in the state already."""
        try:
            await self._rests.recall(self._outbox, self._stepped, lambda found: self._time.righted(found)[0])
        except StoreUnavailable as error:
            log.warning("what alarms rest on is not known for now: %s", error)

    def _renumber(self) -> None:
        """The outbox is new to us: step the newest of what is in it."""
        if self._boot != self._outbox.boot:
            self._poison = RangeSet()
        self._boot = self._outbox.boot
        self._stepped = max(0, self._outbox.accepted - REPLAY_READINGS)
        self._rests.clear()

    # -- inputs

    async def _rounds(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._work.wait()
            self._work.clear()
            await self.decide()
            if self._failed is not None and self._clock.monotonic_ns() - self._failed >= WELL_S * SECOND:
                self._failed = None

    async def decide(self) -> None:
        """One round: step what is new in the outbox, and let the timers end that are due."""
        await self._catch_up()
        if self._mind_clock():
            self._work.set()  # what is expected since when is to be put right before anything is silent
            return
        try:
            if self._stepped >= self._outbox.accepted:
                self._relearn()
            self._timers(self._time.now() - (0 if self._clock.event_driven else LAG_NS))
        except _Lost:
            await self._go_back()

    async def _catch_up(self) -> None:
        """Step everything that is in the outbox and was not yet, once it is known by what."""
        if self._boot != self._outbox.boot:
            self._renumber()
        while True:
            self._moved = asyncio.get_running_loop().time()
            self._mind_clock()
            if self._anew and self._grace is not None:
                self._put_in_force(self._grace, await self._next_came())
            if not self._configured or (accepted := self._outbox.accepted) <= self._stepped:
                return
            try:
                blocks = await self._outbox.pending(self._stepped, CHUNK)
            except StoreUnavailable as error:
                log.warning("deciding waits for the outbox: %s", error)
                return
            if not blocks:
                self._passed_over(accepted)
                return
            if self._mind_clock():
                continue
            try:
                for block in blocks:
                    self._take(block)
            except _Lost:
                await self._go_back()
            await asyncio.sleep(0)

    def _passed_over(self, upto: int) -> None:
        """These were receipted (so the cloud has decided on them), or lost, before their turn came."""
        self._telemetry.count("edge_passed_over_total", upto - self._stepped)
        self._stepped = upto

    def _take(self, block: Block) -> None:
        if block.first > self._stepped + 1:
            self._passed_over(block.first - 1)
        if block.decisions:
            self._keeper.remember(block)
        elif block.waves:
            pass  # no rule looks at samples
        elif self._knowledge is not None and not self._poison.common(block.first, block.first):
            try:
                self._judge(block, self._knowledge)
            except DecodeError as error:
                self._telemetry.count("edge_undecided_total", block.count)
                log.error("block %d cannot be decided on: %s", block.first, error)  # noqa: TRY400
            except _Lost:
                raise
            except Exception as error:
                log.exception("the rules failed on block %d: its readings are not judged here", block.first)
                self._leave_out(block)
                raise _Lost from error
        self._stepped = block.last

    async def _next_came(self) -> int:
        """When the next came that is to be decided on, or now: what holds from now on holds for it, too."""
        now = self._time.now()
        with contextlib.suppress(StoreUnavailable, DecodeError):
            for block in await self._outbox.pending(self._stepped, CHUNK):
                routine = not (block.decisions or block.waves)
                if routine and not self._poison.common(block.first, block.first):
                    return min(now, *self._time.righted(decode_block(block.payload))[1])
        return now

    def _judge(self, block: Block, knowledge: Knowledge) -> None:
        right, came = self._time.righted(decode_block(block.payload))
        self._rests.note(right, block.first)
        self._timers(min(came))
        self._relearn(min(came))
        last = max(came)
        rows = knowledge.rows(right, last)
        self._follow(self._engine.step(Readings(block.first, last, rows, self.gateway, last)))

    def _leave_out(self, block: Block) -> None:
        """The rules failed on this block: it is not stepped again until they are changed.

        What the kept state has is not stepped again anyhow, and need not be remembered.
        """
        self._telemetry.count("edge_undecided_total", block.count)
        self._undecided = True
        self._poison.remove(0, self._keeper.stepped(self._boot, 0))
        self._poison.add(block.first, block.last)

    def _timers(self, at: int) -> None:
        """Let the timers end that are due at ``at`` (UTC ns)."""
        if self._timers_failed or self._knowledge is None:
            return
        try:
            found = self._engine.step(Readings(self._stepped, at, Rows(), self.gateway, at))
            if self._engine.due(at):
                found += self._engine.step(Tick(self._stepped, at))
            self._follow(found)
        except Exception as error:
            log.exception("the rules' timers failed: silence goes unnoticed here until they are changed")
            self._telemetry.count("edge_timers_failed_total")
            self._timers_failed = True
            raise _Lost from error

    # -- configuration

    def _mind_clock(self) -> bool:
        """Whether the clock has been set: then all that is known goes on by its new time, alarms as well."""
        by = self._time.look()
        if not by:
            return False
        self._telemetry.count("edge_clock_set_total")
        self._engine = Engine(shifted(self._engine.state, by), responding=False)
        self._rests.shift(by)
        self._keeper.shift(by)
        self._know()
        if self._grace is not None:
            self._grace, self._anew = Grace(self._engine.state, self._time.now()), self._configured
        self._look()
        self._keeper.hurry()
        return True

    def _know(self) -> None:
        """See what the document says by the clock as it is: to one that is behind, all is of the future."""
        document, behind = self._document, self._time.behind
        self._knowledge = document.shifted(-behind) if document is not None and behind else document

    def _put_in_force(self, grace: Grace, at: int) -> None:
        """Have the rules know exactly what the document says, as of ``at`` (UTC ns)."""
        self._anew = False
        state, known = self._engine.state, self._knowledge
        rules = RuleSet() if known is None else known.rules
        contexts = {} if known is None else grace.give(known.contexts)
        own = frozenset[str]() if known is None else known.subjects
        closed = frozenset(state.subjects.keys() | state.contexts.keys()) - own
        changed: dict[str, Context | None] = {k: c for k, c in contexts.items() if state.contexts.get(k) != c}
        if not changed and not closed and rules.hash == state.rules.hash:
            return
        try:
            found = self._engine.step(Configuration(self._stepped, at, rules, closed, changed))
        except Exception:
            log.exception("the rules cannot be changed to the new configuration")
            self._telemetry.count("edge_undecided_total")
            self._timers_failed = True
            self._restore()
            return
        # whoever has left has done so in the cloud, which knows why; here they are only told no more
        self._follow([t for t in found if t.patient not in closed])
        self._look()
        self._keeper.hurry()

    def _relearn(self, until: int | None = None) -> None:
        """Learn anew what the cloud has found to be usual now, as far as the readings have come."""
        if not (found := self._relearning.take(until)):
            return
        at = self._time.now() if until is None else until
        known = self._engine.state.subjects
        for patient, metrics in found.items():
            for metric in metrics:
                if patient in known and metric in known[patient].series:
                    self._telemetry.count("edge_levels_relearned_total", metric=metric)
        try:
            self._follow(self._engine.step(Configuration(self._stepped, at, None, relearn=found)))
        except Exception as error:
            log.exception("the rules failed on a new level, which is left out")
            self._telemetry.count("edge_relearn_failed_total")
            self._relearning.refuse(found)
            raise _Lost from error
        self._keeper.hurry()

    def _restore(self) -> None:
        self._resume(self._keeper.last(self._boot))
        self._stepped = self._keeper.stepped(self._boot, self._stepped)
        self._look()

    async def _go_back(self) -> None:
        """Go on from the state that was kept last; what is still in the outbox is stepped again."""
        self._restore()
        if self._grace is not None and self._configured:
            self._put_in_force(self._grace, await self._next_came())

    def _follow(self, transitions: Sequence[Transition]) -> None:
        self._telling.follow(transitions, self._engine.state, self._knowledge)

    def _look(self) -> None:
        self._telling.look(self._engine.state, self._knowledge)
