"""Virtual pulse oximeters on ptys, each line of which can be told from all others."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from devices.twins.serial import MasimoTwin
from hearthward.core.errors import LinkError
from tests.faults.books import SERIALS, Books, Line

__all__ = ["EVERY_S", "UNSET", "Driver", "plan_of"]

EVERY_S: Final = 0.5
LATE_S: Final = 1.0
"""What a busy machine has held up is caught up with, at most so much of it."""
UNSET: Final = timedelta(days=365 * 20)
"""How far the clock of an instrument is behind that was never set: nobody believes it."""


def plan_of(devices: dict[str, Path]) -> dict[str, Any]:
    """A ward with one patient for each instrument, for ``hearthward cloud --seed``."""
    patients = [
        {
            "id": f"pat-{device}",
            "name": f"Patient {device}",
            "bed": device,
            "devices": [
                {"id": device, "kind": "masimo", "interval_s": 3600.0, "address": str(path)},
            ],
        }
        for device, path in devices.items()
    ]
    return {"ward": "Faults", "gateway": "gw-1", "patients": patients, "about": "fault harness"}


class Driver:
    """``count`` instruments that send a line ``every_s``; each second one has a clock that was never set."""

    def __init__(self, folder: Path, count: int, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self.books = Books()
        self.paths = {f"ox{n}": folder / f"ox{n}" for n in range(count)}
        self._twins = {device: MasimoTwin(device, link_path=path) for device, path in self.paths.items()}
        self._serials = dict.fromkeys(self.paths, 0)
        self._task: asyncio.Task[None] | None = None
        self.paused = False
        self.unread = 0
        """Lines that could not be sent because nobody had the port open."""

    async def __aenter__(self) -> Self:
        for twin in self._twins.values():
            await twin.start()
        self._task = asyncio.create_task(self._run(), name="instruments")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        for twin in self._twins.values():
            await twin.close()

    async def stop(self) -> None:
        """No further lines."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()
            self._task = None

    async def ready(self, device: str) -> None:
        """Return as soon as somebody reads that instrument."""
        await self._twins[device].wait_ready()

    async def all_ready(self) -> None:
        """Return as soon as all are read."""
        for twin in self._twins.values():
            await twin.wait_ready()

    async def send(self, device: str, *, breach: bool = False) -> Line:
        """Send the next line. Raises LinkError: nobody reads, and nothing was sent."""
        serial = self._serials[device] = self._serials[device] + 1
        if serial >= SERIALS:
            msg = f"{device} has sent all lines that can be told apart: use shorter sessions"
            raise RuntimeError(msg)
        wall = time.time()
        at = datetime.fromtimestamp(int(wall), UTC)
        if int(device.removeprefix("ox")) % 2:
            at -= UNSET
        line = Line(device, serial, time.monotonic(), wall, breach)
        await self._twins[device].send(line.values, device_time=at)
        self.books.enter(line)
        return line

    async def _run(self) -> None:
        pause = self._every_s / len(self._twins)
        due = time.monotonic()
        while True:
            for device in self._twins:
                try:
                    if not self.paused:
                        await self.send(device)
                except LinkError:
                    self.unread += 1
                due = max(due + pause, time.monotonic() - LATE_S)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
