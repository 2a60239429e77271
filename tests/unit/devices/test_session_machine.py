"""A session under whatever a link does, in whatever order."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devices import SessionState
from hearthward.core.errors import LinkError
from hearthward.core.ids import digest63
from tests.unit.devices.rigged import HR, RUN, Rig, beat


class SessionMachine(RuleBasedStateMachine):
    """Whatever device and store do, each accepted payload is stored once, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.sent: list[int] = []
        self.n = 0
        self.rejected = 0
        self.runner.run(self.begin())

    async def begin(self) -> None:
        self.rig = Rig(capacity=10_000)
        self.task = asyncio.create_task(self.rig.session.run())
        await self.rig.settled()

    def teardown(self) -> None:
        with self.runner:
            self.runner.run(self.end())

    async def end(self) -> None:
        await self.stop()
        wanted = [d for d in self.sent if d not in self.rig.poison]
        assert self.rig.stored.digest == [d for d in wanted for _ in range(2)]
        assert len(self.rig.rejected) == self.rejected + len(set(self.sent) & self.rig.poison)
        assert self.rig.session.state is SessionState.STOPPED

    async def stop(self) -> None:
        self.rig.unavailable = False
        self.task.cancel()
        while not self.task.done():
            self.rig.sleeper.pass_by()
            await asyncio.sleep(0)

    @rule(count=st.integers(1, 5), poisoned=st.booleans(), settle=st.booleans())
    def payloads(self, count: int, poisoned: bool, settle: bool) -> None:  # noqa: FBT001
        async def act() -> None:
            for k in range(count):
                if not self.rig.device.listening:
                    break
                self.n += 1
                digest = digest63(HR.encode(), beat(self.n), RUN)
                if poisoned and k == count // 2:
                    self.rig.poison.add(digest)
                self.sent.append(digest)
                self.rig.device.send(HR, beat(self.n))
            if settle:
                await self.rig.settled()

        self.runner.run(act())

    @precondition(lambda self: self.rig.device.listening)
    @rule()
    def noise(self) -> None:
        async def act() -> None:
            self.rejected += 1
            self.rig.device.send(HR, b"\x00")

        self.runner.run(act())

    @rule(reason=st.sampled_from(["gone", "out of range"]))
    def drop(self, reason: str) -> None:
        async def act() -> None:
            self.rig.device.drop(reason)
            await self.rig.settled()

        self.runner.run(act())

    @rule(refuse=st.booleans())
    def reachable(self, refuse: bool) -> None:  # noqa: FBT001
        self.rig.device.refusal = LinkError("not there") if refuse else None

    @rule(away=st.booleans())
    def store(self, away: bool) -> None:  # noqa: FBT001
        self.rig.unavailable = away

    @rule()
    def time_passes(self) -> None:
        async def act() -> None:
            self.rig.sleeper.pass_by()
            await self.rig.settled()

        self.runner.run(act())

    @rule(seconds=st.floats(0, 100))
    def clock_moves(self, seconds: float) -> None:
        self.rig.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        async def act() -> None:
            await self.stop()
            self.rig.session = self.rig.new_session(self.rig.session.last_received)
            self.task = asyncio.create_task(self.rig.session.run())
            await self.rig.settled()

        self.runner.run(act())

    @invariant()
    def stored_is_a_prefix_in_order(self) -> None:
        wanted = [d for d in self.sent if d not in self.rig.poison for _ in range(2)]
        stored = self.rig.stored.digest
        assert stored == wanted[: len(stored)]

    @invariant()
    def receive_times_grow_from_payload_to_payload(self) -> None:
        received = self.rig.stored.received
        assert received[::2] == received[1::2]
        assert all(a < b for a, b in pairwise(received[::2]))

    @invariant()
    def the_session_is_alive_and_says_what_it_does(self) -> None:
        assert not self.task.done()
        assert self.rig.session.state in {
            SessionState.STREAMING,
            SessionState.BACKOFF,
            SessionState.CONNECTING,
        }


SessionMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestSessionMachine = SessionMachine.TestCase
