"""Whatever happens in whatever order: each record of a device's store is told once and kept until then."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from devices.racp import Op
from devices.twins.store import RecordStore
from firmware_profiles import RacpStep
from tests.unit.devices.metered import Gateway, Meter, measures_before


class StoreMachine(RuleBasedStateMachine):
    """Whatever happens to link, process, disk and battery: all that was made is stored, once by identity."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()

    @initialize(
        ignores=st.booleans(),
        only_all=st.booleans(),
        deletes=st.booleans(),
        number=st.sampled_from([1, 65_531]),
    )
    def begin(self, ignores: bool, only_all: bool, deletes: bool, number: int) -> None:  # noqa: FBT001
        store = RecordStore(capacity=5000, ignores_filters=ignores, only_all=only_all)
        self.runner.run(self._begin(store, RacpStep("2a52", "2a18", "sequence", deletes), number))

    async def _begin(self, store: RecordStore, racp: RacpStep, number: int) -> None:
        self.gateway = Gateway(Meter(store), racp)
        self.gateway.meter.number = number

    @rule(count=st.integers(1, 6))
    def measure(self, count: int) -> None:
        self.gateway.meter.measure(count)

    @rule()
    def new_battery(self) -> None:
        self.gateway.meter.number = 0

    @rule(
        cut=st.none() | st.integers(0, 14), committing=st.booleans(), noting=st.booleans(), late=st.booleans()
    )
    def connect(self, cut: int | None, committing: bool, noting: bool, late: bool) -> None:  # noqa: FBT001
        self.runner.run(self._connect(cut, committing, noting, late))

    async def _connect(self, cut: int | None, committing: bool, noting: bool, late: bool) -> None:  # noqa: FBT001
        point = measures_before(self.gateway, Op.DELETE) if late else self.gateway.point()
        if cut is not None:
            point.cut(cut)
        self.gateway.available = committing
        self.gateway.cursors.unavailable = not noting
        await self.gateway.connect(point, turns=150)

    @rule()
    def kill(self) -> None:
        self.runner.run(self.gateway.kill())

    @rule()
    def lose_the_cursors(self) -> None:
        self.gateway.cursors.noted.clear()

    def teardown(self) -> None:
        with self.runner:
            if hasattr(self, "gateway"):
                self.runner.run(self._end())

    async def _end(self) -> None:
        self.gateway.available, self.gateway.cursors.unavailable = True, False
        await self.gateway.connect()
        await self.gateway.drain()
        assert self.gateway.identities == self.gateway.meter.made
        await self.gateway.kill()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)
