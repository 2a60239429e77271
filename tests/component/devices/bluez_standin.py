"""A stand-in for BlueZ and systemd on a private D-Bus: there is no Bluetooth hardware on a test machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from dbus_fast import DBusError, Message, PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

__all__ = ["ADDRESS", "DEVICE", "OTHER", "StandinBluez", "private_bus", "standin"]

ADAPTER = "/org/bluez/hci0"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
DEVICE = "/org/bluez/hci0/dev_F0_00_00_00_00_01"
OTHER = "/org/bluez/hci0/dev_F0_00_00_00_00_0E"
ADDRESS = "F0:00:00:00:00:01"

Nothing = Annotated[None, DBusSignature("")]


class StandinBluez:
    """What it was asked, in order; ``refuses`` names members that it answers with an error.

    ``leaves`` names members that it never answers.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses: set[str] = set()
        self.leaves: set[str] = set()
        self.agent: tuple[str, str] | None = None
        self.bus: MessageBus | None = None

    def note(self, what: str, member: str) -> None:
        if member in self.refuses:
            raise DBusError(DENIED, "not for you")
        self.asked.append(what)

    def unplug(self) -> None:
        """There is no adapter any more."""
        assert self.bus is not None
        self.bus.unexport(ADAPTER)

    async def passkey(self) -> Message:
        """Ask the registered agent for the digits, as a pairing does."""
        return await self.ask("RequestPasskey")

    async def ask(self, member: str, device: str = DEVICE, *more: object) -> Message:
        """Call a method of the registered agent about a device."""
        assert self.bus is not None
        assert self.agent is not None
        sender, path = self.agent
        signature = {"RequestConfirmation": "ou", "AuthorizeService": "os", "Cancel": ""}.get(member, "o")
        answer = await self.bus.call(
            Message(
                destination=sender,
                path=path,
                interface="org.bluez.Agent1",
                member=member,
                signature=signature,
                body=[device, *more][: len(signature)],
            )
        )
        assert answer is not None
        return answer


class _Adapter(ServiceInterface):
    def __init__(self, bluez: StandinBluez) -> None:
        super().__init__("org.bluez.Adapter1")
        self._bluez = bluez
        self._on = True

    @dbus_property(name="Powered", access=PropertyAccess.READWRITE)
    def powered(self) -> DBusBool:
        return self._on

    @powered.setter
    def set_powered(self, on: DBusBool) -> None:
        self._bluez.note(f"power {'on' if on else 'off'}", "Powered")
        self._on = on

    @dbus_method(name="RemoveDevice")
    def remove(self, device: DBusObjectPath) -> Nothing:
        self._bluez.note(f"removed {device}", "RemoveDevice")


class _Device(ServiceInterface):
    def __init__(self, address: str) -> None:
        super().__init__("org.bluez.Device1")
        self._address = address

    @dbus_property(name="Address", access=PropertyAccess.READ)
    def address(self) -> DBusStr:
        return self._address


class _Agents(ServiceInterface):
    def __init__(self, bluez: StandinBluez) -> None:
        super().__init__("org.bluez.AgentManager1")
        self._bluez = bluez

    @dbus_method(name="RegisterAgent")
    def register(self, path: DBusObjectPath, capability: DBusStr) -> Nothing:
        self._bluez.note(f"agent {capability}", "RegisterAgent")
        assert self._bluez.bus is not None
        self._bluez.agent = (":1.1", path)

    @dbus_method(name="RequestDefaultAgent")
    def default(self, path: DBusObjectPath) -> Nothing:
        del path
        self._bluez.note("default agent", "RequestDefaultAgent")

    @dbus_method(name="UnregisterAgent")
    async def unregister(self, path: DBusObjectPath) -> Nothing:
        del path
        if "UnregisterAgent" in self._bluez.leaves:
            await asyncio.Event().wait()
        self._bluez.note("agent gone", "UnregisterAgent")
        self._bluez.agent = None


class _Systemd(ServiceInterface):
    def __init__(self, bluez: StandinBluez) -> None:
        super().__init__("org.freedesktop.systemd1.Manager")
        self._bluez = bluez

    @dbus_method(name="RestartUnit")
    def restart(self, unit: DBusStr, mode: DBusStr) -> DBusObjectPath:
        self._bluez.note(f"restart {unit} ({mode})", "RestartUnit")
        return "/org/freedesktop/systemd1/job/1"


@asynccontextmanager
async def private_bus() -> AsyncIterator[str]:
    """The address of a D-Bus daemon of our own, ended with the body."""
    daemon = await asyncio.create_subprocess_exec(
        "dbus-daemon", "--session", "--nofork", "--print-address", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert daemon.stdout is not None
        async with asyncio.timeout(10):
            yield (await daemon.stdout.readline()).decode().strip()
    finally:
        daemon.terminate()
        await daemon.wait()


@asynccontextmanager
async def standin(address: str) -> AsyncIterator[StandinBluez]:
    """A stand-in on the bus at ``address``."""
    bluez = StandinBluez()
    bus = await MessageBus(bus_address=address).connect()
    bluez.bus = bus
    bus.export(ADAPTER, _Adapter(bluez))
    bus.export(DEVICE, _Device(ADDRESS))
    bus.export(OTHER, _Device("F0:00:00:00:00:0E"))
    bus.export("/org/bluez", _Agents(bluez))
    bus.export("/org/freedesktop/systemd1", _Systemd(bluez))
    for name in ("org.bluez", "org.freedesktop.systemd1"):
        await bus.request_name(name)
    try:
        yield bluez
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()
