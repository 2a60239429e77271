"""The watchdog over a real host and controller: a reset ends the links, and devices stream again after it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from bleak.exc import BleakError

from devices.causes import cause_of
from devices.links import shared_scan as module
from devices.links.bumble_client import BumbleClient
from devices.links.bumble_scanner import BumbleScanner
from devices.links.radio import Radio
from devices.links.watchdog import SCAN_FAILURES, AdapterState, Remedy
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


async def test_a_stuck_adapter_is_no_other_host_that_has_the_device(
    world: TwinWorld, radio: Radio, monkeypatch: pytest.MonkeyPatch
):
    twin = world.add_heart_rate("hr")
    await world.start()

    async def refuse(*_args: object, **_more: object) -> None:
        msg = "cannot"
        raise BleakError(msg)

    for cls, name in ((BumbleClient, "connect"), (BumbleScanner, "start")):
        with monkeypatch.context() as patch:
            patch.setattr(cls, name, refuse)
            radio.watchdog.state = AdapterState.STUCK
            radio.watchdog._must_connect = True
            with pytest.raises(LinkError) as error:
                await radio.connect(twin.address, timeout=5, on_disconnect=lambda: None)
            assert cause_of(error.value) is Cause.RADIO_STUCK


async def test_a_watchdog_whose_driver_fails_in_an_unforeseen_way_goes_on(
    world: TwinWorld, radio: Radio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    await world.start()
    telemetry, ticks = Telemetry(), Ticks()

    async def fail() -> None:
        msg = "nobody foresaw this"
        raise RuntimeError(msg)

    monkeypatch.setattr(radio._backend, "reset_adapter", fail)
    watch = asyncio.create_task(radio.watch(telemetry, sleep=ticks.sleep))
    try:
        wedge(radio)
        await ticks.look()
        assert not watch.done()
        assert "RuntimeError" in radio.watchdog.why
        assert "nobody foresaw" in caplog.text
    finally:
        watch.cancel()


async def test_attempts_that_hang_do_not_keep_the_adapter_from_being_reset(
    world: TwinWorld, radio: Radio, monkeypatch: pytest.MonkeyPatch
):
    twin = world.add_heart_rate("hr")
    await world.start()
    telemetry, ticks, trying = Telemetry(), Ticks(), asyncio.Event()

    async def connect(*_args: object, **_more: object) -> None:
        trying.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(BumbleClient, "connect", connect)
    watch = asyncio.create_task(radio.watch(telemetry, sleep=ticks.sleep))
    attempt = asyncio.create_task(radio.connect(twin.address, timeout=9, on_disconnect=lambda: None))
    try:
        await trying.wait()
        wedge(radio)
        await ticks.look()
        assert radio.watchdog.state is AdapterState.RESET
    finally:
        for task in (watch, attempt):
            task.cancel()
        await asyncio.wait({watch, attempt})


async def test_a_link_of_whose_end_the_system_never_told_holds_no_reset_off(
    world: TwinWorld, radio: Radio, monkeypatch: pytest.MonkeyPatch
):
    """A Bluetooth service that was killed reports no disconnections, and refuses to disconnect."""
    twin = world.add_heart_rate("hr")
    await world.start()
    telemetry, ticks = Telemetry(), Ticks()
    watch = asyncio.create_task(radio.watch(telemetry, sleep=ticks.sleep))

    async def disconnect(_client: BumbleClient) -> None:
        raise EOFError

    try:
        async with listening(radio, twin.address, "sig-heart-rate"):
            await twin.wait_ready()
            monkeypatch.setattr(BumbleClient, "disconnect", disconnect)
        wedge(radio)
        await ticks.look()
        assert radio.watchdog.state is AdapterState.RESET
    finally:
        watch.cancel()


async def test_a_scan_that_hangs_at_its_beginning_speaks_against_the_adapter(
    world: TwinWorld, radio: Radio, monkeypatch: pytest.MonkeyPatch
):
    await world.start()

    async def start(_scanner: BumbleScanner) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(BumbleScanner, "start", start)
    monkeypatch.setattr(module, "SLOW_S", 0.02)
    for _ in range(SCAN_FAILURES - 1):
        with pytest.raises(LinkError):
            await radio.connect("F0:00:00:00:00:99", timeout=0.05, on_disconnect=lambda: None)
    monkeypatch.setattr(module, "START_S", 0.02)
    with pytest.raises(LinkError, match="time is up"):
        await radio.check()
    assert radio.watchdog.next(0, connections=0) is Remedy.RESET_ADAPTER
