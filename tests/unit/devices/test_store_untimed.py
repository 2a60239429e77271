"""Records whose meter has no time, and what is told beside records: once, and with the record's time."""

from __future__ import annotations

import struct
from datetime import timedelta

import pytest

from devices.links.fake_store import FakeControlPoint
from devices.twins.store import RecordStore, StoredRecord
from firmware_profiles import RacpStep, load_catalog
from hearthward.core.model import Quality
from tests.unit.devices.metered import KEEPING, Gateway, Identity, Meter


class UnsetMeter(Meter):
    """Its clock was never set: its records have numbers only."""

    def measure(self, count: int = 1) -> None:
        for _ in range(count):
            self.at += timedelta(hours=1)
            head = struct.pack("<BH", 0x12, self.number)
            payloads = (
                ("2a18", head + bytes(7) + struct.pack("<HB", 0xB064, 0x11)),
                ("2a34", struct.pack("<BHB", 0x02, self.number, 1)),
            )
            self.store.add(StoredRecord(self.number, None, payloads))
            self.number += 1

    @staticmethod
    def identity(record: StoredRecord) -> Identity:
        return ("blood_glucose", None, record.key, 0)


async def test_records_without_a_time_are_told_twice_and_stored_once():
    gateway = Gateway(UnsetMeter(), KEEPING)
    gateway.meter.measure(5)
    await gateway.connect()
    gateway.meter.measure(3)
    await gateway.connect()
    gateway.meter.measure(3)
    await gateway.connect()
    await gateway.connect()
    assert gateway.rows == 11
    await gateway.kill()


@pytest.mark.parametrize("store", [RecordStore(ignores_filters=True), RecordStore(only_all=True)])
async def test_a_device_without_filters_tells_records_without_a_time_once_a_connection(store: RecordStore):
    gateway = Gateway(UnsetMeter(store), KEEPING)
    gateway.meter.measure(5)
    await gateway.connect()
    assert gateway.rows == 5
    gateway.meter.measure(3)
    await gateway.connect()
    assert gateway.rows == 5 + 7  # of the former five only the last is known: numbers may have started over
    await gateway.kill()


async def test_what_is_told_beside_a_record_has_its_time_and_is_stored_once():
    gateway = Gateway(Meter(), KEEPING)
    gateway.meter.measure(3)
    await gateway.connect()
    gateway.meter.measure(2)
    await gateway.connect()
    await gateway.connect()
    stored = gateway.stored
    glucose, meals = (
        [stored.row(i) for i in range(len(stored)) if stored.metric[i] == metric]
        for metric in ("blood_glucose", "meal")
    )
    assert [m.record for m in meals] == [1, 2, 3, 4, 5]
    assert [m.device_time for m in meals] == [g.device_time for g in glucose]
    assert [m.corrected for m in meals] == [g.corrected for g in glucose]
    await gateway.kill()


OXIMETER = load_catalog().get("sig-pulse-oximeter")


class SpotChecks(Meter):
    """An oximeter whose clock was never set: its stored spot checks have neither time nor number."""

    def check(self, *spo2: int) -> None:
        for value in spo2:
            payload = struct.pack("<BHH7xH", 0x13, value, 72, 0x0200)
            self.store.add(StoredRecord(self.number, None, (("2a5e", payload),)))
            self.number += 1


class OximeterGateway(Gateway):
    def point(self) -> FakeControlPoint:
        return FakeControlPoint(
            self.meter.tell, lambda source, payload: self.intake.take(OXIMETER, source, payload)
        )

    @property
    def told(self) -> list[float | None]:
        return [r.value for r in self.stored if r.metric == "spo2"]


async def test_what_has_neither_time_nor_number_is_known_by_its_place():
    oximeter = SpotChecks()
    gateway = OximeterGateway(oximeter, RacpStep("2a52", "2a5e", None))
    oximeter.check(97, 70, 97)
    await gateway.connect()
    assert gateway.told == [97, 70, 97]
    await gateway.connect()
    oximeter.check(97, 96)
    await gateway.connect()
    assert gateway.told == [97, 70, 97, 97, 96]
    del oximeter.store.records[0]  # its memory is full: told again rather than lost
    await gateway.connect()
    assert gateway.told[5:] == [70, 97, 97, 96]
    unknown = Quality.TIME_UNKNOWN | Quality.FROM_STORE
    assert all(q & unknown == unknown for q in gateway.stored.quality)
    await gateway.kill()


async def test_of_a_telling_that_was_broken_off_the_rest_is_taken_the_next_time():
    oximeter = SpotChecks()
    gateway = OximeterGateway(oximeter, RacpStep("2a52", "2a5e", None))
    oximeter.check(97, 70, 96)
    point = gateway.point()
    point.cut(2)
    await gateway.connect(point)
    assert gateway.told == [97, 70]
    await gateway.connect()
    assert gateway.told == [97, 70, 96]
    await gateway.connect()
    assert gateway.told == [97, 70, 96]
    await gateway.kill()
