"""200 browsers at the wall of a ward of 30 beds, each bed at 1 Hz: what the server pays for it.

The whole cloud runs in this process, the browsers in another. Readings are put on the feed as ingest does
after its commit, so that only the web is measured: board, hub, streams and checks of sessions. The figure is
CPU time of this process over wall time in the same seconds, beside what the ward costs while nobody watches.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.figures import Outcome
from bench.processes import ROOT, work_folder
from bench.ward import bench_settings
from bench.web import log_in
from cloud_ingest.feed import Feed, ReadingsStored
from cloud_ingest.records import Records
from cloud_ingest.records.accounts import Accounts
from hearthward.app.cloud import cloud_running, open_records
from hearthward.app.edge import background
from hearthward.app.seed import WARD_ID, enter_plan
from hearthward.app.start import broker_running
from hearthward.app.ward import TWINS, PlannedDevice, PlannedPatient, VitalSigns, WardPlan
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.ids import digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from hearthward.trust.passwords import Passwords

__all__ = ["PASSWORD", "add_nurse", "beds_of", "feed_beds", "measure"]

BEDS: Final = 30
CLIENTS: Final = 200
QUIET_S: Final = 10.0
SETTLE_S: Final = 3.0
SPARE_S: Final = 1.5
"""The browsers count for a little longer than the server is measured."""
MEASURE_S: Final = 20.0
PASSWORD: Final = "two hundred at the wall"  # noqa: S105 - of a nurse who lives for a minute


def measure() -> Outcome:
    """Serve, first nobody, then 200 browsers."""
    return asyncio.run(_measure())


def beds_of(count: int) -> WardPlan:
    """A ward of so many beds, each with an oximeter."""
    patients = tuple(
        PlannedPatient(
            f"p-{n:03}",
            f"Patient {n}",
            f"A-{n:03}",
            (PlannedDevice(f"ox-{n:03}", "pulse-oximeter", 1.0, f"C0:00:00:00:00:{n:02X}"),),
        )
        for n in range(count)
    )
    return WardPlan("Large", "gw-1", patients)


async def feed_beds(feed: Feed, plan: WardPlan) -> None:
    """Every bed once a second, the beds spread over the second as they are in life."""
    beds = [(patient, device, VitalSigns(patient.id)) for patient, device in plan.devices()]
    loop = asyncio.get_running_loop()
    start, turn = loop.time(), 0
    clock = SystemClock()
    while True:
        second, place = divmod(turn, len(beds))
        await asyncio.sleep(max(0.0, start + second + place / len(beds) - loop.time()))
        turn += 1
        patient, device, signs = beds[place]
        now = clock.now_ns()
        mark = digest63(device.id.encode(), now.to_bytes(8, "little"))
        values = signs.at(second)
        rows = [
            Reading(device.id, m, round(values[m]), None, None, now, now, digest=mark, ordinal=i, group=mark)
            for i, m in enumerate(sorted(TWINS[device.kind][2]))
        ]
        feed.publish(ReadingsStored("main", [patient.id] * len(rows), ReadingBatch.of(rows), now))


async def add_nurse(records: Records) -> None:
    """A login for the ward."""
    await Accounts(records, Passwords()).add(
        Scope.system("main"), login="nurse", name="Nurse", roles=["nurse"], password=PASSWORD, wards=[WARD_ID]
    )


@dataclass(frozen=True, slots=True)
class _Cost:
    cpu: float
    wall: float

    @property
    def share(self) -> float:
        return 100 * self.cpu / self.wall


async def _cost(seconds: float) -> _Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    return _Cost(time.process_time() - cpu, time.perf_counter() - wall)


async def _browsers(url: str, token: str) -> tuple[_Cost, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.hub_clients",
        url,
        token,
        str(CLIENTS),
        str(SPARE_S + MEASURE_S),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            await process.stdout.readline()
            await asyncio.sleep(SETTLE_S)
            cost = await _cost(MEASURE_S)
            said = await process.stdout.readline()
            await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode:
        msg = f"the browsers ended with {process.returncode}"
        raise RuntimeError(msg)
    return cost, json.loads(said)


async def _run(folder: Path) -> tuple[_Cost, _Cost, dict[str, Any]]:
    plan, clock, telemetry = beds_of(BEDS), SystemClock(), Telemetry()
    settings = bench_settings(folder)
    async with open_records(settings) as records, broker_running(settings, telemetry) as broker:
        await enter_plan(records, plan, clock.now_ns() - 3600 * SECOND)
        await add_nurse(records)
        async with (
            cloud_running(settings, records, broker_url=broker, clock=clock, telemetry=telemetry) as cloud,
            background(lambda: feed_beds(cloud.service.feed, plan), "beds"),
        ):
            token = await asyncio.to_thread(log_in, cloud.url, "nurse", PASSWORD)
            await asyncio.sleep(SETTLE_S)
            quiet = await _cost(QUIET_S)
            busy, seen = await _browsers(cloud.url, token)
    return quiet, busy, seen


async def _measure() -> Outcome:
    with work_folder() as folder:
        quiet, busy, seen = await _run(folder)
    outcome = Outcome(
        "hub", f"{CLIENTS} browsers x {BEDS} beds at 1/s for {MEASURE_S:.0f} s, whole cloud in one process"
    )
    seconds = SPARE_S + MEASURE_S
    outcome.add("nobody watching", quiet.share, "% of a core")
    outcome.add("in all", busy.share, "% of a core", target=25.0)
    outcome.add("a browser", (busy.share - quiet.share) / CLIENTS, "% of a core")
    outcome.add("all browsers connected in", seen["connect_s"], "s")
    outcome.add("patches", seen["patches"] / CLIENTS / seconds, "/s a browser")
    outcome.add("tiles", seen["tiles"] / CLIENTS / seconds, "/s a browser", note=f"of {BEDS}")
    whole = seen["least"] / (BEDS * seconds)
    outcome.add("tiles of the worst served", 100 * whole, "%", target=95.0, at_least=True)
    outcome.add("fetched again", float(seen["fetches"]), "times", target=0.0)
    outcome.add("sent", seen["bytes"] / seconds / 1e6, "MB/s")
    outcome.add("measured to browser p50", seen["delays"]["p50"], "ms", note="values are gathered on purpose")
    outcome.add("measured to browser p99", seen["delays"]["p99"], "ms")
    return outcome
