"""The port of the surroundings: the fake, and a real radio's scan over virtual air."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from devices import DeviceConfig
from devices.discovery import Discovery
from devices.links.fake_surroundings import FakeSurroundings
from devices.links.radio import Radio, open_radio
from devices.links.radio import Sighting as Heard
from devices.links.surroundings import Machine, Surroundings
from devices.twins.world import TwinWorld
from firmware_profiles import load_catalog
from hearthward.core.clock import SystemClock
from hearthward.core.errors import LinkError


@dataclass
class Place:
    """Surroundings in which a heart rate strap ``address`` is near."""

    around: Surroundings
    address: str
    scan_s: float


@pytest.fixture(params=["fake", "machine"])
async def place(request: pytest.FixtureRequest, world: TwinWorld, radio: Radio) -> Place:
    if request.param == "machine":
        strap = world.add_heart_rate("a")
        await world.start()
        return Place(Machine(radio), strap.address, 0.2)
    fake = FakeSurroundings()
    fake.near = [Heard("C0:00:00:00:00:01", "HR a", -60, frozenset({"180d"}))]
    return Place(fake, "C0:00:00:00:00:01", 0.2)


@pytest.fixture
def no_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without serial ports: its own would be listened to for some seconds each."""
    monkeypatch.setattr("devices.links.surroundings.list_ports", list)


async def test_who_overhears_is_told_while_a_scan_runs_and_not_any_more_afterwards(place: Place):
    heard: list[Heard] = []
    stop = place.around.overhear(heard.append)
    await place.around.scan(place.scan_s)
    assert {one.address.upper() for one in heard} == {place.address}
    assert heard[0].rssi < 0
    stop()
    stop()
    heard.clear()
    await place.around.scan(place.scan_s)
    assert heard == []


async def test_ports_come_sorted(place: Place):
    ports = await place.around.ports()
    assert [port.path for port in ports] == sorted(port.path for port in ports)


@pytest.mark.usefixtures("no_ports")
async def test_discovery_finds_the_strap_its_profile_and_that_it_is_configured(place: Place):
    discovery = Discovery(load_catalog(), place.around, SystemClock())
    await discovery.scan(place.scan_s)
    found = {one.address: one for one in discovery.sightings()}[place.address]
    assert (found.name, found.profile, found.device) == ("HR a", "sig-heart-rate", "")
    discovery.configure([DeviceConfig("hr-1", "ble", place.address)])
    assert {one.address: one for one in discovery.sightings()}[place.address].device == "hr-1"


@pytest.mark.usefixtures("no_ports")
async def test_it_hears_along_while_a_device_is_looked_for_and_disturbs_no_connection(
    world: TwinWorld, radio: Radio
):
    strap, other = world.add_heart_rate("a"), world.add_heart_rate("b")
    await world.start()
    discovery = Discovery(load_catalog(), Machine(radio), SystemClock())
    running = asyncio.create_task(discovery.run())
    try:
        lost = asyncio.Event()
        client, _ = await radio.connect(strap.address, timeout=5, on_disconnect=lost.set)
        await discovery.scan(0.2)
        assert not lost.is_set()
        assert client.is_connected
        assert other.address in {one.address for one in discovery.sightings()}
        await client.disconnect()
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_without_a_radio_it_says_so_and_still_lists_ports():
    with pytest.raises(LinkError, match="no Bluetooth radio"):
        await Machine(None).scan(0.1)
    Machine(None).overhear(lambda _one: None)()
    assert isinstance(await Machine(None).ports(), list)
    async with open_radio("off") as off:
        with pytest.raises(LinkError, match="radio is off"):
            await Machine(off).scan(0.1)
