"""Small files are written whole or not at all; where they cannot be, the path is named."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hearthward.app.files import check_writable, make_folder, write_atomically
from hearthward.core.errors import ConfigError


def test_a_file_is_written_with_its_folder_and_replaced(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "file.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_fd: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=rf"{path}: cannot be written: No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "act", [lambda p: write_atomically(p, b"x"), check_writable, lambda p: make_folder(p / "x")]
)
def test_a_file_in_the_way_of_the_folder_is_told(tmp_path: Path, act: Callable[[Path], None]):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=rf"{tmp_path}/file/below/it.*: .*Not a directory"):
        act(tmp_path / "file" / "below" / "it")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_where_the_file_should_be_is_told(tmp_path: Path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(ConfigError, match="it is a folder"):
        check_writable(tmp_path / "report.json")
    with pytest.raises(ConfigError, match="Is a directory"):
        write_atomically(tmp_path / "report.json", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_looking_whether_a_file_can_be_written_changes_none(tmp_path: Path):
    path = tmp_path / "sub" / "report.json"
    check_writable(path)
    assert list(path.parent.iterdir()) == []
    path.write_text("old")
    check_writable(path)
    assert path.read_text() == "old"


def test_a_folder_is_made_once_and_stays(tmp_path: Path):
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "kept").write_text("")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "kept").exists()


def test_what_is_read_is_not_written_over(tmp_path: Path):
    table, link, other = tmp_path / "table.csv", tmp_path / "link.csv", tmp_path / "other.csv"
    table.write_text("kept")
    link.symlink_to(table)
    for path in (table, link):
        with pytest.raises(ConfigError, match="would be overwritten: name another file"):
            check_writable(path, None, other, table)
    check_writable(other, table, None)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["link.csv", "table.csv"]
