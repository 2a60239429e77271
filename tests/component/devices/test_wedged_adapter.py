"""The watchdog over a real host and controller: a reset ends the links, and devices stream again after it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from devices.links.radio import Radio
from devices.links.watchdog import SCAN_FAILURES, AdapterState
from devices.twins.world import TwinWorld
from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError
from hearthward.core.telemetry import Telemetry
from tests.component.devices.bluetooth import listening


class Ticks:
    """The watchdog's pauses, ended by the test."""

    def __init__(self) -> None:
        self._next: asyncio.Queue[None] = asyncio.Queue()
        self._waits = asyncio.Event()

    async def sleep(self, _seconds: float) -> None:
        self._waits.set()
        await self._next.get()

    async def look(self) -> None:
        """Let the watchdog look once, to the end."""
        await self._waits.wait()
        self._waits.clear()
        self._next.put_nowait(None)
        await self._waits.wait()


def wedge(radio: Radio) -> None:
    for _ in range(SCAN_FAILURES):
        radio.watchdog.scan_failed("no answer")


async def test_after_a_reset_devices_stream_again(
    world: TwinWorld, radio: Radio, caplog: pytest.LogCaptureFixture
):
    twin = world.add_heart_rate("hr")
    await world.start()
    telemetry, ticks = Telemetry(), Ticks()
    watch = asyncio.create_task(radio.watch(telemetry, sleep=ticks.sleep))
    try:
        async with listening(radio, twin.address, "sig-heart-rate"):
            await twin.wait_ready()
        await twin.wait_free()
        wedge(radio)
        with caplog.at_level(logging.WARNING):
            await ticks.look()
        assert "adapter is reset: 3 scans in a row" in caplog.text
        assert radio.watchdog.state is AdapterState.RESET
        async with listening(radio, twin.address, "sig-heart-rate") as listener:
            await twin.wait_ready()
            await twin.send({"heart_rate": 61})
            assert (await listener.wait_for("2a37"))[0][1] == 61
        assert radio.watchdog.state is AdapterState.WORKING
        assert telemetry.value("radio_resets_total", kind="reset_adapter") == 1
    finally:
        watch.cancel()


async def test_nothing_is_reset_under_a_link_that_stands(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    telemetry, ticks = Telemetry(), Ticks()
    watch = asyncio.create_task(radio.watch(telemetry, sleep=ticks.sleep))
    try:
        async with listening(radio, twin.address, "sig-heart-rate"):
            await twin.wait_ready()
            wedge(radio)
            await ticks.look()
            assert radio.watchdog.state is AdapterState.WORKING
    finally:
        watch.cancel()


async def test_a_stuck_adapter_is_what_every_device_says(world: TwinWorld, radio: Radio):
    await world.start()
    radio.watchdog.state = AdapterState.STUCK
    with pytest.raises(LinkError) as error:
        await radio.connect("F0:00:00:00:00:99", timeout=0.1, on_disconnect=lambda: None)
    assert error.value.details["cause"] == Cause.RADIO_STUCK.value
