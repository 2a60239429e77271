"""The link to a device that is never connected to: what it measures stands in its advertisements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from firmware_profiles import DeviceFacts, Profile, Step, short_uuid
from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

    from devices.links.base import OnPayload
    from devices.links.radio import Radio

__all__ = ["REPEATED_S", "AdvertisementLink"]

REPEATED_S: Final = 120.0
"""The same bytes within so long of the last time they were heard are the same measurement."""


def _nothing_to_do() -> None:
    """Nobody wants to know when listening begins."""


class AdvertisementLink:
    """Listens for one address (a ``DeviceLink``); silence means nothing: such a device sleeps for days.

    A payload's source is the short uuid of its service data (``181b``), or ``m`` and the maker's number in
    four hexadecimal digits (``m0157``) for a maker's data; what the profile has no frame for is let go.
    ``seconds`` is a clock for telling repeats (tests step it).
    """

    def __init__(
        self, address: str, profile: Profile, radio: Radio, *, seconds: Callable[[], float] | None = None
    ) -> None:
        self._address = address.upper()
        self._sources = frozenset(profile.sources)
        self._radio = radio
        self._seconds = seconds
        self._heard: dict[str, tuple[bytes, float]] = {}
        self._on_payload: OnPayload | None = None
        self._ended: asyncio.Future[None] | None = None
        self._failed: Exception | None = None
        self.on_subscribed: Callable[[], None] = _nothing_to_do

    async def connect(self) -> DeviceFacts:
        """Make sure that the radio can listen; the device need not be there. Raises LinkError."""
        await self._radio.check()
        self._ended = asyncio.get_running_loop().create_future()
        return DeviceFacts("ble")

    async def run(self, steps: Sequence[Step], on_payload: OnPayload) -> None:
        """Hand on what the device says, each of its measurements once, until cancelled. Raises LinkError."""
        if self._ended is None:
            msg = f"{self._address}: not listened for"
            raise LinkError(msg, address=self._address)
        if steps:
            msg = f"{self._address}: nothing can be asked of a device that only advertises"
            raise LinkError(msg, address=self._address, cause=Cause.MISCONFIGURED.value)
        self._on_payload = on_payload
        listening: asyncio.Task[None] = asyncio.create_task(self._radio.listen(self._hear))
        self.on_subscribed()
        try:
            await asyncio.wait((listening, self._ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._on_payload = None
            if not listening.done():
                listening.cancel()
                await asyncio.wait({listening})
        if self._failed is not None:
            raise self._failed
        if not listening.cancelled():
            listening.result()
        msg = f"{self._address}: the link was closed"
        raise LinkError(msg, address=self._address, cause=Cause.LINK_LOST.value)

    def _hear(self, device: BLEDevice, said: AdvertisementData) -> None:
        if device.address.upper() != self._address or self._on_payload is None:
            return
        now = (self._seconds or asyncio.get_running_loop().time)()
        for source, payload in _payloads(said):
            if source not in self._sources:
                continue
            before, at = self._heard.get(source, (b"", 0.0))
            self._heard[source] = payload, now
            if payload == before and now - at < REPEATED_S:
                continue
            try:
                self._on_payload(source, payload)
            except Exception as error:  # noqa: BLE001 - raised again by run()
                self._failed = error
                self._end()
                return

    async def close(self) -> None:
        """Stop listening; harmless at any time."""
        self._end()

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


def _payloads(said: AdvertisementData) -> Iterator[tuple[str, bytes]]:
    for uuid, data in said.service_data.items():
        yield short_uuid(uuid), bytes(data)
    for company, data in said.manufacturer_data.items():
        yield f"m{company:04x}", bytes(data)
