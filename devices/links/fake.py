"""A device of memory: the fake of the ``DeviceLink`` port, for tests of everything above a link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from devices.links.base import OnPayload
from firmware_profiles import DeviceFacts, Step
from hearthward.core.errors import LinkError

__all__ = ["FakeDevice", "FakeLink"]


class FakeDevice:
    """A device whose behaviour is told by the test; hand its ``link`` method to a session.

    Set ``refusal`` to make connecting fail, ``facts`` to change what it says of itself (a firmware
    update), ``absent`` to let a connect hang as if nobody were there.
    """

    def __init__(self, facts: DeviceFacts) -> None:
        self.facts = facts
        self.refusal: LinkError | None = None
        self.absent = False
        self.connects = 0
        self.closed = 0
        self.steps: tuple[Step, ...] = ()
        self._link: FakeLink | None = None
        self._listening = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def link(self) -> FakeLink:
        """A new link to this device."""
        return FakeLink(self)

    @property
    def listening(self) -> bool:
        """Whether a link is running."""
        return self._link is not None

    async def wait_listening(self) -> None:
        """Return as soon as a link is running."""
        await self._listening.wait()

    async def wait_idle(self) -> None:
        """Return as soon as no link is running."""
        await self._idle.wait()

    def send(self, source: str, payload: bytes, ago: int = 0) -> None:
        """The device sends one payload, or sent it ``ago`` ns ago. Raises LinkError when nobody listens."""
        if self._link is None:
            msg = "nobody listens to the fake device"
            raise LinkError(msg)
        self._link.deliver(source, payload, ago)

    def drop(self, reason: str = "the fake device went away") -> None:
        """The connection breaks, if there is one."""
        if self._link is not None:
            self._link.fail(LinkError(reason))

    def attach(self, link: FakeLink | None) -> None:
        """Called by the link as it starts and stops listening."""
        self._link = link
        if link is None:
            self._listening.clear()
            self._idle.set()
        else:
            self._idle.clear()
            self._listening.set()


def _nothing_to_do() -> None:
    """Nobody wants to know when listening begins."""


class FakeLink:
    """One connection to a ``FakeDevice``."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        self._on_payload: OnPayload | None = None
        self._lost: asyncio.Future[LinkError] | None = None
        self._connected = False
        self.on_subscribed: Callable[[], None] = _nothing_to_do

    async def connect(self) -> DeviceFacts:
        """Connect, or fail as the device was told to."""
        self._device.connects += 1
        if self._device.absent:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if self._device.refusal is not None:
            raise self._device.refusal
        self._connected = True
        return self._device.facts

    async def run(self, steps: Sequence[Step], on_payload: OnPayload) -> None:
        """Hand over what the device sends until it is dropped. Raises LinkError."""
        if not self._connected:
            msg = "the fake device is not connected"
            raise LinkError(msg)
        self._device.steps = tuple(steps)
        self._on_payload = on_payload
        self._lost = asyncio.get_running_loop().create_future()
        self._device.attach(self)
        self.on_subscribed()
        try:
            raise await self._lost
        finally:
            self._device.attach(None)
            self._on_payload = None

    async def close(self) -> None:
        """Let go."""
        self._device.closed += 1
        self._connected = False
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(LinkError("the link was closed"))

    def deliver(self, source: str, payload: bytes, ago: int) -> None:
        """Called by the device."""
        if self._on_payload is not None:
            self._on_payload(source, payload, ago)

    def fail(self, error: LinkError) -> None:
        """Called by the device."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(error)
