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
