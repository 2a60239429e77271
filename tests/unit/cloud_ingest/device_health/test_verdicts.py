"""What the gate said of a device's readings, counted by signal and reason."""

from __future__ import annotations

from cloud_ingest.device_health.verdicts import Verdicts, verdicts, verdicts_of
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.fake import MemoryStore
from hearthward.core.model import Quality, ReadingBatch
from tests.unit.cloud_ingest.ward import T0, reading

DROPOUT = int(Quality.BAD | Quality.DROPOUT)
DISAGREES = int(Quality.SUSPECT | Quality.DISAGREES)
BOTH = int(Quality.SUSPECT | Quality.JUMP | Quality.DISAGREES)
READINGS = ReadingBatch.of(
    [
        *(reading(t, 97) for t in range(6)),
        reading(6, 0, quality=DROPOUT),
        reading(7, 96, quality=DISAGREES),
        reading(8, 70, quality=BOTH),
        reading(9, 95, quality=int(Quality.MOTION)),
        reading(5, 60, metric="heart_rate", device="dev_2"),
        reading(6, None, metric="device_firmware", code="1.0"),
    ]
)


def test_counts_by_device_signal_and_reason():
    found = verdicts_of(READINGS)
    assert found.keys() == {("dev_1", "spo2"), ("dev_2", "heart_rate")}
    spo2 = found["dev_1", "spo2"]
    assert (spo2.values, spo2.suspect, spo2.bad) == (10, 2, 1)
    assert spo2.reasons == {"dropout": 1, "disagrees": 2, "jump": 1}
    assert (spo2.plausible, spo2.consistent) == (0.8, 0.8)
    assert (found["dev_2", "heart_rate"].plausible, Verdicts().plausible) == (1.0, None)


async def test_they_are_read_from_the_store_of_a_time_and_some_devices():
    store = MemoryStore()
    await store.append("main", READINGS, Origins("gw-1", "boot-1", range(1, len(READINGS) + 1)))
    found = await verdicts(store, "main", ["dev_1"], T0, T0 + 8 * 10**9)
    assert {key: (v.values, v.bad) for key, v in found.items()} == {("dev_1", "spo2"): (8, 1)}
