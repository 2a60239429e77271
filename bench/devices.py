"""An hour with 200 Bluetooth devices and 32 serial ports at one gateway: nothing missed, steady memory.

The devices are a process of their own: peripherals behind one radio (HCI over TCP) and instruments behind
ptys, each with a value a second; now and then links of some are dropped and ports unplugged for a moment. The
gateway's half (links, sessions, decoding) is the process that is looked at; its sink only counts.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench.figures import Outcome
from bench.processes import memory_mb, work_folder

__all__ = ["measure"]

SECONDS: Final = float(os.environ.get("BENCH_DEVICES_S", "3600"))
PERIPHERALS: Final = 200
PORTS: Final = 32
LEAVE: Final = 4
"""So many devices are switched off and on again in each round..."""
ROUND_S: Final = min(30.0, SECONDS / 5)
"""...which takes so long."""
START_S: Final = 180.0
SAMPLE_S: Final = 5.0
ARRIVE_S: Final = 2.0
"""What was sent has arrived by then."""
LOOKS: Final = 6
LOOK_S: Final = min(0.5, SECONDS / 25)
WARM: Final = 0.3
"""The part of the run after which figures count."""
GROWTH_MB: Final = 5.0
CORE: Final = 0.5
"""Of one core, at most."""


def measure() -> Outcome:
    """Run it once."""
    with work_folder() as folder:
        context = multiprocessing.get_context("spawn")
        world = context.Process(target=_world, args=(str(folder),), name="devices")
        world.start()
        try:
            found = asyncio.run(_gateway(folder))
            world.join(START_S)
        finally:
            if world.is_alive():
                world.kill()
            world.join()
        sent = json.loads((folder / "sent.json").read_text())
    return _outcome(found, sent)


def _outcome(found: dict[str, Any], sent: dict[str, int]) -> Outcome:
    about = f"{PERIPHERALS} Bluetooth devices, {PORTS} serial ports, {SECONDS:g} s; growth after {WARM:.0%}"
    outcome = Outcome("devices", about)
    got: Counter[str] = found["readings"]
    missed = sum((Counter(sent) - got).values())
    doubled = sum((got - Counter(sent)).values())
    total = sum(sent.values())
    outcome.add("readings sent and not read", missed, "", target=0, note=f"of {total:,}")
    outcome.add("readings read and not sent", doubled, "", target=0)
    outcome.add("links dropped, ports unplugged", found["left"], "times", note="within the run")
    outcome.add("all devices streaming at first after", found["up_s"], "s")
    samples: Sequence[tuple[float, float]] = found["memory"]
    counted = samples[int(len(samples) * WARM) :]
    third = max(1, len(counted) // 3)
    first, last = _mean(counted[:third]), _mean(counted[-third:])
    note = f"{first:.1f} -> {last:.1f} MB PSS"
    outcome.add("gateway's memory, growth", last - first, "MB", target=GROWTH_MB, note=note)
    outcome.add("gateway's tasks, growth", found["tasks"][1] - found["tasks"][0], "", target=0)
    outcome.add("gateway's open files, growth", found["files"][1] - found["files"][0], "", target=0)
    outcome.add("gateway's CPU", 100 * found["cpu"], "% of a core", target=100 * CORE)
    return outcome


def _mean(samples: Sequence[tuple[float, float]]) -> float:
    return sum(memory for _, memory in samples) / len(samples)


# -- the gateway


async def _gateway(folder: Path) -> dict[str, Any]:
    """The fleet over the devices, from their start to a while after their last value."""
    from devices import DeviceConfig, DeviceFleet
    from devices.links.radio import open_radio
    from firmware_profiles import load_catalog
    from hearthward.core.clock import SystemClock
    from hearthward.core.ids import RandomIds
    from hearthward.core.model import ReadingBatch
    from hearthward.core.telemetry import Telemetry

    plan = json.loads(await _wait_for(folder / "plan.json", START_S))
    readings: Counter[str] = Counter()

    async def sink(batch: ReadingBatch) -> None:
        rows = zip(batch.device, batch.metric, batch.value, strict=True)
        readings.update(_key(device, metric, value) for device, metric, value in rows if _measured(metric))
        await asyncio.sleep(0)

    configs = [DeviceConfig(**one) for one in plan["devices"]]
    telemetry = Telemetry()
    async with open_radio(plan["radio"]) as radio:
        fleet = DeviceFleet(load_catalog(), radio, sink, SystemClock(), RandomIds(), telemetry)
        await fleet.apply(configs)
        running = asyncio.create_task(fleet.run())
        try:
            begun = time.monotonic()
            await _all_stream(fleet, len(configs))
            up_s = time.monotonic() - begun
            before = await _at_rest()
            (folder / "go").touch()
            cpu = time.process_time()
            memory = await _sampled(folder)
            spent = (time.process_time() - cpu) / SECONDS
            await _all_stream(fleet, len(configs))
            after = await _at_rest()
        finally:
            running.cancel()
            await asyncio.wait([running])
            (folder / "done").touch()
    connects = sum(telemetry.by_label("device_connects_total", "device").values())
    return {
        "readings": readings,
        "memory": memory,
        "up_s": up_s,
        "left": int(connects) - len(configs),
        "cpu": spent,
        "tasks": (before["tasks"], after["tasks"]),
        "files": (before["open_files"], after["open_files"]),
    }


async def _at_rest() -> dict[str, float]:
    """The least of tasks and open files in some seconds: some come and go."""
    from hearthward.core.process_figures import process_figures

    seen = []
    for _ in range(LOOKS):
        seen.append(process_figures())
        await asyncio.sleep(LOOK_S)
    return {name: min(one[name] for one in seen) for name in ("tasks", "open_files")}


def _measured(metric: str) -> bool:
    """Whether it is one of those that the devices count, and not what a link asks for by itself."""
    return metric in {"heart_rate", "spo2", "pulse_rate"}


def _key(device: str, metric: str, value: float | None) -> str:
    """What is counted by itself: the loss of one value is not made good by another that came twice."""
    return f"{device} {metric} {value}"


async def _wait_for(path: Path, seconds: float) -> str:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(path.exists):  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.1)
    return await asyncio.to_thread(path.read_text)


async def _all_stream(fleet: Any, count: int) -> None:
    async with asyncio.timeout(START_S):
        while sum(word.state == "streaming" for word in fleet.words().values()) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _sampled(folder: Path) -> list[tuple[float, float]]:
    """The process's memory, until the devices have sent their last value and it was read."""
    samples = []

    async def sample() -> None:
        while True:
            samples.append((time.monotonic(), memory_mb(os.getpid())))
            await asyncio.sleep(SAMPLE_S)

    sampling = asyncio.create_task(sample())
    try:
        await _wait_for(folder / "sent.json", SECONDS + START_S)
        await asyncio.sleep(ARRIVE_S)
    finally:
        sampling.cancel()
    return samples


# -- the devices


def _world(folder: str) -> None:
    asyncio.run(_devices(Path(folder)))


async def _devices(folder: Path) -> None:
    from devices.twins.world import TwinWorld

    async with TwinWorld() as world:
        twins = [
            world.add_heart_rate(f"hr-{n}") if n % 2 else world.add_pulse_oximeter(f"ox-{n}")
            for n in range(PERIPHERALS)
        ]
        ports = [world.add_masimo(f"ma-{n}", link_path=folder / f"port-{n}") for n in range(PORTS)]
        await world.start()
        radio = f"tcp-client:127.0.0.1:{await world.serve_hci('127.0.0.1', 0)}"
        configs = [
            {"id": t.id, "transport": t.transport, "address": t.address, "profile": t.profile}
            for t in (*twins, *ports)
        ]
        (folder / "plan.new").write_text(json.dumps({"radio": radio, "devices": configs}))
        (folder / "plan.new").replace(folder / "plan.json")
        sent = await _lives(folder, [*twins, *ports])
        (folder / "sent.new").write_text(json.dumps(sent))
        (folder / "sent.new").replace(folder / "sent.json")
        await _wait_for(folder / "done", START_S)


async def _lives(folder: Path, twins: Sequence[Any]) -> dict[str, int]:
    """Let them all measure, from before the run to its end; what was sent with somebody listening.

    Raises what ended one of them: a device that sends no more would miss nothing.
    """
    sent: Counter[str] = Counter()
    resting: set[str] = set()
    measuring = [
        asyncio.create_task(_measure(twin, n / len(twins), sent, resting)) for n, twin in enumerate(twins)
    ]
    await _wait_for(folder / "go", START_S)
    await _leave(twins, time.monotonic() + SECONDS, resting)
    resting.update(twin.id for twin in twins)  # no one is stopped in the middle of a payload
    await asyncio.sleep(ARRIVE_S)
    dead = [task for task in measuring if task.done()]
    for task in measuring:
        task.cancel()
    await asyncio.wait(measuring)
    for task in dead:
        task.result()
    return dict(sent)


async def _measure(twin: Any, offset: float, sent: Counter[str], resting: set[str]) -> None:
    from hearthward.core.errors import LinkError

    due, n = time.monotonic() + offset, 0
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due, n = due + 1, n + 1
        values = {"heart_rate": 60.0 + n % 40} if "heart_rate" in twin.metrics else _oximetry(n)
        if twin.ready() and twin.id not in resting:
            with suppress(LinkError):
                arrives = await twin.send(values)
                sent.update(_key(twin.id, metric, value) for metric, value in arrives.items())


def _oximetry(n: int) -> dict[str, float]:
    return {"spo2": 90.0 + n % 9, "pulse_rate": 60.0 + n % 40}


async def _leave(twins: Sequence[Any], end: float, resting: set[str]) -> None:
    """Switch some off and on again, round after round; one that is about to leave measures no more."""
    n = 0
    while time.monotonic() + 2 * ROUND_S < end:
        chosen = [twins[(n + k * len(twins) // LEAVE) % len(twins)] for k in range(LEAVE)]
        resting.update(twin.id for twin in chosen)
        await asyncio.sleep(1)  # what is on its way arrives
        for twin in chosen:
            await (twin.disconnect() if hasattr(twin, "disconnect") else _replug(twin))
        await asyncio.sleep(ROUND_S - 1)
        resting.difference_update(twin.id for twin in chosen)
        n += 1
    await asyncio.sleep(max(0.0, end - time.monotonic()))


async def _replug(twin: Any) -> None:
    await twin.close()
    await asyncio.sleep(1)
    await twin.start()
