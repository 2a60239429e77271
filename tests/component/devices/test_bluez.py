"""Our part of BlueZ's D-Bus interfaces, over a real D-Bus daemon, against a stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from dbus_fast import MessageType
from dbus_fast.aio import MessageBus

from devices.links import bluez as module
from devices.links.bluez import Bluez
from hearthward.core.errors import LinkError
from tests.component.devices.bluez_standin import DEVICE, StandinBluez, private_bus, standin
from tests.programs import program


@pytest.fixture
async def address() -> AsyncIterator[str]:
    program("dbus-daemon")
    async with private_bus() as made:
        yield made


@pytest.fixture
async def there(address: str) -> AsyncIterator[StandinBluez]:
    async with standin(address) as made:
        yield made


@pytest.fixture
def bluez(address: str, monkeypatch: pytest.MonkeyPatch) -> Bluez:
    monkeypatch.setattr(module, "OFF_S", 0.0)

    async def connect() -> MessageBus:
        return await MessageBus(bus_address=address).connect()

    return Bluez(connect)


async def test_an_adapter_is_switched_off_and_on(bluez: Bluez, there: StandinBluez):
    await bluez.reset_adapter()
    assert there.asked == ["power off", "power on"]


async def test_the_stack_is_restarted(bluez: Bluez, there: StandinBluez):
    await bluez.reset_stack()
    assert there.asked == ["restart bluetooth.service (replace)"]


async def test_a_bond_is_forgotten_with_its_device(bluez: Bluez, there: StandinBluez):
    await bluez.forget("f0:00:00:00:00:01")
    await bluez.forget("F0:00:00:00:00:02")
    assert there.asked == [f"removed {DEVICE}"]


async def test_what_is_not_allowed_is_told_with_what_to_do(bluez: Bluez, there: StandinBluez):
    there.refuses = {"RestartUnit", "Powered"}
    with pytest.raises(LinkError, match="polkit rule"):
        await bluez.reset_stack()
    with pytest.raises(LinkError, match="could not be switched off"):
        await bluez.reset_adapter()


async def test_no_adapter_and_no_bluez_are_told(bluez: Bluez, there: StandinBluez):
    there.unplug()
    with pytest.raises(LinkError, match="no adapter"):
        await bluez.reset_adapter()
    async with private_bus() as empty:

        async def connect() -> MessageBus:
            return await MessageBus(bus_address=empty).connect()

        with pytest.raises(LinkError, match="BlueZ does not answer"):
            await Bluez(connect).reset_adapter()

    async def nowhere() -> MessageBus:
        return await MessageBus(bus_address="unix:path=/nonexistent/bus").connect()

    with pytest.raises(LinkError, match="cannot be reached"):
        await Bluez(nowhere).reset_adapter()


async def test_a_passkey_is_asked_for_while_somebody_answers(bluez: Bluez, there: StandinBluez):
    digits: list[int | None] = [123456, None]

    async def ask() -> int | None:
        return digits.pop(0)

    async with bluez.answering(ask):
        assert (await there.passkey()).body == [123456]
        refused = await there.passkey()
        assert (refused.message_type, refused.error_name) == (MessageType.ERROR, "org.bluez.Error.Rejected")
    assert there.asked == ["agent KeyboardDisplay", "default agent", "agent gone"]
