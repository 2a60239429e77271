"""Memory of the processes as users run them: PSS out of /proc, after half a minute of work."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import psutil

from bench.figures import Outcome
from bench.processes import hearthward, memory_mb, tree_memory_mb, wait_for_file, work_folder

__all__ = ["measure"]

WORK_S: Final = 30.0
START_S: Final = 60.0
EDGE_MB: Final = 80.0
RADIO_MB: Final = 100.0
ALL_MB: Final = 350.0


def measure() -> Outcome:
    """Three set-ups one after the other. Linux only."""
    outcome = Outcome("memory", f"proportional set size (PSS) after {WORK_S:.0f} s of work, twins elsewhere")
    if not sys.platform.startswith("linux"):
        print("memory is measured on Linux only: it has /proc/PID/smaps_rollup", file=sys.stderr)
        return outcome
    pss, rss, stored = _edge("serial")
    outcome.add("edge, serial link", pss, "MB", target=EDGE_MB, note=f"RSS {rss:.0f} MB; {stored}")
    pss, rss, stored = _edge("ble")
    outcome.add("edge, bumble radio", pss, "MB", target=RADIO_MB, note=f"RSS {rss:.0f} MB; {stored}")
    parts = _run()
    note = ", ".join(f"{name.split()[0]} {mb:.0f}" for name, mb in parts.items())
    outcome.add("run, in all", sum(parts.values()), "MB", target=ALL_MB, note=note)
    return outcome


def _edge(transport: str) -> tuple[float, float, str]:
    """PSS and RSS of an edge whose devices, broker and cloud are other processes, and what it accepted."""
    with work_folder() as folder:
        plan = folder / "plan.json"
        with hearthward(folder, "--data", "tw", "twins", "--plan", plan, "--ptys", folder / "ptys") as twins:
            wait_for_file(plan, twins, START_S)
            about = json.loads(plan.read_text())
            used = _only(about, transport)
            plan.write_text(json.dumps(used))
            with hearthward(folder, "--data", "cl", "cloud", "--port", "0", "--seed", plan) as cloud:
                broker = cloud.wait_for(r"mqtt://\S+", START_S)[0]
                radio = "off" if transport == "serial" else f"tcp-client:127.0.0.1:{about['hci']}"
                with hearthward(folder, "--data", "ed", "edge", "--broker", broker, "--radio", radio) as edge:
                    time.sleep(WORK_S)
                    pss, rss = memory_mb(edge.pid), psutil.Process(edge.pid).memory_info().rss / 1e6
                devices = sum(len(p["devices"]) for p in used["patients"])
                stored = _stored(folder / "cl")
    if not stored:
        msg = f"the edge over {transport} stored nothing: its memory would say nothing"
        raise RuntimeError(msg)
    return pss, rss, f"{devices} devices, {stored} readings"


def _only(plan: dict[str, Any], transport: str) -> dict[str, Any]:
    """The plan with the devices of one transport, and the patients who have some."""
    serial = {"masimo"}
    patients = []
    for patient in plan["patients"]:
        devices = [d for d in patient["devices"] if (d["kind"] in serial) == (transport == "serial")]
        if devices:
            patients.append({**patient, "devices": devices})
    return {**plan, "patients": patients}


def _stored(data: Path) -> int:
    """How many readings stand in the store of a cloud's data folder."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(f"file:{data / 'cloud' / 'series.db'}?mode=ro", uri=True)) as db:
        count: int = db.execute("SELECT count(*) FROM readings").fetchone()[0]
    return count


def _run() -> dict[str, float]:
    """PSS by process of ``hearthward run`` with its virtual ward, which lives in the same process."""
    with work_folder() as folder, hearthward(folder, "--data", "all", "run", "--port", "0") as run:
        run.wait_for(r"Ward wall\s+\S+", START_S)
        time.sleep(WORK_S)
        return tree_memory_mb(run.pid)
