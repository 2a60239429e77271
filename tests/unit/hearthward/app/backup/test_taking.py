"""When rounds go on, wait, fail and are told; what comes back of them is in tests/component/app, too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloud_ingest.records import Records
from cloud_ingest.stores.archiving import ArchivingStore
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.app.backup import taking
from hearthward.app.backup.manifest import Manifest, Part, copy_database
from hearthward.app.backup.restoring import check
from hearthward.app.backup.taking import BASE_AGAIN_S, OLD_S, Continuous
from hearthward.core.clock import SECOND, EventClock, SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import SeededIds
from hearthward.core.lock import FileLock
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry

DAY = 86_400.0


@dataclass
class Share:
    """The disk that is copied to: a copy of ``held`` waits for ``go``, one of ``full`` fails."""

    clock: EventClock
    held: str = ""
    full: str = ""
    takes_s: float = 0.0
    hangs: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def copy(self, source: Path, folder: Path, name: str) -> Part:
        if source.name == self.held:
            self.hangs.set()
            assert self.go.wait(30)
        if source.name == self.full:
            msg = "no space left"
            raise ConfigError(msg, file=name)
        if source.name == "series.db":
            self.clock.advance(self.takes_s)
        return copy_database(source, folder, name)


class Kept:
    """A cloud's data, and the backup of it."""

    def __init__(self, folder: Path, share: Share) -> None:
        self.cloud, self.folder, self.share, self.clock = folder / "cloud", folder / "b", share, share.clock
        self.scratch, self.written = folder, 0
        self.cloud.mkdir()
        self.records = Records.open(self.cloud / "records.db", clock=SystemClock(), ids=SeededIds())
        self.inner = SqliteStore(self.cloud / "series.db")
        self.telemetry = Telemetry()
        self.backup = Continuous(
            self.cloud, self.folder, every_s=20, base_every_s=DAY, clock=self.clock, telemetry=self.telemetry
        )
        self.store = ArchivingStore(self.inner, self.backup.stored)

    async def write(self, n: int = 10) -> None:
        first = self.written + 1
        rows = [
            Reading(
                device="d",
                metric="spo2",
                value=90.0,
                code=None,
                device_time=None,
                received=i * SECOND,
                corrected=i * SECOND,
                digest=i,
            )
            for i in range(first, first + n)
        ]
        origins = Origins("gw", "boot", list(range(first, first + n)))
        await self.store.append("main", ReadingBatch.of(rows), origins)
        self.written += n

    async def found(self) -> int:
        """How many readings come back."""
        return (await check(self.folder, self.scratch, tenant="main", clock=SystemClock())).readings

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
async def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    share = Share(EventClock(frozen_monotonic=True))
    monkeypatch.setattr(taking, "copy_database", share.copy)
    made = Kept(tmp_path, share)
    made.folder.mkdir()
    yield made
    share.go.set()
    await made.inner.close()
    await made.records.close()


def series_of(manifest: Manifest) -> str:
    (name,) = [part.file for part in manifest.parts if part.target == "series.db"]
    return name


async def test_rounds_go_on_while_the_series_are_copied_anew(kept: Kept):
    await kept.write()
    first = await kept.backup.round()
    await kept.write()
    await kept.backup.round()
    kept.share.held = "series.db"
    kept.clock.advance(DAY)
    for _ in range(3):
        await kept.write()
        during = await kept.backup.round()
        assert series_of(during) == series_of(first)
        assert await kept.found() == kept.written
    assert len(during.archive) == 2
    kept.share.go.set()
    async with asyncio.timeout(30):
        while series_of(after := await kept.backup.round()) == series_of(first):
            await kept.write()
    assert len(after.archive) == 1
    await kept.write()
    last = await kept.backup.round()
    assert await kept.found() == kept.written
    assert kept.files() == last.files


async def test_a_new_whole_copy_that_fails_is_told_and_tried_again_later(kept: Kept):
    await kept.write()
    assert await kept.backup._round_safely()
    kept.share.full = "series.db"
    kept.clock.advance(DAY)
    async with asyncio.timeout(30):
        while await kept.backup._round_safely():  # it fails beside the rounds, which go on
            await kept.write()
    await kept.write()
    assert not await kept.backup._round_safely()
    assert await kept.found() == kept.written
    kept.share.full = ""
    assert not await kept.backup._round_safely()  # not at once: it may be the disk that is full
    kept.clock.advance(BASE_AGAIN_S)
    async with asyncio.timeout(30):
        while not await kept.backup._round_safely():
            await kept.write()
    await kept.write()
    await kept.backup.round()
    assert await kept.found() == kept.written
    assert len(Manifest.read(kept.folder).archive) == 1


async def test_more_than_can_wait_makes_a_new_whole_copy(kept: Kept, monkeypatch: pytest.MonkeyPatch):
    await kept.write()
    first = await kept.backup.round()
    monkeypatch.setattr(taking, "BUFFER", 100)
    await kept.write()
    await kept.write(1)
    assert series_of(await kept.backup.round()) != series_of(first)
    assert await kept.found() == kept.written


@pytest.mark.parametrize(("took", "pause"), [(0.5, 19.5), (3, 17), (8, 36), (15, 15), (25, 0), (40, 20)])
def test_a_pause_spares_the_disk_as_far_as_the_copy_stays_younger_than_a_minute(
    tmp_path: Path, took: float, pause: float
):
    clock = EventClock(frozen_monotonic=True)
    backup = Continuous(tmp_path, tmp_path, every_s=20, base_every_s=DAY, clock=clock, telemetry=Telemetry())
    clock.advance(took)
    assert backup._pause_s() == pytest.approx(pause)
    assert took > OLD_S / 2 or took + pause + took <= OLD_S


async def test_a_whole_copy_is_followed_by_no_long_pause(kept: Kept):
    kept.share.takes_s = 30
    await kept.backup.round()
    assert kept.backup._pause_s() == pytest.approx(20)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


@pytest.fixture
def told(kept: Kept) -> list[float]:
    """What is told, by a backup that goes round all the time."""
    kept.backup._every_s = 0.01
    return []


async def test_a_share_that_hangs_is_told_by_the_age_of_the_copy(
    kept: Kept, told: list[float], monkeypatch: pytest.MonkeyPatch
):
    task = asyncio.create_task(kept.backup.run(told.append))
    await until(lambda: 0.0 in told)
    kept.share.held = "records.db"
    await until(kept.share.hangs.is_set)
    kept.clock.advance(OLD_S + 1)
    await until(lambda: told[-1] == 1.0 and kept.backup.failing)
    assert kept.telemetry.value("backup_rounds_failed_total") == 0
    assert kept.telemetry.value("backup_age_seconds") > OLD_S
    kept.share.held = ""
    kept.share.go.set()
    await until(lambda: told[-1] == 0.0)
    # the end does not wait for what hangs
    kept.share.go.clear()
    kept.share.hangs.clear()
    kept.share.held = "records.db"
    await until(kept.share.hangs.is_set)
    kept.clock.advance(OLD_S + 1)
    await until(lambda: told[-1] == 1.0)
    monkeypatch.setattr(taking, "CLOSE_S", 0.01)
    task.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait([task])
    with pytest.raises(ConfigError, match="in use"):
        FileLock(kept.folder / ".lock", "it").acquire()
    kept.share.go.set()
    again = FileLock(kept.folder / ".lock", "it")
    await until(lambda: taken(again))
    again.release()


def taken(lock: FileLock) -> bool:
    try:
        lock.acquire()
    except ConfigError:
        return False
    return True


async def test_a_folder_in_use_or_that_cannot_be_made_is_told_and_tried_again(kept: Kept, told: list[float]):
    other = FileLock(kept.folder / ".lock", "another cloud's")
    other.acquire()
    task = asyncio.create_task(kept.backup.run(told.append))
    await until(lambda: len(told) > 2)
    assert set(told) == {1.0}
    other.release()
    (kept.folder / ".lock").unlink()
    kept.folder.rmdir()
    kept.folder.write_text("a share that is not mounted")
    rounds = kept.telemetry.value("backup_rounds_failed_total")
    await until(lambda: kept.telemetry.value("backup_rounds_failed_total") > rounds + 2)
    assert set(told) == {1.0}
    kept.folder.unlink()
    await until(lambda: told[-1] == 0.0)
    task.cancel()
    await asyncio.wait([task])


async def test_nothing_is_said_to_be_well_before_a_round_has_succeeded(kept: Kept, told: list[float]):
    kept.share.held = "series.db"
    task = asyncio.create_task(kept.backup.run(told.append))
    await until(kept.share.hangs.is_set)
    await asyncio.sleep(0.03)  # it has looked, more than once
    assert told == []
    kept.share.go.set()
    await until(lambda: bool(told))
    assert 1.0 not in told
    task.cancel()
    await asyncio.wait([task])
