"""Ten minutes at 5,000 readings a second: whether memory, queues, tasks and files stay as they are.

A gateway (its outbox, rules and uplink; no devices) is given readings in the pace of a group commit; broker
and cloud are processes as users start them. What is looked at is the last part of the run against the
first, after everything has warmed up.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.figures import Outcome
from bench.processes import Hearthward, hearthward, memory_mb, tree_memory_mb, wait_for_file, work_folder
from bench.web import get
from hearthward.app.owner import read_owner
from hearthward.app.ward import virtual_ward
from hearthward.core.telemetry import Telemetry

__all__ = ["measure"]

SECONDS: Final = float(os.environ.get("BENCH_SOAK_S", "600"))
RATE: Final = 5_000
FEEDERS: Final = 10
"""Tasks that give readings at once, as devices' sessions do."""
BATCH: Final = 50
"""Readings that come together: so many devices' at one moment."""
EVERY_S: Final = 10.0
SAMPLE_S: Final = 2.0
"""One takes no longer."""
WARM: Final = 0.3
"""The part of the run after which figures count."""
START_S: Final = 60.0
DRAIN_S: Final = 30.0
GROWTH_MB: Final = 15.0
"""Of a process between the first and the last third of what counts; an allocator breathes by some MB."""
Sample = dict[str, float]


def measure() -> Outcome:
    """Run it once."""
    with work_folder() as folder:
        plan = folder / "plan.json"
        wanted = virtual_ward()
        nowhere = {device.id: f"/dev/nowhere-{device.id}" for _, device in wanted.devices()}
        plan.write_text(json.dumps(wanted.with_addresses(nowhere).to_data()))
        with hearthward(folder, "--data", "cl", "cloud", "--port", "0", "--seed", plan) as cloud:
            broker = cloud.wait_for(r"mqtt://\S+", START_S)[0]
            context = multiprocessing.get_context("spawn")
            edge = context.Process(target=_edge, args=(str(folder), broker), name="gateway")
            edge.start()
            try:
                wait_for_file(folder / "edge.json", cloud, START_S)
                samples = _watch(folder, cloud, edge.pid or 0)
                edge.join(SECONDS + DRAIN_S + START_S)
            finally:
                if edge.is_alive():
                    edge.kill()
                edge.join()
            last = json.loads((folder / "edge.json").read_text())
            found = _metrics(folder)
    return _outcome(samples, last, found)


def _watch(folder: Path, cloud: Hearthward, edge: int) -> list[Sample]:
    """A sample every ten seconds while the gateway is fed; it ends soon after that."""
    samples: list[Sample] = []
    end = time.monotonic() + SECONDS - EVERY_S - SAMPLE_S
    while time.monotonic() < end:
        time.sleep(EVERY_S)
        found = _metrics(folder)
        told = json.loads((folder / "edge.json").read_text())
        whole = tree_memory_mb(cloud.pid)
        samples.append(
            {
                "cloud memory": memory_mb(cloud.pid),
                "edge memory": memory_mb(edge),
                "broker memory": sum(whole.values()) - memory_mb(cloud.pid),
                "cloud tasks": found["process_tasks"],
                "cloud open files": found["process_open_files"],
                "edge tasks": told["tasks"],
                "edge open files": told["open_files"],
                "edge backlog": told["backlog"],
                "accepted": told["accepted"],
            }
        )
    return samples


def _metrics(folder: Path) -> Mapping[str, float]:
    """The cloud's gauges and counters without labels (of several, the sum)."""
    owner = read_owner(folder / "cl" / "cloud")
    if owner is None:
        return {}
    text = get(f"{owner.url}/metrics", owner.token, accept="text/plain").decode()
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE):
        plain = name.removeprefix("hearthward_")
        found[plain] = found.get(plain, 0.0) + float(value)
    return found


def _outcome(samples: Sequence[Sample], last: Mapping[str, Any], found: Mapping[str, float]) -> Outcome:
    counted = samples[int(len(samples) * WARM) :]
    third = max(1, len(counted) // 3)
    first, final = counted[:third], counted[-third:]
    span = SECONDS * (1 - WARM)
    rate = (counted[-1]["accepted"] - counted[0]["accepted"]) / (EVERY_S * max(1, len(counted) - 1))
    outcome = Outcome(
        "soak", f"{SECONDS:g} s, {RATE:,} readings a second wanted; figures of the last {span:g} s"
    )
    outcome.add("accepted at the edge", rate, "1/s", target=0.95 * RATE, at_least=True)
    readings = last["accepted"] - last["decisions"]  # what is decided at the edge has numbers, too
    missing = readings - found.get("readings_stored_total", 0.0)
    unheard = last["decisions"] - found.get("decisions_received_total", 0.0)
    outcome.add("accepted but not stored, at rest", abs(missing), "", target=0, note=f"of {readings:,.0f}")
    note = f"of {last['decisions']:.0f}"
    outcome.add("decided at the edge but not heard", abs(unheard), "", target=0, note=note)
    outcome.add("waiting at the edge, at rest", last["backlog"], "", target=0)
    for name in ("cloud memory", "edge memory", "broker memory"):
        grown = _mean(final, name) - _mean(first, name)
        note = f"{_mean(first, name):.0f} -> {_mean(final, name):.0f} MB PSS"
        outcome.add(f"{name}, growth", grown, "MB", target=GROWTH_MB, note=note)
    for name in ("cloud tasks", "cloud open files", "edge tasks", "edge open files"):
        grown = min(s[name] for s in final) - min(s[name] for s in first)
        outcome.add(f"{name}, growth", grown, "", target=0, note=f"{_mean(final, name):.0f} at the end")
    outcome.add(
        "longest backlog at the edge", max(s["edge backlog"] for s in counted), "readings", target=RATE * 2
    )
    return outcome


def _mean(samples: Sequence[Sample], name: str) -> float:
    return sum(s[name] for s in samples) / len(samples)


# -- the gateway's process


def _edge(folder: str, broker: str) -> None:
    asyncio.run(_feed(Path(folder), broker))


async def _feed(folder: Path, broker: str) -> None:
    from hearthward.app.edge import edge_running
    from hearthward.core.clock import SystemClock
    from hearthward.core.settings import load_settings

    settings = load_settings(None, data=folder / "ed", edge={"radio": "off"}, broker={"url": broker})
    devices = [device.id for _, device in virtual_ward().devices()]
    telemetry = Telemetry()
    async with edge_running(settings, broker_url=broker, clock=SystemClock(), telemetry=telemetry) as agent:
        async with asyncio.TaskGroup() as group:
            for n in range(FEEDERS):
                group.create_task(_feeder(agent, devices[n::FEEDERS], n))
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                _tell(folder, agent, telemetry)
                await asyncio.sleep(1)
        try:
            async with asyncio.timeout(DRAIN_S):
                await agent.outbox.drained()
        finally:
            _tell(folder, agent, telemetry)


async def _feeder(agent: Any, devices: Sequence[str], salt: int) -> None:
    """Some of the devices, in their share of the pace; what is due while the outbox syncs comes after it."""
    start, sent = time.monotonic(), 0
    while time.monotonic() < start + SECONDS:
        await agent.accept(_batch(devices, sent * FEEDERS + salt * BATCH))
        sent += BATCH
        await asyncio.sleep(max(0.0, start + sent * FEEDERS / RATE - time.monotonic()))


def _batch(devices: Sequence[str], sent: int) -> Any:
    from hearthward.core.model import Reading, ReadingBatch

    at = time.time_ns()
    rows = []
    for n in range(BATCH):
        heart = n % 2 == 0
        rows.append(
            Reading(
                device=devices[n % len(devices)],
                metric="heart_rate" if heart else "spo2",
                value=70.0 + (sent // BATCH) % 9 if heart else 95.0 + n % 4,
                code=None,
                device_time=None,
                received=at + n,
                corrected=at + n,
                digest=sent + n,
            )
        )
    return ReadingBatch.of(rows)


def _tell(folder: Path, agent: Any, telemetry: Telemetry) -> None:
    from hearthward.core.process_figures import process_figures

    figures = {
        **process_figures(),
        "backlog": agent.outbox.backlog(),
        "accepted": agent.outbox.accepted,
        "decisions": sum(telemetry.by_label("edge_decisions_total", "kind").values()),
    }
    (folder / "edge.new").write_text(json.dumps(figures))
    (folder / "edge.new").replace(folder / "edge.json")
