"""A month of one signal at 1 Hz in the embedded store: how long trends take, before and after summing up."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.figures import Outcome
from bench.processes import work_folder
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.hours import HOUR_NS
from cloud_ingest.stores.sqlite import SqliteStore
from dashboards.trend_models import step_for
from hearthward.core.clock import SECOND
from hearthward.core.model import Reading, ReadingBatch

__all__ = ["measure"]

T0: Final = 1_767_225_600 * SECOND
DAY: Final = 24 * HOUR_NS
DAYS: Final = 30
TARGET_MS: Final = 1_000
_MORE: Final = """
INSERT INTO readings
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
SELECT series, key_time + i * 1000000000, mark, ordinal, corrected + i * 1000000000, received, device_time,
  60 + (i * 7919) % 40, code, digest, grp, source, author, quality, profile, origin, seq + i, error
FROM (SELECT * FROM readings LIMIT 1) CROSS JOIN n
"""


def measure() -> Outcome:
    """Fill a store, ask for trends, sum up, ask again."""
    return asyncio.run(_measure())


async def _measure() -> Outcome:
    rows = DAYS * 86_400
    outcome = Outcome(
        "trends", f"{rows:,} readings of one device and metric, SQLite, as trends of 600 points"
    )
    with work_folder() as folder:
        path = folder / "series.db"
        await _fill(path, rows - 1)
        store = SqliteStore(path)
        outcome.add("30 days, nothing summed up yet", await _asked(store, DAYS * DAY, 1), "ms")
        hours, took = await _summed_up(store)
        outcome.add("summing up one hour", took / hours * 1e3, "ms", note=f"{hours} hours, once each")
        outcome.add("30 days", await _asked(store, DAYS * DAY), "ms", target=TARGET_MS)
        outcome.add("24 hours", await _asked(store, DAY), "ms", target=TARGET_MS)
        outcome.add("1 hour", await _asked(store, HOUR_NS), "ms")
        late = [_reading(T0 + n * DAY + 1, n) for n in range(1, DAYS)]
        await store.append("main", ReadingBatch.of(late), Origins("gw", "late", [r.digest for r in late]))
        outcome.add("30 days, after a late reading on each", await _asked(store, DAYS * DAY), "ms")
        await store.close()
    return outcome


def _reading(at: int, digest: int = 0) -> Reading:
    return Reading("dev", "pulse_rate", 70.0, None, None, at, at, digest=digest, profile="p")


async def _fill(path: Path, more: int) -> None:
    store = SqliteStore(path)
    await store.append("main", ReadingBatch.of([_reading(T0)]), Origins("gw", "boot", [0]))
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(_MORE, (more,))


async def _summed_up(store: SqliteStore) -> tuple[int, float]:
    begun, after = time.perf_counter(), -1
    while True:
        claimed, after = await store.sum_up(after)
        if not claimed and after < 0:
            break
    return max(1, DAYS * 24 - 1), time.perf_counter() - begun


async def _asked(store: SqliteStore, length: int, times: int = 5) -> float:
    """Milliseconds of the slowest of several tries, up to the newest reading."""
    end, worst = T0 + DAYS * DAY, 0.0
    for _ in range(times):
        begun = time.perf_counter()
        step = step_for(end - length, end, 600)
        found = await store.summaries("main", "dev", "pulse_rate", end - length, end, step)
        worst = max(worst, time.perf_counter() - begun)
        if not found:
            msg = "a trend without points"
            raise RuntimeError(msg)
    return worst * 1e3
