from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hearthward.core.errors import ConfigError
from hearthward.core.lock import FileLock

HOLD = """
import sys
from pathlib import Path
from hearthward.core.lock import FileLock
FileLock(Path(sys.argv[1]), "the outbox").acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_one_holder_at_a_time_and_the_other_is_told_who(tmp_path: Path):
    path = tmp_path / "lock"
    with FileLock(path, "the outbox") as lock:
        lock.acquire()  # again: nothing happens
        assert path.read_text("ascii") == f"{os.getpid()}\n"
        with pytest.raises(ConfigError, match="the outbox is already in use by process") as caught:
            FileLock(path, "the outbox").acquire()
        assert caught.value.details["pid"] == str(os.getpid())
        assert caught.value.file == str(path)
    lock.release()
    with FileLock(path, "the outbox"):
        pass
    assert path.exists()
    assert path.read_text("ascii") == ""


def test_a_killed_holder_holds_nothing(tmp_path: Path):
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"process {holder.pid};"):
            FileLock(path, "the outbox").acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with FileLock(path, "the outbox"):
            assert path.read_text("ascii") == f"{os.getpid()}\n"


def test_a_lock_that_cannot_be_opened_says_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigError, match="make its folder writable") as caught:
        FileLock(tmp_path / "none" / "lock", "the outbox").acquire()
    assert "No such file" in str(caught.value)
