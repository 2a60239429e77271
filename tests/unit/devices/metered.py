"""A meter with a store, and a gateway that fetches it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from devices.cursors import MemoryCursors
from devices.delivery import Delivery, Payload
from devices.intake import Intake
from devices.links.fake_store import FakeControlPoint
from devices.racp import Op
from devices.store_fetch import REFETCH_S, StoreFetch
from devices.twins.encode import date_time
from devices.twins.store import RecordStore, StoredRecord
from devices.wave_flow import WaveFlow
from firmware_profiles import RacpStep, load_catalog
from hearthward.core.clock import EventClock, parse_iso
from hearthward.core.errors import LinkError, StoreRejected, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry

PROFILE = load_catalog().get("sig-glucose")
FIRST = datetime(2026, 6, 1, 7)  # noqa: DTZ001 - a device's clock has no zone
NOW = parse_iso("2026-07-01T12:00:00Z")
METER = "meter"
KEEPING = RacpStep("2a52", "2a18", "sequence")
DELETING = replace(KEEPING, delete=True)
Identity = tuple[str, int | None, int | None, int]


class Meter:
    """A glucose meter: one measurement an hour, numbered from ``number`` on."""

    def __init__(self, store: RecordStore | None = None) -> None:
        self.store = store or RecordStore(capacity=5000)
        self.number = 1
        self.at = FIRST
        self.made: set[Identity] = set()
        self.may_delete: Callable[[Identity], bool] = lambda _identity: True

    def measure(self, count: int = 1) -> None:
        for _ in range(count):
            self.at += timedelta(hours=1)
            head = struct.pack("<BH", 0x12, self.number)
            payloads = [
                ("2a18", head + date_time(self.at) + struct.pack("<HB", 0xB064, 0x11)),
                ("2a34", struct.pack("<BHB", 0x02, self.number, 1)),
            ]
            self.store.add(StoredRecord(self.number, self.at, tuple(payloads)))
            self.made.add(self.identity(self.store.records[-1]))
            self.number = (self.number + 1) & 0xFFFF

    @staticmethod
    def identity(record: StoredRecord) -> Identity:
        at = record.at or FIRST
        return ("blood_glucose", parse_iso(at.isoformat()), record.key, 0)

    def tell(self, request: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
        before = list(self.store.records)
        outcome = self.store.ask(request)
        for record in before:
            if record not in self.store.records:
                assert self.may_delete(self.identity(record)), f"{record.key} was deleted before its commit"
        return [payload for record in outcome.records for payload in record.payloads], outcome.indication


class Gateway:
    """What outlives a process (readings, cursors), and one process at a time."""

    def __init__(
        self,
        meter: Meter,
        racp: RacpStep = DELETING,
        capacity: int = 1024,
    ) -> None:
        self.meter = meter
        self.racp = racp
        self.capacity = capacity
        self.stored = ReadingBatch()
        self.cursors = MemoryCursors()
        self.available = True
        self.poison = False
        meter.may_delete = lambda identity: identity in self.identities
        self.boot()

    def boot(self) -> None:
        """A new process."""
        self.telemetry, ids = Telemetry(), SeededIds(1)
        clock = EventClock(NOW)
        self.tended = asyncio.Event()
        self.delivery = Delivery(
            METER,
            self.sink,
            ids=ids,
            telemetry=self.telemetry,
            on_pressure=lambda _pressed: None,
            on_refused=self.refused,
            capacity=self.capacity,
            sleep=self.sleep,
        )
        waves = WaveFlow(METER, None, ids=ids, telemetry=self.telemetry, pressed=lambda: False)
        self.fetch = StoreFetch(METER, self.cursors, self.delivery, self.telemetry, sleep=self.sleep)
        self.intake = Intake(
            METER,
            self.delivery,
            waves,
            self.fetch,
            clock=clock,
            telemetry=self.telemetry,
            on_read=lambda *_: None,
            on_rejected=lambda *_: None,
            received_after=0,
            salt=b"run",
        )
        self.consumer: asyncio.Task[None] | None = None

    def refused(self, payload: Payload, error: StoreRejected) -> None:
        self.intake.refused(payload, error)

    async def sleep(self, seconds: float) -> None:
        if seconds == REFETCH_S:
            self.tended.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def sink(self, batch: ReadingBatch) -> None:
        await asyncio.sleep(0)
        if not self.available:
            msg = "the disk is away"
            raise StoreUnavailable(msg)
        if self.poison:
            msg = "refused for good"
            raise StoreRejected(msg)
        self.stored.extend(batch)

    @property
    def identities(self) -> set[Identity]:
        rows = zip(
            self.stored.metric, self.stored.device_time, self.stored.record, self.stored.ordinal, strict=True
        )
        return {row for row in rows if row[0] == "blood_glucose"}

    @property
    def rows(self) -> int:
        """How often a measurement was stored, doubles counted."""
        return self.stored.metric.count("blood_glucose")

    def point(self) -> FakeControlPoint:
        return FakeControlPoint(
            self.meter.tell, lambda source, payload: self.intake.take(PROFILE, source, payload)
        )

    async def connect(self, point: FakeControlPoint | None = None, *, turns: int = 5000) -> FakeControlPoint:
        """One connection until the store is fetched and tended, it is lost, or ``turns`` are over."""
        if self.consumer is None:
            self.consumer = asyncio.create_task(self.delivery.run())
        point = point or self.point()
        self.fetch.connected([self.racp], PROFILE.hash)
        self.tended.clear()
        talk = asyncio.create_task(self._talk(point))
        done = asyncio.create_task(self.tended.wait())
        for _ in range(turns):
            if talk.done() or done.done():
                break
            await asyncio.sleep(0)
        for task in (talk, done):
            task.cancel()
        await asyncio.wait({talk, done})
        await point.close()
        if not talk.cancelled() and (error := talk.exception()) and not isinstance(error, LinkError):
            raise error
        return point

    async def _talk(self, point: FakeControlPoint) -> None:
        await point.subscribe()
        await self.fetch.fetch(self.racp, point)
        await self.fetch.tend(self.racp, point)

    async def drain(self) -> None:
        await self.delivery.settled()

    async def kill(self) -> None:
        """The process is killed: what was not committed and not noted is gone."""
        if self.consumer is not None:
            self.consumer.cancel()
            await asyncio.wait({self.consumer})
        self.boot()


def measures_before(gateway: Gateway, op: Op) -> FakeControlPoint:
    """A control point of a device with which somebody measures just before it is asked that."""
    point = gateway.point()
    tell = gateway.meter.tell

    def told(request: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
        if request[0] == op:
            gateway.meter.measure()
        return tell(request)

    point._tell = told
    return point
