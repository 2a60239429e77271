from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from hearthward.core.files import keep_durably, write_durably


def test_a_file_is_replaced_whole_with_its_own_mode(tmp_path: Path):
    path = tmp_path / "folder" / "file"
    write_durably(path, b"one")
    write_durably(path, b"another")
    assert path.read_bytes() == b"another"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_a_kill_left_half_written_lends_nothing_to_the_next(tmp_path: Path):
    (tmp_path / "file.new").write_bytes(b"half, and for all to read")
    write_durably(tmp_path / "file", b"secret")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert (tmp_path / "file").read_bytes() == b"secret"


def test_what_cannot_be_written_leaves_the_former(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"former")
    (tmp_path / "file.new").mkdir()
    with pytest.raises(OSError, match=r"file\.new"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"former"


async def test_what_is_cancelled_while_it_is_written_is_there_when_the_cancellation_is(tmp_path: Path):
    keeping = asyncio.create_task(keep_durably(tmp_path / "file", b"whole"))
    await asyncio.sleep(0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert (tmp_path / "file").read_bytes() == b"whole"


async def test_a_disk_that_refuses_is_said_and_to_a_cancelled_caller_not(tmp_path: Path):
    (tmp_path / "file.new").mkdir()
    with pytest.raises(OSError, match=r"file\.new"):
        await keep_durably(tmp_path / "file", b"new")
    keeping = asyncio.create_task(keep_durably(tmp_path / "file", b"new"))
    await asyncio.sleep(0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
