"""The fake of the ``Fleet`` port: it has no devices, only remembers which ones it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from devices.session import DeviceConfig
from hearthward.core.errors import ConfigError

__all__ = ["FakeFleet"]


class FakeFleet:
    """Takes configurations; ``applied`` is set at each; every device is ``streaming`` while it runs."""

    def __init__(self) -> None:
        self.configs: list[DeviceConfig] = []
        self.running = False
        self.applied = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled."""
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False

    async def apply(self, configs: Iterable[DeviceConfig]) -> None:
        """Remember the devices. Raises ConfigError, changing nothing, when two share an id."""
        wanted = list(configs)
        if len({c.id for c in wanted}) < len(wanted):
            msg = "a device is configured twice"
            raise ConfigError(msg)
        self.configs = wanted
        self.applied.set()

    def states(self) -> dict[str, str]:
        """Each device's state."""
        return {c.id: "streaming" if self.running else "idle" for c in self.configs}
