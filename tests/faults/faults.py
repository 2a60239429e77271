"""The faults: each breaks something in a running system, and ends when it is mended again.

What a fault needs (a small disk, a journalled one) it says, and what may be lost by it; how often it is
made in a full run stands beside it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Final, Literal

from tests.faults import rogue
from tests.faults.disks import Ext4
from tests.faults.parts import Part, Python
from tests.faults.proxy import PUBACK, PUBLISH, CutAt, Freeze, Lossy, Proxy, Refuse, Slow, Swallow, Way
from tests.faults.sight import numbers_in
from tests.faults.system import System

__all__ = ["FAULTS", "Fault"]

DAY_S: Final = 86_400.0
HALF: Final = 0.5
NEWEST: Final = 3
"""Damage is done to one of so many of the outbox's files, those written last."""
TAIL: Final = 4096
"""In half of the rounds it is done to the last bytes in use: there is what waits."""
WAITS_S: Final = 30.0
"""A process that is started says within so long that it waits."""
Inject = Callable[[System, random.Random], Awaitable[None]]
Needs = Literal["plain", "tmpfs", "tmpfs-cloud", "ext4", "store"]
"""``tmpfs``: the edge's data folder; ``tmpfs-cloud``: the cloud's, too."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table.

    ``ahead``: readings may be put aside as dated in the future. ``may_lose``: why readings that were accepted
    may be gone, as long as the gateway declares them and they are no more than what was destroyed
    (``System.may_lose``); empty, as of most faults: nothing may be.
    """

    name: str
    about: str
    rounds: int
    inject: Inject
    needs: Needs = "plain"
    ahead: bool = False
    may_lose: str = ""


FAULTS: Final[dict[str, Fault]] = {}


def _fault(
    name: str, about: str, rounds: int, *, needs: Needs = "plain", ahead: bool = False, may_lose: str = ""
) -> Callable[[Inject], Inject]:
    def enter(inject: Inject) -> Inject:
        FAULTS[name] = Fault(name, about, rounds, inject, needs, ahead, may_lose)
        return inject

    return enter


# -- processes


@_fault("kill-edge", "kill -9 of the edge", 50)
async def _kill_edge(system: System, rng: random.Random) -> None:
    await asyncio.sleep(rng.random())
    system.kill_edge()
    await asyncio.sleep(rng.random() / 2)
    system.start_edge()


@_fault("kill-broker", "kill -9 of the broker", 50)
async def _kill_broker(system: System, rng: random.Random) -> None:
    await asyncio.sleep(rng.random() / 2)
    system.broker.kill()
    await asyncio.sleep(rng.random())
    system.broker.start()


@_fault("kill-cloud", "kill -9 of the cloud (ingest, rules, notifier, web)", 35)
async def _kill_cloud(system: System, rng: random.Random) -> None:
    await asyncio.sleep(rng.random())
    system.cloud.kill()
    await asyncio.sleep(rng.random() / 2)
    system.cloud.start()


@_fault("kill-at-commit", "kill -9 of the cloud 0-30 ms after a frame, between commit and receipt", 35)
async def _kill_at_commit(system: System, rng: random.Random) -> None:
    await system.frame_seen()
    await asyncio.sleep(rng.random() * 0.03)
    system.cloud.kill()
    system.cloud.start()


@_fault("kill-store", "kill -9 of the time-series server (VictoriaMetrics) in mid-stream", 30, needs="store")
async def _kill_store(system: System, rng: random.Random) -> None:
    assert system.store is not None
    await asyncio.sleep(rng.random())
    system.store.kill()
    await asyncio.sleep(2 * rng.random())
    system.store.start()


@_fault("pause-cloud", "SIGSTOP of the cloud for 1-3 s", 10)
async def _pause_cloud(system: System, rng: random.Random) -> None:
    await _pause(system.cloud, rng)


@_fault("pause-broker", "SIGSTOP of the broker for 1-3 s", 10)
async def _pause_broker(system: System, rng: random.Random) -> None:
    await _pause(system.broker, rng)


async def _pause(part: Part, rng: random.Random) -> None:
    part.send(SIGSTOP)
    await asyncio.sleep(1 + 2 * rng.random())
    part.send(SIGCONT)


# -- links


async def _cut(system: System, rng: random.Random, kind: int, where: str) -> None:
    """Cut one of the two links at its next packet of a kind; either side of the broker may be hit."""
    link, way = rng.choice([(system.edge_link, Way.UP), (system.cloud_link, Way.DOWN)])
    if kind == PUBACK:
        way = Way.DOWN if way is Way.UP else Way.UP
    cut = link.behaviour = CutAt(way, kind, where)
    async with asyncio.timeout(20):
        await cut.done.wait()
    link.behaviour = Refuse()
    await asyncio.sleep(rng.random() / 2)
    system.heal()


@_fault("cut-before-puback", "link cut after a message, before its PUBACK", 80)
async def _cut_before(system: System, rng: random.Random) -> None:
    await _cut(system, rng, PUBACK, "before")


@_fault("cut-after-puback", "link cut right after a PUBACK", 80)
async def _cut_after(system: System, rng: random.Random) -> None:
    await _cut(system, rng, PUBACK, "after")


@_fault("cut-in-packet", "link cut in the middle of a message", 40)
async def _cut_within(system: System, rng: random.Random) -> None:
    await _cut(system, rng, PUBLISH, "within")


@_fault("half-open-edge", "the edge's link passes nothing any more, its socket stays open", 15)
async def _half_open_edge(system: System, rng: random.Random) -> None:
    await _half_open(system.edge_link, rng)


@_fault("half-open-cloud", "the same of the cloud's link", 15)
async def _half_open_cloud(system: System, rng: random.Random) -> None:
    await _half_open(system.cloud_link, rng)


async def _half_open(link: Proxy, rng: random.Random) -> None:
    await asyncio.sleep(rng.random())
    link.behaviour = Freeze(link)  # it mends itself when the other side gives up and connects anew


@_fault("slow-link", "0.2-0.5 s for each packet, for 3 s", 10)
async def _slow(system: System, rng: random.Random) -> None:
    link = rng.choice(system.links())
    link.behaviour = Slow(0.2 + 0.3 * rng.random())
    await asyncio.sleep(3)
    system.heal()


@_fault("lossy-link", "3 of 10 messages and PUBACKs lost, now and then one cut, for 4 s", 10)
async def _lossy(system: System, rng: random.Random) -> None:
    link = rng.choice(system.links())
    link.behaviour = Lossy(rng)
    await asyncio.sleep(4)
    system.heal()


@_fault("lying-broker", "the broker acknowledges frames and forgets them, for 1-3 s", 10)
async def _lying(system: System, rng: random.Random) -> None:
    system.edge_link.behaviour = Swallow()
    await asyncio.sleep(1 + 2 * rng.random())
    system.heal()


# -- disks


@_fault("disk-full", "the edge's disk is full for 1-3 s", 20, needs="tmpfs")
async def _disk_full(system: System, rng: random.Random) -> None:
    await asyncio.to_thread(system.disk.fill)
    try:
        await asyncio.sleep(1 + 2 * rng.random())
    finally:
        system.disk.free()


@_fault(
    "disk-full-cloud",
    "the cloud's disk is full for 1-3 s; in half of the rounds it is killed and started on it",
    10,
    needs="tmpfs-cloud",
)
async def _disk_full_cloud(system: System, rng: random.Random) -> None:
    assert system.cloud_disk.kind != "plain", "that would fill this machine's disk"
    await asyncio.to_thread(system.cloud_disk.fill)
    try:
        await asyncio.sleep(1 + 2 * rng.random())
        if rng.random() < HALF:
            said = "the start waits"
            before = system.cloud.said(said)
            system.cloud.kill()
            system.cloud.start()
            complaint = "a cloud that was started on a full disk does not wait for room"
            await system.until(lambda: system.cloud.said(said) > before, complaint, WAITS_S)
    finally:
        system.cloud_disk.free()


async def _damaged(system: System, rng: random.Random, damage: Callable[[Path, int], None]) -> None:
    """Damage a backlog that is nowhere else yet: a file written lately, within what is in use of it."""
    system.edge_link.behaviour = Swallow()
    await asyncio.sleep(1 + rng.random())
    system.kill_edge()
    folder = system.disk.folder / "edge"
    files = [p for p in (*folder.glob("outbox*"), *folder.glob("outbox*/**/*")) if p.is_file()]
    files.sort(key=lambda path: path.stat().st_mtime_ns)
    path = rng.choice(files[-NEWEST:])
    content = path.read_bytes()
    system.may_lose += numbers_in(content)
    used = len(content.rstrip(b"\0"))
    first = max(0, used - TAIL) if rng.random() < HALF else 0
    damage(path, rng.randrange(first, max(first + 1, used)))
    system.heal()
    system.start_edge()


@_fault(
    "bit-flip",
    "one bit flipped in a file of the outbox while readings wait in it",
    40,
    may_lose="they were nowhere else yet: at most the segment that was damaged",
)
async def _bit_flip(system: System, rng: random.Random) -> None:
    def flip(path: Path, at: int) -> None:
        data = bytearray(path.read_bytes())
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)

    await _damaged(system, rng, flip)


@_fault(
    "truncation",
    "a file of the outbox cut short while readings wait in it",
    20,
    may_lose="they were nowhere else yet: at most the segment that was cut short",
)
async def _truncation(system: System, rng: random.Random) -> None:
    def cut(path: Path, at: int) -> None:
        with path.open("r+b") as file:
            file.truncate(at)

    await _damaged(system, rng, cut)


@_fault("power-cut-edge", "the edge's disk loses power (nothing unsynced survives)", 20, needs="ext4")
async def _power_cut_edge(system: System, rng: random.Random) -> None:
    assert isinstance(system.disk, Ext4)
    await system.frame_seen()
    await asyncio.sleep(rng.random() / 2)
    system.disk.lose_power()
    system.kill_edge()
    await asyncio.to_thread(system.disk.unmount)
    await asyncio.to_thread(system.disk.mount)
    system.start_edge()


@_fault("power-cut-cloud", "the same of the cloud's disk, up to 50 ms after a frame", 20, needs="ext4")
async def _power_cut_cloud(system: System, rng: random.Random) -> None:
    assert isinstance(system.cloud_disk, Ext4)
    await system.frame_seen()
    await asyncio.sleep(rng.random() * 0.05)
    system.cloud_disk.lose_power()
    system.cloud.kill()
    system.api.close()
    await asyncio.to_thread(system.cloud_disk.unmount)
    await asyncio.to_thread(system.cloud_disk.mount)
    system.cloud.start()


# -- clocks


@_fault(
    "clock-edge-ahead",
    "the edge's clock jumps a day ahead (in half of the rounds it starts so), and back",
    5,
    ahead=True,
)
async def _edge_ahead(system: System, rng: random.Random) -> None:
    await _jump(system, system.edge, rng, DAY_S)


@_fault("clock-edge-back", "the same, a day back, and ahead", 5, ahead=True)
async def _edge_back(system: System, rng: random.Random) -> None:
    await _jump(system, system.edge, rng, -DAY_S)


@_fault("clock-cloud-ahead", "the cloud's clock jumps a day ahead, and back", 5, ahead=True)
async def _cloud_ahead(system: System, rng: random.Random) -> None:
    await _jump(system, system.cloud, rng, DAY_S)


@_fault("clock-cloud-back", "the cloud's clock jumps a day back, and ahead", 5, ahead=True)
async def _cloud_back(system: System, rng: random.Random) -> None:
    await _jump(system, system.cloud, rng, -DAY_S)


async def _jump(system: System, part: Python, rng: random.Random, seconds: float) -> None:
    """A breach while the clock is wrong must be told, too; an edge may even start with a wrong clock."""
    await asyncio.sleep(rng.random())
    part.clock.jump(seconds)
    try:
        await asyncio.sleep(0.5 + rng.random())
        if part is system.edge and rng.random() < HALF:
            system.kill_edge()
            system.start_edge()
        system.during.append(await system.breach())
        await asyncio.sleep(1)
    finally:
        part.clock.jump(0)


# -- messages of others


@_fault("replayed-frames", "old frames sent again by somebody else", 10)
async def _replayed(system: System, rng: random.Random) -> None:
    await system.frame_seen()
    await rogue.replay_frames(system, rng)


@_fault("forged-frames", "frames garbled, of unknown gateways, on others' topics", 10)
async def _forged_frames(system: System, rng: random.Random) -> None:
    await system.frame_seen()
    await rogue.forge_frames(system, rng)


@_fault("forged-receipts", "receipts for readings that nobody has stored: forged, replayed, garbled", 10)
async def _forged_receipts(system: System, rng: random.Random) -> None:
    await rogue.forge_receipts(system, rng)
