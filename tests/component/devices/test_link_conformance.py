"""What every link to a device keeps: one suite over the fake, a real pty and the virtual radio."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from devices import DeviceLink
from devices.links.base import OnPayload
from devices.links.fake import FakeDevice
from devices.links.serial import SerialLink
from devices.twins import encode
from devices.twins.serial import MasimoTwin
from firmware_profiles import Catalog, DeviceFacts, Profile, load_catalog
from hearthward.core.errors import LinkError


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


class Bench(ABC):
    """A device under the test's control, and links to it."""

    profile: Profile
    transport: str
    source: str

    @abstractmethod
    def link(self) -> DeviceLink:
        """A new link to the device."""

    @abstractmethod
    def link_to_nobody(self) -> DeviceLink:
        """A link to a device that is not there."""

    @abstractmethod
    async def wait_ready(self) -> None:
        """Return when the device has a listener."""

    @abstractmethod
    async def send(self, rate: int) -> None:
        """Let the device send a pulse of so many per minute."""

    @abstractmethod
    async def vanish(self) -> None:
        """Take the device away."""

    @abstractmethod
    async def come_back(self) -> None:
        """And bring it back."""

    def rate(self, payload: bytes) -> float | None:
        """The rate in a payload that came through."""
        (value,) = [r.value for r in self.profile.decode(self.source, payload) if r.metric.endswith("_rate")]
        return value


class FakeBench(Bench):
    transport = "ble"
    source = "2a37"

    def __init__(self, catalog: Catalog) -> None:
        self.profile = catalog.get("sig-heart-rate")
        self.device = FakeDevice(DeviceFacts("ble", name="fake"))

    def link(self) -> DeviceLink:
        return self.device.link()

    def link_to_nobody(self) -> DeviceLink:
        nobody = FakeDevice(DeviceFacts("ble"))
        nobody.refusal = LinkError("not there")
        return nobody.link()

    async def wait_ready(self) -> None:
        await self.device.wait_listening()

    async def send(self, rate: int) -> None:
        self.device.send(self.source, encode.heart_rate(rate))

    async def vanish(self) -> None:
        self.device.drop()
        self.device.refusal = LinkError("not there")

    async def come_back(self) -> None:
        self.device.refusal = None


class SerialBench(Bench):
    transport = "serial"
    source = "ascii1"

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self.profile = catalog.get("masimo-ascii1")
        self.folder = folder
        self.twin = MasimoTwin("m", link_path=folder / "port")

    def link(self) -> DeviceLink:
        return SerialLink(self.twin.address, self.profile)

    def link_to_nobody(self) -> DeviceLink:
        return SerialLink(str(self.folder / "nothing-here"), self.profile)

    async def wait_ready(self) -> None:
        await self.twin.wait_ready()

    async def send(self, rate: int) -> None:
        await self.twin.send({"pulse_rate": rate})

    async def vanish(self) -> None:
        self.twin.unplug()

    async def come_back(self) -> None:
        await self.twin.start()


class BleBench(Bench):
    transport = "ble"
    source = "2a37"

    def __init__(self, catalog: Catalog, stack: AsyncExitStack) -> None:
        from devices.twins.world import TwinWorld

        self.profile = catalog.get("sig-heart-rate")
        self._stack = stack
        self._world = TwinWorld(seed=1)

    async def open(self) -> None:
        from devices.links.radio import open_radio

        await self._stack.enter_async_context(self._world)
        self.twin = self._world.add_heart_rate("hr")
        await self._world.start()
        self._radio = await self._stack.enter_async_context(
            open_radio("virtual", virtual=self._world.virtual)
        )

    def link(self) -> DeviceLink:
        from devices.links.ble import BleLink

        return BleLink(self.twin.address, self.profile, self._radio)

    def link_to_nobody(self) -> DeviceLink:
        from dataclasses import replace

        from devices.links.ble import BleLink

        hasty = replace(self.profile, timings=replace(self.profile.timings, connect_timeout_s=0.2))
        return BleLink(self._world.address_of("nobody"), hasty, self._radio)

    async def wait_ready(self) -> None:
        await self.twin.wait_ready()

    async def send(self, rate: int) -> None:
        await self.twin.send({"heart_rate": rate})

    async def vanish(self) -> None:
        await self.twin.close()

    async def come_back(self) -> None:
        await self.twin.start()


@pytest.fixture(params=["fake", "serial", "ble"])
async def bench(request: pytest.FixtureRequest, catalog: Catalog, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "fake":
        yield FakeBench(catalog)
    elif request.param == "serial":
        serial = SerialBench(catalog, tmp_path)
        await serial.twin.start()
        yield serial
        await serial.twin.close()
    else:
        async with AsyncExitStack() as stack:
            ble = BleBench(catalog, stack)
            await ble.open()
            yield ble


class Listener:
    """A link connected and running in a task, and the rates it brought."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.rates: list[float | None] = []
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.link = self.bench.link()
        self.facts = await self.link.connect()
        on_payload: OnPayload = self._take
        self.running = asyncio.create_task(self.link.run(self.bench.profile.session, on_payload))
        await self.bench.wait_ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])
        await self.link.close()

    def _take(self, source: str, payload: bytes, _ago: int = 0) -> None:
        if source == self.bench.source:
            self.rates.append(self.bench.rate(payload))
            self._arrived.set()

    async def wait_for(self, count: int) -> None:
        while len(self.rates) < count:
            self._arrived.clear()
            await self._arrived.wait()


async def test_connecting_tells_what_the_device_is(bench: Bench):
    async with Listener(bench) as listener:
        assert listener.facts.transport == bench.transport


async def test_payloads_come_in_order_and_each_once(bench: Bench):
    async with Listener(bench) as listener:
        for rate in range(40, 90):
            await bench.send(rate)
        await listener.wait_for(50)
        assert listener.rates == list(range(40, 90))


async def test_a_vanished_device_ends_run_with_a_link_error_and_can_come_back(bench: Bench):
    async with Listener(bench) as listener:
        await bench.send(60)
        await listener.wait_for(1)
        await bench.vanish()
        with pytest.raises(LinkError):
            await listener.running
    with pytest.raises(LinkError):
        await bench.send(61)
    await bench.come_back()
    async with Listener(bench) as again:
        await bench.send(62)
        await again.wait_for(1)
        assert again.rates == [62]


async def test_a_device_that_is_not_there_is_a_link_error(bench: Bench):
    link = bench.link_to_nobody()
    with pytest.raises(LinkError):
        await link.connect()
    await link.close()


async def test_running_without_a_connection_is_a_link_error(bench: Bench):
    link = bench.link()
    with pytest.raises(LinkError):
        await link.run((), lambda _source, _payload: None)
    await link.close()


async def test_closing_is_harmless_at_any_time_and_more_than_once(bench: Bench):
    link = bench.link()
    await link.close()
    async with Listener(bench) as listener:
        await listener.link.close()
        await listener.link.close()
        with pytest.raises(LinkError):
            await listener.running
    async with Listener(bench) as again:
        await bench.send(70)
        await again.wait_for(1)


async def test_a_cancelled_run_can_be_closed_and_the_device_used_again(bench: Bench):
    for rate in (50, 51, 52):
        async with Listener(bench) as listener:
            await bench.send(rate)
            await listener.wait_for(1)
            listener.running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listener.running


async def test_a_connect_that_is_cancelled_leaves_nothing_behind(bench: Bench):
    link = bench.link()
    connecting = asyncio.create_task(link.connect())
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await link.close()
    async with Listener(bench) as listener:
        await bench.send(80)
        await listener.wait_for(1)
