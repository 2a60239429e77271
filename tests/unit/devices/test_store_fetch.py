"""Fetching a device's store: nothing lost, nothing doubled, nothing deleted that is not committed."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace

import pytest

from devices.racp import ABORT, REPORT_ALL, count_from, delete_up_to, report_from
from devices.twins.store import RecordStore
from firmware_profiles import RacpStep
from hearthward.core.errors import LinkError
from tests.unit.devices.metered import KEEPING, METER, PROFILE, Gateway, Meter


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
