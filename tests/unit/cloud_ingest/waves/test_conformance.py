"""One suite over the fake and the real store of waveforms."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_ingest.stores.base import FOREVER
from cloud_ingest.waves import Held, MemoryWaves, NoWaves, RenewingWaves, SqliteWaves, WaveParcel, WaveStore
from cloud_ingest.waves.base import LEAST
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import ConfigError, StoreRejected, StoreUnavailable
from hearthward.core.telemetry import Telemetry
from hearthward.core.waves import WaveformChunk
from tests.unit.cloud_ingest.waves.made import T0, chunk

KEPT = 1 << 30


@pytest.fixture(params=["fake", "sqlite", "renewing"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[WaveStore]:
    made: WaveStore = MemoryWaves()
    if request.param == "sqlite":
        made = SqliteWaves(tmp_path / "waves.db")
    elif request.param == "renewing":
        made = await RenewingWaves.open(tmp_path / "waves.db", clock=EventClock(T0), telemetry=Telemetry())
    yield made
    await made.close()


def parcel(*chunks: WaveformChunk, gateway: str = "gw-1") -> WaveParcel:
    return WaveParcel(gateway, chunks)


async def everything(store: WaveStore, device: str = "dev_1", tenant: str = "main") -> list[WaveformChunk]:
    return list(await store.read(tenant, device, "pleth", 0, FOREVER))


async def test_gives_back_what_it_was_given_in_order_of_time(store: WaveStore):
    made = [
        chunk(0),
        chunk(1, quality=16, unit=None, scale=-0.25, profile="p", samples=tuple(range(-500, 1000))),
        chunk(2, samples=(-(2**31), 2**31 - 1), run=2**63 - 1, first=2**63 - 1),
        chunk(3, samples=(0,)),
    ]
    assert await store.append("main", [parcel(made[2], made[0]), parcel(made[1], made[3])]) == 4
    assert await everything(store) == sorted(made, key=lambda c: c.corrected)


async def test_the_same_again_is_there_once_and_its_first_content_stays(store: WaveStore):
    assert await store.append("main", [parcel(chunk(0), chunk(1))]) == 2
    other = replace(chunk(1), samples=(1, 2, 3))
    assert await store.append("main", [parcel(chunk(0), other, chunk(2), chunk(2))]) == 1
    assert await everything(store) == [chunk(0), chunk(1), chunk(2)]


async def test_tenants_gateways_devices_metrics_and_runs_are_told_apart(store: WaveStore):
    others = [replace(chunk(0), **{k: v}) for k, v in (("device", "dev_2"), ("metric", "ecg"), ("run", 8))]
    assert await store.append("main", [parcel(chunk(0), *others)]) == 4
    assert await store.append("main", [parcel(chunk(0), gateway="gw-2")]) == 1
    assert await store.append("other", [parcel(chunk(0))]) == 1
    assert len(await everything(store)) == 3
    assert await everything(store, "dev_2") == [others[0]]
    assert await everything(store, tenant="nobody") == []


async def test_reads_whole_chunks_that_reach_into_a_period(store: WaveStore):
    await store.append("main", [parcel(*(chunk(n) for n in range(10)))])

    async def firsts(start: float, end: float, **more: int) -> list[int]:
        a, b = T0 + round(start * SECOND), T0 + round(end * SECOND)
        return [c.first // 75 for c in await store.read("main", "dev_1", "pleth", a, b, **more)]

    assert await firsts(2, 4) == [2, 3]
    assert await firsts(2.5, 4.5) == [2, 3, 4]
    assert await firsts(2.99, 3.0) == [], "after its last sample there is nothing"
    assert await firsts(0, 10, most=150) == [0, 1]
    assert await firsts(0, 10, most=151) == [0, 1, 2]
    assert await firsts(20, 30) == []


async def test_many_small_chunks_are_not_read_without_bound(store: WaveStore):
    small = [chunk(n, size=1, first=n, begins=T0 + n) for n in range(200)]
    await store.append("main", [parcel(*small)])
    assert len(await store.read("main", "dev_1", "pleth", T0, T0 + SECOND, most=1000)) == 1000 // LEAST


async def test_times_that_no_sample_can_have_are_asked_for_in_vain(store: WaveStore):
    await store.append("main", [parcel(chunk(0))])
    for start, end in ((2**64, 2**65), (-(2**65), -(2**64))):
        assert await store.read("main", "dev_1", "pleth", start, end) == []
        assert await store.held("main", ["dev_1"], start, end) == []


async def test_says_which_waveforms_there_are_and_since_when(store: WaveStore):
    await store.append("main", [parcel(*(chunk(n) for n in range(3)), chunk(9, device="dev_2"))])
    await store.append("main", [parcel(chunk(5, metric="ecg")), parcel(chunk(8), gateway="gw-2")])
    both = ["dev_1", "dev_2", "dev_3"]
    assert list(await store.held("main", both, 0, FOREVER)) == [
        Held("dev_1", "ecg", chunk(5).begins, chunk(5).corrected),
        Held("dev_1", "pleth", T0, chunk(8).corrected),
        Held("dev_2", "pleth", chunk(9).begins, chunk(9).corrected),
    ]
    start, end = T0 + SECOND // 2, T0 + 2 * SECOND
    assert list(await store.held("main", both, start, end)) == [
        Held("dev_1", "pleth", start, chunk(1).corrected)
    ]
    assert list(await store.held("main", [], 0, FOREVER)) == []
    assert list(await store.held("nobody", both, 0, FOREVER)) == []


async def test_drops_what_is_old_and_then_the_oldest_of_what_is_too_much(store: WaveStore):
    await store.append("main", [parcel(*(chunk(n) for n in range(100)))])
    assert await store.prune(T0 + 40 * SECOND, KEPT) == 40
    assert (await everything(store))[0] == chunk(40)
    assert await store.prune(T0 + 40 * SECOND, KEPT) == 0
    assert await store.append("main", [parcel(chunk(40))]) == 0
    assert await store.prune(0, 0) > 0
    assert await everything(store) == []
    assert await store.append("main", [parcel(chunk(101))]) == 1, "there is room again"


async def test_who_sends_much_drives_out_nobody_else(store: WaveStore):
    quiet = [chunk(n) for n in range(100)]
    await store.append("main", [parcel(*quiet)])
    await store.append("main", [parcel(*quiet, gateway="gw-2")])
    loud = [chunk(n + 1000, device="dev_2", metric=m) for n in range(1000) for m in ("pleth", "ecg")]
    await store.append("main", [parcel(*loud, gateway="gw-2")])
    assert await store.prune(0, 300_000) > 0
    assert await everything(store) == sorted(quiet * 2, key=lambda c: c.corrected), "nothing of theirs went"
    left = await everything(store, "dev_2")
    assert 0 < len(left) < 1000
    assert left == [c for c in loud if c.metric == "pleth"][-len(left) :], "the newest are left"


async def test_those_who_have_most_end_with_as_much_as_each_other(store: WaveStore):
    for n, gateway in ((3000, "gw-1"), (1500, "gw-2"), (200, "gw-3")):
        await store.append("main", [parcel(*(chunk(i, device=gateway) for i in range(n)), gateway=gateway)])
    await store.prune(0, 400_000)
    left = {gateway: len(await everything(store, gateway)) for gateway in ("gw-1", "gw-2", "gw-3")}
    assert left["gw-3"] == 200
    assert abs(left["gw-1"] - left["gw-2"]) <= 500, "a batch of the file's"
    assert left["gw-1"] < 1500


async def test_a_file_of_before_knows_who_has_how_much(tmp_path: Path):
    path = tmp_path / "waves.db"
    store = SqliteWaves(path)
    await store.append("main", [parcel(chunk(0), chunk(1)), parcel(chunk(2), gateway="gw-2")])
    await store.close()
    with sqlite3.connect(path) as db:
        now = db.execute("SELECT * FROM series").fetchall()
        db.executescript(
            "DROP TRIGGER chunk_comes; DROP TRIGGER chunk_goes; ALTER TABLE series DROP COLUMN bytes;"
            "PRAGMA user_version=1;"
        )
    db.close()
    store = SqliteWaves(path)
    assert len(await everything(store)) == 3
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT * FROM series").fetchall() == now
        assert all(row[-1] > 0 for row in now)
    await store.append("main", [parcel(chunk(3))])
    await store.prune(2**62, KEPT)
    assert [row[-1] for row in db.execute("SELECT * FROM series")] == [0, 0], "what goes is no more"
    db.close()
    await store.close()


async def test_what_is_too_much_goes_without_what_is_newest_whenever_it_came(tmp_path: Path):
    store = SqliteWaves(tmp_path / "waves.db")
    noise = random.Random(7)
    made = [
        replace(chunk(n), samples=tuple(noise.randrange(-(2**31), 2**31) for _ in range(75)))
        for n in range(2000)
    ]
    await store.append("main", [parcel(*made[1000:])])
    await store.append("main", [parcel(*made[:1000])])  # what is older came later
    assert await store.prune(0, 1 << 30) == 0
    gone = await store.prune(0, 600_000)
    assert 0 < gone < 2000
    assert await everything(store) == made[gone:]
    await store.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"samples": ()}, "0 samples"),
        ({"samples": (1,) * 4097}, "4097 samples"),
        ({"samples": (2**31,)}, "32 bits"),
        ({"samples": (1,) * 100, "rate_hz": 0.5}, "longer than 120 s"),
        ({"rate_hz": 0.0}, "rate 0 Hz"),
        ({"rate_hz": float("nan")}, "rate nan Hz"),
        ({"scale": float("inf")}, "scale inf"),
        ({"device": ""}, "without device"),
        ({"run": 2**63}, "outside"),
        ({"corrected": -1}, "outside"),
    ],
)
async def test_refuses_what_no_store_may_take_and_keeps_nothing_of_it(
    store: WaveStore, change: dict[str, object], said: str
):
    with pytest.raises(StoreRejected, match=said):
        await store.append("main", [parcel(chunk(0)), parcel(replace(chunk(1), **change))])
    assert await everything(store) == []


async def test_a_reopened_file_has_it_all(tmp_path: Path):
    store = SqliteWaves(tmp_path / "waves.db")
    await store.append("main", [parcel(chunk(0))])
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.append("main", [parcel(chunk(1))])
    store = SqliteWaves(tmp_path / "waves.db")
    assert await store.append("main", [parcel(chunk(0), chunk(1))]) == 1
    assert await everything(store) == [chunk(0), chunk(1)]
    await store.close()


async def test_a_chunk_that_the_disk_has_changed_is_a_gap(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    store = SqliteWaves(tmp_path / "waves.db")
    await store.append("main", [parcel(chunk(0), chunk(1), chunk(2))])
    with sqlite3.connect(tmp_path / "waves.db") as db:
        body = bytearray(db.execute("SELECT body FROM chunks WHERE first = 75").fetchone()[0])
        body[20] ^= 4
        db.execute("UPDATE chunks SET body = ? WHERE first = 75", (bytes(body),))
    db.close()
    assert await everything(store) == [chunk(0), chunk(2)]
    assert "dev_1" in caplog.text
    await store.close()


async def test_another_programs_file_is_left_alone(tmp_path: Path):
    path = tmp_path / "waves.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(ConfigError, match="not a store of waveforms"):
        SqliteWaves(path)
    path.unlink()
    await SqliteWaves(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(ConfigError, match="newer release"):
        SqliteWaves(path)


async def test_who_goes_away_meanwhile_does_not_tear_a_parcel(tmp_path: Path):
    store = SqliteWaves(tmp_path / "waves.db")
    task = asyncio.create_task(store.append("main", [parcel(*(chunk(n) for n in range(200)))]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await everything(store)) in {0, 200}
    await store.close()


async def test_a_cloud_without_a_place_for_them_refuses_them():
    store = NoWaves()
    with pytest.raises(StoreRejected, match="2 chunks"):
        await store.append("main", [parcel(chunk(0), chunk(1))])
    assert await store.read("main", "dev_1", "pleth", 0, FOREVER) == []
    assert await store.held("main", ["dev_1"], 0, FOREVER) == []
    assert await store.prune(0, 0) == 0
    await store.close()
