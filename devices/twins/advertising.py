"""A twin that is never connected to: what it measures stands in its advertisements."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from bumble import gatt

from devices.twins import encode
from devices.twins.base import OneFrame
from devices.twins.clocks import TwinClock
from devices.twins.encoder import Content, ProfileEncoder
from devices.twins.peripheral import Identity, Peripheral
from devices.twins.services import IDENTITIES
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from devices.twins.radio import VirtualRadio
    from firmware_profiles.profile import Profile

__all__ = ["AdvertisingTwin"]


class AdvertisingTwin(OneFrame, Peripheral):
    """Sends the profile's only frame as service data (a ``Twin``); its name is the service's number.

    Nobody can tell it that he listens, so it is ready whenever it is on. Before the first measurement, and
    as long as a host does not take the last one, it advertises what it has.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        address: str,
        radio: VirtualRadio,
        profile: Profile,
        *,
        identity: Identity | None = None,
        clock: TwinClock | None = None,
    ) -> None:
        known = IDENTITIES.get(profile.id) or Identity(id, "Hearthward", "Virtual device")
        super().__init__(id, address, radio, identity or known)
        self.profile = profile.id
        self.clock = clock or TwinClock()
        ((self._source, self._encoder),) = ProfileEncoder(profile).frames.items()
        self.metrics = self._encoder.metrics
        self._payload: bytes | None = None

    @property
    def profile_source(self) -> str:
        """The service whose data it sends, such as ``181b``."""
        return self._source

    async def send(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Advertise these values from now on. Raises ValueError, and LinkError while it is off."""
        expressed = self._expressed(values)
        at = device_time if device_time is not None else self.clock.now()
        await self.send_raw(self._encoder.encode(Content(expressed, at=at)))
        return expressed

    async def send_raw(self, payload: bytes) -> None:
        """Advertise these very bytes as service data. Raises as ``send``."""
        encode.service_data(self.identity.name, int(self._source, 16), payload)
        if self._device is None:
            msg = f"{self.id}: it is switched off"
            raise LinkError(msg, device=self.id)
        self._payload = payload
        await self._device.stop_advertising()
        await self._advertise()

    def ready(self) -> bool:
        """Whether it is on."""
        return self._device is not None

    async def start(self) -> None:
        """Power on and advertise; harmless when started."""
        await super().start()
        self._subscribed.set()

    def _services(self) -> list[gatt.Service]:
        return []

    def _advertisement(self) -> bytes:
        if self._payload is None:
            return encode.advertisement(self.identity.name, [int(self._source, 16)])
        return encode.service_data(self.identity.name, int(self._source, 16), self._payload)
