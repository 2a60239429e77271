"""One Bluetooth controller and the google/bumble host on it: power, connecting, giving up, losing it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from bleak.exc import BleakError
from bumble import att, core, hci
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.keys import KeyStore, PairingKeys
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import TransportLostError

from devices.links.pairing import AskPasskey

__all__ = ["GOODBYE_S", "BumbleHost", "LeanDevice", "LeanHost", "Opened"]

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


EARLY: Final = 256
"""Values held at most, of all characteristics of one connection."""
_PUSHED: Final = frozenset({att.Opcode.ATT_HANDLE_VALUE_NOTIFICATION, att.Opcode.ATT_HANDLE_VALUE_INDICATION})
"""What a server sends without having been asked."""


class LeanHost(Host):
    """bumble's host without formatting every packet for a debug log that nobody reads (half its CPU).

    An answer to a command that was given up meanwhile (a cancelled session) is let go: bumble would fail on
    it, or take it for the answer to the next command.
    """

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Hand a packet to the controller."""
        if self.hci_sink:
            self.hci_sink.on_packet(bytes(packet))

    def on_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Take a packet from the controller."""
        match packet:
            case hci.HCI_Event():
                self.on_hci_event_packet(packet)
            case hci.HCI_AclDataPacket():
                self.on_hci_acl_data_packet(packet)
            case _:
                super().on_hci_packet(packet)

    async def _send_command(
        self, command: hci.HCI_SyncCommand[Any] | hci.HCI_AsyncCommand, response_timeout: float | None = None
    ) -> Any:
        """Send one command and return its answer, as soon as it is this one's turn.

        bumble's own swallows a cancellation that comes with the answer (``asyncio.wait_for`` does before
        Python 3.12): a session that was told to stop would go on for ever.
        """
        await self.command_semaphore.acquire()
        waiting = asyncio.get_running_loop().create_future()
        self.pending_command, self.pending_response = command, waiting
        more = True
        try:
            self.send_hci_packet(command)
            async with asyncio.timeout(response_timeout):
                answer = await waiting
            more = bool(answer.num_hci_command_packets)
            return answer
        finally:
            self.pending_command = self.pending_response = None
            if more and self.command_semaphore.locked():
                self.command_semaphore.release()

    def on_command_processed(
        self, event: hci.HCI_Command_Complete_Event[Any] | hci.HCI_Command_Status_Event
    ) -> None:
        """Take the answer to the command that waits for one."""
        command, waiting = self.pending_command, self.pending_response
        if command is None or waiting is None:
            if event.num_hci_command_packets and self.command_semaphore.locked():
                self.command_semaphore.release()
        elif not waiting.done() and command.op_code == event.command_opcode:
            waiting.set_result(event)

    def on_transport_lost(self) -> None:
        """Tell whoever waits for an answer that none will come."""
        if self.pending_response is not None and self.pending_response.done():
            self.pending_response = None
        super().on_transport_lost()  # type: ignore[no-untyped-call]


class LeanDevice(Device):
    """bumble's device, which lets go what a peer answers too late, twice, or in bytes that mean nothing.

    What a device sends before it is subscribed to is held: one that remembers its bond remembers the
    subscription as well, and tells what it has stored as soon as it is connected.

    ``unkept`` is why the last bond could not be kept: bumble would only log it, and take it for paired.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unkept: OSError | None = None
        self._early: WeakKeyDictionary[Connection, deque[tuple[int, bytes]]] = WeakKeyDictionary()

    async def update_keys(self, address: str, keys: PairingKeys) -> None:
        """Keep a bond; see ``unkept``."""
        self.unkept = None
        if self.keystore is None:
            return
        try:
            await self.keystore.update(address, keys)
        except OSError as error:
            self.unkept = error
            return
        await self.refresh_resolving_list()
        self.emit(self.EVENT_KEY_STORE_UPDATE)

    def early(self, connection: Connection, handle: int) -> list[bytes]:
        """What came of a characteristic before it was subscribed to, oldest first; each once."""
        held = self._early.get(connection, deque())
        found = [value for at, value in held if at == handle]
        self._early[connection] = deque((one for one in held if one[0] != handle), maxlen=EARLY)
        return found

    def _held(self, connection: Connection, packet: att.ATT_PDU) -> bool:
        """Hold a value that nobody has subscribed to yet; False for everything else."""
        if not isinstance(packet, att.ATT_Handle_Value_Notification | att.ATT_Handle_Value_Indication):
            return False
        client, handle = connection.gatt_client, packet.attribute_handle
        if client.notification_subscribers.get(handle) or client.indication_subscribers.get(handle):
            return False
        held = self._early.setdefault(connection, deque(maxlen=EARLY))
        held.append((handle, bytes(packet.attribute_value)))
        if isinstance(packet, att.ATT_Handle_Value_Indication):
            client.send_confirmation(att.ATT_Handle_Value_Confirmation())
        return True

    def on_gatt_pdu(self, connection_handle: int, pdu: bytes) -> None:
        """Take one attribute packet of a connection."""
        connection = self.lookup_connection(connection_handle)
        if connection is None:
            return
        try:
            packet = att.ATT_PDU.from_bytes(pdu)
        except (core.BaseBumbleError, ValueError, IndexError, struct.error):
            _log.warning(
                "%s: an attribute packet of %d bytes means nothing", connection.peer_address, len(pdu)
            )
            return
        if not packet.op_code & 1:
            confirmed = connection.gatt_server.pending_confirmations.get(connection)
            if packet.op_code != att.Opcode.ATT_HANDLE_VALUE_CONFIRMATION or _is_open(confirmed):
                connection.gatt_server.on_gatt_pdu(connection, packet)
        elif packet.op_code not in _PUSHED and not _is_open(connection.gatt_client.pending_response):
            return
        elif not self._held(connection, packet):
            connection.gatt_client.on_gatt_pdu(packet)


def _is_open(waiting: asyncio.Future[Any] | None) -> bool:
    return waiting is not None and not waiting.done()


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
