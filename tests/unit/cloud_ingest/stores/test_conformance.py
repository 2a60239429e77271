"""The stores that need no server, under the suite of all; the fake beside the real one."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_ingest.stores import MemoryServer, MemoryStore, Outcome, SqliteStore, TimeSeriesStore
from cloud_ingest.stores.spool import SpooledStore
from cloud_ingest.stores.spool_file import SpoolFile
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.unit.cloud_ingest.stores.suite import StoreSuite, everything, origins, reading


class TestEmbedded(StoreSuite):
    @pytest.fixture(params=["memory", "server", "sqlite", "spooled"])
    async def store(self, request: pytest.FixtureRequest, tmp_path: Path):
        path = tmp_path / "series.db"
        made: TimeSeriesStore
        if request.param == "memory":
            made = MemoryStore()
        elif request.param == "server":
            made = MemoryServer()
        elif request.param == "sqlite":
            made = SqliteStore(path)
        else:
            made = SpooledStore(SpoolFile(path), MemoryServer(), clock=SystemClock(), telemetry=Telemetry())
        yield made
        await made.close()


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
            mark = {(r.corrected, r.digest, r.ordinal) for r in await everything(real, "main")}
            assert mark == {(r.corrected, r.digest, r.ordinal) for r in await everything(fake, "main")}
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
            group.create_task(everything(store, "main"))
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
    assert len(await everything(store, "main")) == 2
    await store.close()
