"""A backend of bleak 3 over google/bumble: adapters by USB, serial or TCP, and the virtual radio.

bleak's classes are made with ``host=``: ``BleakClient(device, backend=BumbleClient, host=host)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bumble import att, core, gatt, gatt_client, hci
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport.common import TransportLostError

__all__ = ["BumbleClient", "BumbleHost", "BumbleScanner", "Opened"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

POWER_ON_S: Final = 10.0
"""How long an adapter may take to answer its first commands."""
CONNECT_S: Final = 5.0
"""How long connecting may take once the device was seen; all other connects of the host wait meanwhile."""
CANCEL_S: Final = 1.0
"""How long a controller may take to give up a pending connection."""
GOODBYE_S: Final = 2.0
"""How long a disconnection may take before it is taken for done."""
MTU: Final = 247

_CCCD: Final = gatt.GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR
_LOST: Final = "the connection was lost"
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


@dataclass(frozen=True, slots=True)
class Opened:
    """An open way to a controller: where packets come from, where they go, and how to close it."""

    host: Host
    close: Callable[[], Awaitable[None]]


class BumbleHost:
    """One controller and the bumble device on it; powered on at first use, and again after it was lost."""

    def __init__(self, name: str, open_controller: Callable[[], Awaitable[Opened]]) -> None:
        self.name = name
        self._open_controller = open_controller
        self._opened: Opened | None = None
        self._device: Device | None = None
        self._power = asyncio.Lock()
        self._connecting = asyncio.Lock()
        self._expected: hci.Address | None = None
        self._stuck = False
        self._closing: asyncio.Task[None] | None = None
        self._clients: set[BumbleClient] = set()
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
        device = Device(config=DeviceConfiguration(name=self.name), host=opened.host)
        try:
            async with asyncio.timeout(POWER_ON_S):
                await device.power_on()
        except (TimeoutError, core.BaseBumbleError, TransportLostError) as error:
            await opened.close()
            msg = f"the Bluetooth controller at {self.name} does not answer ({error or 'time is up'})"
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
            try:
                await asyncio.wait({attempt}, timeout=CONNECT_S)
                if attempt.done() and not attempt.cancelled():
                    return attempt.result()
            except core.BaseBumbleError as error:
                msg = f"cannot connect to {address.to_string(with_type_qualifier=False)}: {error}"
                raise BleakError(msg) from error
            finally:
                self._expected = None
                if not attempt.done():
                    await self._give_up(device, attempt, address)
            msg = f"{address.to_string(with_type_qualifier=False)} does not take the connection"
            raise BleakError(msg)

    async def _give_up(
        self, device: Device, attempt: asyncio.Future[Connection], address: hci.Address
    ) -> None:
        """Cancel a pending connection and wait until the controller says so; note one that never does."""
        attempt.cancel()
        await asyncio.wait({attempt})
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(_: object) -> None:
            if not over.done():
                over.set_result(None)

        device.on(Device.EVENT_CONNECTION, settle)
        device.on(Device.EVENT_CONNECTION_FAILURE, settle)
        try:
            async with asyncio.timeout(CANCEL_S):
                with contextlib.suppress(hci.HCI_Error):  # nothing was pending any more
                    await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
                    await over
        except (TimeoutError, core.BaseBumbleError):
            self._stuck = True
        finally:
            device.remove_listener(Device.EVENT_CONNECTION, settle)
            device.remove_listener(Device.EVENT_CONNECTION_FAILURE, settle)
            for connection in list(device.connections.values()):
                if connection.peer_address == address:
                    self._spawn(self._hang_up(connection))

    async def _restart(self) -> Device:
        """Reset a controller that never confirmed a cancelled connection: it would refuse every other."""
        _log.warning("%s: the controller still waits for a device that was given up: reset", self.name)
        self._on_controller_lost()
        return await self.device()

    def add(self, client: BumbleClient) -> None:
        """Tell ``client`` when the controller is lost."""
        self._clients.add(client)

    def discard(self, client: BumbleClient) -> None:
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


@dataclass(slots=True)
class _Heard:
    """What one advertisement says (Core Specification Supplement, Part A)."""

    name: str | None = None
    services: list[str] = field(default_factory=list)
    manufacturer: dict[int, bytes] = field(default_factory=dict)
    service_data: dict[str, bytes] = field(default_factory=dict)
    tx_power: int | None = None


def _uuid(raw: bytes) -> str:
    return str(uuid.UUID(bytes=core.UUID.from_bytes(raw).to_bytes(force_128=True)[::-1]))


def _heard(data: core.AdvertisingData) -> _Heard:
    heard = _Heard()
    kinds = core.AdvertisingData.Type
    sizes = {
        kinds.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS: 2,
        kinds.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS: 2,
        kinds.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS: 16,
        kinds.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS: 16,
    }
    for kind, raw in data.ad_structures:
        if size := sizes.get(kinds(kind)):
            listed = (_uuid(raw[at : at + size]) for at in range(0, len(raw) - size + 1, size))
            heard.services += [one for one in listed if one not in heard.services]
        elif kind == kinds.COMPLETE_LOCAL_NAME or (kind == kinds.SHORTENED_LOCAL_NAME and heard.name is None):
            heard.name = raw.decode(errors="replace")
        elif kind == kinds.MANUFACTURER_SPECIFIC_DATA and len(raw) >= 2:  # noqa: PLR2004 - the company's number
            heard.manufacturer[int.from_bytes(raw[:2], "little")] = raw[2:]
        elif kind == kinds.SERVICE_DATA_16_BIT_UUID and len(raw) >= 2:  # noqa: PLR2004
            heard.service_data[_uuid(raw[:2])] = raw[2:]
        elif kind == kinds.TX_POWER_LEVEL and len(raw) == 1:
            heard.tx_power = struct.unpack("<b", raw)[0]
    return heard


class BumbleScanner(BaseBleakScanner):
    """Scans with the host's controller."""

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str,
        *,
        host: BumbleHost,
        **_other: object,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._active = scanning_mode == "active"
        self._host = host
        self._device: Device | None = None

    @property
    def alive(self) -> bool:
        """Whether it scans: no longer, once its controller is gone."""
        return self._device is not None and self._device is self._host.current

    async def start(self) -> None:
        """Start to scan. Raises BleakError when the controller does not."""
        self.seen_devices = {}
        device = await self._host.device()
        device.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        self._device = device
        try:
            await device.start_scanning(active=self._active, filter_duplicates=False)
        except (core.BaseBumbleError, asyncio.CancelledError) as error:
            self._device = None
            device.remove_listener(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
            if isinstance(error, asyncio.CancelledError):
                raise
            msg = f"cannot scan: {error}"
            raise BleakError(msg) from error

    async def stop(self) -> None:
        """Stop to scan; harmless when the controller is gone."""
        device, self._device = self._device, None
        if device is None:
            return
        device.remove_listener(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        with contextlib.suppress(core.BaseBumbleError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await device.stop_scanning()

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        heard = _heard(advertisement.data)
        if not self.is_allowed_uuid(heard.services):
            return
        said = AdvertisementData(
            local_name=heard.name,
            manufacturer_data=heard.manufacturer,
            service_data=heard.service_data,
            service_uuids=heard.services,
            tx_power=heard.tx_power,
            rssi=advertisement.rssi,
            platform_data=(advertisement,),
        )
        address = advertisement.address.to_string(with_type_qualifier=False)
        device = self.create_or_update_device(address, address, heard.name, advertisement.address, said)
        self.call_detection_callbacks(device, said)


class BumbleClient(BaseBleakClient):
    """One connection over the host's controller."""

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        host: BumbleHost,
        **_other: object,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        known = address_or_ble_device if isinstance(address_or_ble_device, BLEDevice) else None
        self._name = known.name if known else None
        self._peer = known.details if known and isinstance(known.details, hci.Address) else None
        self._host = host
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
                self._connection = connection
                self._gone = asyncio.get_running_loop().create_future()
                self._gatt = connection.gatt_client
                connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
                self._host.add(self)
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

    def _on_disconnection(self, _reason: int) -> None:
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
            msg = f"{self.address}: {error or type(error).__name__}"
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
            found.add_service(BleakGATTService(service, service.handle, _uuid(bytes(service.uuid))))
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
                text = _uuid(bytes(descriptor.type))
                found.add_descriptor(BleakGATTDescriptor(descriptor, descriptor.handle, text, known))
        return found

    def _characteristic(
        self, proxy: gatt_client.CharacteristicProxy[bytes], service: BleakGATTService
    ) -> BleakGATTCharacteristic:
        properties = [name for bit, name in enumerate(_PROPERTIES) if proxy.properties & (1 << bit)]
        return BleakGATTCharacteristic(
            proxy, proxy.handle, _uuid(bytes(proxy.uuid)), properties, lambda: self.mtu_size - 3, service
        )

    async def pair(self, *_args: object, **_kwargs: object) -> None:
        """Pair, unless the connection is encrypted already."""
        if self._connection is not None and not self._connection.is_encrypted:
            await self._request(self._connection.pair())

    async def unpair(self) -> None:
        """Forget the bond."""
        device = await self._host.device()
        if device.keystore is not None:
            with contextlib.suppress(KeyError):
                await device.keystore.delete(self.address)
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
        await self._request(self._client().subscribe(proxy, subscriber))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Unsubscribe."""
        subscriber = self._subscribers.pop(characteristic.handle, None)
        if subscriber is not None:
            await self._request(self._client().unsubscribe(characteristic.obj, subscriber))
