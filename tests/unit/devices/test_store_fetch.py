"""Fetching a device's store: nothing lost, nothing doubled, nothing deleted that is not committed."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from devices.cursors import MemoryCursors
from devices.delivery import Delivery, Payload
from devices.intake import Intake
from devices.links.fake_store import FakeControlPoint
from devices.racp import ABORT, REPORT_ALL, Cursor, Op, count_from, delete_up_to, report_from
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


async def test_a_store_is_fetched_committed_noted_and_then_deleted():
    gateway = Gateway(Meter())
    gateway.meter.measure(40)
    point = await gateway.connect()
    assert gateway.identities == gateway.meter.made
    assert gateway.rows == 40
    assert gateway.stored.metric.count("meal") == 40
    assert point.requests == [REPORT_ALL, count_from(41), delete_up_to(40)]
    assert gateway.meter.store.records == []
    assert gateway.cursors.get(METER, "2a18") is not None
    await gateway.kill()


async def test_without_delete_the_next_time_only_what_is_new_is_asked_for():
    gateway = Gateway(Meter(), KEEPING)
    gateway.meter.measure(10)
    await gateway.connect()
    await gateway.kill()
    gateway.meter.measure(3)
    point = await gateway.connect()
    assert point.requests[0] == report_from(10)
    assert REPORT_ALL not in point.requests
    assert gateway.identities == gateway.meter.made
    assert gateway.rows == 13
    await gateway.kill()


async def test_a_link_lost_in_the_middle_goes_on_from_the_last_committed_record():
    gateway = Gateway(Meter())
    gateway.meter.measure(30)
    point = gateway.point()
    point.cut(20)
    await gateway.connect(point)
    assert len(gateway.meter.store.records) == 30
    await gateway.drain()
    point = await gateway.connect()
    assert struct.unpack("<H", point.requests[0][3:])[0] > 1
    assert gateway.identities == gateway.meter.made
    assert gateway.rows == 30
    await gateway.kill()


async def test_nothing_is_deleted_while_the_store_takes_nothing():
    gateway = Gateway(Meter())
    gateway.meter.measure(10)
    gateway.available = False
    await gateway.connect(turns=300)
    assert len(gateway.meter.store.records) == 10
    assert gateway.cursors.noted == {}
    gateway.available = True
    await gateway.connect()
    assert gateway.identities == gateway.meter.made
    assert gateway.meter.store.records == []
    await gateway.kill()


async def test_what_was_told_and_not_committed_is_asked_for_again():
    gateway = Gateway(Meter(), KEEPING)
    gateway.meter.measure(5)
    gateway.available = False
    await gateway.connect(turns=300)
    point = await gateway.connect(turns=300)
    assert point.requests[0] == REPORT_ALL
    gateway.available = True
    await gateway.connect()
    assert gateway.identities == gateway.meter.made
    assert gateway.rows == 5
    await gateway.kill()


async def test_records_without_numbers_are_asked_for_once_a_connection():
    gateway = Gateway(Meter(), RacpStep("2a52", "2a18"))
    gateway.meter.measure(4)
    point = await gateway.connect(turns=1000)
    assert point.requests == [REPORT_ALL]
    assert not gateway.tended.is_set()
    assert gateway.identities == gateway.meter.made
    assert gateway.cursors.noted == {}
    await gateway.kill()


async def test_nothing_is_deleted_while_the_cursor_cannot_be_noted():
    gateway = Gateway(Meter())
    gateway.meter.measure(5)
    gateway.cursors.unavailable = True
    await gateway.connect()
    assert len(gateway.meter.store.records) == 5
    assert gateway.telemetry.value("store_cursors_unsaved_total", device=METER) == 1
    await gateway.kill()


@pytest.mark.parametrize("keeps_cursor", [True, False])
async def test_killed_between_commit_and_delete_nothing_is_lost_or_doubled(keeps_cursor: bool):  # noqa: FBT001
    gateway = Gateway(Meter())
    gateway.meter.measure(12)
    point = gateway.point()
    tell = gateway.meter.tell

    def dies_before_deleting(request: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
        if request[0] == Op.DELETE:
            msg = "killed"
            raise LinkError(msg)
        return tell(request)

    point._tell = dies_before_deleting
    await gateway.connect(point)
    assert gateway.identities == gateway.meter.made
    assert len(gateway.meter.store.records) == 12
    await gateway.kill()
    if not keeps_cursor:
        gateway.cursors.noted.clear()
    gateway.meter.measure(2)
    await gateway.connect()
    assert gateway.identities == gateway.meter.made
    assert gateway.rows == (14 if keeps_cursor else 26)  # doubles that the store's key takes for one
    assert gateway.meter.store.records == []
    await gateway.kill()


@pytest.mark.parametrize("trait", ["ignores_filters", "only_all"])
async def test_a_device_that_knows_no_filters_is_asked_for_everything_and_nothing_is_queued_twice(trait: str):
    gateway = Gateway(Meter(RecordStore(**{trait: True})), KEEPING)
    for _ in range(3):
        gateway.meter.measure(4)
        await gateway.connect()
    assert gateway.identities == gateway.meter.made
    assert gateway.rows == 12
    await gateway.kill()


async def test_a_large_store_that_is_told_as_a_whole_each_time_is_queued_once():
    gateway = Gateway(Meter(RecordStore(capacity=5000, only_all=True)), KEEPING, capacity=5000)
    gateway.meter.measure(1050)  # with their contexts 2,100 payloads
    for _ in range(2):
        await gateway.connect(turns=100_000)
    assert gateway.rows == 1050
    await gateway.kill()


@pytest.mark.parametrize("code", [0x00, 0x08, 0x0A, 0xFF])
async def test_of_a_transfer_that_the_device_gives_up_nothing_is_taken_for_told(code: int):
    """It tells the newest first, and stops after two: the others are to come, and nothing is deleted."""
    gateway = Gateway(Meter())
    gateway.meter.measure(9)
    point = gateway.point()
    tell = gateway.meter.tell

    def gives_up(request: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
        payloads, answer = tell(request)
        if request != REPORT_ALL:
            return payloads, answer
        return [*payloads[-2:], *payloads[-4:-2]], bytes((6, 0, 1, code))

    point._tell = gives_up
    await gateway.connect(point)
    assert len(gateway.meter.store.records) == 9
    await gateway.connect()
    assert gateway.identities == gateway.meter.made
    await gateway.kill()


@pytest.mark.parametrize("cleared", [True, False])
async def test_after_a_new_battery_records_of_the_same_numbers_are_others(cleared: bool):  # noqa: FBT001
    gateway = Gateway(Meter(), KEEPING)
    gateway.meter.measure(6)
    await gateway.connect()
    gateway.meter.number = 1
    if cleared:
        gateway.meter.store.records.clear()
    for count in (2, 9):
        gateway.meter.measure(count)
        await gateway.connect()
        assert gateway.identities == gateway.meter.made
    await gateway.kill()


async def test_numbers_run_over():
    gateway = Gateway(Meter(), KEEPING)
    gateway.meter.number = 65_530
    for count in (3, 5, 4):
        gateway.meter.measure(count)
        await gateway.connect()
        assert gateway.identities == gateway.meter.made
    await gateway.kill()


async def test_too_much_at_once_is_aborted_and_asked_for_again_when_there_is_room():
    gateway = Gateway(Meter(), capacity=40)
    gateway.meter.measure(200)
    gateway.available = False
    point = gateway.point()
    task = asyncio.create_task(gateway.connect(point, turns=100_000))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert ABORT in point.requests
    assert len(gateway.delivery) <= 40
    gateway.available = True
    await task
    assert gateway.telemetry.value("readings_dropped_total", device=METER) == 0
    assert gateway.identities == gateway.meter.made
    assert gateway.meter.store.records == []
    await gateway.kill()


async def test_what_was_dropped_for_want_of_room_is_asked_for_again():
    gateway = Gateway(Meter(), capacity=4)
    gateway.meter.measure(30)
    await gateway.connect(turns=100_000)
    assert gateway.identities == gateway.meter.made
    await gateway.kill()


async def test_the_cursor_never_passes_a_record_that_was_dropped():
    gateway = Gateway(Meter(), KEEPING, capacity=4)
    gateway.meter.measure(8)
    gateway.fetch.connected([KEEPING], PROFILE.hash)
    point = gateway.point()
    point._tell = lambda _request: ([], b"")  # the test tells by itself
    point.mute = True
    fetching = asyncio.create_task(gateway.fetch.fetch(KEEPING, point))
    for _ in range(20):
        await asyncio.sleep(0)
    told = [record.payloads[0] for record in gateway.meter.store.records]
    for source, payload in told[:5]:  # the fifth finds no room
        gateway.intake.take(PROFILE, source, payload)
    gateway.consumer = asyncio.create_task(gateway.delivery.run())
    await gateway.drain()
    for source, payload in told[5:]:
        gateway.intake.take(PROFILE, source, payload)
    await gateway.drain()
    fetching.cancel()
    await asyncio.wait({fetching})
    await gateway.fetch.save()
    cursor = gateway.cursors.get(METER, "2a18")
    assert cursor is not None
    assert cursor.number < 5
    await point.close()
    await gateway.connect()
    assert gateway.identities == gateway.meter.made
    await gateway.kill()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("code", [0x80, 0xFE, 0x81, 0xFD])
async def test_a_busy_control_point_is_asked_again(code: int, times: int):
    gateway = Gateway(Meter())
    gateway.meter.measure(5)
    point = gateway.point()
    point.refusals = [code] * times
    await gateway.connect(point)
    assert gateway.identities == gateway.meter.made
    assert (ABORT in point.requests) is (code in {0x80, 0xFE} and times > 1), "it may end by itself at first"
    assert (point.subscriptions > 1) is (code in {0x81, 0xFD})
    await gateway.kill()


async def test_a_device_that_stays_busy_or_refuses_is_a_link_error():
    gateway = Gateway(Meter())
    gateway.fetch.connected([gateway.racp], PROFILE.hash)
    for refusals in ([0xFE, 0, 0xFE, 0, 0xFE, 0, 0xFE], [0x0E]):
        point = gateway.point()
        point.refusals = list(refusals)
        with pytest.raises(LinkError):
            await gateway.fetch.fetch(gateway.racp, point)


async def test_a_device_that_says_nothing_is_a_link_error():
    racp = RacpStep("2a52", "2a18", "sequence", within_s=0.01)
    gateway = Gateway(Meter(), racp)
    gateway.fetch.connected([racp], PROFILE.hash)
    point = gateway.point()
    point.mute = True
    with pytest.raises(LinkError, match="nothing came"):
        await gateway.fetch.fetch(racp, point)
    await point.close()


@pytest.mark.parametrize("how", ["refuses", "is silent"])
async def test_a_device_that_does_not_delete_is_told_once_a_connection(how: str):
    racp = replace(DELETING, within_s=0.01)
    gateway = Gateway(Meter(), racp)
    gateway.meter.measure(3)
    point = gateway.point()
    tell = gateway.meter.tell

    def stubborn(request: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
        if request[0] == Op.DELETE:
            point.mute = how == "is silent"
            return [], b"\x06\x00\x02\x02"
        return tell(request)

    point._tell = stubborn
    connection = asyncio.create_task(gateway.connect(point, turns=1_000_000))
    async with asyncio.timeout(10):
        await gateway.tended.wait()
    await connection
    assert gateway.identities == gateway.meter.made
    assert gateway.telemetry.value("store_deletes_refused_total", device=METER) == 1
    assert gateway.cursors.get(METER, "2a18") is not None
    await gateway.kill()


async def test_a_notification_that_comes_after_the_response_is_neither_lost_nor_deleted_before():
    gateway = Gateway(Meter())
    gateway.meter.measure(7)
    point = gateway.point()
    point.early = True
    await gateway.connect(point)
    assert gateway.identities == gateway.meter.made
    await gateway.kill()


@pytest.mark.parametrize("how", ["refused by the profile", "refused by the store"])
async def test_a_record_that_is_refused_here_stays_in_the_device(how: str):
    gateway = Gateway(Meter())
    gateway.meter.measure(3)
    if how == "refused by the store":
        gateway.poison = True
    else:
        record = gateway.meter.store.records[1]
        broken = StoredRecord(record.key, record.at, (("2a18", b"\x12"),))
        gateway.meter.store.records[1] = broken
    for _ in range(2):
        point = await gateway.connect()
        assert not [request for request in point.requests if request[0] == Op.DELETE]
        await gateway.kill()
    assert len(gateway.meter.store.records) == 3
    gateway.poison = False
    cursor = gateway.cursors.get(METER, "2a18")
    assert cursor is not None
    gateway.cursors.noted[METER, "2a18"] = Cursor(cursor.number, cursor.mark, "another profile")
    point = await gateway.connect()
    assert point.requests[0] == REPORT_ALL
    await gateway.kill()


async def test_a_device_that_answers_twice_is_not_taken_at_its_former_word():
    gateway = Gateway(Meter(), KEEPING)
    gateway.meter.measure(6)
    await gateway.connect()
    gateway.meter.number = 1  # a new battery: only the last record shows it
    gateway.meter.measure(3)
    point = gateway.point()
    point.twice = True
    await gateway.connect(point)
    assert gateway.identities == gateway.meter.made
    await gateway.kill()


async def test_an_empty_store_that_says_it_was_told_is_waited_for_but_a_moment():
    gateway = Gateway(Meter(), replace(KEEPING, within_s=0.02))
    point = gateway.point()
    point._tell = lambda request: ([], bytes((6, 0, request[0], 1)))
    gateway.fetch.connected([gateway.racp], PROFILE.hash)
    await gateway.fetch.fetch(gateway.racp, point)
    assert point.requests == [REPORT_ALL]
    await point.close()


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


@pytest.mark.parametrize("op", [Op.COUNT, Op.DELETE])
@pytest.mark.parametrize("ignores_filters", [False, True])
async def test_what_is_measured_before_the_delete_is_not_deleted(ignores_filters: bool, op: Op):  # noqa: FBT001
    gateway = Gateway(Meter(RecordStore(ignores_filters=ignores_filters)))
    gateway.meter.measure(4)
    await gateway.connect(measures_before(gateway, op))
    point = await gateway.connect()
    assert gateway.identities == gateway.meter.made
    assert (delete_up_to(gateway.meter.number - 1) in point.requests) is not ignores_filters
    assert len(gateway.meter.store.records) == (len(gateway.meter.made) if ignores_filters else 0)
    await gateway.kill()


async def test_a_store_that_is_empty_is_not_told_to_delete_what_was_before():
    gateway = Gateway(Meter())
    gateway.meter.measure(6)
    await gateway.connect()
    await gateway.kill()
    gateway.meter.number = 1  # a new battery, and the first measurement comes after the fetch
    await gateway.connect(measures_before(gateway, Op.DELETE))
    await gateway.connect()
    assert gateway.identities == gateway.meter.made
    await gateway.kill()


async def test_a_device_that_cannot_count_is_not_told_to_delete():
    gateway = Gateway(Meter())
    gateway.meter.measure(3)
    point = gateway.point()
    tell = gateway.meter.tell
    point._tell = lambda request: ([], b"\x06\x00\x04\x02") if request[0] == Op.COUNT else tell(request)
    await gateway.connect(point)
    assert len(gateway.meter.store.records) == 3
    assert gateway.telemetry.value("store_deletes_refused_total", device=METER) == 1
    await gateway.kill()


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
