"""An edge in a process of its own, to be killed: appends and prints what was accepted, and sends it.

Arguments: outbox path, broker port, first digest, the cloud's public key. Prints ``ready BOOT`` and
``DIGEST`` after each append.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from edge_agent import CloudTrust, Outbox, Uplink
from hearthward.core.clock import SystemClock
from hearthward.core.ids import RandomIds
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, Status
from tests.component.edge_agent.brokers import GATEWAY, TENANT
from tests.unit.edge_agent.batches import make_batch


async def accept_all(_: ConfigDocument) -> None:
    return


async def main(path: Path, port: int, digest: int, key: bytes) -> None:
    telemetry = Telemetry()
    box = await Outbox.open(
        path, clock=SystemClock(), ids=RandomIds(), telemetry=telemetry, max_bytes=4 << 20
    )
    uplink = Uplink(
        box,
        f"mqtt://127.0.0.1:{port}",
        tenant=TENANT,
        gateway=GATEWAY,
        clock=SystemClock(),
        telemetry=telemetry,
        on_config=accept_all,
        status=lambda: Status(online=True),
        trust=CloudTrust(path.with_name("cloud-key"), clock=SystemClock(), key=key),
        resend_s=0.2,
    )
    say(f"ready {box.boot}")
    async with asyncio.TaskGroup() as tasks:
        if port:
            tasks.create_task(uplink.run())
        for lane in range(4):
            tasks.create_task(append_forever(box, digest + lane * 1_000_000))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def append_forever(box: Outbox, digest: int) -> None:
    while True:
        await box.append(make_batch(digest, 3))
        say(str(digest))
        digest += 3


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])))
