from __future__ import annotations

import errno
import logging
import os
import socket
from pathlib import Path

import pytest

from hearthward.app import room
from hearthward.app.room import must_have_room, when_room
from hearthward.app.systemd import Notify
from hearthward.core.errors import ConfigError, StoreUnavailable


def test_room_is_tried_and_given_back(tmp_path: Path):
    must_have_room(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (errno.ENOSPC, StoreUnavailable),
        (errno.EDQUOT, StoreUnavailable),
        (errno.EIO, StoreUnavailable),
        (errno.EROFS, ConfigError),
    ],
)
def test_what_passes_is_told_from_what_does_not(
    number: int, raised: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fsync(_fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(room.os, "fsync", fsync)
    with pytest.raises(raised, match=os.strerror(number)):
        must_have_room(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_start_waits_for_room_and_for_the_records_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    found = ["no room", "no room", "", "", ""]
    opened = ["the disk fails", ""]
    slept: list[float] = []

    def fail(reasons: list[str]) -> None:
        if reason := reasons.pop(0):
            raise StoreUnavailable(reason)

    def work() -> str:
        fail(opened)
        return "records"

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(room, "must_have_room", lambda _folder: fail(found))
    caplog.set_level(logging.WARNING)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "s"))
        systemd.settimeout(10)
        notify = Notify({"NOTIFY_SOCKET": str(tmp_path / "s")})
        assert await when_room(tmp_path, work, notify=notify, sleep=sleep) == "records"
        heard = [systemd.recv(200).decode() for _ in slept]
    assert slept == [room.RETRY_S] * 3
    assert heard[0] == "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=Waiting: no room"
    assert heard[2].endswith("the disk fails")
    assert [r.levelname for r in caplog.records] == ["ERROR", "WARNING"]


async def test_what_waiting_does_not_mend_ends_the_start(tmp_path: Path):
    def work() -> None:
        msg = "of a newer version"
        raise ConfigError(msg)

    with pytest.raises(ConfigError, match="newer"):
        await when_room(tmp_path, work)
