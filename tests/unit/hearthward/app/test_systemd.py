from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hearthward.app.cli import main
from hearthward.app.systemd import Notify, unit
from hearthward.core.errors import ConfigError


def listening(path: Path) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(path))
    receiver.settimeout(10)
    return receiver


async def test_systemd_is_told_of_start_life_and_stop(tmp_path: Path):
    with listening(tmp_path / "s") as receiver:
        notify = Notify({"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "30000"})
        assert notify.period_s == 0.03
        asked, heard = [], []

        def lives() -> bool:
            asked.append(True)
            return len(asked) < 3

        task = asyncio.create_task(notify.serve(lives))
        while len(asked) < 5:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        receiver.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(receiver.recv(100).decode().partition("\n")[0])
    # a part hangs from the third look on: the watchdog is not told any more
    assert heard == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_without_systemd_nothing_is_sent_and_nothing_fails(tmp_path: Path):
    Notify({}).send("READY=1")
    Notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send("READY=1")
    assert Notify({"WATCHDOG_USEC": "no"}).period_s is None
    assert Notify({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid() + 1)}).period_s is None
    assert Notify({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}).period_s == 1


@pytest.mark.parametrize("kind", ["edge", "cloud"])
def test_a_unit_is_of_this_installation_and_holds_what_it_must(kind):  # noqa: ANN001
    lines = unit(kind, user="ward").splitlines()
    for line in (
        "Type=notify",
        "Restart=always",
        "WatchdogSec=30",
        "NoNewPrivileges=yes",
        "User=ward",
        f"ExecStart={sys.executable} -m hearthward {kind}",
        "StateDirectory=hearthward",
        "Environment=HEARTHWARD_DATA_FOLDER=/var/lib/hearthward",
    ):
        assert line in lines
    elsewhere = unit(kind, user="ward", data=Path("/srv/ward-3")).splitlines()
    assert "ReadWritePaths=/srv/ward-3" in elsewhere
    assert not [line for line in elsewhere if line.startswith("StateDirectory")]


@pytest.mark.parametrize("kind", ["edge", "cloud"])
def test_systemd_itself_finds_nothing_wrong_with_it(kind, tmp_path: Path):  # noqa: ANN001
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / f"hearthward-{kind}.service"
    path.write_text(unit(kind, user="root", backup=Path("/mnt/backup/hearthward")))
    done = subprocess.run(
        [program, "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if path.name in line]
    assert not ours


def test_a_cloud_may_write_its_backup_and_starts_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writable = "ReadWritePaths=-/mnt/backup/hearthward"
    folder = Path("/mnt/backup/hearthward")
    assert writable in unit("cloud", user="ward", backup=folder).splitlines()
    both = unit("cloud", user="ward", data=Path("/srv/ward-3"), backup=folder).splitlines()
    assert [line for line in both if line.startswith("ReadWritePaths=")] == [
        "ReadWritePaths=/srv/ward-3",
        writable,
    ]
    assert "ReadWritePaths" not in unit("edge", user="ward", backup=folder)
    # of the settings, or as it is named on the command line
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert "ReadWritePaths" not in run(main, ["systemd", "cloud"]).output
    assert writable in run(main, ["systemd", "cloud", "--backup", str(folder)]).output.splitlines()
    Path("hearthward.toml").write_text(f'[backup]\nfolder = "{folder}"\n')
    assert writable in run(main, ["systemd", "cloud"]).output.splitlines()


def test_what_cannot_be_in_a_unit_is_refused():
    with pytest.raises(ConfigError, match="no user"):
        unit("edge", user="ward 3")
    with pytest.raises(ConfigError, match="absolute path"):
        unit("edge", user="ward", data=Path("data"))
    with pytest.raises(ConfigError, match="absolute path"):
        unit("edge", user="ward", data=Path("/srv/a b"))
    with pytest.raises(ConfigError, match="backup folder must be an absolute path"):
        unit("cloud", user="ward", backup=Path("backup"))
    with pytest.raises(ConfigError, match="backup folder cannot be below /home"):
        unit("cloud", user="ward", backup=Path("/home/ward/backup"))
