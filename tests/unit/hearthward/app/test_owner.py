"""The file by which commands find the running cloud: for this user's eyes only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hearthward.app.owner import Owner, owner_file, read_owner, remove_owner, write_owner
from hearthward.core.errors import ConfigError

URL = "http://127.0.0.1:8080"


def test_what_is_written_is_read_and_only_by_this_user(tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    before = os.umask(0)
    try:
        write_owner(folder, URL, "secret-token")
    finally:
        os.umask(before)
    assert read_owner(folder) == Owner(URL, "secret-token")
    assert owner_file(folder).stat().st_mode & 0o777 == 0o600
    assert json.loads(owner_file(folder).read_text()) == {"url": URL, "token": "secret-token"}


def test_the_next_owner_replaces_the_file_even_when_it_was_open_to_others(tmp_path: Path) -> None:
    write_owner(tmp_path, URL, "first")
    owner_file(tmp_path).chmod(0o644)
    write_owner(tmp_path, URL, "second")
    assert read_owner(tmp_path) == Owner(URL, "second")


def test_no_file_is_no_owner(tmp_path: Path) -> None:
    assert read_owner(tmp_path) is None
    assert read_owner(tmp_path / "missing") is None


def test_the_token_does_not_show() -> None:
    assert "secret" not in repr(Owner(URL, "secret"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o700, 0o4600])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    write_owner(tmp_path, URL, "t")
    owner_file(tmp_path).chmod(mode)
    with pytest.raises(ConfigError, match=r"token: the token file is open to others .*mode"):
        read_owner(tmp_path)


def test_another_users_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_owner(tmp_path, URL, "t")
    other = os.geteuid() + 1
    monkeypatch.setattr("hearthward.app.owner.os.geteuid", lambda: other)
    with pytest.raises(ConfigError, match="belongs to user"):
        read_owner(tmp_path)


def test_a_link_is_refused(tmp_path: Path) -> None:
    write_owner(tmp_path / "elsewhere", URL, "t")
    owner_file(tmp_path).symlink_to(owner_file(tmp_path / "elsewhere"))
    with pytest.raises(ConfigError, match="is a link"):
        read_owner(tmp_path)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(owner_file(tmp_path), 0o600)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_owner(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"url": "http://127.0.0.1:8080"}',
        b'{"url": 7, "token": "t"}',
        b'{"url": "http://127.0.0.1:8080", "token": 7}',
        b'{"url": "http://127.0.0.1:8080", "token": "\\u00fc"}',
        b'{"url": "http://127.0.0.1:8080", "token": "a\\r\\nb"}',
        b'{"url": "http://127.0.0.1:8080", "token": ""}',
        b'{"url": "file:///etc/passwd", "token": "t"}',
        b'{"url": "http://127.0.0.1", "token": "t"}',
        b'{"url": "http://127.0.0.1:99999", "token": "t"}',
        b'{"url": "http://127.0.0.1:8080", "token": "t"}' + b" " * 4096,
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = owner_file(tmp_path)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is not a token file; remove it"):
        read_owner(tmp_path)


def test_an_owner_takes_only_its_own_file_away(tmp_path: Path) -> None:
    write_owner(tmp_path, URL, "newer")
    remove_owner(tmp_path, "older")
    assert read_owner(tmp_path) == Owner(URL, "newer")
    remove_owner(tmp_path, "newer")
    assert read_owner(tmp_path) is None
    remove_owner(tmp_path, "newer")


def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    write_owner(tmp_path, URL, "t")
    owner_file(tmp_path).chmod(0o644)
    remove_owner(tmp_path, "t")
    assert owner_file(tmp_path).exists()
