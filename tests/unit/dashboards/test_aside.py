"""The newest values where the very newest came out of a device's memory without a time."""

from __future__ import annotations

from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.fake import MemoryStore
from dashboards.aside import with_usual
from hearthward.core.model import Quality, ReadingBatch
from tests.unit.dashboards.webworld import T0, S, reading

MEMORY = int(Quality.FROM_STORE | Quality.TIME_UNKNOWN)


async def test_beside_an_undated_value_stands_the_newest_with_a_time():
    store = MemoryStore()
    rows = [
        reading("cuff", "nibp_systolic", 120, T0),
        reading("cuff", "nibp_systolic", 124, T0 + S),
        reading("cuff", "nibp_systolic", 181, T0 + 2 * S, quality=MEMORY),
        reading("cuff", "nibp_systolic", 182, T0 + 3 * S, quality=MEMORY),
        reading("cuff", "pulse_rate", 70, T0 + 3 * S),
        reading("scale", "body_weight", 82, T0, quality=MEMORY),
    ]
    await store.append("main", ReadingBatch.of(rows), Origins("gw", "boot", list(range(1, len(rows) + 1))))
    latest = await store.latest("main", ["cuff", "scale"])
    found = await with_usual(store, "main", latest)
    told = sorted((m, v) for m, v in zip(found.metric, found.value, strict=True))
    assert told == [
        ("body_weight", 82.0),
        ("nibp_systolic", 124.0),
        ("nibp_systolic", 182.0),
        ("pulse_rate", 70.0),
    ]
    assert len(latest) == 3, "what was given is left alone"
