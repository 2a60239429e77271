"""What a session lends its link for steps that need its clock or what it knows of the device's store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Final

from devices.clock_watch import ClockWatch
from devices.consuming import Sleep
from devices.gatt_time import LocalTime, local_time
from devices.links.base import ControlPoint
from devices.store_fetch import StoreFetch
from firmware_profiles import RacpStep
from hearthward.core.clock import Clock
from hearthward.core.telemetry import Telemetry

__all__ = ["SET_AGAIN_S", "SessionAid"]

SET_AGAIN_S: Final = 600.0
"""Whether the clock has gone wrong on a connection that stands is looked at so often."""


class SessionAid:
    """The ``StepAid`` of one connection to one device.

    Counted by device: ``device_clocks_set_total``; gauge ``device_clock_found_seconds``: how far ahead it was
    before.
    """

    def __init__(
        self,
        device: str,
        where: tzinfo | None,
        stores: StoreFetch,
        *,
        clock: Clock,
        watch: ClockWatch,
        telemetry: Telemetry,
        skewed: Callable[[], bool],
        sleep: Sleep,
    ) -> None:
        self._device = device
        self._where = where
        self._stores = stores
        self._clock = clock
        self._watch = watch
        self._telemetry = telemetry
        self._skewed = skewed
        self._sleep = sleep

    def local_time(self) -> LocalTime | None:
        """See the port."""
        return local_time(self._clock.now_ns(), self._where) if self._clock.synchronised() else None

    def clock_read(self, device_time: int) -> None:
        """See the port."""
        shown = local_time(self._clock.now_ns(), self._where).naive_ns
        ahead = (device_time - shown) / 1e9
        self._telemetry.gauge("device_clock_found_seconds", ahead, device=self._device)
        self._watch.was_read(device_time)

    def clock_set(self) -> None:
        """See the port."""
        self._telemetry.count("device_clocks_set_total", device=self._device)
        self._watch.was_set()

    async def clock_wrong(self) -> None:
        """See the port."""
        while True:
            await self._sleep(SET_AGAIN_S)
            if self._skewed():
                return

    async def fetch(self, racp: RacpStep, control: ControlPoint) -> None:
        """See the port."""
        await self._stores.fetch(racp, control)

    async def tend(self, racp: RacpStep, control: ControlPoint) -> None:
        """See the port."""
        await self._stores.tend(racp, control)
