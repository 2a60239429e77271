"""The three tests on which other gateways lost readings, with the same counting: what of N is not stored.

Another machine's figures of ThingsBoard's gateway, Node-RED and a small script stand in docs/measurements.md.
Here instruments send over pseudo-terminals; edge, broker and cloud are processes of their own.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from bench.figures import Outcome
from bench.processes import work_folder
from tests.faults.checker import Verdict
from tests.faults.disks import Disk
from tests.faults.proxy import Refuse
from tests.faults.system import System

__all__ = ["measure"]

INSTRUMENTS: Final = 8
EVERY_S: Final = 0.12
"""Eight instruments, three readings a line: 200 readings a second."""
BEFORE_S: Final = 5.0
OUTAGE_S: Final = 60.0
CUT_OFF_S: Final = 30.0
ALONE_S: Final = 10.0
BROKER: Final = "nats"


@dataclass(frozen=True, slots=True)
class _Count:
    """Readings sent in a test, and what became of them; how long the backlog took once the link was back."""

    sent: int
    verdict: Verdict
    drained_s: float


def measure() -> Outcome:
    """One system for all three; the second and third kill its gateway."""
    return asyncio.run(_measure())


async def _measure() -> Outcome:
    rate = INSTRUMENTS * 3 / EVERY_S
    outcome = Outcome("gateways", f"readings lost and doubled at {rate:.0f} a second; {BROKER}, SQLite store")
    with work_folder() as folder:
        edge, cloud = Disk(folder / "edge"), Disk(folder / "cloud")
        async with System(
            folder / "system",
            BROKER,
            edge,
            cloud,
            instruments=INSTRUMENTS,
            every_s=EVERY_S,
            outbox_bytes=64 << 20,
        ) as system:
            _add(outcome, f"{OUTAGE_S:.0f} s without the network", await _outage(system))
            _add(outcome, f"kill -9 after {CUT_OFF_S:.0f} s cut off", await _killed(system))
            _add(outcome, "started without a server, then kill -9", await _alone(system))
    return outcome


def _add(outcome: Outcome, name: str, count: _Count) -> None:
    verdict = count.verdict
    note = f"of {count.sent:,}"
    if verdict.unaccepted:
        note += f"; {verdict.unaccepted} died with the gateway before they were accepted"
    outcome.add(f"{name}: lost", verdict.lost, "readings", target=0, note=note)
    outcome.add(f"{name}: doubled", verdict.doubled + verdict.foreign, "readings", target=0, note=note)
    outcome.add(f"{name}: all stored after", count.drained_s, "s", note="from the link's return")


async def _outage(system: System) -> _Count:
    since = time.monotonic()
    await asyncio.sleep(BEFORE_S)
    _cut(system)
    await asyncio.sleep(OUTAGE_S)
    return await _count(system, since)


async def _killed(system: System) -> _Count:
    since = time.monotonic()
    _cut(system)
    await asyncio.sleep(CUT_OFF_S)
    system.kill_edge()
    system.start_edge()
    await system.driver.all_ready()
    return await _count(system, since)


async def _alone(system: System) -> _Count:
    """Its configuration it has from before; nobody answers when it starts, nor until it is killed."""
    system.driver.paused = True
    await system.settled(0.0, aside=False)
    system.kill_edge()
    _cut(system)
    since = time.monotonic()
    system.start_edge()
    await system.driver.all_ready()
    system.driver.paused = False
    await asyncio.sleep(ALONE_S)
    system.kill_edge()
    system.start_edge()
    await system.driver.all_ready()
    return await _count(system, since)


def _cut(system: System) -> None:
    system.edge_link.behaviour = Refuse()
    system.edge_link.cut()


async def _count(system: System, since: float) -> _Count:
    """The network is back: wait until all is stored (or 40 s), then count."""
    system.heal()
    back = time.monotonic()
    verdict = await system.settled(since, aside=False)
    lines = sum(1 for _ in system.driver.books.between(since, back))
    return _Count(3 * lines, verdict, time.monotonic() - back)
