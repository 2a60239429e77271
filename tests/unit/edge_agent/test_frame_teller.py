"""A device's frames are told while they are watched, and no longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from devices.last_frames import LastFrames
from edge_agent.uplink import frame_teller
from edge_agent.uplink.frame_teller import MOST_WATCHED, FrameTeller
from firmware_profiles import load_catalog
from hearthward.core.clock import EventClock
from hearthward.core.raw_frames import RawFrames
from hearthward.core.telemetry import Telemetry

HEART = load_catalog().get("sig-heart-rate")


class Client:
    """An MQTT client of memory."""

    def __init__(self) -> None:
        self.sent: list[RawFrames] = []

    async def publish(self, topic: str, payload: bytes, qos: int = 0) -> None:
        assert (topic, qos) == ("hw/1/main/gw-1/raw", 0)
        self.sent.append(RawFrames.decode(payload))

    async def until(self, there: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not there():  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.005)


class Rig:
    def __init__(self) -> None:
        self.frames, self.telemetry, self.client = LastFrames(), Telemetry(), Client()
        self.frames.have(["strap", *(f"d{n}" for n in range(MOST_WATCHED + 1))])
        self.teller = FrameTeller(
            self.frames,
            tenant="main",
            gateway="gw-1",
            session="s-1",
            clock=EventClock(7),
            telemetry=self.telemetry,
            every_s=0.01,
        )

    def beat(self, rate: int) -> None:
        self.frames.note("strap", HEART, "2a37", bytes([0, rate]), 1)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.teller.run(self.client))
        try:
            yield
        finally:
            assert not task.done()
            task.cancel()
            await asyncio.wait([task])


async def test_what_is_kept_comes_at_once_and_then_what_is_new(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    rig = Rig()
    rig.beat(60)
    async with rig.telling():
        await asyncio.sleep(0.03)
        assert rig.client.sent == [], "nobody asked"
        rig.teller.watch("strap", 60)
        await rig.client.until(lambda: bool(rig.client.sent))
        rig.beat(61)
        rig.beat(62)
        await rig.client.until(lambda: len(rig.client.sent) > 1)
    first, second = rig.client.sent
    assert (first.gateway, first.session, first.device, first.wall) == ("gw-1", "s-1", "strap", 7)
    assert (first.left_s, first.known) == (60, True)
    assert [f.payload for m in (first, second) for f in m.frames] == [b"\x00\x3c", b"\x00\x3d", b"\x00\x3e"]
    assert rig.telemetry.value("frame_watches_total") == 1
    assert "003c" not in caplog.text
    assert "60 /min" not in caplog.text


async def test_a_device_that_is_silent_is_told_of_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frame_teller, "ALIVE_S", 0.02)
    rig = Rig()
    async with rig.telling():
        rig.teller.watch("strap", 60)
        await rig.client.until(lambda: len(rig.client.sent) > 1)
    assert all(message.frames == () for message in rig.client.sent)


async def test_a_watch_ends_by_itself_and_a_new_one_begins_anew(monkeypatch: pytest.MonkeyPatch):
    rig = Rig()
    rig.beat(60)
    loop = asyncio.get_running_loop()
    now = loop.time()
    async with rig.telling():
        rig.teller.watch("strap", 2)
        await rig.client.until(lambda: bool(rig.client.sent))
        monkeypatch.setattr(loop, "time", lambda: now + 3)
        rig.teller.watch("d0", 5)  # forgets what is over
        monkeypatch.undo()
        rig.beat(61)
        await rig.client.until(lambda: len(rig.client.sent) > 1)
        assert [m.device for m in rig.client.sent] == ["strap", "d0"]
        rig.teller.watch("strap", 2)
        await rig.client.until(lambda: len(rig.client.sent) > 2)
    assert len(rig.client.sent[2].frames) == 2


async def test_a_device_that_is_not_here_is_said_so_once():
    rig = Rig()
    async with rig.telling():
        rig.teller.watch("nothing", 60)
        await rig.client.until(lambda: bool(rig.client.sent))
        await asyncio.sleep(0.05)
    (message,) = rig.client.sent
    assert (message.device, message.known, message.left_s) == ("nothing", False, 0)


async def test_few_are_watched_at_once():
    rig = Rig()
    async with rig.telling():
        for n in range(MOST_WATCHED + 1):
            rig.teller.watch(f"d{n}", 60)
        await rig.client.until(lambda: len(rig.client.sent) >= MOST_WATCHED)
    assert {m.device for m in rig.client.sent} == {f"d{n}" for n in range(MOST_WATCHED)}
    assert rig.telemetry.value("frame_watches_refused_total") == 1
