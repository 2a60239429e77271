"""bleak's client over google/bumble: adapters by USB, serial or TCP, and the virtual radio.

It is made with ``host=``, as is the scanner: ``BleakClient(device, backend=BumbleClient, host=host)``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bumble import att, core, gatt, gatt_client, hci, smp
from bumble.device import Connection

from devices.links.bumble_host import GOODBYE_S, BumbleHost
from devices.links.bumble_lean import LeanDevice
from devices.links.bumble_scanner import BumbleScanner, full_uuid
from devices.links.pairing import AskPasskey, BondRefusedError, PairingError, Why

__all__ = ["BumbleClient"]

_T = TypeVar("_T")

MTU: Final = 247

_CCCD: Final = gatt.GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR
_LOST: Final = "the connection was lost"
_NO_SUCH_KEY: Final = frozenset(
    {
        hci.HCI_AUTHENTICATION_FAILURE_ERROR,
        hci.HCI_PIN_OR_KEY_MISSING_ERROR,
        hci.HCI_CONNECTION_TERMINATED_DUE_TO_MIC_FAILURE_ERROR,
    }
)
"""Of beginning to encrypt: the device has no key, or another one (Core Specification 5.4, Vol 1, Part F)."""
_PROPERTIES: Final[tuple[CharacteristicPropertyName, ...]] = (
    "broadcast",
    "read",
    "write-without-response",
    "write",
    "notify",
    "indicate",
    "authenticated-signed-writes",
    "extended-properties",
)


@dataclass(slots=True)
class _Asked:
    """Asks for a passkey and remembers whether there was one."""

    ask: AskPasskey | None
    answered: bool = False

    async def __call__(self) -> int | None:
        digits = None if self.ask is None else await self.ask()
        self.answered = digits is not None
        return digits

    def why(self, code: int | None) -> Why:
        """What an error of the Security Manager means here."""
        if code in {smp.ErrorCode.PASSKEY_ENTRY_FAILED, smp.ErrorCode.CONFIRM_VALUE_FAILED}:
            return Why.PASSKEY_WRONG if self.answered else Why.PASSKEY_MISSING
        if code == smp.ErrorCode.AUTHENTICATION_REQUIREMENTS and self.ask is None:
            return Why.PASSKEY_MISSING
        return Why.REFUSED


class BumbleClient(BaseBleakClient):
    """One connection over the host's controller."""

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        host: BumbleHost,
        use_bond: bool = True,
        **_other: object,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        known = address_or_ble_device if isinstance(address_or_ble_device, BLEDevice) else None
        self._name = known.name if known else None
        self._peer = known.details if known and isinstance(known.details, hci.Address) else None
        self._host = host
        self._use_bond = use_bond
        self._reason: int | None = None
        self._connection: Connection | None = None
        self._gatt: gatt_client.Client | None = None
        self._gone: asyncio.Future[None] | None = None
        self._subscribers: dict[int, Callable[[bytes], None]] = {}

    @property
    def name(self) -> str:
        """The advertised name, or the address with dashes."""
        return self._name or self.address.replace(":", "-")

    @property
    def mtu_size(self) -> int:
        """The negotiated ATT MTU."""
        return self._gatt.mtu if self._gatt else att.ATT_DEFAULT_MTU

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands."""
        return self._connection is not None and self._gone is not None and not self._gone.done()

    async def connect(self, pair: bool, **_kwargs: object) -> None:  # noqa: FBT001 - bleak's interface
        """Connect and discover. Raises BleakError; nothing stays open behind it."""
        try:
            async with asyncio.timeout(self._timeout):
                peer = self._peer or await self._find()
                connection = await self._host.connect(peer)
                if connection.device.lookup_connection(connection.handle) is not connection:
                    raise BleakError(_LOST)  # it ended before we could listen for its end
                self._connection = connection
                self._gone = asyncio.get_running_loop().create_future()
                self._gatt = connection.gatt_client
                connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
                self._host.add(self)
                if self._use_bond and await self._host.bonded(connection):
                    await self._encrypt(connection)
                if pair:
                    await self.pair()
                self.services = await self._discover()
        except BaseException as error:
            self._disconnected_callback = None
            await self.disconnect()
            if isinstance(error, TimeoutError):
                msg = f"{self.address}: not connected within {self._timeout:g} s"
                raise BleakError(msg) from error
            raise

    async def _find(self) -> hci.Address:
        """The address with its type, from an advertisement."""
        found: asyncio.Future[hci.Address] = asyncio.get_running_loop().create_future()

        def heard(device: BLEDevice, _said: AdvertisementData) -> None:
            if device.address.upper() == self.address.upper() and not found.done():
                self._name = device.name
                found.set_result(device.details)

        scanner = BumbleScanner(heard, None, "active", host=self._host)
        await scanner.start()
        try:
            async with asyncio.timeout(self._timeout):
                return await found
        except TimeoutError as error:
            msg = f"{self.address} was not found"
            raise BleakDeviceNotFoundError(self.address, msg) from error
        finally:
            await scanner.stop()

    async def disconnect(self) -> None:
        """Disconnect; harmless when not connected."""
        connection = self._connection
        if connection is not None and self.is_connected:
            with contextlib.suppress(TimeoutError, core.BaseBumbleError, BleakError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._request(connection.disconnect())
        self.on_lost()

    def _on_disconnection(self, reason: int) -> None:
        self._reason = reason
        self.on_lost()

    def on_lost(self) -> None:
        """Note that the connection has ended, and tell whoever wanted to know, once."""
        self._host.discard(self)
        if self._gone is None or self._gone.done():
            return
        self._gone.set_result(None)
        self._subscribers.clear()
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def _request(self, procedure: Coroutine[Any, Any, _T]) -> _T:
        """Await a procedure with the device as long as the connection stands, in bleak's errors."""
        if self._gone is None or self._gone.done():
            procedure.close()
            raise BleakError(_LOST)
        task = asyncio.get_running_loop().create_task(procedure)
        try:
            await asyncio.wait((task, self._gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():  # bumble cancels what waits for an answer when the device goes away
            raise BleakError(_LOST)
        try:
            return task.result()
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(int(error.error_code)) from error
        except (core.BaseBumbleError, TimeoutError) as error:
            msg = f"{self.address}: {str(error) or type(error).__name__}"
            raise BleakError(msg) from error

    def _client(self) -> gatt_client.Client:
        if self._gatt is None:
            raise BleakError(_LOST)
        return self._gatt

    async def _discover(self) -> BleakGATTServiceCollection:
        """All services, characteristics and descriptors, each kind in one sweep over the whole table."""
        client = self._client()
        await self._request(client.request_mtu(MTU))
        services = sorted(await self._request(client.discover_services()), key=lambda one: one.handle)
        whole = gatt_client.ServiceProxy(client, 1, 0xFFFF, _CCCD)  # type: ignore[no-untyped-call]
        characteristics = await self._request(client.discover_characteristics([], whole))
        attributes = await self._request(client.discover_attributes())
        found = BleakGATTServiceCollection()
        for service in services:
            found.add_service(BleakGATTService(service, service.handle, full_uuid(bytes(service.uuid))))
        owners = iter(services)
        owner = next(owners, None)
        limits = sorted({s.handle for s in services} | {c.handle - 1 for c in characteristics} | {0x10000})
        for proxy in sorted(characteristics, key=lambda one: one.handle):
            while owner is not None and owner.end_group_handle < proxy.handle:
                owner = next(owners, None)
            if owner is None or proxy.handle < owner.handle:
                continue
            end = next(limit for limit in limits if limit > proxy.handle) - 1
            proxy.descriptors = [
                gatt_client.DescriptorProxy(client, one.handle, one.type)
                for one in attributes
                if proxy.handle < one.handle <= end
            ]
            proxy.descriptors_discovered = True
            found.add_characteristic(self._characteristic(proxy, found.services[owner.handle]))
            for descriptor in proxy.descriptors:
                known = found.characteristics[proxy.handle]
                text = full_uuid(bytes(descriptor.type))
                found.add_descriptor(BleakGATTDescriptor(descriptor, descriptor.handle, text, known))
        return found

    def _characteristic(
        self, proxy: gatt_client.CharacteristicProxy[bytes], service: BleakGATTService
    ) -> BleakGATTCharacteristic:
        properties = [name for bit, name in enumerate(_PROPERTIES) if proxy.properties & (1 << bit)]
        return BleakGATTCharacteristic(
            proxy, proxy.handle, full_uuid(bytes(proxy.uuid)), properties, lambda: self.mtu_size - 3, service
        )

    async def _encrypt(self, connection: Connection) -> None:
        """Use the bond. Raises BondRefusedError when the device does not know it, BleakError when it left."""
        try:
            await self._request(connection.encrypt())
        except BleakError as error:
            cause = error.__cause__
            code = cause.error_code if isinstance(cause, hci.HCI_Error) else self._reason
            if code in _NO_SUCH_KEY:
                raise BondRefusedError(self.address) from error
            if isinstance(cause, hci.HCI_Error):  # the radio's own trouble: out of range, switched off
                raise BleakError(_LOST) from error
            raise

    async def pair(self, *_args: object, ask: AskPasskey | None = None, **_kwargs: object) -> None:
        """Pair, unless the connection is encrypted already; ``ask`` for the digits that the device shows.

        Raises PairingError with the reason, BleakError when the connection ends meanwhile.
        """
        connection = self._connection
        if connection is None or connection.is_encrypted:
            return
        asked = _Asked(ask)
        try:
            await self._request(self._host.pair(connection, asked if ask is not None else None))
        except BleakError as error:
            if isinstance(error.__cause__, core.ProtocolError):
                raise PairingError(self.address, asked.why(error.__cause__.error_code)) from error
            raise

    async def unpair(self) -> None:
        """Forget the bond."""
        await self._host.forget(self.address)
        await self.disconnect()

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **_kwargs: object
    ) -> bytearray:
        """Read a characteristic."""
        del use_cached
        return bytearray(await self._request(self._client().read_value(characteristic.handle)))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **_kwargs: object
    ) -> bytearray:
        """Read a descriptor."""
        del use_cached
        return bytearray(await self._request(self._client().read_value(descriptor.handle)))

    async def write_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        data: SizedBuffer,
        response: bool,  # noqa: FBT001 - bleak's interface
    ) -> None:
        """Write a characteristic."""
        await self._request(
            self._client().write_value(characteristic.handle, bytes(data), with_response=response)
        )

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        """Write a descriptor."""
        await self._request(self._client().write_value(descriptor.handle, bytes(data), with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_kwargs: object
    ) -> None:
        """Subscribe to notifications, or to indications where there are no notifications."""
        proxy = characteristic.obj
        if proxy.get_descriptor(_CCCD) is None:
            msg = f"{self.address}: {characteristic.uuid} cannot be subscribed to (it has no descriptor 2902)"
            raise BleakError(msg)

        def subscriber(value: bytes) -> None:
            callback(bytearray(value))

        self._subscribers[characteristic.handle] = subscriber
        self._tell_early(characteristic.handle, subscriber)
        await self._request(self._client().subscribe(proxy, subscriber))
        self._tell_early(characteristic.handle, subscriber)

    def _tell_early(self, handle: int, subscriber: Callable[[bytes], None]) -> None:
        """Hand on what came before the device was subscribed to."""
        connection = self._connection
        if connection is not None and isinstance(connection.device, LeanDevice):
            for value in connection.device.early(connection, handle):
                subscriber(value)

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Unsubscribe."""
        subscriber = self._subscribers.pop(characteristic.handle, None)
        if subscriber is not None:
            await self._request(self._client().unsubscribe(characteristic.obj, subscriber))
