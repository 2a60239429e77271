"""What devices' health is judged by, as it is read."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_ingest.device_health.gathering import Gathering
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.fake import MemoryStore
from hearthward.core.model import Quality, ReadingBatch
from tests.unit.cloud_ingest.ward import T0, reading


@pytest.mark.parametrize(
    ("quality", "found"),
    [(0, True), (Quality.SUSPECT | Quality.DISAGREES, True), (Quality.BAD | Quality.DROPOUT, False)],
    ids=["good", "in doubt because they disagree", "bad"],
)
async def test_values_in_doubt_because_they_disagree_are_compared(quality: int, found: bool):  # noqa: FBT001
    records: Any = None
    store = MemoryStore()
    batch = ReadingBatch.of(
        reading(60 * t, 70 + t % 9 + worse, device=device, metric="pulse_rate", quality=int(quality))
        for t in range(60)
        for device, worse in (("dev_1", 0), ("dev_2", 30))
    )
    await store.append("main", batch, Origins("gw-1", "boot-1", range(1, len(batch) + 1)))
    worn = {"dev_1": 0, "dev_2": 0}
    bias = await Gathering("main", records, store)._compared(worn, T0 + 3600 * 10**9)
    assert any(bias.values()) is found


async def compared(worn: dict[str, int], **more: int) -> dict[str, list[str]]:
    """Whom each differs from, of devices that measure a pulse of 70 and so much ``more`` for an hour."""
    records: Any = None
    store = MemoryStore()
    batch = ReadingBatch.of(
        reading(60 * t, 70 + t % 3 + more[device], device=device, metric="pulse_rate")
        for t in range(60)
        for device in more
    )
    await store.append("main", batch, Origins("gw-1", "boot-1", range(1, len(batch) + 1)))
    found = await Gathering("main", records, store)._compared(worn, T0 + 3600 * 10**9)
    return {device: [str(f.evidence["other"]) for f in some] for device, some in found.items()}


async def test_of_three_devices_the_one_that_none_agrees_with_is_told_of():
    assert await compared({"a": 0, "b": 0}, a=0, b=30) == {"a": ["b"], "b": ["a"]}
    found = await compared({"a": 0, "b": 0, "c": 0}, a=0, b=30, c=1)
    assert found.keys() == {"b"}
    three = await compared({"a": 0, "b": 0, "c": 0}, a=0, b=30, c=60)
    assert three.keys() == {"a", "b", "c"}


async def test_a_device_that_was_put_on_a_moment_ago_hides_no_difference_of_others():
    late = T0 + 3590 * 10**9
    found = await compared({"a": 0, "b": 0, "c": late}, a=0, b=30, c=0)
    assert found.keys() == {"a", "b"}
