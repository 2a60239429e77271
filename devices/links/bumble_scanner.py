"""bleak's scanner over google/bumble."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import uuid
from dataclasses import dataclass, field

from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.exc import BleakError
from bumble import core
from bumble.device import Advertisement, Device

from devices.links.bumble_host import GOODBYE_S, BumbleHost

__all__ = ["BumbleScanner", "full_uuid"]


@dataclass(slots=True)
class _Heard:
    """What one advertisement says (Core Specification Supplement, Part A)."""

    name: str | None = None
    services: list[str] = field(default_factory=list)
    manufacturer: dict[int, bytes] = field(default_factory=dict)
    service_data: dict[str, bytes] = field(default_factory=dict)
    tx_power: int | None = None


def full_uuid(raw: bytes) -> str:
    """A UUID of any length as text of 128 bits."""
    return str(uuid.UUID(bytes=core.UUID.from_bytes(raw).to_bytes(force_128=True)[::-1]))


def _heard(data: core.AdvertisingData) -> _Heard:
    heard = _Heard()
    kinds = core.AdvertisingData.Type
    sizes: dict[int, int] = {
        kinds.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS: 2,
        kinds.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS: 2,
        kinds.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS: 16,
        kinds.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS: 16,
    }
    for kind, raw in data.ad_structures:
        if size := sizes.get(kind):
            listed = (full_uuid(raw[at : at + size]) for at in range(0, len(raw) - size + 1, size))
            heard.services += [one for one in listed if one not in heard.services]
        elif kind == kinds.COMPLETE_LOCAL_NAME or (kind == kinds.SHORTENED_LOCAL_NAME and heard.name is None):
            heard.name = raw.decode(errors="replace")
        elif kind == kinds.MANUFACTURER_SPECIFIC_DATA and len(raw) >= 2:  # noqa: PLR2004 - the company's number
            heard.manufacturer[int.from_bytes(raw[:2], "little")] = raw[2:]
        elif kind == kinds.SERVICE_DATA_16_BIT_UUID and len(raw) >= 2:  # noqa: PLR2004
            heard.service_data[full_uuid(raw[:2])] = raw[2:]
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
        there = self.alive
        device, self._device = self._device, None
        if device is None:
            return
        device.remove_listener(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        if not there:
            return
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
