"""The life of a virtual Bluetooth peripheral: power, advertising, one host, subscriptions, pairing."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from bumble import gatt, hci, smp
from bumble.att import ATT_Error, Attribute, ErrorCode
from bumble.core import UUID
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate

from devices.links.bumble_lean import LeanDevice, LeanHost
from devices.twins import encode
from devices.twins.base import Measuring
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from bumble.att import Bearer

    from devices.twins.radio import RadioController, VirtualRadio

__all__ = [
    "OPEN",
    "Identity",
    "Peripheral",
    "Security",
    "battery_service",
    "constant",
    "information_service",
]

ADVERTISING_MS: Final = 500.0  # listeners hear at once when they start (radio.listen): rarely is enough
_DEVICE_INFORMATION: Final = 0x180A
_BATTERY: Final = 0x180F
_RAW: Final = {0x2A23: bytes(8), 0x2A2A: bytes(4), 0x2A50: bytes.fromhex("02ffff01000100")}
"""System id, regulatory data, PnP id: of nobody."""
_PROPERTIES = gatt.Characteristic.Properties


@dataclass(frozen=True, slots=True)
class Identity:
    """What the device information service and the advertisement say."""

    name: str
    manufacturer: str
    model: str
    firmware: str = "1.0.0"


@dataclass(frozen=True, slots=True)
class Security:
    """What a host must do before it may subscribe or command.

    ``open``: nothing. ``bond``: pair, "just works". ``passkey``: pair with the six digits shown. ``refuse``:
    it must pair, but this device has its host already and accepts no other.
    """

    pairing: Literal["open", "bond", "passkey", "refuse"] = "open"
    passkey: int = 123_456


OPEN: Final = Security()


class _Delegate(PairingDelegate):
    """A device with a display, or without anything; it may not want to pair at all."""

    def __init__(self, security: Security) -> None:
        shows = security.pairing == "passkey"
        super().__init__(PairingDelegate.DISPLAY_OUTPUT_ONLY if shows else PairingDelegate.NO_OUTPUT_NO_INPUT)
        self._security = security

    async def accept(self) -> bool:
        return self._security.pairing != "refuse"

    async def generate_passkey(self) -> int:
        return self._security.passkey


class _Pairing(smp.Session):
    """A pairing that insists on the digits: bumble's own would do with "just works"."""

    def send_pairing_response_command(self) -> None:
        """Answer the host, or refuse one that nobody can type at."""
        if self.pairing_config.mitm and self.pairing_method is smp.PairingMethod.JUST_WORKS:
            self.send_pairing_failed(smp.ErrorCode.AUTHENTICATION_REQUIREMENTS)
        else:
            super().send_pairing_response_command()


def constant(number: int, value: bytes) -> gatt.Characteristic[bytes]:
    """A characteristic that always reads the same."""
    return gatt.Characteristic(UUID.from_16_bits(number), _PROPERTIES.READ, Attribute.READABLE, value)


def battery_service(battery: gatt.Characteristic[bytes], *beside: gatt.Characteristic[bytes]) -> gatt.Service:
    """The Battery Service."""
    return gatt.Service(UUID.from_16_bits(_BATTERY), [battery, *beside])


def information_service(identity: Identity, serial: str, *, whole: bool = False) -> gatt.Service:
    """The Device Information Service; ``whole``: with hardware, software and what is no text."""
    texts = {
        0x2A29: identity.manufacturer,
        0x2A24: identity.model,
        0x2A25: serial,
        0x2A26: identity.firmware,
    }
    values = {number: text.encode() for number, text in texts.items()}
    if whole:
        values |= {0x2A27: b"A", 0x2A28: identity.firmware.encode(), **_RAW}
    return gatt.Service(
        UUID.from_16_bits(_DEVICE_INFORMATION), [constant(number, value) for number, value in values.items()]
    )


def _not_readable(_bearer: Bearer) -> bytes:
    """Refuse, since bumble's server does not look at the permission itself."""
    raise ATT_Error(ErrorCode.READ_NOT_PERMITTED)


class Peripheral(Measuring):
    """A twin over the virtual radio; it advertises until a host connects, and again once that one is gone.

    It is ``ready`` when a host has subscribed to all that ``_awaited`` names; nothing named: when connected.
    """

    transport: Literal["ble"] = "ble"

    def __init__(
        self,
        id: str,  # noqa: A002
        address: str,
        radio: VirtualRadio,
        identity: Identity,
        security: Security = OPEN,
    ) -> None:
        self.id = id
        self.address = address
        self.identity = identity
        self.security = security
        self._radio = radio
        self._controller: RadioController | None = None
        self._device: Device | None = None
        self._connection: Connection | None = None
        self._awaited: tuple[gatt.Characteristic[bytes], ...] = ()
        self._listening: list[gatt.Characteristic[bytes]] = []
        self._subscribed = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._gone: asyncio.Future[None] | None = None
        self._advertising: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._bonds = MemoryKeyStore()
        self._battery_percent = 100
        self._battery: gatt.Characteristic[bytes] = gatt.Characteristic(
            UUID.from_16_bits(0x2A19),
            _PROPERTIES.READ | _PROPERTIES.NOTIFY,
            Attribute.READABLE,
            gatt.CharacteristicValue(read=self._read_battery),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.address})"

    @abstractmethod
    def _services(self) -> list[gatt.Service]:
        """Everything that a host can discover."""

    @abstractmethod
    def _advertisement(self) -> bytes:
        """The advertising data, 31 bytes at most."""

    # ------------------------------------------------------------------ power

    async def start(self) -> None:
        """Power on and advertise; harmless when started."""
        if self._device is not None:
            return
        address = hci.Address(self.address)
        self._controller = self._radio.peripheral(self.id, address)
        host = LeanHost(controller_source=self._controller, controller_sink=self._controller)
        config = DeviceConfiguration(name=self.identity.name, address=address)
        device = LeanDevice(config=config, host=host)
        services = self._services()
        self._guard(device, services)
        device.add_services(services)
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        device.gatt_server.on(device.gatt_server.EVENT_CHARACTERISTIC_SUBSCRIPTION, self._on_subscription)
        self._device = device
        await device.power_on()
        device.keystore = self._bonds
        device.pairing_config_factory = self._pairing
        device.smp_session_proxy = _Pairing
        await self._advertise()

    async def close(self) -> None:
        """Power off; a connected host sees the connection end. Harmless more than once."""
        device, self._device = self._device, None
        if device is None:
            return
        if self._advertising is not None:
            self._advertising.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._advertising
        self._on_disconnection(0)
        if self._controller is not None:
            self._radio.remove(self._controller)
        await device.power_off()

    def _pairing(self, _connection: Connection) -> PairingConfig:
        return PairingConfig(mitm=self.security.pairing == "passkey", delegate=_Delegate(self.security))

    def _guard(self, device: Device, services: list[gatt.Service]) -> None:
        """Let only a paired host subscribe and command, where the security asks for it."""
        if self.security.pairing == "open":
            return
        passkey = self.security.pairing == "passkey"
        wanted = Attribute.WRITE_REQUIRES_AUTHENTICATION if passkey else Attribute.WRITE_REQUIRES_ENCRYPTION
        pushes = _PROPERTIES.NOTIFY | _PROPERTIES.INDICATE
        for characteristic in (one for service in services for one in service.characteristics):
            if characteristic.properties & _PROPERTIES.WRITE:
                characteristic.permissions |= wanted
            if characteristic.properties & pushes and characteristic is not self._battery:
                descriptor: gatt.Descriptor = gatt.Descriptor(
                    gatt.GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
                    Attribute.READABLE | Attribute.WRITEABLE | wanted,
                    device.gatt_server.make_descriptor_value(characteristic),
                )
                characteristic.descriptors = [descriptor]  # a guard of an earlier start goes

    async def _advertise(self) -> None:
        if self._device is not None:
            await self._device.start_advertising(
                advertising_data=self._advertisement(),
                scan_response_data=b"",
                advertising_interval_min=ADVERTISING_MS,
                advertising_interval_max=ADVERTISING_MS,
            )

    # ------------------------------------------------------------------ the host

    @property
    def encrypted(self) -> bool:
        """Whether the connected host has paired."""
        return self._connection is not None and self._connection.is_encrypted

    def ready(self) -> bool:
        """Whether a host listens to what it measures."""
        return self._subscribed.is_set()

    async def wait_ready(self) -> None:
        """Return as soon as a host does."""
        await self._subscribed.wait()

    async def wait_free(self) -> None:
        """Return as soon as no host is connected."""
        await self._free.wait()

    async def disconnect(self) -> None:
        """Leave the host, as a device does that is switched off and on again."""
        if self._connection is not None:
            await self._connection.disconnect()

    async def forget_bonds(self) -> None:
        """Lose every bond, as a device does that was reset."""
        await self._bonds.delete_all()

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        self._free.clear()
        self._gone = asyncio.get_running_loop().create_future()
        self._listening.clear()
        if not self._awaited:
            self._subscribed.set()
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)

    def _on_disconnection(self, reason: int) -> None:
        del reason
        self._connection = None
        self._subscribed.clear()
        self._listening.clear()
        self._free.set()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if self._device is not None:
            self._advertising = asyncio.get_running_loop().create_task(
                self._advertise(), name=f"advertise {self.id}"
            )

    def _on_subscription(
        self,
        bearer: Bearer,
        characteristic: gatt.Characteristic[bytes],
        notify: bool,  # noqa: FBT001 - bumble's event passes them by position
        indicate: bool,  # noqa: FBT001
    ) -> None:
        if bearer is not self._connection:
            return
        on = indicate if characteristic.properties & _PROPERTIES.INDICATE else notify
        if characteristic in self._listening:
            self._listening.remove(characteristic)
        if on:
            self._listening.append(characteristic)
            self._on_listening(characteristic)
        heard = all(one in self._listening for one in self._awaited)
        (self._subscribed.set if heard else self._subscribed.clear)()

    def _on_listening(self, characteristic: gatt.Characteristic[bytes]) -> None:
        """Take notice that a host has subscribed to a characteristic."""

    # ------------------------------------------------------------------ what it sends

    def _characteristic(
        self,
        uuid: str,
        *,
        push: Literal["notify", "indicate"] | None = None,
        read: Callable[[Bearer], bytes] | None = None,
        write: Callable[[Bearer, bytes], None] | None = None,
    ) -> gatt.Characteristic[bytes]:
        """A characteristic that can be pushed, read and written as far as asked for."""
        properties, permissions = _PROPERTIES(0), Attribute.Permissions(0)
        if push is not None:
            properties |= _PROPERTIES.INDICATE if push == "indicate" else _PROPERTIES.NOTIFY
        if read is not None:
            properties |= _PROPERTIES.READ
            permissions |= Attribute.READABLE
        if write is not None:
            properties |= _PROPERTIES.WRITE
            permissions |= Attribute.WRITEABLE
        value: gatt.CharacteristicValue[bytes] = gatt.CharacteristicValue(
            read=read or _not_readable, write=write
        )
        return gatt.Characteristic(UUID(uuid), properties, permissions, value)

    async def _push(self, characteristic: gatt.Characteristic[bytes], payload: bytes) -> None:
        """Notify, or indicate and wait for the confirmation. Raises LinkError: nobody is subscribed."""
        async with self._sending:
            device, connection, gone = self._device, self._connection, self._gone
            if device is None or connection is None or gone is None or characteristic not in self._listening:
                msg = f"{self.id}: no host is subscribed"
                raise LinkError(msg, device=self.id)
            if not characteristic.properties & _PROPERTIES.INDICATE:
                await device.notify_subscriber(connection, characteristic, payload)
                return
            task = asyncio.ensure_future(device.indicate_subscriber(connection, characteristic, payload))
            try:
                await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not task.done():
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
            if task.cancelled() or gone.done():
                msg = f"{self.id}: the host left before it confirmed"
                raise LinkError(msg, device=self.id)
            try:
                task.result()
            except TimeoutError as error:
                msg = f"{self.id}: the host did not confirm"
                raise LinkError(msg, device=self.id) from error

    async def set_battery(self, percent: int) -> None:
        """Set the battery level (0..100) and notify whoever subscribed to it."""
        encode.battery_level(percent)
        self._battery_percent = percent
        if self._device is not None and self._connection is not None:
            await self._device.notify_subscriber(self._connection, self._battery)

    def _read_battery(self, bearer: Bearer) -> bytes:
        del bearer
        return encode.battery_level(self._battery_percent)
