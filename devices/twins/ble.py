"""Virtual Bluetooth peripherals: real GATT servers that speak the payloads of real devices."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from bumble import gatt, hci
from bumble.att import ATT_Error, Attribute, ErrorCode
from bumble.core import UUID
from bumble.device import Connection, Device, DeviceConfiguration

from devices.links.bumble_host import LeanDevice, LeanHost
from devices.twins import encode
from devices.twins.radio import RadioController, VirtualRadio
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from bumble.att import Bearer

__all__ = ["BlePeripheral", "BloodPressureTwin", "HeartRateTwin", "Identity", "PulseOximeterTwin"]

_ADVERTISING_MS: Final = 500.0  # listeners hear at once when they start (radio.listen): rarely is enough
_DEVICE_INFORMATION: Final = 0x180A
_BATTERY: Final = 0x180F
_PROPERTIES = gatt.Characteristic.Properties


@dataclass(frozen=True, slots=True)
class Identity:
    """What the device information service and the advertisement say."""

    name: str
    manufacturer: str
    model: str
    firmware: str = "1.0.0"


def _constant(number: int, value: bytes) -> gatt.Characteristic[bytes]:
    return gatt.Characteristic(UUID.from_16_bits(number), _PROPERTIES.READ, Attribute.READABLE, value)


def _not_readable(_bearer: Bearer) -> bytes:
    """Refuse, since bumble's server does not look at the permission itself."""
    raise ATT_Error(ErrorCode.READ_NOT_PERMITTED)


class BlePeripheral(ABC):
    """A twin over the virtual radio: one vital sign, battery and device information (a ``Twin``).

    It advertises until a host connects, and again as soon as that host is gone.
    """

    transport: Literal["ble"] = "ble"
    profile: str
    metrics: frozenset[str]
    _service: ClassVar[int]
    _measurement: ClassVar[int]
    _indicates: ClassVar[bool] = False

    def __init__(self, id: str, address: str, radio: VirtualRadio, identity: Identity) -> None:  # noqa: A002
        self.id = id
        self.address = address
        self.identity = identity
        self._radio = radio
        self._controller: RadioController | None = None
        self._device: Device | None = None
        self._connection: Connection | None = None
        self._subscribed = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._gone: asyncio.Future[None] | None = None
        self._advertising: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._battery_percent = 100
        properties = _PROPERTIES.INDICATE if self._indicates else _PROPERTIES.NOTIFY
        self._value: gatt.Characteristic[bytes] = gatt.Characteristic(
            UUID.from_16_bits(self._measurement),
            properties,
            Attribute.Permissions(0),
            gatt.CharacteristicValue(read=_not_readable),
        )
        self._battery: gatt.Characteristic[bytes] = gatt.Characteristic(
            UUID.from_16_bits(0x2A19),
            _PROPERTIES.READ | _PROPERTIES.NOTIFY,
            Attribute.READABLE,
            gatt.CharacteristicValue(read=self._read_battery),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.address})"

    @abstractmethod
    def _encode(self, values: Mapping[str, float], device_time: datetime | None) -> bytes:
        """One payload with the (already expressed) values."""

    @abstractmethod
    def express(self, metric: str, value: float) -> float:
        """The value that arrives when ``value`` is sent. Raises ValueError if it cannot be carried."""

    def _extra(self) -> list[gatt.Characteristic[bytes]]:
        """The vital sign's further characteristics."""
        return []

    def _known(self, metric: str) -> None:
        if metric not in self.metrics:
            msg = f"{self.id}: a {self.profile} carries {', '.join(sorted(self.metrics))}, not {metric!r}"
            raise ValueError(msg)

    async def start(self) -> None:
        """Power on and advertise; harmless when started."""
        if self._device is not None:
            return
        address = hci.Address(self.address)
        self._controller = self._radio.peripheral(self.id, address)
        host = LeanHost(controller_source=self._controller, controller_sink=self._controller)
        config = DeviceConfiguration(name=self.identity.name, address=address)
        device = LeanDevice(config=config, host=host)
        device.add_services(self._services())
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        device.gatt_server.on(device.gatt_server.EVENT_CHARACTERISTIC_SUBSCRIPTION, self._on_subscription)
        self._device = device
        await device.power_on()
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

    @property
    def profile_source(self) -> str:
        """The short id of the vital sign's characteristic, such as ``2a37``."""
        return f"{self._measurement:04x}"

    @property
    def encrypted(self) -> bool:
        """Whether the connected host has paired."""
        return self._connection is not None and self._connection.is_encrypted

    def ready(self) -> bool:
        """Whether a host has subscribed to the vital sign."""
        return self._subscribed.is_set()

    async def wait_ready(self) -> None:
        """Return as soon as a host has."""
        await self._subscribed.wait()

    async def wait_free(self) -> None:
        """Return as soon as no host is connected."""
        await self._free.wait()

    async def send(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Send exactly one notification or indication; an indication is waited for until confirmed.

        Raises:
            ValueError: no value, or one that the wire format cannot carry.
            LinkError: nobody is subscribed, or the host left before it confirmed.
        """
        if not values:
            msg = f"{self.id}: nothing to send"
            raise ValueError(msg)
        expressed = {metric: self.express(metric, value) for metric, value in values.items()}
        await self.send_raw(self._encode(expressed, device_time))
        return expressed

    async def send_raw(self, payload: bytes) -> None:
        """Send these very bytes (a malformed frame, a captured one). Raises LinkError as ``send``."""
        async with self._sending:
            device, connection, gone = self._device, self._connection, self._gone
            if device is None or connection is None or gone is None or not self.ready():
                msg = f"{self.id}: no host is subscribed"
                raise LinkError(msg, device=self.id)
            if not self._indicates:
                await device.notify_subscriber(connection, self._value, payload)
                return
            task = asyncio.ensure_future(device.indicate_subscriber(connection, self._value, payload))
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

    async def disconnect(self) -> None:
        """Leave the host, as a device does that is switched off and on again."""
        if self._connection is not None:
            await self._connection.disconnect()

    def _services(self) -> list[gatt.Service]:
        text = self.identity
        information = {0x2A29: text.manufacturer, 0x2A24: text.model, 0x2A25: self.id, 0x2A26: text.firmware}
        return [
            gatt.Service(UUID.from_16_bits(self._service), [self._value, *self._extra()]),
            gatt.Service(UUID.from_16_bits(_BATTERY), [self._battery]),
            gatt.Service(
                UUID.from_16_bits(_DEVICE_INFORMATION),
                [_constant(number, value.encode()) for number, value in information.items()],
            ),
        ]

    def _read_battery(self, bearer: Bearer) -> bytes:
        del bearer
        return encode.battery_level(self._battery_percent)

    async def _advertise(self) -> None:
        if self._device is not None:
            await self._device.start_advertising(
                advertising_data=encode.advertisement(self.identity.name, [self._service]),
                scan_response_data=b"",
                advertising_interval_min=_ADVERTISING_MS,
                advertising_interval_max=_ADVERTISING_MS,
            )

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        self._free.clear()
        self._gone = asyncio.get_running_loop().create_future()
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)

    def _on_disconnection(self, reason: int) -> None:
        del reason
        self._connection = None
        self._subscribed.clear()
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
        if characteristic is not self._value or bearer is not self._connection:
            return
        if indicate if self._indicates else notify:
            self._subscribed.set()
        else:
            self._subscribed.clear()


class HeartRateTwin(BlePeripheral):
    """A chest strap: 2A37, whole beats per minute."""

    profile = "sig-heart-rate"
    metrics = frozenset({"heart_rate"})
    _service = 0x180D
    _measurement = 0x2A37

    def express(self, metric: str, value: float) -> float:
        """The nearest whole number, half away from zero, 0..65535."""
        self._known(metric)
        return encode.express_integer(value, 0, 0xFFFF)

    def _encode(self, values: Mapping[str, float], device_time: datetime | None) -> bytes:
        del device_time  # the format has none
        return encode.heart_rate(values["heart_rate"])

    def _extra(self) -> list[gatt.Characteristic[bytes]]:
        return [_constant(0x2A38, b"\x01")]  # worn on the chest


class PulseOximeterTwin(BlePeripheral):
    """A continuous pulse oximeter: 2A5F, one decimal."""

    profile = "sig-pulse-oximeter"
    metrics = frozenset({"spo2", "pulse_rate", "perfusion_index"})
    _service = 0x1822
    _measurement = 0x2A5F

    def express(self, metric: str, value: float) -> float:
        """One decimal (perfusion index: two) as far as an SFLOAT carries it."""
        self._known(metric)
        return encode.express_sfloat(value, 2 if metric == "perfusion_index" else 1)

    def _encode(self, values: Mapping[str, float], device_time: datetime | None) -> bytes:
        del device_time  # the format has none
        return encode.plx_continuous(
            values.get("spo2"), values.get("pulse_rate"), perfusion_index=values.get("perfusion_index")
        )

    def _extra(self) -> list[gatt.Characteristic[bytes]]:
        return [_constant(0x2A60, b"\x00\x00")]  # no optional feature


class BloodPressureTwin(BlePeripheral):
    """A cuff: 2A35 by indication; ``variant`` "sig", or "beurer-bm85" with that device's deviations."""

    metrics = frozenset({"nibp_systolic", "nibp_diastolic", "nibp_mean", "pulse_rate"})
    _service = 0x1810
    _measurement = 0x2A35
    _indicates = True

    def __init__(
        self,
        id: str,  # noqa: A002
        address: str,
        radio: VirtualRadio,
        identity: Identity,
        variant: Literal["sig", "beurer-bm85"] = "sig",
    ) -> None:
        super().__init__(id, address, radio, identity)
        self.variant = variant
        self.profile = "sig-blood-pressure" if variant == "sig" else "beurer-bm85"
        if variant == "beurer-bm85":
            self.metrics = self.metrics - {"nibp_mean"}

    def express(self, metric: str, value: float) -> float:
        """One decimal as far as an SFLOAT carries it."""
        self._known(metric)
        return encode.express_sfloat(value)

    def _encode(self, values: Mapping[str, float], device_time: datetime | None) -> bytes:
        systolic, diastolic = values.get("nibp_systolic"), values.get("nibp_diastolic")
        pulse = values.get("pulse_rate")
        if self.variant == "beurer-bm85":
            return encode.blood_pressure_bm85(systolic, diastolic, pulse_rate=pulse, at=device_time)
        mean = values.get("nibp_mean")
        return encode.blood_pressure(systolic, diastolic, mean=mean, pulse_rate=pulse, at=device_time)

    def _extra(self) -> list[gatt.Characteristic[bytes]]:
        return [_constant(0x2A49, b"\x00\x00")]  # no optional feature
