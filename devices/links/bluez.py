"""What bleak leaves out of BlueZ: resetting the adapter and the stack, and asking for passkeys, over D-Bus.

Sources: BlueZ's doc/org.bluez.Adapter.rst and org.bluez.Agent.rst; systemd's org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final

from dbus_fast import AuthError, BusType, DBusError, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusObjectPath, DBusSignature, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

from devices.links.pairing import AskPasskey
from hearthward.core.errors import LinkError

__all__ = ["Bluez", "system_bus"]

ANSWER_S: Final = 15.0
"""How long BlueZ or systemd may take for one answer."""
GOODBYE_S: Final = 2.0
"""How long it may take to let go of the agent; it goes with our connection to the bus in any case."""
OFF_S: Final = 1.0
"""How long an adapter stays without power: its firmware is to notice."""
AGENT: Final = "/org/hearthward/agent"
_BLUEZ: Final = "org.bluez"
_SYSTEMD: Final = "org.freedesktop.systemd1"
_REJECTED: Final = "org.bluez.Error.Rejected"
_CANCELED: Final = "org.bluez.Error.Canceled"

Connect = Callable[[], Awaitable[MessageBus]]
_Nothing = Annotated[None, DBusSignature("")]
"""dbus-fast reads a bare None as no signature."""


async def system_bus() -> MessageBus:
    """The system's bus. Raises OSError when there is none."""
    return await MessageBus(bus_type=BusType.SYSTEM).connect()


class Bluez:
    """The system's Bluetooth service; a connection to the bus is made for each call."""

    def __init__(self, connect: Connect = system_bus) -> None:
        self._connect = connect

    async def reset_adapter(self) -> None:
        """Take the first adapter's power away and give it back. Raises LinkError."""
        async with self._bus() as bus:
            adapter = await self._adapter(bus)
            await self._power(bus, adapter, on=False)
            await asyncio.sleep(OFF_S)
            await self._power(bus, adapter, on=True)

    async def reset_stack(self) -> None:
        """Restart bluetooth.service. Raises LinkError, saying what to allow."""
        async with self._bus() as bus:
            call = Message(
                destination=_SYSTEMD,
                path="/org/freedesktop/systemd1",
                interface=f"{_SYSTEMD}.Manager",
                member="RestartUnit",
                signature="ss",
                body=["bluetooth.service", "replace"],
            )
            await self._asked(
                bus,
                call,
                "bluetooth.service could not be restarted; allow it to the gateway's user by a polkit rule "
                "for org.freedesktop.systemd1.manage-units, or restart it by hand",
            )

    async def forget(self, address: str) -> None:
        """Remove a device and its bond, if BlueZ knows it. Raises LinkError."""
        async with self._bus() as bus:
            for path, interfaces in sorted((await self._objects(bus)).items()):
                known = interfaces.get("org.bluez.Device1", {}).get("Address")
                if known is not None and str(known.value).upper() == address.upper():
                    call = Message(
                        destination=_BLUEZ,
                        path=path.rpartition("/")[0],
                        interface="org.bluez.Adapter1",
                        member="RemoveDevice",
                        signature="o",
                        body=[path],
                    )
                    await self._asked(bus, call, f"{address} could not be removed from BlueZ")

    @asynccontextmanager
    async def answering(self, ask: AskPasskey, address: str) -> AsyncIterator[None]:
        """While it is open, BlueZ asks ``ask`` for the digits that the device at ``address`` shows.

        Any other device that wants to pair meanwhile is refused. Raises LinkError.
        """
        async with self._bus() as bus:

            async def meant(path: str) -> bool:
                return await self._address(bus, path) == address.upper()

            agent = _Agent(ask, meant)
            bus.export(AGENT, agent)
            path, what = "/org/bluez", "BlueZ takes no agent that could be asked for passkeys"
            await self._asked(bus, _manager(path, "RegisterAgent", "os", [AGENT, "KeyboardDisplay"]), what)
            try:
                await self._asked(bus, _manager(path, "RequestDefaultAgent", "o", [AGENT]), what)
                yield
            finally:
                agent.withdraw()
                with suppress(LinkError, TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await self._asked(bus, _manager(path, "UnregisterAgent", "o", [AGENT]), what)

    async def _address(self, bus: MessageBus, path: str) -> str | None:
        """The address of the device that BlueZ calls so; None for what is no device."""
        call = Message(
            destination=_BLUEZ,
            path=path,
            interface="org.freedesktop.DBus.Properties",
            member="Get",
            signature="ss",
            body=["org.bluez.Device1", "Address"],
        )
        try:
            (address,) = await self._asked(bus, call, f"{path} is no device")
        except LinkError:
            return None
        return str(address.value).upper()

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[MessageBus]:
        try:
            async with asyncio.timeout(ANSWER_S):
                bus = await self._connect()
        except (OSError, EOFError, DBusError, AuthError) as error:
            msg = f"the system's D-Bus cannot be reached: {str(error) or 'no answer'}"
            raise LinkError(msg, radio="bluez") from error
        try:
            yield bus
        finally:
            bus.disconnect()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def _objects(self, bus: MessageBus) -> dict[str, dict[str, Any]]:
        call = Message(
            destination=_BLUEZ,
            path="/",
            interface="org.freedesktop.DBus.ObjectManager",
            member="GetManagedObjects",
        )
        objects: dict[str, dict[str, Any]] = (await self._asked(bus, call, "BlueZ does not answer"))[0]
        return objects

    async def _adapter(self, bus: MessageBus) -> str:
        objects = await self._objects(bus)
        found = sorted(path for path, interfaces in objects.items() if "org.bluez.Adapter1" in interfaces)
        if not found:
            msg = "BlueZ has no adapter: is it plugged in?"
            raise LinkError(msg, radio="bluez")
        return found[0]

    async def _power(self, bus: MessageBus, adapter: str, *, on: bool) -> None:
        call = Message(
            destination=_BLUEZ,
            path=adapter,
            interface="org.freedesktop.DBus.Properties",
            member="Set",
            signature="ssv",
            body=["org.bluez.Adapter1", "Powered", Variant("b", on)],
        )
        await self._asked(bus, call, f"{adapter} could not be switched {'on' if on else 'off'}")

    @staticmethod
    async def _asked(bus: MessageBus, call: Message, what: str) -> list[Any]:
        """The body of the answer. Raises LinkError with ``what``."""
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await bus.call(call)
        except (TimeoutError, EOFError, OSError) as error:
            msg = f"{what}: no answer within {ANSWER_S:g} s"
            raise LinkError(msg, radio="bluez") from error
        if answer is None or answer.message_type is MessageType.ERROR:
            said = "" if answer is None else f" ({answer.error_name}: {' '.join(map(str, answer.body))})"
            msg = f"{what}{said}"
            raise LinkError(msg, radio="bluez")
        return list(answer.body)


def _manager(path: str, member: str, signature: str, body: list[Any]) -> Message:
    return Message(
        destination=_BLUEZ,
        path=path,
        interface="org.bluez.AgentManager1",
        member=member,
        signature=signature,
        body=body,
    )


class _Agent(ServiceInterface):
    """org.bluez.Agent1: says yes to "just works", gives the digits that a person read; to one device only."""

    def __init__(self, ask: AskPasskey, meant: Callable[[str], Awaitable[bool]]) -> None:
        super().__init__("org.bluez.Agent1")
        self._ask = ask
        self._meant = meant
        self._asking: asyncio.Future[int | None] | None = None

    def withdraw(self) -> None:
        """Nobody needs an answer any more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _check(self, device: str) -> None:
        if not await self._meant(device):
            raise DBusError(_REJECTED, "another device is being paired")

    async def _digits(self, device: str) -> int:
        await self._check(device)
        self.withdraw()
        asking = self._asking = asyncio.ensure_future(self._ask())
        try:
            await asyncio.wait({asking})
        finally:
            asking.cancel()
        if asking.cancelled():
            raise DBusError(_CANCELED, "the question was withdrawn")
        if (digits := asking.result()) is None:
            raise DBusError(_REJECTED, "nobody knows the digits")
        return digits

    @dbus_method(name="RequestPasskey")
    async def request_passkey(self, device: DBusObjectPath) -> DBusUInt32:
        """The digits as a number."""
        return await self._digits(device)

    @dbus_method(name="RequestPinCode")
    async def request_pin_code(self, device: DBusObjectPath) -> DBusStr:
        """The digits as a text, for old devices."""
        return f"{await self._digits(device):06}"

    @dbus_method(name="RequestConfirmation")
    async def request_confirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> _Nothing:
        """Both show the same number: nobody is there to compare, the person started the pairing."""
        del passkey
        await self._check(device)

    @dbus_method(name="RequestAuthorization")
    async def request_authorization(self, device: DBusObjectPath) -> _Nothing:
        """Pairing without digits."""
        await self._check(device)

    @dbus_method(name="AuthorizeService")
    async def authorize_service(self, device: DBusObjectPath, uuid: DBusStr) -> _Nothing:
        """A service of a device that is paired."""
        del uuid
        await self._check(device)

    @dbus_method(name="DisplayPasskey")
    def display_passkey(self, device: DBusObjectPath, passkey: DBusUInt32, entered: DBusUInt16) -> _Nothing:
        """Nothing to show it on."""

    @dbus_method(name="Cancel")
    def cancel(self) -> _Nothing:
        """BlueZ does not wait for an answer any more."""
        self.withdraw()

    @dbus_method(name="Release")
    def release(self) -> _Nothing:
        """BlueZ lets go of the agent."""
        self.withdraw()
