"""Our part of BlueZ's D-Bus interfaces, over a real D-Bus daemon, against a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from dbus_fast import MessageType
from dbus_fast.aio import MessageBus

from devices.links import bluez as module
from devices.links.bluez import Bluez
from hearthward.core.errors import LinkError
from tests.component.devices.bluez_standin import ADDRESS, DEVICE, OTHER, StandinBluez, private_bus, standin
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

    async with bluez.answering(ask, ADDRESS.lower()):
        assert (await there.passkey()).body == [123456]
        refused = await there.passkey()
        assert (refused.message_type, refused.error_name) == (MessageType.ERROR, "org.bluez.Error.Rejected")
    assert there.asked == ["agent KeyboardDisplay", "default agent", "agent gone"]


async def nobody() -> int | None:
    return None


@pytest.mark.parametrize(
    ("member", "more"),
    [
        ("RequestPasskey", ()),
        ("RequestPinCode", ()),
        ("RequestConfirmation", (123456,)),
        ("RequestAuthorization", ()),
        ("AuthorizeService", ("180d",)),
    ],
)
async def test_only_the_device_that_is_meant_is_let_in(
    bluez: Bluez, there: StandinBluez, member: str, more: tuple[object, ...]
):
    async def ask() -> int | None:
        return 7

    async with bluez.answering(ask, ADDRESS):
        assert (await there.ask(member, DEVICE, *more)).message_type is MessageType.METHOD_RETURN
        for stranger in (OTHER, "/org/bluez/hci0/dev_F0_00_00_00_00_0F"):
            refused = await there.ask(member, stranger, *more)
            assert (refused.message_type, refused.error_name) == (
                MessageType.ERROR,
                "org.bluez.Error.Rejected",
            )


async def test_an_agent_that_cannot_be_taken_back_holds_nobody_up(
    bluez: Bluez, there: StandinBluez, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "GOODBYE_S", 0.05)
    there.leaves = {"UnregisterAgent"}
    async with asyncio.timeout(5), bluez.answering(nobody, ADDRESS):
        pass
    assert there.asked == ["agent KeyboardDisplay", "default agent"]


async def test_a_question_that_bluez_withdraws_is_not_asked_any_longer(bluez: Bluez, there: StandinBluez):
    withdrawn, asked = asyncio.Event(), asyncio.Event()

    async def ask() -> int | None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            withdrawn.set()
        return None

    async with asyncio.timeout(5), bluez.answering(ask, ADDRESS):
        answer = asyncio.create_task(there.passkey())
        await asked.wait()
        await there.ask("Cancel")
        await withdrawn.wait()
        assert (await answer).error_name == "org.bluez.Error.Canceled"
