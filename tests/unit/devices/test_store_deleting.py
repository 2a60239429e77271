"""What a device's store is told to delete, and what must never be."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from devices.racp import REPORT_ALL, Cursor, Op, delete_up_to
from devices.twins.store import RecordStore, StoredRecord
from hearthward.core.errors import LinkError
from tests.unit.devices.metered import DELETING, METER, Gateway, Meter, measures_before


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
