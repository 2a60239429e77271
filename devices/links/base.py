"""The ports of one device: connect, do the steps, listen, close; and what a session lends for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from devices.gatt_time import LocalTime
    from firmware_profiles import DeviceFacts, RacpStep, Step

__all__ = ["Aided", "Announcing", "ControlPoint", "DeviceLink", "OnPayload", "Slow", "StepAid"]


class OnPayload(Protocol):
    """Called on the event loop, in the order of arrival; must not block.

    No link is held back: what waits in it would come later as if measured then. The queue behind it is
    bounded.
    """

    def __call__(self, source: str, payload: bytes, ago: int = 0, /) -> None:
        """One payload, which came whole ``ago`` ns ago: some are believed only when the next ones came."""
        ...


class DeviceLink(Protocol):
    """One connection to one device; made for one ``connect`` and then done with."""

    async def connect(self) -> DeviceFacts:
        """Connect and return what the device says about itself.

        Raises:
            LinkError: not there, refused, or not in time; nothing stays open behind it.
        """
        ...

    async def run(self, steps: Sequence[Step], on_payload: OnPayload) -> None:
        """Do the session's steps, then hand payloads to ``on_payload`` until the connection ends.

        Never returns normally: it ends with LinkError, or by being cancelled.

        Raises:
            LinkError: the device went away, or lacks what a step needs.
        """
        ...

    async def close(self) -> None:
        """Let go of the device; harmless at any time and more than once; raises nothing."""
        ...


@runtime_checkable
class Announcing(Protocol):
    """A link that tells when its steps are done."""

    on_subscribed: Callable[[], None]


@runtime_checkable
class Slow(Protocol):
    """A link that may need longer to connect than its profile's limit."""

    @property
    def connect_s(self) -> float:
        """So long (s), at most."""
        ...


@runtime_checkable
class Aided(Protocol):
    """A link whose steps need the session's help; set before ``run``."""

    aid: StepAid | None


class ControlPoint(Protocol):
    """A device's Record Access Control Point on a connection that stands."""

    async def write(self, request: bytes) -> None:
        """Write a request.

        Raises:
            LinkError: lost, or refused with the attribute protocol's ``details["att"]``.
        """
        ...

    async def answer(self, within_s: float) -> bytes:
        """The next indication of the control point. Raises TimeoutError."""
        ...

    async def subscribe(self) -> None:
        """Subscribe to the records and the control point, again if need be. Raises LinkError."""
        ...


class StepAid(Protocol):
    """What a session lends its link for the steps that need more than the device."""

    def local_time(self) -> LocalTime | None:
        """What the device's clock should show now; None while the gateway does not know it itself."""
        ...

    def clock_read(self, device_time: int) -> None:
        """The device's clock showed ``device_time`` (naive nanoseconds) just now, before it was set."""
        ...

    def clock_set(self) -> None:
        """The device's clock was set right just now."""
        ...

    async def fetch(self, racp: RacpStep, control: ControlPoint) -> None:
        """Fetch the device's store; returns when the device has no more. Raises LinkError."""
        ...

    async def tend(self, racp: RacpStep, control: ControlPoint) -> None:
        """Note and delete what is committed, and ask for new records now and then, until cancelled.

        Raises:
            LinkError: the connection was lost.
        """
        ...

    async def clock_wrong(self) -> None:
        """Return when the device's clock is to be set again."""
        ...
