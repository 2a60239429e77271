"""Outboxes of the first release, made by its own SQL, are taken over: once, whole, whatever interrupts it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import zlib
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent import former
from edge_agent.encoding import encode_all
from edge_agent.outbox import Outbox
from hearthward.core.errors import ConfigError
from hearthward.core.lock import FileLock
from hearthward.core.wire import Gap
from tests.unit.edge_agent.batches import make_batch
from tests.unit.edge_agent.damage import flip

Opener = Callable[..., Awaitable[Outbox]]
SCHEMA = """
    PRAGMA page_size=4096;
    PRAGMA application_id=1213681474;
    PRAGMA user_version=1;
    CREATE TABLE meta(id INTEGER PRIMARY KEY, boot TEXT, next INTEGER, crc INTEGER);
    CREATE TABLE block(first INTEGER PRIMARY KEY, count INTEGER, crc INTEGER, payload BLOB);
    CREATE TABLE done(first INTEGER PRIMARY KEY, last INTEGER, crc INTEGER);
    CREATE TABLE gap(first INTEGER PRIMARY KEY, last INTEGER, reason TEXT, crc INTEGER);
"""


def text_crc(*fields: object) -> int:
    return zlib.crc32("|".join(map(str, fields)).encode())


def make_former(path: Path) -> dict[int, bytes]:
    """Ten blocks of ten: the first two receipted, the third dropped, the rest waiting."""
    payloads = {}
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA)
        for copy in (1, 2):
            db.execute("INSERT INTO meta VALUES(?, 'boot-old', 101, ?)", (copy, text_crc("boot-old", 101)))
        db.execute("INSERT INTO done VALUES(1, 20, ?)", (text_crc(1, 20),))
        db.execute("INSERT INTO gap VALUES(21, 30, 'full', ?)", (text_crc(21, 30, "full"),))
        for first in range(31, 101, 10):
            payload = encode_all([make_batch(first, 10)])[0][0].payload
            crc = zlib.crc32(payload, zlib.crc32(b"%d|%d|" % (first, 10)))
            db.execute("INSERT INTO block VALUES(?, 10, ?, ?)", (first, crc, payload))
            payloads[first] = payload
        db.commit()
    return payloads


async def held(box: Outbox) -> dict[int, bytes]:
    return {b.first: b.payload for b in await box.pending(0, 10**9, 10**12)}


async def test_boot_numbers_gaps_and_readings_are_kept_and_the_file_goes(open_outbox: Opener, tmp_path: Path):
    payloads = make_former(tmp_path / "outbox.db")
    box = await open_outbox()
    assert (box.boot, box.accepted, box.backlog()) == ("boot-old", 100, 70)
    assert box.gaps == (Gap(21, 30, "full"),)
    assert await held(box) == payloads
    assert sum(row.n for row in box.accounts()[1] if row.kind == "accepted") == 70
    assert await box.append(make_batch(5, 1)) == (101, 101)
    left = await asyncio.to_thread(lambda: sorted(p.name for p in tmp_path.iterdir()))
    assert left == ["outbox", "outbox.db.lock", "outbox.lock"]
    await box.close()
    again = await open_outbox()
    assert (again.boot, again.accepted) == ("boot-old", 101)


@pytest.mark.parametrize("step", ["_fill", "_sync", "_remove"])
async def test_a_crash_at_any_step_is_made_up_for(
    open_outbox: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    payloads = make_former(tmp_path / "outbox.db")
    real = getattr(former, step)

    def crash(*arguments: object) -> None:
        if step == "_fill":
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(former, step, crash)
        with pytest.raises(KeyboardInterrupt):
            former.take_over(tmp_path / "outbox", 2 << 20, lambda: "boot-new", lambda: 0)
    box = await open_outbox()
    assert (box.boot, box.accepted) == ("boot-old", 100)
    assert await held(box) == payloads
    assert not (tmp_path / "outbox.db").exists()
    assert not (tmp_path / "outbox.taken").exists()


async def test_a_damaged_row_is_a_gap_and_a_damaged_file_is_kept_aside(open_outbox: Opener, tmp_path: Path):
    payloads = make_former(tmp_path / "outbox.db")
    shutil.copy(tmp_path / "outbox.db", tmp_path / "other.db")
    at = (tmp_path / "outbox.db").read_bytes().find(payloads[51])
    flip(tmp_path / "outbox.db", at + 3)
    box = await open_outbox()
    assert box.boot == "boot-old"
    assert box.gaps == (Gap(21, 30, "full"), Gap(51, 60, "corrupt"))
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("UPDATE meta SET next = next + 1")
        db.commit()
    other = await open_outbox(tmp_path / "other")
    assert other.boot != "boot-old"
    assert list((await held(other)).values()) == list(payloads.values())
    assert (tmp_path / "other.db.aside-1").exists()
    (tmp_path / "third.db").write_bytes(b"no database" * 1000)
    third = await open_outbox(tmp_path / "third")
    assert (third.accepted, (tmp_path / "third.db.aside-1").exists()) == (0, True)


async def test_a_file_of_another_boot_beside_a_folder_in_use_is_put_aside(
    open_outbox: Opener, tmp_path: Path
):
    box = await open_outbox()
    await box.append(make_batch(1, 3))
    await box.close()
    make_former(tmp_path / "outbox.db")
    again = await open_outbox()
    assert (again.boot, again.accepted) == (box.boot, 3)
    assert (tmp_path / "outbox.db.aside-1").exists()


async def test_a_file_in_use_is_left_alone(open_outbox: Opener, tmp_path: Path):
    make_former(tmp_path / "outbox.db")
    with FileLock(tmp_path / "outbox.db.lock", "it"), pytest.raises(ConfigError, match="already in use"):
        await open_outbox()
    assert next(iter(await held(await open_outbox()))) == 31
