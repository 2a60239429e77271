"""Devices that are never connected to: each measurement once, however often it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from devices.links.advertisement import REPEATED_S, AdvertisementLink
from firmware_profiles import load_catalog
from hearthward.core.errors import LinkError

PROFILE = load_catalog().get("xiaomi-mibfs")
SCALE = "C0:12:34:56:78:9A"
BODY = "0000181b-0000-1000-8000-00805f9b34fb"
ONE, TWO = bytes.fromhex("02A6E907030F0A1E2DF4019A3A"), bytes.fromhex("02A6E907030F0A1F00F4019B3A")


class Ear:
    """The radio as far as such a link uses it."""

    def __init__(self) -> None:
        self.error: LinkError | None = None
        self.listener: Any = None
        self.ended = asyncio.Event()

    async def check(self) -> None:
        if self.error is not None:
            raise self.error

    async def listen(self, listener: Any) -> None:
        self.listener = listener
        await self.ended.wait()
        msg = "the adapter is gone"
        raise LinkError(msg)

    def say(
        self,
        service: dict[str, bytes],
        address: str = SCALE,
        maker: dict[int, bytes] | None = None,
    ) -> None:
        said = AdvertisementData("MIBFS", maker or {}, service, [BODY], None, -60, ())
        self.listener(BLEDevice(address, "MIBFS", None), said)


class Rig:
    def __init__(self) -> None:
        self.now = 0.0
        self.ear: Any = Ear()
        self.link = AdvertisementLink(SCALE.lower(), PROFILE, self.ear, seconds=lambda: self.now)
        self.heard: list[tuple[str, bytes]] = []
        self.subscribed = False
        self.running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        def subscribed() -> None:
            self.subscribed = True

        self.link.on_subscribed = subscribed
        await self.link.connect()
        self.running = asyncio.create_task(self.link.run((), self.take))
        while self.ear.listener is None:  # noqa: ASYNC110 - the ear of memory has no event
            await asyncio.sleep(0)

    def take(self, source: str, payload: bytes) -> None:
        if payload == b"poison":
            raise ZeroDivisionError
        self.heard.append((source, payload))


async def test_each_measurement_is_taken_once():
    rig = Rig()
    await rig.start()
    assert rig.subscribed
    for _ in range(60):
        rig.ear.say({BODY: ONE})
        rig.now += 1
    rig.ear.say({BODY: TWO})
    rig.ear.say({BODY: TWO})
    rig.ear.say({BODY: TWO}, address="C0:00:00:00:00:01")
    assert rig.heard == [("181b", ONE), ("181b", TWO)]
    rig.now += REPEATED_S
    rig.ear.say({BODY: TWO})
    assert len(rig.heard) == 3
    await rig.link.close()
    with pytest.raises(LinkError, match="closed"):
        await rig.running  # type: ignore[misc]


async def test_what_the_profile_has_no_frame_for_is_let_go():
    rig = Rig()
    await rig.start()
    rig.ear.say({"0000fe95-0000-1000-8000-00805f9b34fb": b"x"}, maker={0x0157: b"y"})
    assert rig.heard == []
    rig.link._sources = frozenset({"m0157"})
    rig.ear.say({}, maker={0x0157: b"y"})
    assert rig.heard == [("m0157", b"y")]
    await rig.link.close()
    with pytest.raises(LinkError, match="closed"):
        await rig.running  # type: ignore[misc]


async def test_a_radio_that_fails_ends_it():
    rig = Rig()
    rig.ear.error = LinkError("the radio is off")
    with pytest.raises(LinkError, match="off"):
        await rig.link.connect()
    rig.ear.error = None
    await rig.start()
    rig.ear.ended.set()
    with pytest.raises(LinkError, match="adapter is gone"):
        await rig.running  # type: ignore[misc]


async def test_what_fails_above_ends_the_link_and_not_the_radio():
    rig = Rig()
    await rig.start()
    rig.ear.say({BODY: b"poison"})
    with pytest.raises(ZeroDivisionError):
        await rig.running  # type: ignore[misc]


async def test_without_a_connect_there_is_nothing_to_run():
    with pytest.raises(LinkError):
        await Rig().link.run((), lambda *_: None)
