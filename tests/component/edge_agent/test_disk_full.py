"""A really full disk (a small tmpfs): the pre-sized outbox goes on, dropping its oldest."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_agent import Outbox
from hearthward.core.clock import SystemClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.ids import RandomIds
from hearthward.core.telemetry import Telemetry
from tests.unit.edge_agent.batches import make_batch


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)]
    mounted = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    await asyncio.to_thread(subprocess.run, ["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(4096))
        except OSError:
            return


async def open_at(disk: Path, max_bytes: int) -> Outbox:
    return await Outbox.open(
        disk / "outbox", clock=SystemClock(), ids=RandomIds(), telemetry=Telemetry(), max_bytes=max_bytes
    )


async def test_the_outbox_works_on_and_reopens_on_a_full_disk(small_disk: Path):
    box = await open_at(small_disk, 4 << 20)
    fill(small_disk)
    for i in range(80):
        last = (await box.append(make_batch(1000 * i, 499, fat=True)))[1]
    (gap,) = box.gaps
    assert gap.reason == "full"
    assert box.backlog() == last - gap.last
    waiting = [b.stored() for b in await box.pending(0, 10**9, 10**12)]
    assert await box.confirm(waiting) == last - gap.last
    await box.append(make_batch(77, 1))
    await box.close()
    fill(small_disk)
    again = await open_at(small_disk, 4 << 20)
    assert (again.accepted, again.backlog()) == (last + 1, 1)
    for i in range(80):
        await again.append(make_batch(1000 * i, 499, fat=True))
    await again.close()


async def test_too_little_room_for_the_reserve_is_said_at_once(small_disk: Path):
    with pytest.raises(StoreUnavailable, match=r"reserves \d+ MiB, but only \d+ MiB are free"):
        await open_at(small_disk, 64 << 20)
    left = await asyncio.to_thread(lambda: sorted(p.name for p in small_disk.rglob("*")))
    assert left == ["outbox", "outbox.lock"]
