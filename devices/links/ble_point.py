"""The Record Access Control Point of a connection, as the fetching of a store uses it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bleak.backends.characteristic import BleakGATTCharacteristic

    from devices.links.base import OnPayload
    from devices.links.ble_steps import BleSteps
    from firmware_profiles import RacpStep

__all__ = ["StorePoint"]


class StorePoint:
    """One Record Access Control Point (a ``ControlPoint``)."""

    def __init__(self, steps: BleSteps, racp: RacpStep, on_payload: OnPayload) -> None:
        self._steps = steps
        self._racp = racp
        self._on_payload = on_payload
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._known = False

    def check(self) -> None:
        """Nothing is asked in vain.

        Raises LinkError for a device that lacks one of the two characteristics.
        """
        self._control("write")
        self._steps.able(self._racp.records, "notify", "indicate")

    async def subscribe(self) -> None:
        """See the port."""
        again, self._known = self._known, True
        await self._steps.subscribe(self._racp.records, self._on_payload, again=again)
        await self._steps.subscribe(self._racp.control, self._take, again=again, beside=self._racp.records)

    def _control(self, *properties: str) -> BleakGATTCharacteristic:
        """The control point of the service that has the records: a device of two services has two."""
        return self._steps.able(self._racp.control, *properties, beside=self._racp.records)

    def _take(self, _source: str, payload: bytes, _ago: int = 0) -> None:
        self._answers.put_nowait(payload)

    async def write(self, request: bytes) -> None:
        """See the port; what was answered before is of no interest any more."""
        while not self._answers.empty():
            self._answers.get_nowait()
        await self._steps.write(self._control("write"), request)

    async def answer(self, within_s: float) -> bytes:
        """See the port."""
        async with asyncio.timeout(within_s):
            return await self._answers.get()
