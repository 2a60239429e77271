"""One suite over the real folder and the fake disk; and what only the fake can do."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from edge_agent.segments.fake import MemoryDisk
from edge_agent.segments.files import Disk, FolderDisk


@pytest.fixture(params=["folder", "memory"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return FolderDisk(tmp_path) if request.param == "folder" else MemoryDisk()


def test_files_have_their_room_and_keep_what_is_written(disk: Disk):
    disk.create(["a", "b"], 10_000)
    assert disk.sizes() == {"a": 10_000, "b": 10_000}
    file = disk.open("a")
    file.write(5, b"hello")
    file.sync()
    assert file.read(3, 9) == b"\0\0hello\0\0"
    assert file.read(9_998, 100) == b"\0\0"
    file.close()
    disk.create(["a", "c"], 20_000)  # lengthened: what is in it stays
    assert disk.sizes() == {"a": 20_000, "b": 10_000, "c": 20_000}
    again = disk.open("a")
    assert again.read(5, 5) == b"hello"
    again.close()
    disk.create([], 1)
    assert disk.free() > 0


def test_a_file_that_is_gone_takes_nothing_any_more(disk: Disk):
    disk.create(["a"], 100)
    file = disk.open("a")
    disk.remove("a")
    disk.remove("a")
    with pytest.raises(OSError, match="removed") as caught:
        file.write(0, b"x")
    assert caught.value.errno == errno.ESTALE
    file.close()
    with pytest.raises(FileNotFoundError):
        disk.open("a")


def test_a_disk_without_allocation_is_filled_with_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unsupported(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr("os.posix_fallocate", unsupported)
    disk = FolderDisk(tmp_path)
    disk.create(["a"], 3 << 20)
    assert (tmp_path / "a").stat().st_size == 3 << 20
    assert (tmp_path / "a").stat().st_blocks * 512 >= 3 << 20


def test_what_cannot_have_its_room_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="full"):
        FolderDisk(tmp_path).create(["a"], 100)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="No space"):
        MemoryDisk(capacity=99).create(["a"], 100)


def test_a_power_cut_keeps_what_was_synced_and_any_part_of_the_rest():
    seen = set()
    for seed in range(20):
        disk = MemoryDisk()
        disk.create(["a"], 2048)
        file = disk.open("a")
        file.write(0, b"s" * 1024)
        file.sync()
        file.write(512, b"n" * 1024)
        disk.cut_power(random.Random(seed))
        data = disk.open("a").read(0, 2048)
        assert data[:512] == b"s" * 512
        assert data[512:1024] in {b"s" * 512, b"n" * 512}
        assert data[1024:1536] in {bytes(512), b"n" * 512}
        seen.add(data)
    assert len(seen) == 4


def test_it_fails_from_the_nth_write_on_until_told_to_work():
    disk = MemoryDisk()
    disk.create(["a"], 100)
    file = disk.open("a")
    disk.fail_in(1)
    file.write(0, b"x")
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            file.sync()
    disk.fail_in(None)
    file.sync()
