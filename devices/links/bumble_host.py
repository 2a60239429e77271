"""One Bluetooth controller and the google/bumble host on it: power, connecting, giving up, losing it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

from bleak.exc import BleakError
from bumble import core, hci
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.keys import KeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import TransportLostError

from devices.links.bumble_lean import LeanDevice
from devices.links.pairing import AskPasskey

__all__ = ["GOODBYE_S", "BumbleHost", "Opened"]

_log = logging.getLogger(__name__)

POWER_ON_S: Final = 10.0
"""How long an adapter may take to answer its first commands."""
CONNECT_S: Final = 5.0
"""How long connecting may take once the device was seen; all other connects of the host wait meanwhile."""
CANCEL_S: Final = 1.0
"""How long a controller may take to give up a pending connection."""
CANCEL_RETRY_S: Final = 0.1
"""It is asked again so often: the first time may be before it was asked to connect."""
GOODBYE_S: Final = 2.0
"""How long a disconnection may take before it is taken for done."""


class _Delegate(PairingDelegate):
    """Says yes to "just works", and asks a person for the digits that a device shows."""

    def __init__(self, ask: AskPasskey | None) -> None:
        super().__init__(self.KEYBOARD_INPUT_ONLY if ask is not None else self.NO_OUTPUT_NO_INPUT)
        self._ask = ask

    async def get_number(self) -> int | None:
        """The six digits, or None when nobody knows them."""
        digits = None if self._ask is None else await self._ask()
        return None if digits is None else _Digits(digits)


class _Digits(int):
    """A passkey that is one even when it is 000000: bumble asks whether it is true."""

    def __bool__(self) -> bool:
        return True


class _Client(Protocol):
    def on_lost(self) -> None:
        """The controller is gone."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open way to a controller: where packets come from, where they go, and how to close it."""

    host: Host
    close: Callable[[], Awaitable[None]]


class BumbleHost:
    """One controller and the bumble device on it; powered on at first use, and again after it was lost."""

    def __init__(
        self, name: str, open_controller: Callable[[], Awaitable[Opened]], bonds: KeyStore | None = None
    ) -> None:
        self.name = name
        self._open_controller = open_controller
        self._bonds = bonds
        self._passkeys: dict[Connection, AskPasskey] = {}
        self._opened: Opened | None = None
        self._device: Device | None = None
        self._power = asyncio.Lock()
        self._connecting = asyncio.Lock()
        self._expected: hci.Address | None = None
        self._stuck = False
        self._giving_up: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._clients: set[_Client] = set()
        self._chores: set[asyncio.Task[None]] = set()

    async def device(self) -> Device:
        """The powered device. Raises BleakError when the controller does not answer, OSError if not there."""
        async with self._power:
            if self._device is None:
                await self._power_on()
            assert self._device is not None  # noqa: S101 - _power_on raises otherwise
            return self._device

    @property
    def current(self) -> Device | None:
        """The device as long as its controller is there; the next one is another object."""
        return self._device

    async def _power_on(self) -> None:
        if self._closing is not None:
            await asyncio.wait({self._closing})
        opened = await self._open_controller()
        device = LeanDevice(config=DeviceConfiguration(name=self.name), host=opened.host)
        device.keystore = self._bonds
        device.pairing_config_factory = self._pairing
        try:
            async with asyncio.timeout(POWER_ON_S):
                await device.power_on()
        except (TimeoutError, core.BaseBumbleError, TransportLostError) as error:
            await opened.close()
            msg = f"the Bluetooth controller at {self.name} does not answer ({str(error) or 'time is up'})"
            raise BleakError(msg) from error
        except BaseException:
            await opened.close()
            raise
        self._opened, self._device, self._stuck = opened, device, False
        opened.host.on("flush", self._on_controller_lost)
        device.on(Device.EVENT_CONNECTION, self._on_connection)

    def _on_controller_lost(self) -> None:
        """The controller went away (unplugged, its process died): every connection has ended."""
        if self._device is None:
            return
        self._device = None
        for client in tuple(self._clients):
            client.on_lost()
        if opened := self._opened:
            self._opened = None
            self._closing = self._spawn(self._close_quietly(opened))

    @staticmethod
    async def _close_quietly(opened: Opened) -> None:
        try:
            await opened.close()
        except (OSError, core.BaseBumbleError) as error:
            _log.debug("closing a lost controller: %s", error)

    def _spawn(self, chore: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(chore, name=f"radio {self.name}")
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task

    def _on_connection(self, connection: Connection) -> None:
        """Let go of a device that connected after everybody had given it up."""
        if connection.peer_address != self._expected:
            self._spawn(self._hang_up(connection))

    @staticmethod
    async def _hang_up(connection: Connection) -> None:
        with contextlib.suppress(TimeoutError, core.BaseBumbleError, asyncio.CancelledError):
            async with asyncio.timeout(GOODBYE_S):
                await connection.disconnect()

    async def connect(self, address: hci.Address) -> Connection:
        """Connect to a device that advertises; one at a time, as the controller demands.

        Raises:
            BleakError: not in time, or the controller refuses.
        """
        async with self._connecting:
            if self._giving_up is not None:
                await asyncio.wait({self._giving_up})
            device = await self.device()
            if self._stuck:
                device = await self._restart()
            own = (
                hci.OwnAddressType.PUBLIC
                if any(device.public_address.address_bytes)
                else hci.OwnAddressType.RANDOM
            )
            self._expected = address
            attempt = asyncio.ensure_future(device.connect_le(address, own_address_type=own, timeout=None))
            connection: Connection | None = None
            try:
                await asyncio.wait({attempt}, timeout=CONNECT_S)
                if attempt.done() and not attempt.cancelled():
                    connection = attempt.result()
                    return connection
            except core.BaseBumbleError as error:
                msg = f"cannot connect to {address.to_string(with_type_qualifier=False)}: {error}"
                raise BleakError(msg) from error
            finally:
                if connection is None:
                    self._giving_up = self._spawn(self._give_up(device, attempt, own))
                    await asyncio.wait({self._giving_up})
                self._expected = None
            if self._stuck:
                msg = f"the Bluetooth controller at {self.name} does not answer"
                raise BleakError(msg)
            msg = f"{address.to_string(with_type_qualifier=False)} does not take the connection"
            raise BleakError(msg)

    async def _give_up(
        self, device: Device, attempt: asyncio.Future[Connection], own: hci.OwnAddressType
    ) -> None:
        """See an attempt to its end, so that no connection is left behind; note one that has none.

        It is not simply cancelled: bumble would fail on a connection that comes true at that moment.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + CANCEL_S
        while not attempt.done() and loop.time() < until:
            with contextlib.suppress(TimeoutError, core.BaseBumbleError, TransportLostError):
                async with asyncio.timeout_at(until):
                    await device.host.send_sync_command_raw(hci.HCI_LE_Create_Connection_Cancel_Command())
            await asyncio.wait({attempt}, timeout=CANCEL_RETRY_S)
        if not attempt.done():
            self._stuck = device is self._device  # not when the controller was reset meanwhile
            attempt.cancel()
            await asyncio.wait({attempt})
            device.connect_own_address_type = (
                own  # should it connect after all, until the controller is reset
            )
        if not attempt.cancelled() and attempt.exception() is None:
            await self._hang_up(attempt.result())

    async def reset(self) -> None:
        """End every connection and power the controller on anew. Raises BleakError, OSError as ``device``."""
        self._on_controller_lost()
        await self.device()

    async def _restart(self) -> Device:
        """Reset a controller that never confirmed a cancelled connection: it would refuse every other."""
        _log.warning("%s: the controller still waits for a device that was given up: reset", self.name)
        self._on_controller_lost()
        return await self.device()

    def _pairing(self, connection: Connection) -> PairingConfig:
        """How to pair over a connection: with a passkey where somebody can be asked for it."""
        ask = self._passkeys.get(connection)
        return PairingConfig(mitm=ask is not None, bonding=True, delegate=_Delegate(ask))

    async def pair(self, connection: Connection, ask: AskPasskey | None) -> None:
        """Pair and keep the bond. Raises bumble's errors, OSError when the bond cannot be kept."""
        if ask is not None:
            self._passkeys[connection] = ask
        try:
            await connection.pair()
        finally:
            self._passkeys.pop(connection, None)
        device = connection.device
        if isinstance(device, LeanDevice) and device.unkept is not None:
            raise OSError(device.unkept.errno, f"the bond cannot be kept: {device.unkept}")

    async def bonded(self, connection: Connection) -> bool:
        """Whether there is a bond with the device at the other end."""
        store = connection.device.keystore
        return store is not None and await store.get(str(connection.peer_address)) is not None

    async def forget(self, address: str) -> None:
        """Forget the bonds with the device of that address, if there are any."""
        store = (await self.device()).keystore
        if store is None:
            return
        for name, _ in await store.get_all():
            if name.partition("/")[0].upper() == address.upper():
                await store.delete(name)

    def add(self, client: _Client) -> None:
        """Tell ``client`` when the controller is lost."""
        self._clients.add(client)

    def discard(self, client: _Client) -> None:
        """Stop telling it."""
        self._clients.discard(client)

    async def close(self) -> None:
        """Disconnect everything and let go of the controller; harmless more than once."""
        async with self._power:
            device, self._device = self._device, None
            opened, self._opened = self._opened, None
        for client in tuple(self._clients):
            client.on_lost()
        if device is not None:
            await asyncio.gather(*(self._hang_up(c) for c in list(device.connections.values())))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await device.power_off()
        if opened is not None:
            await self._close_quietly(opened)
        while self._chores:
            await asyncio.wait(self._chores)
        await asyncio.sleep(0)  # lets an aborted transport finish
