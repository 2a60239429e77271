"""The file of cursors: whole or not at all, and nothing worse than a new fetch when it is damaged."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.cursors import Cursors, MemoryCursors
from devices.racp import Cursor
from edge_agent.cursor_store import FileCursors
from hearthward.core.errors import StoreUnavailable

ONE, TWO = Cursor(7, 1 << 60), Cursor(0xFFFF, 0, "abcd")


@pytest.fixture(params=["file", "memory"])
def cursors(request: pytest.FixtureRequest, tmp_path: Path) -> Cursors:
    return FileCursors(tmp_path / "cursors.json") if request.param == "file" else MemoryCursors()


async def test_what_was_put_last_is_got(cursors: Cursors):
    assert cursors.get("meter", "2a18") is None
    await cursors.put("meter", "2a18", ONE)
    await cursors.put("meter", "2aa7", TWO)
    await cursors.put("other", "2a18", TWO)
    await cursors.put("meter", "2a18", TWO)
    await cursors.put("meter", "2a18", ONE)
    assert cursors.get("meter", "2a18") == ONE
    assert cursors.get("meter", "2aa7") == cursors.get("other", "2a18") == TWO


async def test_it_outlives_the_process(tmp_path: Path):
    path = tmp_path / "new" / "cursors.json"
    before = FileCursors(path)
    await asyncio.gather(*(before.put(f"d{n}", "2a18", Cursor(n, n * n)) for n in range(50)))
    after = FileCursors(path)
    assert [after.get(f"d{n}", "2a18") for n in range(50)] == [Cursor(n, n * n) for n in range(50)]


async def test_a_disk_that_fails_is_said_and_the_next_put_writes_all(tmp_path: Path):
    folder = tmp_path / "taken"
    folder.write_text("a file where the folder should be")
    cursors = FileCursors(folder / "cursors.json")
    with pytest.raises(StoreUnavailable):
        await cursors.put("meter", "2a18", ONE)
    folder.unlink()
    await cursors.put("other", "2a18", TWO)
    after = FileCursors(folder / "cursors.json")
    assert (after.get("meter", "2a18"), after.get("other", "2a18")) == (ONE, TWO)


async def test_a_put_that_is_cancelled_is_written_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    at_it: list[int] = []
    most, sync, started = 0, os.fsync, threading.Event()

    def slow(file: int) -> None:
        nonlocal most
        at_it.append(file)
        most = max(most, len(at_it))
        started.set()
        time.sleep(0.01)
        sync(file)
        at_it.pop()

    monkeypatch.setattr("hearthward.core.files.os.fsync", slow)
    cursors = FileCursors(tmp_path / "cursors.json")
    first = asyncio.create_task(cursors.put("meter", "2a18", ONE))
    await asyncio.to_thread(started.wait)
    first.cancel()
    await cursors.put("other", "2a18", TWO)
    await asyncio.wait([first])
    assert most == 1
    after = FileCursors(tmp_path / "cursors.json")
    assert (after.get("meter", "2a18"), after.get("other", "2a18")) == (ONE, TWO)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"cursors": 3}',
        b'{"cursors": [["d", "s", 70000, 1, ""]]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=["empty", "cut", "a list", "a number", "a row of nonsense", "no text", "deep"],
)
async def test_a_damaged_file_counts_as_none_and_is_written_anew(tmp_path: Path, damage: bytes):
    path = tmp_path / "cursors.json"
    path.write_bytes(damage)
    cursors = FileCursors(path)
    assert cursors.get("d", "s") is None
    await cursors.put("d", "s", ONE)
    assert FileCursors(path).get("d", "s") == ONE


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=8))
def test_whatever_the_rows_are_reading_them_raises_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: object
):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps({"cursors": rows}))
    assert FileCursors(path).get("d", "s") is None
