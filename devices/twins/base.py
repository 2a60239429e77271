"""The port to a twin: a virtual device that speaks the real bytes of a real one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

__all__ = ["Twin"]


class Twin(Protocol):
    """One virtual device.

    ``address`` is what the edge's configuration names: a Bluetooth address, or the path of the port to open.
    ``metrics`` are the names (hearthward.core.codes) it can carry.
    """

    @property
    def id(self) -> str:
        """The device's id, as in the configuration document."""
        ...

    @property
    def profile(self) -> str:
        """The id of the catalogue's profile that this twin speaks."""
        ...

    @property
    def transport(self) -> Literal["ble", "serial"]:
        """Over what the edge reaches it."""
        ...

    @property
    def address(self) -> str:
        """Bluetooth address, or the serial port's path."""
        ...

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics that ``send`` takes."""
        ...

    def express(self, metric: str, value: float) -> float:
        """The value that arrives when ``value`` is sent: rounded half away from zero, never clamped.

        Raises:
            ValueError: the twin has no such metric, or its wire format cannot carry the value.
        """
        ...

    async def send(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Send one payload with these values and return them as expressed.

        ``device_time`` is the device's own local time (no zone), for the formats that have one.

        Raises:
            ValueError: as ``express``, or a value that the format cannot do without is missing.
            LinkError: nobody is listening: nothing was sent.
        """
        ...

    def ready(self) -> bool:
        """Whether somebody listens: subscribed, or has the port open and reads it."""
        ...

    async def wait_ready(self) -> None:
        """Return as soon as somebody listens."""
        ...
