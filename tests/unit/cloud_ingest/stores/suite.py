"""What every time-series store must do, real or fake, whatever stands behind it: see ``StoreSuite``."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from cloud_ingest.stores import FOREVER, Delivery, Origins, Outcome, Summary, TimeSeriesStore
from cloud_ingest.stores.summaries import summed_up
from hearthward.core.errors import StoreRejected
from hearthward.core.model import Quality, Reading, ReadingBatch

__all__ = ["SECOND", "T0", "StoreSuite", "close", "everything", "origins", "reading"]

T0 = 1_767_225_600_000_000_000
SECOND = 1_000_000_000
_tenants = count()


def reading(at: int = 0, **changes: object) -> Reading:
    base = Reading(
        device="dev_1",
        metric="spo2",
        value=97.0,
        code=None,
        device_time=None,
        received=T0 + at * SECOND,
        corrected=T0 + at * SECOND,
        digest=11,
        group=5,
        profile="0123456789abcdef",
    )
    return replace(base, **changes)


def origins(*seqs: int, gateway: str = "gw-1", boot: str = "boot-1") -> Origins:
    return Origins(gateway, boot, list(seqs))


async def everything(
    store: TimeSeriesStore, tenant: str, devices: tuple[str, ...] = ("dev_1", "dev_2")
) -> list[Reading]:
    return list(await store.read(tenant, devices, None, 0, FOREVER))


def close(found: list[Summary], expected: list[Summary]) -> bool:
    """Whether they are the same but for the last digits of their means."""
    return len(found) == len(expected) and all(
        (a.time, a.low, a.high, a.last, a.count) == (b.time, b.low, b.high, b.last, b.count)
        and a.mean == pytest.approx(b.mean)
        for a, b in zip(found, expected, strict=True)
    )


class StoreSuite:
    """Subclass it with a fixture ``store``; a store may be shared, every test has a tenant of its own."""

    @pytest.fixture
    def tenant(self) -> str:
        return f"tenant-{next(_tenants)}"

    async def test_gives_back_every_column(self, store: TimeSeriesStore, tenant: str):
        rows = [
            reading(0),
            reading(1, device_time=T0 - 3600 * SECOND, record=7, corrected=T0 + SECOND + 1),
            reading(2, value=None, code="BM 85", metric="device_model", author="usr_1", source=1, quality=3),
            reading(3, device_time=5, quality=int(Quality.CLOCK_UNSET), ordinal=2, value=-0.125),
            reading(4, device_time=T0 + 99 * SECOND, error=2 * SECOND + 5),
            reading(5, device_time=T0 + 98 * SECOND, error=0),
        ]
        outcomes = await store.append(tenant, ReadingBatch.of(rows), origins(1, 2, 3, 4, 5, 6))
        assert outcomes == [Outcome.NEW] * 6
        assert await everything(store, tenant) == rows

    async def test_writing_twice_is_writing_once(self, store: TimeSeriesStore, tenant: str):
        batch = ReadingBatch.of([reading(0), reading(1)])
        await store.append(tenant, batch, origins(1, 2))
        assert await store.append(tenant, batch, origins(1, 2)) == [Outcome.SAME] * 2
        assert await store.append(tenant, batch, origins(8, 9)) == [Outcome.DUPLICATE] * 2
        assert await store.append(tenant, batch, origins(1, 2, boot="boot-2")) == [Outcome.DUPLICATE] * 2
        assert len(await everything(store, tenant)) == 2

    async def test_tells_old_from_new_within_one_batch(self, store: TimeSeriesStore, tenant: str):
        await store.append(tenant, ReadingBatch.of([reading(1)]), origins(2))
        batch = ReadingBatch.of([reading(0), reading(1), reading(2), reading(0)])
        assert await store.append(tenant, batch, origins(1, 2, 3, 4)) == [
            Outcome.NEW,
            Outcome.SAME,
            Outcome.NEW,
            Outcome.DUPLICATE,
        ]

    @pytest.mark.parametrize(
        "other",
        [
            {"digest": 12},  # same time, other bytes: the repeated hour at the end of summer time
            {"ordinal": 1},  # several RR intervals in one notification
            {"record": 11},  # a record number is no digest
            {"record": 0},
            {"metric": "pulse_rate"},
            {"device": "dev_2"},
            {"received": T0 + 1},
            {"device_time": T0 - 1},
        ],
    )
    async def test_distinct_readings_never_collapse(
        self, store: TimeSeriesStore, tenant: str, other: dict[str, object]
    ):
        batch = ReadingBatch.of([reading(0), reading(0, **other)])
        assert await store.append(tenant, batch, origins(1, 2)) == [Outcome.NEW] * 2
        assert len(await everything(store, tenant)) == 2

    async def test_an_unset_clock_is_no_key(self, store: TimeSeriesStore, tenant: str):
        unset = int(Quality.CLOCK_UNSET)
        batch = ReadingBatch.of([reading(i, device_time=1, quality=unset) for i in range(3)])
        assert await store.append(tenant, batch, origins(1, 2, 3)) == [Outcome.NEW] * 3

    async def test_a_record_read_again_is_the_same_reading(self, store: TimeSeriesStore, tenant: str):
        first = reading(0, device_time=T0, record=4)
        again = replace(first, received=T0 + 9 * SECOND, digest=99)
        await store.append(tenant, ReadingBatch.of([first]), origins(1))
        assert await store.append(tenant, ReadingBatch.of([again]), origins(2)) == [Outcome.DUPLICATE]
        assert await everything(store, tenant) == [first]

    async def test_reads_in_order_of_corrected_time(self, store: TimeSeriesStore, tenant: str):
        rows = [reading(i, corrected=T0 + (9 - i) * SECOND) for i in range(10)]
        await store.append(tenant, ReadingBatch.of(rows), origins(*range(1, 11)))
        assert await everything(store, tenant) == rows[::-1]
        part = await store.read(tenant, ["dev_1"], ["spo2"], T0 + 2 * SECOND, T0 + 5 * SECOND)
        assert part.corrected == [T0 + i * SECOND for i in (2, 3, 4)]
        first = await store.read(tenant, ["dev_1"], None, 0, FOREVER, limit=2)
        last = await store.read(tenant, ["dev_1"], None, 0, FOREVER, limit=2, newest=True)
        assert first.corrected == [T0, T0 + SECOND]
        assert last.corrected == [T0 + 8 * SECOND, T0 + 9 * SECOND]
        assert len(await store.read(tenant, ["dev_1"], ["heart_rate"], 0, FOREVER)) == 0
        assert len(await store.read(tenant, [], None, 0, FOREVER)) == 0
        assert await store.count(tenant, ["dev_1"]) == 10
        assert await store.count(tenant, ["dev_1"], ["spo2"], T0, T0 + 3 * SECOND) == 3

    async def test_latest_of_each_device_and_metric(self, store: TimeSeriesStore, tenant: str):
        rows = [
            reading(5, value=90.0),
            reading(3, value=80.0),
            reading(4, metric="pulse_rate", value=70.0),
            reading(1, device="dev_2", value=60.0),
        ]
        await store.append(tenant, ReadingBatch.of(rows), origins(1, 2, 3, 4))
        assert (await store.latest(tenant, ["dev_1", "dev_2", "none"])).value == [70.0, 90.0, 60.0]
        assert (await store.latest(tenant, ["dev_2"])).value == [60.0]

    async def test_tenants_do_not_see_each_other(self, store: TimeSeriesStore, tenant: str):
        await store.append(tenant, ReadingBatch.of([reading(0)]), origins(1))
        assert await store.append(f"{tenant}-other", ReadingBatch.of([reading(0)]), origins(1)) == [
            Outcome.NEW
        ]
        assert len(await everything(store, f"{tenant}-other")) == 1
        assert await everything(store, f"{tenant}-third") == []

    @pytest.mark.parametrize(
        "bad",
        [
            {"value": float("nan")},
            {"value": float("inf")},
            {"received": -1},
            {"corrected": 2**63},
            {"record": -1},
            {"device": ""},
            {"metric": ""},
        ],
    )
    async def test_refuses_what_cannot_be_stored_and_keeps_nothing_of_the_batch(
        self, store: TimeSeriesStore, tenant: str, bad: dict[str, object]
    ):
        with pytest.raises(StoreRejected):
            await store.append(tenant, ReadingBatch.of([reading(0), reading(1, **bad)]), origins(1, 2))
        with pytest.raises(StoreRejected):
            await store.append(tenant, ReadingBatch.of([reading(0)]), origins(1, 2))
        assert await everything(store, tenant) == []

    async def test_many_origins_in_one_commit(self, store: TimeSeriesStore, tenant: str):
        one = Delivery(ReadingBatch.of([reading(0)]), origins(1))
        two = Delivery(ReadingBatch.of([reading(0), reading(1)]), origins(1, 2, gateway="gw-2"))
        assert await store.append_many(tenant, [one, two]) == [
            [Outcome.NEW],
            [Outcome.DUPLICATE, Outcome.NEW],
        ]
        assert await store.append_many(tenant, []) == []

    async def test_sums_values_up_in_buckets(self, store: TimeSeriesStore, tenant: str):
        rows = [reading(i, value=90.0 + i % 7, corrected=T0 + i * SECOND + i) for i in range(0, 300, 3)]
        await store.append(tenant, ReadingBatch.of(rows), origins(*range(1, len(rows) + 1)))
        others = [
            reading(61, value=None, code="BM 85", digest=1),
            reading(62, value=1.0, quality=int(Quality.SENSOR_OFF), digest=2),
            reading(63, value=2.0, quality=int(Quality.FUTURE), digest=3),
            reading(64, value=3.0, quality=int(Quality.MOTION), digest=4),
            reading(65, value=4.0, metric="pulse_rate", digest=5),
            reading(66, value=5.0, device="dev_2", digest=6),
            reading(67, value=6.0, quality=int(Quality.FROM_STORE | Quality.TIME_UNKNOWN), digest=7),
        ]
        await store.append(tenant, ReadingBatch.of(others), origins(*range(201, 208)))
        minute, spo2 = 60 * SECOND, [r for r in (*rows, others[3]) if r.metric == "spo2"]
        for start, end, step in (
            (T0, T0 + 300 * SECOND, minute),
            (T0 + 5 * SECOND, T0 + 200 * SECOND, minute),
            (T0 + 5 * SECOND + 1, T0 + 9 * SECOND + 9, minute),
            (T0 - 900 * SECOND, T0 + 900 * SECOND, 2 * minute),
            (T0 + 60 * SECOND + 60, T0 + 120 * SECOND, 10 * SECOND),
        ):
            inside = sorted((r for r in spo2 if start <= r.corrected < end), key=lambda r: r.corrected)
            found = await store.summaries(tenant, "dev_1", "spo2", start, end, step)
            assert close(found, summed_up(inside, step)), (start - T0, end - T0, step)
        for device, metric, end in (
            ("dev_1", "etco2", minute),
            ("dev_9", "spo2", minute),
            ("dev_1", "spo2", 0),
        ):
            assert await store.summaries(tenant, device, metric, T0, T0 + end, minute) == []
        with pytest.raises(StoreRejected):
            await store.summaries(tenant, "dev_1", "spo2", T0, T0 + minute, 0)
