"""Backups of a cloud that is being written to, and the way back, with real files and the real stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from cloud_ingest.records import Records
from cloud_ingest.stores.archiving import ArchivingStore
from cloud_ingest.stores.base import FOREVER, Origins
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.waves import SqliteWaves, WaveParcel
from hearthward.app.backup.manifest import MANIFEST, Manifest
from hearthward.app.backup.restoring import check, restore
from hearthward.app.backup.taking import Continuous, take_once
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import SeededIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from tests.unit.cloud_ingest.waves.made import chunk

CLOCK = SystemClock()
SCOPE = Scope.system("main")


def batch(first: int, n: int) -> ReadingBatch:
    return ReadingBatch.of(
        [
            Reading(
                device="d",
                metric="spo2",
                value=90 + i % 10,
                code=None,
                device_time=None,
                received=i * SECOND,
                corrected=i * SECOND,
                digest=i,
            )
            for i in range(first, first + n)
        ]
    )


class Cloud:
    """A cloud's data being written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cloud"
        self.folder.mkdir(parents=True)
        (self.folder / "answers.key").write_bytes(b"k" * 32)
        (self.folder / "token").write_text("of the running process")
        self.records = Records.open(self.folder / "records.db", clock=CLOCK, ids=SeededIds())
        self.store = SqliteStore(self.folder / "series.db")
        self.seq = 0
        self.wards = 0

    async def write(self, store: SqliteStore | ArchivingStore, n: int) -> None:
        seqs = list(range(self.seq + 1, self.seq + n + 1))
        await store.append("main", batch(self.seq + 1, n), Origins("gw", "boot", seqs))
        self.seq += n
        await self.records.run(lambda s: self.records.directory(s).wards.create(SCOPE, name=f"w{self.seq}"))
        self.wards += 1

    async def close(self) -> None:
        await self.store.close()
        await self.records.close()


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    made = Cloud(tmp_path / "data")
    yield made
    await made.close()


async def found(data: Path) -> tuple[int, int]:
    """(readings, wards) of restored data."""
    store = SqliteStore(data / "cloud" / "series.db")
    records = Records.open(data / "cloud" / "records.db", clock=CLOCK, ids=SeededIds(1))
    try:
        rows = await store.read("main", ["d"], None, 0, FOREVER)
        assert rows.digest == list(range(1, len(rows) + 1))
        wards = await records.read(lambda s: len(records.directory(s).wards.list(SCOPE)))
    finally:
        await store.close()
        await records.close()
    return len(rows), wards


async def test_a_backup_taken_while_it_is_written_to_comes_back_whole(cloud: Cloud, tmp_path: Path):
    await cloud.write(cloud.store, 500)
    taking = asyncio.create_task(asyncio.to_thread(take_once, cloud.folder, tmp_path / "b", CLOCK))
    while not taking.done():
        await cloud.write(cloud.store, 10)
        await asyncio.sleep(0)
    manifest = await taking
    assert manifest.counts["users"] == 0
    done = await restore(tmp_path / "b", tmp_path / "new", tenant="main", clock=CLOCK)
    readings, wards = await found(tmp_path / "new")
    assert done.readings == readings >= 500
    # never a ward (entered after its readings) without the readings
    assert 1 <= wards <= 1 + (readings - 500) // 10
    restored = tmp_path / "new" / "cloud"
    assert (restored / "answers.key").read_bytes() == b"k" * 32
    assert not (restored / "token").exists()
    assert {p.stat().st_mode & 0o777 for p in restored.iterdir()} == {0o600}
    assert not list((tmp_path / "new").glob("cloud.*"))


async def test_a_continuous_backup_has_all_that_was_there_when_its_round_began(cloud: Cloud, tmp_path: Path):
    await cloud.write(cloud.store, 100)
    telemetry, folder = Telemetry(), tmp_path / "b"
    kept = Continuous(cloud.folder, folder, every_s=0.01, base_every_s=1e9, clock=CLOCK, telemetry=telemetry)
    store = ArchivingStore(cloud.store, kept.stored)
    told: list[float] = []
    task = asyncio.create_task(kept.run(told.append))
    least = (0, 0)
    for n in range(1, 13):
        rounds = telemetry.value("backup_rounds_total")
        await cloud.write(store, 50)
        least = (cloud.seq, cloud.wards)
        async with asyncio.timeout(30):
            while telemetry.value("backup_rounds_total") < rounds + 2:  # noqa: ASYNC110 - the next whole round
                await asyncio.sleep(0.005)
        if n % 4 == 0:
            done = await check(folder, tmp_path, tenant="main", clock=CLOCK)
            assert done.readings >= least[0]
            assert done.replayed >= 50 * n - 50
    task.cancel()
    await asyncio.wait([task])
    assert set(told) == {0.0}
    await restore(folder, tmp_path / "new", tenant="main", clock=CLOCK)
    assert await found(tmp_path / "new") == least
    # what the round under way had begun may lie there, too; the next one removes it
    there = {p.name for p in folder.iterdir()}
    assert there >= Manifest.read(folder).files
    assert len(there - Manifest.read(folder).files - {".lock"}) <= 1


async def test_a_crash_in_the_middle_of_a_round_leaves_the_backup_before_it(cloud: Cloud, tmp_path: Path):
    await cloud.write(cloud.store, 100)
    folder = tmp_path / "b"
    kept = Continuous(cloud.folder, folder, every_s=1, base_every_s=1e9, clock=CLOCK, telemetry=Telemetry())
    folder.mkdir()
    await kept.round()
    # what a process leaves behind that dies before its manifest stands
    (folder / "records-000000777.db").write_bytes(b"half")
    (folder / "archive-000000777.log").write_bytes(b"half")
    assert (await check(folder, tmp_path, tenant="main", clock=CLOCK)).readings == 100
    await cloud.write(cloud.store, 5)
    again = Continuous(cloud.folder, folder, every_s=1, base_every_s=1e9, clock=CLOCK, telemetry=Telemetry())
    await asyncio.to_thread(again._open)
    await again.round()
    again._lock.release()
    assert (await check(folder, tmp_path, tenant="main", clock=CLOCK)).readings == 105
    assert not list(folder.glob("*777*"))


async def test_a_place_that_cannot_be_written_is_told_and_tried_again(cloud: Cloud, tmp_path: Path):
    await cloud.write(cloud.store, 10)
    folder, telemetry = tmp_path / "b", Telemetry()
    kept = Continuous(cloud.folder, folder, every_s=0.01, base_every_s=1e9, clock=CLOCK, telemetry=telemetry)
    (folder / "records-000000001.db").mkdir(parents=True)
    told: list[float] = []
    task = asyncio.create_task(kept.run(told.append))
    async with asyncio.timeout(30):
        while 0.0 not in told:  # noqa: ASYNC110 - the round after the one that fails
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])
    assert told[0] == 1.0
    assert telemetry.value("backup_rounds_failed_total") == 1
    with suppress(OSError):
        (folder / "records-000000001.db").rmdir()
    assert (await check(folder, tmp_path, tenant="main", clock=CLOCK)).readings == 10


async def test_damage_to_any_file_of_a_backup_is_found_and_nothing_is_restored(cloud: Cloud, tmp_path: Path):
    await cloud.write(cloud.store, 50)
    folder = tmp_path / "b"
    await asyncio.to_thread(take_once, cloud.folder, folder, CLOCK)
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        middle = len(good) // 2
        path.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        if path.name != MANIFEST:
            with pytest.raises(ConfigError, match="is damaged"):
                await restore(folder, tmp_path / "new", tenant="main", clock=CLOCK)
        path.write_bytes(good[:middle])
        with pytest.raises(ConfigError, match="is damaged"):
            await restore(folder, tmp_path / "new", tenant="main", clock=CLOCK)
        path.unlink()
        with pytest.raises(ConfigError):
            await restore(folder, tmp_path / "new", tenant="main", clock=CLOCK)
        path.write_bytes(good)
    assert {p.name for p in (tmp_path / "new" / "cloud").iterdir()} == {".lock"}
    await restore(folder, tmp_path / "new", tenant="main", clock=CLOCK)


async def test_data_that_is_there_is_kept_and_only_moved_when_asked(cloud: Cloud, tmp_path: Path):
    await cloud.write(cloud.store, 50)
    await asyncio.to_thread(take_once, cloud.folder, tmp_path / "b", CLOCK)
    with pytest.raises(ConfigError, match="new or empty"):
        await asyncio.to_thread(take_once, cloud.folder, tmp_path / "b", CLOCK)
    with pytest.raises(ConfigError, match="nothing to back up"):
        await asyncio.to_thread(take_once, tmp_path / "none", tmp_path / "c", CLOCK)
    await restore(tmp_path / "b", tmp_path / "new", tenant="main", clock=CLOCK)
    with pytest.raises(ConfigError, match="already holds data"):
        await restore(tmp_path / "b", tmp_path / "new", tenant="main", clock=CLOCK)
    done = await restore(tmp_path / "b", tmp_path / "new", tenant="main", clock=CLOCK, force=True)
    assert done.before is not None
    assert (done.before / "records.db").exists()
    assert "50 readings" in done.text()


async def test_waveforms_are_in_no_backup_and_begin_anew(cloud: Cloud, tmp_path: Path):
    await cloud.write(cloud.store, 5)
    waves = SqliteWaves(cloud.folder / "waves.db")
    assert await waves.append("main", [WaveParcel("gw", [chunk()])]) == 1
    (cloud.folder / "waves.db.garbled").write_bytes(b"what was damaged")
    (cloud.folder / "waves.db.garbled-wal").write_bytes(b"and its log")
    manifest = await asyncio.to_thread(take_once, cloud.folder, tmp_path / "b", CLOCK)
    await waves.close()
    assert not [part.target for part in manifest.parts if "waves" in part.target]
    await restore(tmp_path / "b", tmp_path / "new", tenant="main", clock=CLOCK)
    waves = SqliteWaves(tmp_path / "new" / "cloud" / "waves.db")
    assert await waves.append("main", [WaveParcel("gw", [chunk()])]) == 1, "there was none"
    await waves.close()


def test_a_manifest_names_no_files_elsewhere(tmp_path: Path):
    part = {"file": "../x", "target": "records.db", "size": 1, "digest": "0"}
    content = {"format": 1, "moment": 1, "parts": [part], "archive": [], "software": "1", "counts": {}}
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="outside the folder"):
        Manifest.read(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps(content | {"format": 2}))
    with pytest.raises(ConfigError, match="format 2"):
        Manifest.read(tmp_path)
