"""The virtual controllers and their link, driven by bumble's own host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from bumble import core, hci
from bumble.device import AdvertisingType, Connection, Device, DeviceConfiguration
from bumble.host import Host

from devices.links.bumble_lean import LeanHost
from devices.twins.radio import VirtualRadio

PERIPHERAL = "C0:00:00:00:00:0A"


@pytest.fixture
async def air() -> AsyncIterator[VirtualRadio]:
    made = VirtualRadio()
    yield made
    await made.close()


async def peripheral(air: VirtualRadio, address: str = PERIPHERAL) -> Device:
    controller = air.peripheral(address, hci.Address(address))
    config = DeviceConfiguration(name=address, address=hci.Address(address))
    device = Device(config=config, host=Host(controller, controller))  # type: ignore[arg-type]
    await device.power_on()
    await device.start_advertising(AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE)
    return device


async def central(air: VirtualRadio) -> Device:
    controller = air.host_controller()
    device = Device(host=LeanHost(controller, controller))  # type: ignore[arg-type]
    await device.power_on()
    return device


async def connect(device: Device, address: str = PERIPHERAL, timeout: float | None = 5) -> Connection:  # noqa: ASYNC109
    own = hci.OwnAddressType.PUBLIC
    return await device.connect_le(hci.Address(address), own_address_type=own, timeout=timeout)


def ended(connection: Connection) -> asyncio.Future[int]:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    connection.on(Connection.EVENT_DISCONNECTION, future.set_result)
    return future


async def test_reset_drops_the_links(air: VirtualRadio):
    far, near = await peripheral(air), await central(air)
    await connect(near)
    (there,) = far.connections.values()
    gone = ended(there)
    await near.host.reset()
    async with asyncio.timeout(5):
        assert await gone == hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
    await far.start_advertising()
    again = await central(air)
    await connect(again)


async def test_pending_connection_is_cancelled_and_reported(air: VirtualRadio):
    near = await central(air)
    with pytest.raises(core.TimeoutError):
        await connect(near, timeout=0.05)
    await peripheral(air)
    await connect(near)


async def test_cancel_without_a_pending_connection_is_disallowed(air: VirtualRadio):
    near = await central(air)
    with pytest.raises(hci.HCI_Error):
        await near.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())


async def test_connecting_does_not_wait_for_the_advertising_interval(air: VirtualRadio):
    """The advertiser is heard at once: before its next interval, ten seconds away, has come."""
    far, near = await peripheral(air), await central(air)
    await far.stop_advertising()
    await far.start_advertising(advertising_interval_min=10_000.0, advertising_interval_max=10_000.0)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await connect(near)


async def test_removed_controller_is_a_lost_connection(air: VirtualRadio):
    far, near = await peripheral(air), await central(air)
    connection = await connect(near)
    gone = ended(connection)
    controller = air.link.find_le_controller(hci.Address(PERIPHERAL))
    assert controller is not None
    air.remove(controller)
    async with asyncio.timeout(5):
        await gone
    assert air.link.find_le_controller(hci.Address(PERIPHERAL)) is None
    air.remove(controller)
    assert not near.connections
    await far.power_off()


async def test_connection_that_nobody_accepts_ends(air: VirtualRadio):
    """Two centrals answer one advertisement: the second is told that nothing was established."""
    await peripheral(air)
    first, second = await central(air), await central(air)
    results = await asyncio.gather(
        connect(first, timeout=0.2), connect(second, timeout=0.2), return_exceptions=True
    )
    await asyncio.sleep(0.05)
    assert any(isinstance(one, Connection) for one in results)
    assert len(first.connections) + len(second.connections) == 1


async def test_advertisements_reach_only_those_who_listen(air: VirtualRadio, monkeypatch: pytest.MonkeyPatch):
    far, near, deaf = await peripheral(air), await central(air), await central(air)
    heard: list[str] = []
    for name, device in (("near", near), ("deaf", deaf), ("far", far)):
        controller = device.host.hci_sink
        monkeypatch.setattr(controller, "on_ll_advertising_pdu", lambda _pdu, name=name: heard.append(name))
    await near.start_scanning(legacy=True)
    await asyncio.sleep(0.01)
    await near.stop_scanning(legacy=True)
    assert set(heard) == {"near"}
