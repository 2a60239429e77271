"""The link to a Bluetooth LE device, on bleak."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from firmware_profiles import DeviceFacts, Profile, Step, short_uuid
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic

    from devices.links.base import OnPayload
    from devices.links.radio import Introduction, Radio

__all__ = ["BleLink"]

CONNECT_TIMEOUT_S: Final = 30.0
"""Without a profile that says otherwise."""
REQUEST_TIMEOUT_S: Final = 10.0
"""For one read or subscription."""
GOODBYE_S: Final = 5.0
"""How long closing waits for the device."""

_MANUFACTURER: Final = "2a29"
_MODEL: Final = "2a24"
_FIRMWARE: Final = "2a26"

_T = TypeVar("_T")


def _nothing_to_do() -> None:
    """Nobody wants to know when the steps are done."""


class BleLink:
    """One connection to one device (a ``DeviceLink``).

    ``profile`` gives the connect timeout; it may be None as long as the device has not been identified.
    ``on_subscribed`` is called when the session's steps are done.
    """

    def __init__(self, address: str, profile: Profile | None, radio: Radio) -> None:
        self._address = address
        self._timeout = profile.timings.connect_timeout_s if profile is not None else CONNECT_TIMEOUT_S
        self._radio = radio
        self._client: BleakClient | None = None
        self._lost: asyncio.Future[None] | None = None
        self._failed: BaseException | None = None
        self.on_subscribed: Callable[[], None] = _nothing_to_do

    async def connect(self) -> DeviceFacts:
        """Find, connect, and read the device information service. Raises LinkError."""
        self._lost = asyncio.get_running_loop().create_future()
        client, introduction = await self._radio.connect(
            self._address, timeout=self._timeout, on_disconnect=self._on_disconnect
        )
        self._client = client
        try:
            return await self._facts(client, introduction)
        except BaseException:
            await self.close()
            raise

    async def _facts(self, client: BleakClient, introduction: Introduction) -> DeviceFacts:
        texts = [await self._text(client, short) for short in (_MANUFACTURER, _MODEL, _FIRMWARE)]
        return DeviceFacts(
            "ble",
            name=introduction.name,
            company_id=introduction.company_id,
            services=frozenset(short_uuid(service.uuid) for service in client.services),
            manufacturer=texts[0],
            model=texts[1],
            firmware=texts[2],
        )

    async def _text(self, client: BleakClient, short: str) -> str | None:
        """A string of the device information service; None if the device lacks it or will not tell."""
        from bleak.exc import BleakGATTProtocolError

        characteristic = self._characteristic(client, short)
        if characteristic is None or "read" not in characteristic.properties:
            return None
        try:
            raw = await self._asked(client.read_gatt_char(characteristic), short)
        except LinkError as error:
            if isinstance(error.__cause__, BleakGATTProtocolError):
                return None
            raise
        text = bytes(raw).decode(errors="replace").strip("\0 \t\r\n")
        return text or None

    async def run(self, steps: Sequence[Step], on_payload: OnPayload) -> None:
        """Subscribe and read in the steps' order, then hand on what comes until the connection ends.

        Raises:
            LinkError: the connection was lost, or the device lacks what a step needs.
        """
        client, lost = self._client, self._lost
        if client is None or lost is None:
            msg = f"{self._address}: not connected"
            raise LinkError(msg, address=self._address)
        for step in steps:
            await self._do(client, step, on_payload)
        self.on_subscribed()
        await lost
        if self._failed is not None:
            raise self._failed
        msg = f"{self._address}: link lost"
        raise LinkError(msg, address=self._address)

    async def _do(self, client: BleakClient, step: Step, on_payload: OnPayload) -> None:
        source = short_uuid(step.characteristic)
        characteristic = self._characteristic(client, source)
        reads = step.kind == "read"
        able = characteristic is not None and (
            "read" in characteristic.properties
            if reads
            else not {"notify", "indicate"}.isdisjoint(characteristic.properties)
        )
        if characteristic is None or not able:
            if step.optional:
                return
            lacks = "has no characteristic" if characteristic is None else f"cannot {step.kind}"
            msg = f"{self._address}: the device {lacks} {source}, which its profile needs"
            raise LinkError(msg, address=self._address, characteristic=source)
        if reads:
            on_payload(source, bytes(await self._asked(client.read_gatt_char(characteristic), source)))
        else:
            arrived = partial(self._arrived, source, on_payload)
            await self._asked(client.start_notify(characteristic, arrived), source)

    def _arrived(
        self, source: str, on_payload: OnPayload, _characteristic: BleakGATTCharacteristic, value: bytearray
    ) -> None:
        """Hand on one payload; what goes wrong there ends ``run``, not the radio's own loop."""
        try:
            on_payload(source, bytes(value))
        except Exception as error:  # noqa: BLE001 - raised again by run()
            self._failed = error
            self._on_disconnect()

    async def close(self) -> None:
        """Disconnect; harmless at any time."""
        from bleak.exc import BleakError

        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await client.disconnect()
        except (BleakError, OSError, EOFError, TimeoutError):
            self._on_disconnect()  # it is gone already, or will be when the radio notices

    def _on_disconnect(self) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    async def _asked(self, request: Awaitable[_T], source: str) -> _T:
        """One request to the device, with its errors as LinkError."""
        from bleak.exc import BleakError

        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await request
        except TimeoutError as error:
            msg = f"{self._address}: no answer about {source} within {REQUEST_TIMEOUT_S:g} s"
            raise LinkError(msg, address=self._address, characteristic=source) from error
        except (BleakError, OSError, EOFError) as error:
            lost = self._lost is not None and self._lost.done()
            msg = f"{self._address}: link lost" if lost else f"{self._address}: {source}: {error}"
            raise LinkError(msg, address=self._address, characteristic=source) from error

    @staticmethod
    def _characteristic(client: BleakClient, short: str) -> BleakGATTCharacteristic | None:
        """The first characteristic with that id (a few devices have two)."""
        for service in client.services:
            for characteristic in service.characteristics:
                if short_uuid(characteristic.uuid) == short:
                    return characteristic
        return None
