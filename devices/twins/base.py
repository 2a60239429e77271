"""The port to a twin: a virtual device that speaks the real bytes of a real one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from devices.twins.encoder import FrameEncoder

__all__ = ["Measuring", "OneFrame", "Twin"]


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


class Measuring(ABC):
    """What every twin has: a name, a profile, and metrics that it carries."""

    id: str
    profile: str
    metrics: frozenset[str]

    @abstractmethod
    def express(self, metric: str, value: float) -> float:
        """The value that arrives when ``value`` is sent. Raises ValueError if it cannot be carried."""

    def _known(self, metric: str) -> None:
        """Raises ValueError for a metric that it does not carry."""
        if metric not in self.metrics:
            msg = f"{self.id}: a {self.profile} carries {', '.join(sorted(self.metrics))}, not {metric!r}"
            raise ValueError(msg)

    def _expressed(self, values: Mapping[str, float]) -> dict[str, float]:
        """The values as they arrive. Raises ValueError."""
        return {metric: self.express(metric, value) for metric, value in values.items()}


class OneFrame(Measuring):
    """A twin whose values all go into one frame of its profile."""

    _encoder: FrameEncoder

    def express(self, metric: str, value: float) -> float:
        """The nearest value that the frame carries. Raises ValueError."""
        self._known(metric)
        return self._encoder.express(metric, value)

    def typical(self) -> dict[str, float]:
        """Something in the middle of what is plausible for everything that it measures."""
        return self._encoder.typical()
