"""A host in a process of its own, for the tests to kill: connects and prints what it receives.

Arguments: the radio's spec, then the addresses of heart rate devices.
"""

from __future__ import annotations

import asyncio
import sys

from devices.links.radio import open_radio
from hearthward.core.errors import LinkError
from tests.component.devices.bluetooth import listen


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def follow(spec: str, addresses: list[str]) -> None:
    async with open_radio(spec) as radio:
        listeners = await asyncio.gather(*(listen(radio, one, "sig-heart-rate") for one in addresses))
        say("connected")
        for listener in listeners:
            for payload in await listener.wait_for("2a37"):
                say(payload.hex())
        await asyncio.gather(*(listener.task for listener in listeners))


if __name__ == "__main__":
    try:
        asyncio.run(follow(sys.argv[1], sys.argv[2:]))
    except LinkError as error:
        say(f"lost {error}")
