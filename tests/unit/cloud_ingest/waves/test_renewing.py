"""A file of waveforms that is damaged within: moved aside by whatever comes upon it, and begun anew."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cloud_ingest.stores.base import FOREVER
from cloud_ingest.waves import RenewingWaves, SqliteWaves, WaveParcel, WaveStore
from cloud_ingest.waves.renewing import AWAY_S, RENEWED_EVERY_S
from hearthward.core.clock import EventClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.telemetry import Telemetry
from tests.unit.cloud_ingest.waves.made import T0, chunk

PAGE = 4096


class Rig:
    """The store over ``path``, and what it says."""

    def __init__(self, path: Path) -> None:
        self.path, self.garbled = path, path.with_name("waves.db.garbled")
        self.clock = EventClock(T0, frozen_monotonic=True)
        self.telemetry = Telemetry()

    async def open(self) -> RenewingWaves:
        return await RenewingWaves.open(self.path, clock=self.clock, telemetry=self.telemetry)

    @property
    def renewed(self) -> float:
        return self.telemetry.value("wave_store_garbled_total")

    async def damaged(self) -> bytes:
        """Make a file whose header and table of contents are whole, and nothing behind them."""
        store = SqliteWaves(self.path)
        await store.append("main", [WaveParcel("gw", [chunk(n) for n in range(300)])])
        await store.close()
        content = self.path.read_bytes()
        content = content[:PAGE] + b"\xa5" * (len(content) - PAGE)
        self.path.write_bytes(content)
        return content


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "waves.db")


def told_by(store: WaveStore) -> tuple[list[str | None], asyncio.Task[None]]:
    told: list[str | None] = []
    return told, asyncio.create_task(store.run(told.append))


def parcel(n: int = 0) -> list[WaveParcel]:
    return [WaveParcel("gw", [chunk(n)])]


USES: dict[str, Callable[[WaveStore], Awaitable[object]]] = {
    "append": lambda store: store.append("main", parcel()),
    "read": lambda store: store.read("main", "dev_1", "pleth", 0, FOREVER),
    "held": lambda store: store.held("main", ["dev_1"], 0, FOREVER),
    "prune": lambda store: store.prune(0, 1 << 30),
}


@pytest.mark.parametrize("use", sorted(USES))
async def test_whatever_comes_upon_the_damage_gets_its_answer_of_a_new_file(
    rig: Rig, use: str, caplog: pytest.LogCaptureFixture
):
    content = await rig.damaged()
    store = await rig.open()
    assert rig.renewed == 0, "the start does not read all of it"
    with caplog.at_level(logging.ERROR):
        assert await USES[use](store) in ([], 0, 1)
    assert rig.renewed == 1
    assert rig.garbled.read_bytes() == content
    assert "waves.db.garbled" in caplog.text
    assert await store.append("main", parcel(1)) == 1
    assert chunk(1) in await store.read("main", "dev_1", "pleth", 0, FOREVER)
    assert rig.renewed == 1
    await store.close()


def harmed(content: bytes, rng: random.Random) -> bytes:
    """The file with bytes changed, a page lost, or its end."""
    out, page = bytearray(content), rng.randrange(1, len(content) // PAGE) * PAGE
    match rng.choice(["bytes", "names", "page", "zeros", "end"]):
        case "bytes":
            for _ in range(20):
                out[rng.randrange(100, len(out))] = rng.randrange(256)
        case "names":  # of tables and their columns
            for _ in range(20):
                out[rng.randrange(PAGE // 2, PAGE)] = rng.randrange(128, 256)
        case "page":
            out[page : page + PAGE] = rng.randbytes(PAGE)
        case "zeros":
            out[page : page + PAGE] = bytes(PAGE)
        case "end":
            del out[rng.randrange(PAGE, len(out)) :]
    return bytes(out)


async def test_no_damage_comes_out_as_anything_else(rig: Rig):
    store: WaveStore = SqliteWaves(rig.path)
    await store.append("main", [WaveParcel("gw", [chunk(n) for n in range(150)])])
    await store.close()
    content, rng = rig.path.read_bytes(), random.Random(5)
    for _ in range(25):
        for part in rig.path.parent.glob("waves.db*"):
            part.unlink()
        rig.path.write_bytes(harmed(content, rng))
        store = await rig.open()
        for _ in range(2):
            for use in rng.sample(sorted(USES), len(USES)):
                with contextlib.suppress(StoreUnavailable):
                    await USES[use](store)
                rig.clock.advance(RENEWED_EVERY_S)
        assert await store.append("main", [WaveParcel("gw-2", [chunk(900)])]) == 1
        await store.close()
    assert rig.renewed > 10


async def test_many_that_come_upon_it_at_once_renew_it_once(rig: Rig):
    await rig.damaged()
    store = await rig.open()
    some = [use(store) for use in USES.values() for _ in range(3)]
    found = await asyncio.gather(*some, return_exceptions=True)
    assert all(isinstance(one, StoreUnavailable) or one in ([], 0, 1) or len(one) == 1 for one in found)
    assert rig.renewed == 1
    await USES["append"](store)
    assert await store.read("main", "dev_1", "pleth", 0, FOREVER) == [chunk(0)]
    await store.close()


async def test_the_loss_is_told_as_a_failing_part(rig: Rig):
    await rig.damaged()
    store = await rig.open()
    await USES["prune"](store)
    told, task = told_by(store)
    await asyncio.sleep(0)
    assert len(told) == 1
    assert "malformed" in str(told[0])
    task.cancel()
    await store.close()


async def test_a_file_that_was_damaged_at_the_start_is_told_counted_and_kept(rig: Rig):
    rig.path.write_bytes(bytes(5000))
    store = await rig.open()
    told, task = told_by(store)
    await asyncio.sleep(0)
    assert told != [None]
    assert rig.renewed == 1
    task.cancel()
    await store.close()


async def test_a_disk_that_damages_every_file_is_not_given_one_after_the_other(rig: Rig):
    await rig.damaged()
    store = await rig.open()
    await USES["append"](store)
    garbled = rig.garbled.read_bytes()

    async def broken(*_: object) -> int:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT | 3 << 8
        msg = "the store of waveforms cannot be used now"
        raise StoreUnavailable(msg) from error

    store._file.append = broken  # type: ignore[method-assign, assignment]
    told, task = told_by(store)
    with pytest.raises(StoreUnavailable):
        await USES["append"](store)
    assert rig.renewed == 1
    assert rig.garbled.read_bytes() == garbled
    rig.clock.advance(RENEWED_EVERY_S)
    assert await USES["append"](store) == 1
    assert rig.renewed == 2
    assert rig.garbled.read_bytes() != garbled
    task.cancel()
    assert told
    await store.close()


async def test_what_is_only_away_is_left_where_it_is_and_told(rig: Rig):
    store = await rig.open()
    await USES["append"](store)
    with sqlite3.connect(rig.path) as db:
        db.execute("ALTER TABLE chunks RENAME TO elsewhere")
    db.close()
    with pytest.raises(StoreUnavailable):
        await USES["append"](store)
    told, task = told_by(store)
    await asyncio.sleep(0)
    assert "chunks" in str(told)
    assert rig.renewed == 0
    assert not rig.garbled.exists()
    task.cancel()
    rig.clock.advance(AWAY_S)
    told, task = told_by(store)
    await asyncio.sleep(0)
    assert told == [None], "nothing came again: nothing fails"
    task.cancel()
    await store.close()


async def test_a_new_file_that_cannot_be_made_now_is_made_later(rig: Rig):
    await rig.damaged()
    store = await rig.open()
    rig.garbled.mkdir()
    (rig.garbled / "in the way").touch()
    with pytest.raises(StoreUnavailable, match="cannot be begun"):
        await USES["append"](store)
    with pytest.raises(StoreUnavailable):
        await USES["append"](store)
    (rig.garbled / "in the way").unlink()
    rig.garbled.rmdir()
    rig.clock.advance(RENEWED_EVERY_S)
    with contextlib.suppress(StoreUnavailable):  # the damaged file is opened again, and found out once more
        await USES["append"](store)
    rig.clock.advance(RENEWED_EVERY_S)
    assert await USES["append"](store) in {0, 1}
    assert rig.renewed == 1
    await store.close()


async def test_who_goes_away_while_it_begins_anew_leaves_it_whole(rig: Rig):
    await rig.damaged()
    store = await rig.open()
    task = asyncio.create_task(store.append("main", parcel()))
    await asyncio.sleep(0.001)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(StoreUnavailable):
                await store.append("main", parcel(1))
                break
            await asyncio.sleep(0.01)
    assert chunk(1) in await store.read("main", "dev_1", "pleth", 0, FOREVER)
    told, task = told_by(store)
    await asyncio.sleep(0)
    assert "malformed" in str(told[0])
    assert rig.renewed == 1
    task.cancel()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await USES["append"](store)
