"""From ``hearthward run`` to the first alarm on the wall, as a nurse's browser would get it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.figures import Outcome
from bench.processes import Hearthward, hearthward, work_folder
from bench.web import get, log_in, logins_in

__all__ = ["first_alarm", "measure"]

LIMIT_S: Final = 90.0
TARGET_S: Final = 30.0
POLL_S: Final = 0.1


def measure() -> Outcome:
    """Twice: into an empty folder, and again over what the first start left."""
    outcome = Outcome(
        "startup", "hearthward run with the virtual ward, set-up done, from the process's start"
    )
    with work_folder() as folder:
        for name in ("empty folder", "second start"):
            printed, alarm = _start(folder)
            outcome.add(f"{name}: address printed", printed, "s")
            outcome.add(f"{name}: first alarm on the wall", alarm, "s", target=TARGET_S)
    return outcome


def _start(folder: Path) -> tuple[float, float]:
    start = time.monotonic()
    with hearthward(folder, "--data", "data", "run", "--port", "0") as run:
        run.wait_for(r"Ctrl-C", LIMIT_S)
        printed = time.monotonic() - start
        first_alarm(run, LIMIT_S, fresh=True)
        return printed, time.monotonic() - start


def first_alarm(run: Hearthward, timeout_s: float, *, fresh: bool = False) -> None:
    """Wait until an alarm is on a nurse's wall; ``fresh``: one that began after this call.

    Raises TimeoutError.
    """
    url = run.wait_for(r"Ward wall\s+(http\S+)/ward", timeout_s)[1]
    token = log_in(url, *logins_in(run.said)["nurse"])
    began_ms = time.time() * 1000 if fresh else 0
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        wall = get(f"{url}/api/v1/wall", token)
        if any(alarm["onset"] >= began_ms for tile in wall["tiles"] for alarm in tile["a"]):
            return
        time.sleep(POLL_S)
    msg = f"no alarm was on the wall within {timeout_s:.0f} s"
    raise TimeoutError(msg)
