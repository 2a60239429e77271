"""From a device's bytes to each later stage, with 16 virtual patients at 1 Hz on this machine.

The rule is the bench's own: it alarms at once when SpO2 is below 90, and every oximeter goes below and back
every few seconds. Delays run from the moment before the twin hands its bytes to the radio or the port.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from bench.figures import Outcome
from bench.processes import work_folder
from bench.ward import Chain, bench_settings, chain_running, write_rule
from devices.twins.base import Twin
from hearthward.app.tracker import percentiles
from hearthward.app.ward import TWINS, PlannedDevice, VitalSigns, virtual_ward
from hearthward.core.errors import LinkError

__all__ = ["measure"]

SECONDS: Final = 60.0
READY_S: Final = 60.0
SETTLE_S: Final = 2.0
HALF_PERIOD_S: Final = 2
"""An oximeter is so long below its limit, then so long above it."""
TARGET_MS: Final = 150.0
STAGES: Final = {
    "accepted": "committed and fsynced at the edge",
    "stored": "committed in the cloud's store",
    "alarm": "alarm committed with its notification",
    "live": "value on a wall's stream",
    "alarm seen": "alarm on a wall's stream",
}


def measure() -> Outcome:
    """Run the chain for a minute."""
    return asyncio.run(_measure())


async def _measure() -> Outcome:
    plan = virtual_ward()
    with work_folder() as folder:
        settings = bench_settings(folder, cloud={"rules_path": write_rule(folder / "rules")})
        async with chain_running(settings, plan) as chain:
            async with asyncio.timeout(READY_S):
                await asyncio.gather(*(twin.wait_ready() for twin in chain.ward.twins.values()))
            before = time.process_time()
            sent = await _drive(chain)
            busy = (time.process_time() - before) / SECONDS
            await asyncio.sleep(SETTLE_S)
            return _outcome(chain, sent, busy)


def _outcome(chain: Chain, sent: int, busy: float) -> Outcome:
    samples = chain.tracker.samples
    outcome = Outcome(
        "latency",
        f"{len(chain.ward.plan.patients)} virtual patients, {len(chain.ward.twins)} devices, "
        f"{SECONDS:.0f} s, {sent} payloads, {len(samples['alarm'])} alarms, "
        f"{100 * busy:.0f} % of a core (without the broker)",
    )
    for stage, words in STAGES.items():
        found = percentiles(samples[stage])
        target = TARGET_MS if stage in {"alarm", "alarm seen"} else None
        outcome.add(f"{stage} p50", found["p50"], "ms", note=words)
        outcome.add(f"{stage} p99", found["p99"], "ms", target=target, note=f"{len(samples[stage])} samples")
    return outcome


async def _drive(chain: Chain) -> int:
    """Let every device send in its own part of the second; returns the payloads that left."""
    loop = asyncio.get_running_loop()
    start = loop.time() + 0.5
    tasks = []
    async with asyncio.TaskGroup() as group:
        patients = chain.ward.plan.patients
        for n, patient in enumerate(patients):
            signs = VitalSigns(patient.id)
            for device in patient.devices:
                at = start + n / len(patients)
                tasks.append(group.create_task(_send(chain, device, signs, n, at, start + SECONDS)))
    return sum(task.result() for task in tasks)


async def _send(
    chain: Chain, device: PlannedDevice, signs: VitalSigns, n: int, due: float, end: float
) -> int:
    loop = asyncio.get_running_loop()
    twin: Twin = chain.ward.twins[device.id]
    sent = 0
    while due < end:
        await asyncio.sleep(max(0.0, due - loop.time()))
        second = int(due - end + SECONDS)
        due += device.interval_s
        values = {m: v for m, v in signs.at(second).items() if m in TWINS[device.kind][2]}
        if "spo2" in values:
            values["spo2"] = 82.0 if (second // HALF_PERIOD_S + n) % 2 else 97.0
        chain.tracker.sending(twin.id)
        try:
            await twin.send(values)
        except LinkError:
            chain.tracker.unsend(twin.id)
            continue
        sent += 1
    return sent
