"""A ward's devices at once: the fleet over the virtual radio and real ptys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices import DeviceConfig, DeviceFleet, SessionState
from devices.links.radio import Radio
from devices.links.watchdog import AdapterState
from devices.twins.base import Twin
from devices.twins.serial import MasimoTwin
from devices.twins.world import TwinWorld
from firmware_profiles import load_catalog
from hearthward.core.clock import SystemClock
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry

PERIPHERALS, PORTS = 50, 20


class Ward:
    """A running fleet and what it stored."""

    def __init__(self, radio: Radio | None) -> None:
        self.stored = ReadingBatch()
        self.news = asyncio.Event()
        self.telemetry = Telemetry()
        self.fleet = DeviceFleet(
            load_catalog(), radio, self.sink, SystemClock(), SeededIds(), self.telemetry, self.on_state
        )

    def on_state(self, _device: str, _state: SessionState, _reason: str) -> None:
        self.news.set()

    async def sink(self, batch: ReadingBatch) -> None:
        self.stored.extend(batch)
        self.news.set()

    def values(self, metric: str) -> dict[str, list[float | None]]:
        out: dict[str, list[float | None]] = {}
        for reading in self.stored:
            if reading.metric == metric:
                out.setdefault(reading.device, []).append(reading.value)
        return out

    async def wait_for(self, metric: str, count: int) -> None:
        while sum(map(len, self.values(metric).values())) < count:
            self.news.clear()
            await self.news.wait()

    async def wait_streaming(self) -> None:
        while set(self.fleet.states().values()) != {"streaming"}:
            self.news.clear()
            await self.news.wait()

    @asynccontextmanager
    async def running(self, *twins: Twin) -> AsyncIterator[None]:
        configs = [DeviceConfig(twin.id, twin.transport, twin.address, twin.profile) for twin in twins]
        await self.fleet.apply(configs)
        task = asyncio.create_task(self.fleet.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[list[MasimoTwin]]:
    made = [MasimoTwin(f"m-{n}", link_path=tmp_path / f"port-{n}") for n in range(PORTS)]
    for twin in made:
        await twin.start()
    yield made
    for twin in made:
        await twin.close()


async def test_a_whole_ward_connects_and_every_value_arrives_once_in_order(
    world: TwinWorld, radio: Radio, ports: list[MasimoTwin]
):
    straps = [world.add_heart_rate(f"hr-{n}") for n in range(PERIPHERALS)]
    await world.start()
    ward = Ward(radio)
    async with ward.running(*straps, *ports):
        await asyncio.gather(*(twin.wait_ready() for twin in [*straps, *ports]))
        for beat in range(5):
            for n, strap in enumerate(straps):
                await strap.send({"heart_rate": 50 + n + beat})
            for n, port in enumerate(ports):
                await port.send({"spo2": 75 + n + beat})
        await ward.wait_for("heart_rate", 5 * PERIPHERALS)
        await ward.wait_for("spo2", 5 * PORTS)
        await ward.wait_streaming()
    assert ward.values("heart_rate") == {
        f"hr-{n}": [50 + n + beat for beat in range(5)] for n in range(PERIPHERALS)
    }
    assert ward.values("spo2") == {f"m-{n}": [75 + n + beat for beat in range(5)] for n in range(PORTS)}
    assert set(map(len, ward.values("battery_level").values())) == {1}
    assert ward.telemetry.by_label("readings_rejected_total", "reason") == {}


async def test_an_unplugged_instrument_is_back_when_it_is_plugged_in_and_the_rest_go_on(
    ports: list[MasimoTwin],
):
    ward = Ward(None)
    gone, stays = ports[:2]
    async with ward.running(gone, stays):
        await asyncio.gather(gone.wait_ready(), stays.wait_ready())
        await gone.send({"spo2": 91})
        await ward.wait_for("spo2", 1)
        gone.unplug()
        await stays.send({"spo2": 92})
        await ward.wait_for("spo2", 2)
        await gone.start()
        await gone.wait_ready()
        await gone.send({"spo2": 93})
        await ward.wait_for("spo2", 3)
        assert ward.telemetry.value("device_connects_total", device=gone.id) == 2
        assert ward.telemetry.value("device_connects_total", device=stays.id) == 1
    assert ward.values("spo2") == {gone.id: [91, 93], stays.id: [92]}


async def test_the_fleet_looks_after_its_radio(world: TwinWorld, radio: Radio):
    strap = world.add_heart_rate("hr")
    await world.start()
    ward = Ward(radio)
    async with ward.running(strap):
        await strap.wait_ready()
        assert "radio watchdog" in {task.get_name() for task in asyncio.all_tasks()}
        assert ward.fleet.trouble() == {}
        radio.watchdog.state = AdapterState.STUCK
        assert ward.fleet.trouble() == {"radio": "stuck"}
    assert "radio watchdog" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_strap_that_goes_out_of_range_is_back_by_itself(world: TwinWorld, radio: Radio):
    strap = world.add_heart_rate("hr")
    await world.start()
    ward = Ward(radio)
    async with ward.running(strap):
        for rate in (60, 61, 62):
            await strap.wait_ready()
            await strap.send({"heart_rate": rate})
            await ward.wait_for("heart_rate", rate - 59)
            await strap.close()
            await strap.start()
    assert ward.values("heart_rate") == {"hr": [60, 61, 62]}
