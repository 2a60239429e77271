"""Closed hours that are summed up once: the answer is the same with and without them, whatever comes late."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from cloud_ingest.stores import FOREVER, SqliteStore
from cloud_ingest.stores.hours import HOUR_NS, Claim, added_up
from cloud_ingest.stores.spool_file import SpoolFile
from cloud_ingest.stores.sqlite import SCHEMA_VERSION
from cloud_ingest.stores.summaries import Summary, summed_up
from hearthward.core.errors import ConfigError
from hearthward.core.model import ReadingBatch
from tests.unit.cloud_ingest.stores.suite import SECOND, T0, close, everything, origins, reading

HOUR = HOUR_NS // SECOND


@pytest.fixture
async def store(tmp_path: Path):
    made = SqliteStore(tmp_path / "series.db")
    yield made
    await made.close()


async def add(store: SqliteStore, *at: int, seq: int = 1, value: float = 90.0) -> None:
    rows = [reading(s, value=value + s % 9, digest=seq * 10_000 + n) for n, s in enumerate(at)]
    await store.append("main", ReadingBatch.of(rows), origins(*range(seq * 10_000, seq * 10_000 + len(rows))))


async def sum_all_up(store: SqliteStore) -> None:
    after = -1
    while True:
        claimed, after = await store.sum_up(after)
        if not claimed and after < 0:
            return


def kept(path: Path) -> dict[int, int]:
    """Hour (from T0) -> how many readings its sum is of."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT hour, count FROM hours").fetchall()
    db.close()
    return {hour - T0 // HOUR_NS: count for hour, count in rows}


async def by_hand(store: SqliteStore, start: int, end: int, step: int) -> list[Summary]:
    return summed_up(await store.read("main", ["dev_1"], ["spo2"], start, end), step)


async def test_hours_are_summed_up_once_they_are_closed(store: SqliteStore, tmp_path: Path):
    await add(store, *range(0, 2 * HOUR, 60), 9 * HOUR)
    assert kept(tmp_path / "series.db") == {}
    await sum_all_up(store)
    assert kept(tmp_path / "series.db") == {0: 60, 1: 60}  # the newest goes on; empty ones take no room
    await add(store, 9 * HOUR + 5, 10 * HOUR, seq=2)
    await sum_all_up(store)
    assert kept(tmp_path / "series.db") == {0: 60, 1: 60, 9: 2}


async def test_a_late_reading_takes_the_sum_of_its_hour_out(store: SqliteStore, tmp_path: Path):
    await add(store, *range(0, 3 * HOUR, 600))
    await sum_all_up(store)
    assert kept(tmp_path / "series.db") == {0: 6, 1: 6}
    await add(store, HOUR + 7, seq=2, value=40.0)
    assert kept(tmp_path / "series.db") == {0: 6}
    for _ in range(2):  # before and after it is made anew
        found = await store.summaries("main", "dev_1", "spo2", T0, T0 + 3 * HOUR_NS, HOUR_NS)
        assert found[1].low < 50
        assert [s.count for s in found] == [6, 7, 6]
        await sum_all_up(store)
    assert kept(tmp_path / "series.db") == {0: 6, 1: 7}


async def test_a_reading_that_comes_while_its_hour_is_added_up_is_not_left_out(
    store: SqliteStore, tmp_path: Path
):
    await add(store, 5, 2 * HOUR)
    claim, _ = store._hours.next_claim(store._db, -1)
    assert claim is not None
    await store._in(store._writer, lambda: store._hours.claim(store._db, claim))
    sums = added_up(store._db, claim.series, claim.first * HOUR_NS, claim.stop * HOUR_NS, HOUR_NS)
    await add(store, 6, seq=2)
    await store._in(store._writer, lambda: store._hours.keep(store._db, claim, sums))
    assert kept(tmp_path / "series.db") == {}
    assert (await store.summaries("main", "dev_1", "spo2", 0, FOREVER, HOUR_NS))[0].count == 2
    await sum_all_up(store)
    assert kept(tmp_path / "series.db") == {0: 2}


async def test_what_could_not_be_summed_up_is_tried_again(store: SqliteStore, tmp_path: Path):
    await add(store, 5, HOUR)
    claim = Claim(1, T0 // HOUR_NS, T0 // HOUR_NS + 1)
    await store._in(store._writer, lambda: store._hours.claim(store._db, claim))
    await store._in(store._writer, lambda: store._hours.give_back(claim))
    await sum_all_up(store)
    assert kept(tmp_path / "series.db") == {0: 1}


@pytest.mark.parametrize("seed", range(6))
async def test_the_answer_never_depends_on_what_is_summed_up(store: SqliteStore, seed: int):
    draw = random.Random(seed)
    for seq in range(1, 25):
        base = draw.choice((0, seq * HOUR // 4))
        await add(store, *(base + draw.randrange(2 * HOUR) for _ in range(draw.randrange(1, 12))), seq=seq)
        if draw.random() < 0.4:
            await store.sum_up()
        start, end = sorted(T0 + draw.randrange(10 * HOUR) * SECOND + draw.randrange(9) for _ in "ab")
        for step in (HOUR_NS, 2 * HOUR_NS, HOUR_NS // 2, 7 * HOUR_NS):
            found = await store.summaries("main", "dev_1", "spo2", start, end, step)
            assert close(found, await by_hand(store, start, end, step))


async def test_the_sums_are_made_in_the_background(store: SqliteStore, tmp_path: Path):
    await add(store, 1, HOUR)
    told: list[str | None] = []
    running = asyncio.create_task(store.run(told.append))
    async with asyncio.timeout(10):
        while not kept(tmp_path / "series.db"):  # noqa: ASYNC110 - another thread's file
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert told == [None]


async def test_a_file_of_an_earlier_version_gets_its_sums_and_a_later_one_is_refused(tmp_path: Path):
    path = tmp_path / "series.db"
    store = SqliteStore(path)
    await add(store, *range(0, 2 * HOUR, 600))
    await store.close()
    with sqlite3.connect(path) as db:
        db.executescript("DROP TABLE hours; PRAGMA user_version=1;")
    db.close()
    reader = SqliteStore(path, read_only=True)
    before = await reader.summaries("main", "dev_1", "spo2", T0, T0 + 2 * HOUR_NS, HOUR_NS)
    await reader.close()
    store = SqliteStore(path)
    await sum_all_up(store)
    assert kept(path) == {0: 6}
    assert close(await store.summaries("main", "dev_1", "spo2", T0, T0 + 2 * HOUR_NS, HOUR_NS), before)
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(ConfigError, match="newer release"):
        SqliteStore(path)


async def test_a_file_of_the_release_before_is_read_as_it_is_and_gets_the_errors_when_written(tmp_path: Path):
    path = tmp_path / "series.db"
    store = SqliteStore(path)
    await add(store, 1)
    await store.close()
    with sqlite3.connect(path) as db:
        db.executescript("ALTER TABLE readings DROP COLUMN error; PRAGMA user_version=2;")
    db.close()
    reader = SqliteStore(path, read_only=True)
    (old,) = await everything(reader, "main")
    assert old.error is None
    await reader.close()
    store = SqliteStore(path)
    await store.append("main", ReadingBatch.of([reading(2, error=5)]), origins(2))
    assert [r.error for r in await everything(store, "main")] == [None, 5]
    await store.close()
    again = SqliteStore(path)
    assert await again.count("main", ["dev_1"]) == 2
    await again.close()


async def test_a_file_that_becomes_a_spool_keeps_no_sums(store: SqliteStore, tmp_path: Path):
    await add(store, 1, HOUR)
    await sum_all_up(store)
    await store.close()
    spool = SpoolFile(tmp_path / "series.db")
    assert kept(tmp_path / "series.db") == {}
    await spool.close()
