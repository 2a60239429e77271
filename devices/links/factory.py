"""Which link a configured device gets; vendors' clients are loaded with the first device that needs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from devices.links.base import DeviceLink
from hearthward.core.errors import ConfigError

if TYPE_CHECKING:
    from devices.config import DeviceConfig
    from devices.links.radio import Radio
    from devices.links.serial import OnNoise
    from firmware_profiles import Profile

__all__ = ["Links"]


class Links:
    """Makes links over one radio (None: this gateway has none) and over the machine's serial ports.

    ``known`` are the profiles that an instrument on a port may be recognised by.
    """

    def __init__(self, radio: Radio | None, known: Iterable[Profile] = ()) -> None:
        self._radio = radio
        self._known = [profile for profile in known if profile.transport == "serial"]

    def __call__(self, config: DeviceConfig, profile: Profile | None, on_noise: OnNoise) -> DeviceLink:
        """A new link. Raises ConfigError for a Bluetooth device without a radio."""
        if config.transport == "serial":
            from devices.links.serial import SerialLink

            return SerialLink(config.address, profile, on_noise=on_noise, known=self._known)
        if self._radio is None:
            msg = f"device {config.id} is on Bluetooth, but this gateway has no radio: choose --radio"
            raise ConfigError(msg, device=config.id)
        if profile is not None and profile.transport == "advertisement":
            from devices.links.advertisement import AdvertisementLink

            return AdvertisementLink(config.address, profile, self._radio)
        from devices.links.ble import BleLink

        return BleLink(config.address, profile, self._radio)
