"""From an alarm's committed transition to the pixels of a nurse's wall, in a real browser.

The whole cloud runs in this process and a Chromium beside it. Every bed sends values once a second.
Transitions are put on the feed as ingest does after its commit, each on another bed. The clock of the page
is the machine's, as this one. The time ends when the frame that first shows the alarm is painted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.figures import Outcome
from bench.hub import PASSWORD, add_nurse, beds_of, feed_beds
from bench.processes import ROOT, work_folder
from bench.ward import bench_settings
from cloud_ingest.feed import AlarmChanged, Feed
from cloud_ingest.records.models import Alarm
from hearthward.app.cloud import cloud_running, open_records
from hearthward.app.edge import background
from hearthward.app.seed import enter_plan
from hearthward.app.start import broker_running
from hearthward.app.tracker import percentiles
from hearthward.app.ward import WardPlan
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.telemetry import Telemetry

__all__ = ["measure"]

ALARMS: Final = 120
BETWEEN_S: Final = 0.23
"""Not in step with values, beats and frames."""
PRESENT: Final = 4
"""So many alarms are present at a time."""
TARGETS: Final = {30: {"p50": 50.0, "p99": 250.0}, 200: {"p99": 400.0}}


def measure() -> Outcome:
    """One ward of 30 beds, then one of 200."""
    outcome = Outcome("pixels", f"{ALARMS} alarms each, one nurse's wall in Chromium on the same machine")
    for beds, targets in TARGETS.items():
        delays = asyncio.run(_measure(beds))
        found = percentiles(delays)
        for name in ("p50", "p99"):
            outcome.add(f"{beds} beds {name}", found[name], "ms", target=targets.get(name))
        outcome.add(f"{beds} beds seen", float(len(delays)), "alarms", target=float(ALARMS), at_least=True)
    return outcome


def _alarm(number: int, patient: str, at: int, condition: str) -> Alarm:
    return Alarm(
        tenant="main",
        id=f"alm-{number}",
        patient=patient,
        rule="spo2-low",
        rule_hash="0" * 16,
        priority="high",
        condition=condition,
        onset=at,
        started=at,
        text_en=f"SpO2 84 < 90 #{number}",
        text_zh=f"血氧 84 < 90 #{number}",
        limit_text="< 90",
        values_json={"spo2": 84},
        late=False,
        worklist=False,
        signalled=True,
        shadow=False,
        kind="physiological",
        latching=False,
        audience=["nurse"],
        signal="on",
        rejected=[],
        policy="",
        step=0,
        next_to=[],
        episodes=0,
        last_transition="start",
        last_seq=number,
    )


async def _transitions(feed: Feed, plan: WardPlan) -> dict[str, float]:
    """Alarm -> when it was published, ms since 1970."""
    clock, sent = SystemClock(), {}
    patients = [patient.id for patient in plan.patients]
    for number in range(ALARMS + PRESENT):
        now = clock.now_ns()
        if number < ALARMS:
            sent[str(number)] = time.time() * 1e3
            row = _alarm(number, patients[number * 7 % len(patients)], now, "active")
            feed.publish(AlarmChanged("main", row, "start"))
        if (old := number - PRESENT) >= 0:
            row = _alarm(old, patients[old * 7 % len(patients)], now, "inactive")
            feed.publish(AlarmChanged("main", row, "clear"))
        await asyncio.sleep(BETWEEN_S)
    return sent


async def _watched(url: str, feed: Feed, plan: WardPlan) -> tuple[dict[str, float], dict[str, Any]]:
    pipe = asyncio.subprocess.PIPE
    browser = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.pixels_browser", url, "nurse", cwd=ROOT, stdin=pipe, stdout=pipe
    )
    assert browser.stdin is not None
    assert browser.stdout is not None
    try:
        browser.stdin.write(f"{PASSWORD}\n".encode())
        async with asyncio.timeout(60):
            if await browser.stdout.readline() != b"ready\n":
                msg = "the browser has not come to the wall"
                raise RuntimeError(msg)
        await asyncio.sleep(2)
        sent = await _transitions(feed, plan)
        browser.stdin.write(b"tell\n")
        async with asyncio.timeout(30):
            return sent, json.loads(await browser.stdout.readline())
    finally:
        if browser.returncode is None:
            browser.terminate()
        await browser.wait()


async def _run(folder: Path, beds: int) -> tuple[dict[str, float], dict[str, Any]]:
    plan, clock, telemetry = beds_of(beds), SystemClock(), Telemetry()
    settings = bench_settings(folder)
    async with open_records(settings) as records, broker_running(settings, telemetry) as broker:
        await enter_plan(records, plan, clock.now_ns() - 3600 * SECOND)
        await add_nurse(records)
        async with (
            cloud_running(settings, records, broker_url=broker, clock=clock, telemetry=telemetry) as cloud,
            background(lambda: feed_beds(cloud.service.feed, plan), "beds"),
        ):
            return await _watched(cloud.url, cloud.service.feed, plan)


async def _measure(beds: int) -> list[float]:
    with work_folder() as folder:
        sent, painted = await _run(folder, beds)
    return [painted[key] - at for key, at in sent.items() if painted.get(key)]
