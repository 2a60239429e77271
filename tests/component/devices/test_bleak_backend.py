"""bleak's own client and scanner over our backend: what bleak's users expect of any backend."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import (
    BleakCharacteristicNotFoundError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)

from devices.links.bumble_scanner import BumbleScanner
from devices.links.radio import Radio
from devices.twins.world import TwinWorld

HEART_RATE = "00002a37-0000-1000-8000-00805f9b34fb"
BATTERY = "00002a19-0000-1000-8000-00805f9b34fb"
MODEL = "00002a24-0000-1000-8000-00805f9b34fb"
CCCD = "00002902-0000-1000-8000-00805f9b34fb"


def client(radio: Radio, address: str, **more: object) -> BleakClient:
    return BleakClient(address, backend=radio.backend, **radio.backend_arguments, **more)  # type: ignore[arg-type]


async def test_connect_by_address_discover_read(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    async with client(radio, twin.address) as connected:
        assert connected.is_connected
        assert connected.name == "HR hr"
        assert connected.mtu_size == 247
        services = {service.uuid[4:8]: service for service in connected.services}
        assert set(services) == {"1800", "1801", "180d", "180f", "180a"}
        assert [one.uuid[4:8] for one in services["180d"].characteristics] == ["2a37", "2a38"]
        rate = connected.services.get_characteristic(HEART_RATE)
        assert rate is not None
        assert rate.properties == ["notify"]
        assert [one.uuid for one in rate.descriptors] == [CCCD]
        assert await connected.read_gatt_char(MODEL) == b"Virtual heart rate strap"
        assert await connected.read_gatt_descriptor(rate.descriptors[0].handle) == b"\0\0"
        with pytest.raises(BleakGATTProtocolError, match="Read Not Permitted"):
            await connected.read_gatt_char(HEART_RATE)
        with pytest.raises(BleakCharacteristicNotFoundError):
            await connected.read_gatt_char("2a35")
    assert not connected.is_connected


async def test_unsubscribe_and_subscribe_again(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    got: asyncio.Queue[bytes] = asyncio.Queue()
    async with client(radio, twin.address) as connected:
        await connected.start_notify(HEART_RATE, lambda _c, data: got.put_nowait(bytes(data)))
        await twin.wait_ready()
        await twin.send({"heart_rate": 60})
        assert await got.get() == b"\x06\x3c"
        await connected.stop_notify(HEART_RATE)
        assert not twin.ready()
        await connected.start_notify(HEART_RATE, lambda _c, _data: None)
        await twin.wait_ready()


async def test_pairing_encrypts(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    async with client(radio, twin.address, pair=True) as connected:
        assert twin.encrypted
        await connected.pair()
    async with client(radio, twin.address) as connected:
        await connected.unpair()
        assert not connected.is_connected


async def test_disconnected_callback_is_called_once(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    calls: list[BleakClient] = []
    connected = BleakClient(
        twin.address,
        calls.append,
        backend=radio.backend,
        **radio.backend_arguments,
    )
    await connected.connect()
    await twin.disconnect()
    await twin.wait_free()
    with pytest.raises(BleakError):
        await connected.read_gatt_char(BATTERY)
    await connected.disconnect()
    assert calls == [connected]


async def test_request_in_flight_fails_when_the_device_leaves(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    connected = client(radio, twin.address)
    await connected.connect()
    reading = asyncio.create_task(connected.read_gatt_char(BATTERY))
    await asyncio.sleep(0)
    await twin.close()
    with pytest.raises(BleakError, match="lost"):
        await reading
    assert not reading.cancelled()
    await connected.disconnect()


async def test_a_cancelled_request_is_cancelled(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    async with client(radio, twin.address) as connected:
        reading = asyncio.create_task(connected.read_gatt_char(BATTERY))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await connected.read_gatt_char(BATTERY) == b"\x64"


async def test_absent_address_is_not_found(world: TwinWorld, radio: Radio):
    await world.start()
    with pytest.raises((BleakDeviceNotFoundError, BleakError), match="C0:00:00:00:00:01"):
        await client(radio, "C0:00:00:00:00:01", timeout=0.2).connect()


async def test_scanner_filters_by_service(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    world.add_pulse_oximeter("plx")
    await world.start()
    async with BleakScanner(
        service_uuids=["0000180d-0000-1000-8000-00805f9b34fb"],
        backend=BumbleScanner,
        **radio.backend_arguments,
    ) as scanner:
        await asyncio.sleep(0.1)
        assert [one.address for one in scanner.discovered_devices] == [twin.address]
