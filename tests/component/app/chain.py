"""One patient's devices, gateway, broker and cloud in this process: everything real, as ``run`` wires it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.twins.base import Twin
from edge_agent import EdgeAgent
from hearthward.app.cloud import Cloud, cloud_running, open_records
from hearthward.app.edge import edge_running
from hearthward.app.report import Api
from hearthward.app.seed import enter_plan
from hearthward.app.start import broker_running
from hearthward.app.twins import open_ward
from hearthward.app.ward import PlannedDevice, PlannedPatient, TwinKind, WardPlan
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.settings import load_settings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role

__all__ = ["PATIENT", "Chain", "chain", "eventually"]

PATIENT = "Quirine Zuckschwert"
"""A name that no program says by chance."""
READER = "a reader's token"


async def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a state that nobody announces (a counter, another process)."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


async def _at_least(n: int, ask: Callable[[], Awaitable[list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        while True:
            if len(found := await ask()) >= n:
                return found
            await asyncio.sleep(0.02)


@dataclass
class Chain:
    """What runs, and a reader's way in."""

    cloud: Cloud
    agent: EdgeAgent
    twins: dict[str, Twin]
    telemetry: Telemetry
    api: Api

    async def readings(self, metric: str) -> list[dict[str, Any]]:
        return list((await self.api.get("readings", patient="p1", metric=metric))["items"])

    async def stored(self, metric: str, n: int) -> list[dict[str, Any]]:
        """The patient's readings of a metric, as soon as there are ``n``."""
        return await _at_least(n, lambda: self.readings(metric))

    async def alarms(self) -> list[dict[str, Any]]:
        return list((await self.api.get("alarms", limit=100))["items"])

    async def alarmed(self, n: int) -> list[dict[str, Any]]:
        """All alarms, as soon as there are ``n``."""
        return await _at_least(n, self.alarms)

    def rejected(self) -> dict[str, float]:
        return self.telemetry.by_label("readings_rejected_total", "reason")


@asynccontextmanager
async def chain(folder: Path, **kinds: TwinKind) -> AsyncIterator[Chain]:
    """A patient with one twin of each kind, by device id; all of them subscribed."""
    settings = load_settings(data=folder, web={"port": 0}, cloud={"tick_s": 0.1})
    planned = tuple(PlannedDevice(name, kind, 1.0) for name, kind in kinds.items())
    plan = WardPlan("W", settings.edge.gateway, (PlannedPatient("p1", PATIENT, None, planned),))
    telemetry, clock = Telemetry(), SystemClock()
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings))
        url = await stack.enter_async_context(broker_running(settings, telemetry))
        ward = await stack.enter_async_context(open_ward(plan))
        await enter_plan(records, ward.plan, clock.now_ns() - SECOND)
        cloud = await stack.enter_async_context(
            cloud_running(settings, records, broker_url=url, clock=clock, telemetry=telemetry)
        )
        roles = frozenset({Role.NURSE, Role.ENGINEER})
        cloud.app.state.services[READER] = Principal("reader", "reader", "main", roles, kind="service")
        agent = await stack.enter_async_context(
            edge_running(
                settings, broker_url=url, clock=clock, telemetry=telemetry, virtual=ward.world.virtual
            )
        )
        async with asyncio.timeout(30):
            await asyncio.gather(*(twin.wait_ready() for twin in ward.twins.values()))
        yield Chain(cloud, agent, ward.twins, telemetry, Api(cloud.url, READER))
