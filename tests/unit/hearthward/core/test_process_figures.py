from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hearthward.core.process_figures import process_figures, tell_process_figures
from hearthward.core.telemetry import Telemetry


async def test_a_task_and_an_open_file_more_are_seen(tmp_path: Path):
    before = process_figures()
    task = asyncio.create_task(asyncio.sleep(60))
    with (tmp_path / "f").open("w"):
        now = process_figures()
    task.cancel()
    await asyncio.wait([task])
    assert now["tasks"] == before["tasks"] + 1
    if "open_files" not in now:
        pytest.skip("open files are counted on Linux only: it has /proc/self/fd")
    assert now["open_files"] == before["open_files"] + 1
    assert now["memory_bytes"] > 1e6


async def test_they_are_gauges_for_whoever_collects_them():
    telemetry = Telemetry()
    tell_process_figures(telemetry)
    assert telemetry.value("process_threads") >= 1
    assert telemetry.value("process_tasks") >= 1
