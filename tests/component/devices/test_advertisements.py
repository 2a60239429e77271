"""A scale that is never connected to, over the virtual radio and real bleak."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from devices import SessionState
from devices.links.radio import Radio
from devices.twins import encode
from devices.twins.advertising import AdvertisingTwin
from devices.twins.world import TwinWorld
from tests.component.devices.bluetooth import catalog
from tests.component.devices.test_stores import Gateway


async def test_a_measurement_that_is_repeated_for_a_minute_is_one(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    twin = world.add("xiaomi-mibfs", "scale")
    assert isinstance(twin, AdvertisingTwin)
    gateway = Gateway(radio, twin, catalog().get("xiaomi-mibfs"), tmp_path)
    async with gateway.process():
        await asyncio.sleep(0.05)  # nobody is there yet, and nothing is wrong
        await world.start()
        first = await twin.send({"body_weight": 71.5})
        await gateway.until(lambda: bool(gateway.identities("body_weight")))
        await asyncio.sleep(0.7)  # it is told again every half second
        assert sum(gateway.identities("body_weight").values()) == 1
        await twin.send({"body_weight": 72.0})
        await gateway.until(lambda: len(gateway.identities("body_weight")) == 2)
    async with gateway.process():  # after a restart the last one is heard again, and recognised
        await gateway.until(lambda: sum(gateway.identities("body_weight").values()) == 3)
    assert len(gateway.identities("body_weight")) == 2
    weights = {
        v for v, m in zip(gateway.stored.value, gateway.stored.metric, strict=True) if m == "body_weight"
    }
    assert weights == {first["body_weight"], 72.0}
    assert gateway.telemetry.value("device_connects_total", device="scale") == 2
    assert SessionState.BACKOFF not in gateway.states


async def test_one_weighing_is_one_though_it_is_told_without_the_impedance_first(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    twin = world.add("xiaomi-mibfs", "scale")
    assert isinstance(twin, AdvertisingTwin)
    gateway = Gateway(radio, twin, catalog().get("xiaomi-mibfs"), tmp_path)
    at = datetime.now().replace(microsecond=0)  # noqa: DTZ005 - a scale's clock has no zone
    clock = encode.date_time(at)
    settling, settled, whole, left = (
        bytes((0x02, state)) + clock + impedance + b"\xb0\x36"
        for state, impedance in ((4, b"\0\0"), (0x24, b"\0\0"), (0x26, b"\xf4\1"), (0xA6, b"\xf4\1"))
    )
    async with gateway.process():
        await world.start()
        for payload in (settling, settled, whole, left):
            await twin.send_raw(payload)
            await asyncio.sleep(0.15)
        await gateway.until(lambda: "body_impedance" in gateway.stored.metric)
        await twin.send({"body_weight": 70.0}, device_time=at + timedelta(hours=1))  # as heavy as before
        await gateway.until(lambda: len(gateway.identities("body_weight")) == 2)
    assert len(gateway.identities("body_weight")) == 2
    assert gateway.stored.metric.count("body_impedance") == 1


async def test_a_scan_that_heard_nothing_is_started_anew(
    world: TwinWorld, radio: Radio, monkeypatch: pytest.MonkeyPatch
):
    for module in ("radio", "shared_scan"):
        monkeypatch.setattr(f"devices.links.{module}.SILENT_S", 0.02)
    heard = asyncio.Event()
    starts = 0
    start_scan = radio._scan._start

    async def counted(backend: object) -> object:
        nonlocal starts
        starts += 1
        return await start_scan(backend)  # type: ignore[arg-type]

    monkeypatch.setattr(radio._scan, "_start", counted)

    def listener(_device: BLEDevice, _said: AdvertisementData) -> None:
        heard.set()

    listening = asyncio.create_task(radio.listen(listener))
    async with asyncio.timeout(10):
        while starts < 3:  # noqa: ASYNC110 - the scan has no event
            await asyncio.sleep(0.01)
        world.add_heart_rate("hr")
        await world.start()
        await heard.wait()
    listening.cancel()
    await asyncio.wait([listening])
    assert radio._scan.listeners == set()
