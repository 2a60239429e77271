"""One scan for all who wait for devices: begun for the first, stopped behind the last, anew when deaf."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from devices.links.radio_errors import radio_errors
from hearthward.core.clock import SECOND
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from bleak import BleakScanner
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

    from devices.links.backends import Backend
    from devices.links.watchdog import Watchdog

__all__ = ["SILENT_S", "STOP_S", "OnHeard", "SharedScan", "loop_ns"]

_log = logging.getLogger(__name__)

SILENT_S: Final = 20.0
"""A scan that heard nothing for so long is started anew for the next who waits."""
STOP_S: Final = 5.0
"""How long stopping a scan may take before it is taken for done."""
START_S: Final = 10.0
"""How long an adapter may take to begin a scan..."""
SLOW_S: Final = 5.0
"""...and one that somebody gave up after so long speaks against it as well."""

OnHeard = Callable[["BLEDevice", "AdvertisementData"], None]


def loop_ns() -> int:
    """The event loop's time, as the watchdog takes it."""
    return int(asyncio.get_running_loop().time() * SECOND)


class SharedScan:
    """The scan of one radio; ``spec`` names it in errors, ``watchdog`` is told what it hears and what fails.

    ``listeners`` are told of every advertisement.
    """

    def __init__(self, spec: str, watchdog: Watchdog) -> None:
        self._spec = spec
        self._watchdog = watchdog
        self._lock = asyncio.Lock()
        self._users = 0
        self._scanner: BleakScanner | None = None
        self._heard_at = 0.0
        self.listeners: set[OnHeard] = set()

    @asynccontextmanager
    async def running(self, backend: Backend) -> AsyncIterator[None]:
        """A scan runs inside; the last one out stops it. Raises LinkError."""
        async with self._lock:
            if self._scanner is not None and not self._works(backend, self._scanner):
                await self._drop()
            if self._scanner is None:
                self._scanner = await self._start(backend)
            self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                await self._stop()

    async def close(self) -> None:
        """Stop it for everybody."""
        self._users = 0
        await self._stop()

    def _heard(self, device: BLEDevice, said: AdvertisementData) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._watchdog.heard(loop_ns())
        for listener in tuple(self.listeners):
            listener(device, said)

    def _works(self, backend: Backend, scanner: BleakScanner) -> bool:
        silent = asyncio.get_running_loop().time() - self._heard_at
        return backend.alive(scanner) and silent < SILENT_S

    async def _start(self, backend: Backend) -> BleakScanner:
        from bleak import BleakScanner

        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            with radio_errors(self._spec, self._watchdog):
                async with asyncio.timeout(START_S):
                    scanner = BleakScanner(self._heard, backend=backend.scanner, **backend.arguments)
                    await scanner.start()
        except LinkError as error:
            self._watchdog.scan_failed(str(error))
            raise
        except asyncio.CancelledError:  # whoever waited may have less patience than we have
            if loop.time() - begun >= SLOW_S:
                self._watchdog.scan_failed(f"{self._spec}: it does not answer")
            raise
        self._watchdog.scan_began(loop_ns())
        self._heard_at = loop.time()
        return scanner

    async def _stop(self) -> None:
        async with self._lock:
            if not self._users:
                await self._drop()

    async def _drop(self) -> None:
        """Stop the scan; one that cannot be stopped has ended with its adapter."""
        scanner, self._scanner = self._scanner, None
        if scanner is None:
            return
        if not self._users:
            self._watchdog.scan_ended(loop_ns())
        try:
            with radio_errors(self._spec, self._watchdog):
                async with asyncio.timeout(STOP_S):
                    await scanner.stop()
        except LinkError as error:
            _log.debug("stopping a scan: %s", error)
