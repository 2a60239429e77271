"""A session over a link that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from devices import DeviceConfig, DeviceSession, SessionState
from devices.links.fake import FakeDevice
from devices.twins import encode
from firmware_profiles import DeviceFacts, Profile, load_catalog
from hearthward.core.clock import EventClock, parse_iso
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry

CATALOG = load_catalog()
NOON = parse_iso("2026-07-01T12:00:00Z")
STRAP = DeviceFacts("ble", name="strap", services=frozenset({"180d"}), firmware="1.0")
HR = "2a37"
RUN = b"run_1"


def beat(n: int) -> bytes:
    """A heart rate payload of two readings that is like no other."""
    return encode.heart_rate(60, rr=(1000 + n,))


class Sleeper:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._waiting: list[asyncio.Event] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        over = asyncio.Event()
        self._waiting.append(over)
        await over.wait()

    def pass_by(self) -> None:
        for over in self._waiting:
            over.set()
        self._waiting.clear()


class LiveClock(EventClock):
    """A gateway's own clock, which nobody plays: a device's can be measured by it."""

    event_driven = False  # type: ignore[assignment]


@dataclass
class Rig:
    """A session, its device, and everything around them."""

    kind_of_clock: ClassVar[type[EventClock]] = EventClock
    config: DeviceConfig = field(
        default_factory=lambda: DeviceConfig("hr-1", "ble", "C0:00:00:00:00:01", "sig-heart-rate")
    )
    capacity: int = 1024
    facts: DeviceFacts = STRAP

    def __post_init__(self) -> None:
        self.device = FakeDevice(self.facts)
        self.clock = self.kind_of_clock(NOON, frozen_monotonic=True)
        self.telemetry = Telemetry()
        self.sleeper = Sleeper()
        self.states: list[tuple[SessionState, str]] = []
        self.rejected: list[tuple[str, bytes, str]] = []
        self.stored = ReadingBatch()
        self.profiles: list[Profile | None] = []
        self.changed = asyncio.Event()
        self.unavailable = False
        self.poison: set[int] = set()
        self.ids = SeededIds(1)
        self.session = self.new_session()

    def new_session(self, after: int = 0) -> DeviceSession:
        return DeviceSession(
            self.config,
            CATALOG,
            self.link,
            self.sink,
            self.clock,
            self.ids,
            self.telemetry,
            self.on_state,
            lambda _device, source, payload, error: self.rejected.append((source, payload, error.reason)),
            received_after=after,
            salt=RUN,
            capacity=self.capacity,
            sleep=self.sleeper,
        )

    def on_state(self, _device: str, state: SessionState, reason: str) -> None:
        self.states.append((state, reason))
        self.changed.set()

    def link(self, _config: DeviceConfig, profile: Profile | None, on_noise: object):
        self.profiles.append(profile)
        self.on_noise = on_noise
        return self.device.link()

    async def sink(self, batch: ReadingBatch) -> None:
        await asyncio.sleep(0)
        if self.unavailable:
            msg = "the disk is away"
            raise StoreUnavailable(msg)
        if self.poison & set(batch.digest):
            msg = "refused for good"
            raise StoreRejected(msg)
        self.stored.extend(batch)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.session.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, state: SessionState) -> str:
        """Wait for a state; the reason given with it."""
        while self.session.state is not state:
            self.changed.clear()
            await self.changed.wait()
        return self.session.reason

    async def settled(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    def count(self, name: str, **labels: str) -> float:
        return self.telemetry.value(name, device=self.config.id, **labels)
