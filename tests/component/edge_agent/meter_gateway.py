"""A gateway with one glucose meter in a process of its own, for the tests to kill.

Arguments: the folder, the radio's spec, the meter's address. Prints ``committed N`` after each append.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from devices import DeviceConfig, DeviceSession
from devices.links.factory import Links
from devices.links.radio import open_radio
from edge_agent import Outbox
from edge_agent.cursor_store import FileCursors
from firmware_profiles import Catalog, load_catalog
from hearthward.core.clock import SystemClock
from hearthward.core.ids import RandomIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def run(folder: Path, spec: str, address: str) -> None:
    glucose = load_catalog().get("sig-glucose")
    steps = tuple(
        replace(step, racp=replace(step.racp, delete=True)) if step.racp else step for step in glucose.session
    )
    clock, ids, telemetry = SystemClock(), RandomIds(), Telemetry()
    outbox = await Outbox.open(
        folder / "outbox", clock=clock, ids=ids, telemetry=telemetry, max_bytes=64 << 20
    )

    async def sink(batch: ReadingBatch) -> None:
        _, last = await outbox.append(batch)
        say(f"committed {last}")

    async with open_radio(spec) as radio:
        session = DeviceSession(
            DeviceConfig("meter", "ble", address, glucose.id),
            Catalog([replace(glucose, session=steps)]),
            Links(radio),
            sink,
            clock,
            ids,
            telemetry,
            lambda _device, state, reason: say(f"state {state.value} {reason}"),
            lambda *_: None,
            cursors=FileCursors(folder / "cursors.json"),
        )
        await session.run()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
