"""What a process holds now: tasks, open files, threads. A leak shows here first."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from hearthward.core.telemetry import Telemetry

__all__ = ["process_figures", "tell_process_figures"]


def process_figures() -> dict[str, float]:
    """``tasks`` of the running loop, ``threads``; on Linux ``open_files`` and resident ``memory_bytes``."""
    found = {"tasks": float(len(asyncio.all_tasks())), "threads": float(threading.active_count())}
    files, status = Path("/proc/self/fd"), Path("/proc/self/statm")
    if files.is_dir():
        found["open_files"] = float(sum(1 for _ in files.iterdir()))
        found["memory_bytes"] = float(int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    return found


def tell_process_figures(telemetry: Telemetry) -> None:
    """Put them among the gauges, as ``process_...``."""
    for name, value in process_figures().items():
        telemetry.gauge(f"process_{name}", value)
