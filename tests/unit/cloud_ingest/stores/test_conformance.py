"""One suite over every time-series store, the fake included."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_ingest.stores import FOREVER, Delivery, MemoryStore, Origins, Outcome, SqliteStore, TimeSeriesStore
from hearthward.core.errors import ConfigError, StoreRejected, StoreUnavailable
from hearthward.core.model import Quality, Reading, ReadingBatch

T0 = 1_767_225_600_000_000_000
SECOND = 1_000_000_000


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


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    made = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "series.db")
    yield made
    await made.close()


async def everything(
    store: TimeSeriesStore, tenant: str = "main", devices: tuple[str, ...] = ("dev_1", "dev_2")
) -> list[Reading]:
    return list(await store.read(tenant, devices, None, 0, FOREVER))


async def test_gives_back_every_column(store: TimeSeriesStore):
    rows = [
        reading(0),
        reading(1, device_time=T0 - 3600 * SECOND, record=7, corrected=T0 + SECOND + 1),
        reading(2, value=None, code="BM 85", metric="device_model", author="usr_1", source=1, quality=3),
        reading(3, device_time=5, quality=int(Quality.CLOCK_UNSET), ordinal=2, value=-0.125),
    ]
    outcomes = await store.append("main", ReadingBatch.of(rows), origins(1, 2, 3, 4))
    assert outcomes == [Outcome.NEW] * 4
    assert await everything(store) == rows


async def test_writing_twice_is_writing_once(store: TimeSeriesStore):
    batch = ReadingBatch.of([reading(0), reading(1)])
    await store.append("main", batch, origins(1, 2))
    assert await store.append("main", batch, origins(1, 2)) == [Outcome.SAME] * 2
    assert await store.append("main", batch, origins(8, 9)) == [Outcome.DUPLICATE] * 2
    assert await store.append("main", batch, origins(1, 2, boot="boot-2")) == [Outcome.DUPLICATE] * 2
    assert len(await everything(store)) == 2


async def test_tells_old_from_new_within_one_batch(store: TimeSeriesStore):
    await store.append("main", ReadingBatch.of([reading(1)]), origins(2))
    batch = ReadingBatch.of([reading(0), reading(1), reading(2), reading(0)])
    assert await store.append("main", batch, origins(1, 2, 3, 4)) == [
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
async def test_distinct_readings_never_collapse(store: TimeSeriesStore, other: dict[str, object]):
    batch = ReadingBatch.of([reading(0), reading(0, **other)])
    assert await store.append("main", batch, origins(1, 2)) == [Outcome.NEW] * 2
    assert len(await everything(store)) == 2


async def test_an_unset_clock_is_no_key(store: TimeSeriesStore):
    unset = int(Quality.CLOCK_UNSET)
    batch = ReadingBatch.of([reading(i, device_time=1, quality=unset) for i in range(3)])
    assert await store.append("main", batch, origins(1, 2, 3)) == [Outcome.NEW] * 3


async def test_a_record_read_again_is_the_same_reading(store: TimeSeriesStore):
    first = reading(0, device_time=T0, record=4)
    again = replace(first, received=T0 + 9 * SECOND, digest=99)
    await store.append("main", ReadingBatch.of([first]), origins(1))
    assert await store.append("main", ReadingBatch.of([again]), origins(2)) == [Outcome.DUPLICATE]
    assert await everything(store) == [first]


async def test_reads_in_order_of_corrected_time(store: TimeSeriesStore):
    rows = [reading(i, corrected=T0 + (9 - i) * SECOND) for i in range(10)]
    await store.append("main", ReadingBatch.of(rows), origins(*range(1, 11)))
    assert await everything(store) == rows[::-1]
    part = await store.read("main", ["dev_1"], ["spo2"], T0 + 2 * SECOND, T0 + 5 * SECOND)
    assert part.corrected == [T0 + i * SECOND for i in (2, 3, 4)]
    first = await store.read("main", ["dev_1"], None, 0, FOREVER, limit=2)
    last = await store.read("main", ["dev_1"], None, 0, FOREVER, limit=2, newest=True)
    assert first.corrected == [T0, T0 + SECOND]
    assert last.corrected == [T0 + 8 * SECOND, T0 + 9 * SECOND]
    assert len(await store.read("main", ["dev_1"], ["heart_rate"], 0, FOREVER)) == 0
    assert len(await store.read("main", [], None, 0, FOREVER)) == 0
    assert await store.count("main", ["dev_1"]) == 10
    assert await store.count("main", ["dev_1"], ["spo2"], T0, T0 + 3 * SECOND) == 3


async def test_latest_of_each_device_and_metric(store: TimeSeriesStore):
    rows = [
        reading(5, value=90.0),
        reading(3, value=80.0),
        reading(4, metric="pulse_rate", value=70.0),
        reading(1, device="dev_2", value=60.0),
    ]
    await store.append("main", ReadingBatch.of(rows), origins(1, 2, 3, 4))
    assert (await store.latest("main", ["dev_1", "dev_2", "none"])).value == [70.0, 90.0, 60.0]
    assert (await store.latest("main", ["dev_2"])).value == [60.0]


async def test_tenants_do_not_see_each_other(store: TimeSeriesStore):
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    assert await store.append("other", ReadingBatch.of([reading(0)]), origins(1)) == [Outcome.NEW]
    assert len(await everything(store, "other")) == 1
    assert await everything(store, "third") == []


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
    store: TimeSeriesStore, bad: dict[str, object]
):
    with pytest.raises(StoreRejected):
        await store.append("main", ReadingBatch.of([reading(0), reading(1, **bad)]), origins(1, 2))
    with pytest.raises(StoreRejected):
        await store.append("main", ReadingBatch.of([reading(0)]), origins(1, 2))
    assert await everything(store) == []


async def test_many_origins_in_one_commit(store: TimeSeriesStore):
    one = Delivery(ReadingBatch.of([reading(0)]), origins(1))
    two = Delivery(ReadingBatch.of([reading(0), reading(1)]), origins(1, 2, gateway="gw-2"))
    assert await store.append_many("main", [one, two]) == [
        [Outcome.NEW],
        [Outcome.DUPLICATE, Outcome.NEW],
    ]
    assert await store.append_many("main", []) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1), st.integers(1, 4)), max_size=25
    )
)
def test_fake_and_real_agree(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int, int]]):
    async def compare() -> None:
        real = SqliteStore(tmp_path_factory.mktemp("s") / "series.db")
        fake = MemoryStore()
        try:
            for at, digest, ordinal, seq in rows:
                batch = ReadingBatch.of([reading(at, digest=digest, ordinal=ordinal)] * 2)
                delivered = origins(seq, seq + 1)
                assert await real.append("main", batch, delivered) == await fake.append(
                    "main", batch, delivered
                )
            mark = {(r.corrected, r.digest, r.ordinal) for r in await everything(real)}
            assert mark == {(r.corrected, r.digest, r.ordinal) for r in await everything(fake)}
            assert await real.count("main", ["dev_1"]) == len(mark)
        finally:
            await real.close()

    asyncio.run(compare())


async def test_sqlite_survives_reopening(tmp_path: Path):
    store = SqliteStore(tmp_path / "deep" / "series.db")
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    await store.close()
    store = SqliteStore(tmp_path / "deep" / "series.db")
    assert await store.append("main", ReadingBatch.of([reading(0), reading(1)]), origins(1, 2)) == [
        Outcome.SAME,
        Outcome.NEW,
    ]
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.append("main", ReadingBatch.of([reading(2)]), origins(3))


async def test_sqlite_reads_while_it_writes(tmp_path: Path):
    store = SqliteStore(tmp_path / "series.db")
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    async with asyncio.TaskGroup() as group:
        for i in range(1, 20):
            group.create_task(store.append("main", ReadingBatch.of([reading(i)]), origins(i + 1)))
            group.create_task(store.read("main", ["dev_1"], None, 0, FOREVER))
    assert await store.count("main", ["dev_1"]) == 20
    await store.close()


def test_sqlite_refuses_a_foreign_file(tmp_path: Path):
    path = tmp_path / "series.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    with pytest.raises(ConfigError, match="not a time-series store"):
        SqliteStore(path)
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at" * 20)
    with pytest.raises(ConfigError, match="cannot open"):
        SqliteStore(tmp_path / "text")
    with pytest.raises(ConfigError, match="cannot open"):
        SqliteStore(tmp_path / "text" / "series.db")


async def test_a_failed_write_leaves_no_half(tmp_path: Path):
    store = SqliteStore(tmp_path / "series.db")
    other = sqlite3.connect(tmp_path / "series.db", isolation_level=None)
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    await asyncio.to_thread(store._db.execute, "PRAGMA busy_timeout=1")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await store.append("main", ReadingBatch.of([reading(1, device="dev_2")]), origins(2))
    other.execute("ROLLBACK")
    other.close()
    assert await store.append("main", ReadingBatch.of([reading(1, device="dev_2")]), origins(2)) == [
        Outcome.NEW
    ]
    assert len(await everything(store)) == 2
    await store.close()
