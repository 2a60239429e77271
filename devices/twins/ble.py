"""Virtual Bluetooth peripherals written by hand: what they send is independent of the profiles on purpose."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from bumble import gatt
from bumble.core import UUID

from devices.twins import encode
from devices.twins.peripheral import Identity, Peripheral, battery_service, constant, information_service

if TYPE_CHECKING:
    from devices.twins.radio import VirtualRadio

__all__ = ["BlePeripheral", "BloodPressureTwin", "HeartRateTwin", "Identity", "PulseOximeterTwin"]


class BlePeripheral(Peripheral):
    """One vital sign, battery and device information (a ``Twin``)."""

    _service: ClassVar[int]
    _measurement: ClassVar[int]
    _indicates: ClassVar[bool] = False

    def __init__(self, id: str, address: str, radio: VirtualRadio, identity: Identity) -> None:  # noqa: A002
        super().__init__(id, address, radio, identity)
        push: Literal["notify", "indicate"] = "indicate" if self._indicates else "notify"
        self._value = self._characteristic(self.profile_source, push=push)
        self._awaited = (self._value,)

    @abstractmethod
    def _encode(self, values: Mapping[str, float], device_time: datetime | None) -> bytes:
        """One payload with the (already expressed) values."""

    @abstractmethod
    def express(self, metric: str, value: float) -> float:
        """The value that arrives when ``value`` is sent. Raises ValueError if it cannot be carried."""

    def _extra(self) -> list[gatt.Characteristic[bytes]]:
        """The vital sign's further characteristics."""
        return []

    @property
    def profile_source(self) -> str:
        """The short id of the vital sign's characteristic, such as ``2a37``."""
        return f"{self._measurement:04x}"

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
        expressed = self._expressed(values)
        await self.send_raw(self._encode(expressed, device_time))
        return expressed

    async def send_raw(self, payload: bytes) -> None:
        """Send these very bytes (a malformed frame, a captured one). Raises LinkError as ``send``."""
        await self._push(self._value, payload)

    def _services(self) -> list[gatt.Service]:
        return [
            gatt.Service(UUID.from_16_bits(self._service), [self._value, *self._extra()]),
            battery_service(self._battery),
            information_service(self.identity, self.id),
        ]

    def _advertisement(self) -> bytes:
        return encode.advertisement(self.identity.name, [self._service])


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
        return [constant(0x2A38, b"\x01")]  # worn on the chest


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
        return [constant(0x2A60, b"\x00\x00")]  # no optional feature


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
        return [constant(0x2A49, b"\x00\x00")]  # no optional feature
