"""Devices of several standard services, found, adopted and read over a virtual radio: all their services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from devices import DeviceConfig, DeviceFleet
from devices.consents import Consent
from devices.discovery import Discovery
from devices.links.ports import SerialPort
from devices.links.radio import Radio
from devices.links.surroundings import Machine
from devices.twins.profile_twin import ProfileTwin
from devices.twins.world import TwinWorld
from hearthward.core.clock import SystemClock
from hearthward.core.device_states import Cause
from hearthward.core.errors import DecodeError
from hearthward.core.ids import SeededIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.component.devices.bluetooth import catalog

JOINED = {
    "sig-body-composition+sig-weight-scale": {
        "body_fat": 22.5,
        "body_weight": 82.45,
        "body_mass_index": 25.4,
    },
    "sig-heart-rate+sig-pulse-oximeter": {"heart_rate": 71, "spo2": 97, "pulse_rate": 72},
    "sig-health-thermometer+sig-heart-rate": {"heart_rate": 88, "body_temperature": 38.4},
    "sig-blood-pressure+sig-heart-rate": {"nibp_systolic": 124, "nibp_diastolic": 86, "heart_rate": 64},
    "sig-cgm+sig-glucose": {"blood_glucose": 120, "interstitial_glucose": 112},
}


class Air(Machine):
    """The radio alone: the ports of the machine that runs the tests are none of theirs."""

    async def ports(self) -> list[SerialPort]:
        return []


class Gateway:
    """Discovery and a fleet on one radio, and what was stored."""

    def __init__(self, radio: Radio) -> None:
        self.stored = ReadingBatch()
        self.rejected: list[str] = []
        self.news = asyncio.Event()
        clock = SystemClock()
        self.discovery = Discovery(catalog(), Air(radio), clock)
        self.fleet = DeviceFleet(
            catalog(),
            radio,
            self.sink,
            clock,
            SeededIds(),
            Telemetry(),
            lambda *_: self.news.set(),
            self.on_rejected,
        )

    async def sink(self, batch: ReadingBatch) -> None:
        self.stored.extend(batch)
        self.news.set()

    def on_rejected(self, device: str, source: str, _payload: bytes, error: DecodeError) -> None:
        self.rejected.append(f"{device} {source}: {error}")

    def of(self, device: str, metric: str) -> list[Reading]:
        return [one for one in self.stored if (one.device, one.metric) == (device, metric)]

    async def adopt(self, twins: list[ProfileTwin]) -> dict[str, str]:
        """Find them and take each in with the profile that it was found to fit; those profiles by device."""
        await self.discovery.scan(0.3)
        found = {one.address: one.profile for one in self.discovery.sightings()}
        known = {twin.id: found[twin.address] for twin in twins}
        await self.fleet.apply(DeviceConfig(t.id, "ble", t.address, known[t.id]) for t in twins)
        return known

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.fleet.run())
        try:
            async with asyncio.timeout(20):
                yield
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=20)

    async def until(self, device: str, metric: str, count: int = 1) -> list[Reading]:
        while len(found := self.of(device, metric)) < count:
            self.news.clear()
            await self.news.wait()
        return found


def add(world: TwinWorld, profile: str, id: str) -> ProfileTwin:  # noqa: A002
    made = world.add(profile, id)
    assert isinstance(made, ProfileTwin)
    return made


async def test_all_services_of_a_device_are_read_by_what_it_was_found_to_be(world: TwinWorld, radio: Radio):
    twins = {name: add(world, name, f"d{n}") for n, name in enumerate(JOINED)}
    await world.start()
    gateway = Gateway(radio)
    assert set((await gateway.adopt(list(twins.values()))).values()) == set(JOINED)
    async with gateway.running():
        for name, twin in twins.items():
            await twin.wait_ready()
            sent = await twin.send(JOINED[name])
            for metric, value in sent.items():
                assert (await gateway.until(twin.id, metric))[-1].value == pytest.approx(value)
            assert len(twin.clock.sets) <= 1, "set once, whichever services there are"
    parts = {p.hash for p in catalog()}
    for name, twin in twins.items():
        told = {one.profile for one in gateway.stored if one.device == twin.id and one.metric in JOINED[name]}
        assert told == {catalog().get(part).hash for part in name.split("+")} <= parts
    assert gateway.rejected == []


async def test_what_a_device_does_not_advertise_is_read_as_well(world: TwinWorld, radio: Radio):
    scale = add(world, "sig-body-composition+sig-weight-scale", "scale")
    scale.advertised = ["181d"]
    await world.start()
    gateway = Gateway(radio)
    assert await gateway.adopt([scale]) == {"scale": "sig-weight-scale"}
    async with gateway.running():
        await scale.wait_ready()
        await scale.send({"body_fat": 22.5, "body_weight": 82.45, "body_mass_index": 25.4})
        assert [one.value for one in await gateway.until("scale", "body_fat")] == [22.5]
        assert [one.value for one in await gateway.until("scale", "body_mass_index")] == [25.4]


async def test_a_users_measurements_come_with_that_users_consent(world: TwinWorld, radio: Radio):
    """A scale that says nothing of its users until it is connected, as Beurer's do."""
    name = "sig-body-composition+sig-user-data+sig-weight-scale"
    scale = world.add(name, "scale", users={1: 1234})
    assert isinstance(scale, ProfileTwin)
    scale.advertised = ["181d"]
    scale.keep({"body_weight": 82.45}, device_time=scale.clock.running())
    await world.start()
    gateway = Gateway(radio)
    await gateway.adopt([scale])
    async with gateway.running():
        while gateway.fleet.words()["scale"].cause is not Cause.NEEDS_CONSENT:
            gateway.news.clear()
            await gateway.news.wait()
        assert gateway.of("scale", "body_weight") == []
        await radio.consents.keep(scale.address, Consent(1, 1234))
        assert [one.value for one in await gateway.until("scale", "body_weight")] == [82.45]
    assert scale.users.agreed
    assert gateway.rejected == []


async def test_two_stores_of_one_device_are_each_fetched_through_their_own_control_point(
    world: TwinWorld, radio: Radio
):
    meter = add(world, "sig-cgm+sig-glucose", "meter")
    begin = meter.clock.running()
    for n in range(3):
        meter.keep({"blood_glucose": 90 + n}, device_time=begin - timedelta(hours=9 - n))
        meter.keep({"interstitial_glucose": 100 + n}, device_time=begin + timedelta(minutes=5 * n))
    sensor, strips = meter.stores
    assert (len(sensor.records), len(strips.records)) == (3, 3)
    await world.start()
    gateway = Gateway(radio)
    await gateway.adopt([meter])
    async with gateway.running():
        blood = await gateway.until("meter", "blood_glucose", 3)
        tissue = await gateway.until("meter", "interstitial_glucose", 3)
        await meter.wait_ready()
    assert [one.value for one in blood] == [90, 91, 92]
    assert [(one.record, one.value) for one in tissue] == [(0, 100), (5, 101), (10, 102)]
    assert gateway.rejected == []
