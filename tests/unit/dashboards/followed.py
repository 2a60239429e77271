"""A wall's stream, as tests follow it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from dashboards.backend import RosterDevice, RosterEntry, VitalSample
from dashboards.live.board import Board
from dashboards.live.hub import LiveHub
from dashboards.models import Gateway, Inactivation, ProfileChoice
from hearthward.trust.access import Scope
from tests.unit.dashboards.webworld import PROFILES, T0, S


def sample(metric: str = "spo2", value: float | None = 97, at: int = T0, **more: Any) -> VitalSample:
    return VitalSample(more.pop("device", "oxi"), metric, value, at, at, **{"quality": 0, **more})


def gateway(*, online: bool = True, **states: str) -> Gateway:
    return Gateway(id="gw", online=online, states=states)


def board(*devices: RosterDevice, home: bool = False, profiles: Sequence[ProfileChoice] = PROFILES) -> Board:
    made = Board(profiles)
    made.set_roster([RosterEntry("p1", "Rosa", "w1", "Ward A", "A-01", home, tuple(devices))])
    return made


OXI = RosterDevice("oxi", "gw", "sig-pulse-oximeter", None, T0)


def off(subject: str, kind: str = "alarm_paused") -> Inactivation:
    return Inactivation(
        id=subject, subject=subject, kind=kind, by="u", by_name="Li Na", reason="bath", start=T0, until=T0 + S
    )


def parse(message: bytes | None) -> tuple[str, dict[str, Any]]:
    assert message is not None
    fields = dict(line.split(": ", 1) for line in message.decode().strip().splitlines())
    return fields["event"], json.loads(fields["data"])


async def follow(
    hub: LiveHub, scope: Scope, last: str | None = None
) -> asyncio.Queue[tuple[str, dict[str, Any]]]:
    """A reader of the stream, as a queue."""
    out: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    async def alive() -> bool:
        return True

    async def read() -> None:
        async for messages in hub.stream(scope, last, alive):
            for message in messages.strip().split(b"\n\n"):
                if not message.startswith(b"retry"):
                    out.put_nowait(parse(message))

    out.task = asyncio.create_task(read())  # type: ignore[attr-defined]
    await out.get()  # the first heartbeat: it is listening
    return out


async def until(queue: asyncio.Queue[tuple[str, dict[str, Any]]], kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            found, data = await queue.get()
            if found == kind:
                return data
