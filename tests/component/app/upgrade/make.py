"""Make the data folder that a release leaves behind when it is killed in the middle of its work.

    python -m tests.component.app.upgrade.make CHECKOUT_OF_THE_RELEASE schema_NNNN.tar.xz

Runs that release's virtual ward for a while, has a nurse accept an alarm, stops its broker, so that
readings wait at the gateway, and kills everything. Keys and tokens are left out: whoever unpacks it makes new
ones, as the release itself would.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

LEFT_OUT = {".lock", "outbox.db.lock", "records.db-shm", "series.db-shm"}
SECRETS = {"answers.key", "token", "cloud.key", "vapid.key"}
SMALL_BYTES = 8 * 1024 * 1024
RUNS_S, CUT_S = 12.0, 5.0


def said(log: Path, pattern: str, seconds: float = 60) -> str:
    """What the release said that fits ``pattern``, its first group; waits for it."""
    until = time.monotonic() + seconds
    while (found := re.search(pattern, log.read_text())) is None:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)
    return found[1]


def accept_one(url: str, password: str) -> None:
    """A nurse accepts the first active alarm of a patient."""
    with httpx.Client(base_url=f"{url}/api/v1", timeout=30) as client:
        token = client.post("/login", json={"login": "nurse", "password": password}).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        while True:
            listed = client.get("/alarms").json()
            open_ = [a for a in listed["items"] if a["condition"] == "active" and a["patient"]]
            if open_:
                client.post(f"/alarms/{open_[0]['id']}/accept", json={"note": "seen"}).raise_for_status()
                return
            time.sleep(0.5)


def leave_behind(checkout: Path, data: Path, log: Path) -> None:
    """Run the release on ``data`` and kill it as the module's description says."""
    env = {**os.environ, "PYTHONPATH": str(checkout), "HEARTHWARD_EDGE__OUTBOX_BYTES": str(SMALL_BYTES)}
    command = [sys.executable, "-m", "hearthward", "--data", str(data), "run", "--port", "0"]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=checkout, env=env, stdout=out, stderr=subprocess.STDOUT)
    family = [psutil.Process(process.pid)]
    try:
        url, password = said(log, r"Ward wall +(\S+)/ward"), said(log, r"nurse +nurse +(\S+)")
        said(log, r"(all \d+ devices stream)")
        accept_one(url, password)
        time.sleep(RUNS_S)
        family += family[0].children(recursive=True)
        for child in family[1:]:  # the broker: frames stay at the gateway
            child.send_signal(signal.SIGSTOP)
        time.sleep(CUT_S)
    finally:
        for one in family:
            one.kill()
        process.wait()


def main() -> None:
    """As the module says."""
    checkout, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        leave_behind(checkout, data, Path(folder) / "log")
        with tarfile.open(target, "w:xz") as archive:
            for path in sorted(data.rglob("*")):
                inside = path.relative_to(data)
                if path.is_file() and path.name not in LEFT_OUT | SECRETS and "broker" not in inside.parts:
                    archive.add(path, str(inside))


if __name__ == "__main__":
    main()
