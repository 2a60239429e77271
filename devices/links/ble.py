"""The link to a Bluetooth LE device, on bleak."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

from devices.links.ble_steps import BleSteps
from firmware_profiles import DeviceFacts, Profile, Step, short_uuid
from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from bleak import BleakClient

    from devices.links.base import OnPayload, StepAid
    from devices.links.pairing import AskPasskey
    from devices.links.radio import Introduction, Radio

__all__ = ["BleLink"]

CONNECT_TIMEOUT_S: Final = 30.0
"""Without a profile that says otherwise."""
GOODBYE_S: Final = 5.0
"""How long closing waits for the device."""

_MANUFACTURER: Final = "2a29"
_MODEL: Final = "2a24"
_FIRMWARE: Final = "2a26"


def _nothing_to_do() -> None:
    """Nobody wants to know when the steps are done."""


class BleLink:
    """One connection to one device (a ``DeviceLink``).

    ``profile`` gives the connect timeout; it may be None as long as the device has not been identified.
    ``on_subscribed`` is called when the session's steps are done. ``aid`` is the session's, for steps that
    need its clock and its store; without one, clocks are left alone. ``ask`` gives the six digits of a
    device that shows some.
    """

    def __init__(
        self, address: str, profile: Profile | None, radio: Radio, *, ask: AskPasskey | None = None
    ) -> None:
        self._address = address
        self._timeout = profile.timings.connect_timeout_s if profile is not None else CONNECT_TIMEOUT_S
        self._radio = radio
        self._ask = ask
        self._client: BleakClient | None = None
        self._steps: BleSteps | None = None
        self._lost: asyncio.Future[None] | None = None
        self._failed: BaseException | None = None
        self.aid: StepAid | None = None
        self.on_subscribed: Callable[[], None] = _nothing_to_do

    async def connect(self) -> DeviceFacts:
        """Find, connect, and read the device information service. Raises LinkError."""
        lost = self._lost = asyncio.get_running_loop().create_future()
        client, introduction = await self._radio.connect(
            self._address, timeout=self._timeout, on_disconnect=self._on_disconnect
        )
        self._client = client
        self._steps = BleSteps(self._address, client, lost, ask=self._ask, consents=self._radio.consents)
        try:
            return await self._facts(client, self._steps, introduction)
        except BaseException:
            await self.close()
            raise

    async def _facts(self, client: BleakClient, steps: BleSteps, introduction: Introduction) -> DeviceFacts:
        texts = [await steps.text(short) for short in (_MANUFACTURER, _MODEL, _FIRMWARE)]
        return DeviceFacts(
            "ble",
            name=introduction.name,
            company_id=introduction.company_id,
            services=frozenset(short_uuid(service.uuid) for service in client.services),
            manufacturer=texts[0],
            model=texts[1],
            firmware=texts[2],
        )

    async def run(self, steps: Sequence[Step], on_payload: OnPayload) -> None:
        """Do the steps in their order, then hand on what comes until the connection ends.

        Raises:
            LinkError: the connection was lost, or the device lacks what a step needs.
        """
        doer, lost = self._steps, self._lost
        if self._client is None or doer is None or lost is None:
            msg = f"{self._address}: not connected"
            raise LinkError(msg, address=self._address)
        guarded = self._guarded(on_payload)
        for step in steps:
            if step.kind != "keepalive":
                await self._until_lost(lost, [doer.do(step, guarded, self.aid)])
        self.on_subscribed()
        await self._until_lost(lost, self._chores(doer, steps, guarded), lasting=True)

    def _chores(
        self, doer: BleSteps, steps: Sequence[Step], on_payload: OnPayload
    ) -> list[Coroutine[Any, Any, None]]:
        """What goes on as long as the connection stands."""
        chores = [doer.keep_alive(step) for step in steps if step.kind == "keepalive"]
        if (aid := self.aid) is not None:
            chores += [doer.tend(step, aid) for step in steps if step.kind == "racp"]
            clocks = [step for step in steps if step.kind == "set_time"]
            if clocks:
                chores.append(self._mind_clock(doer, clocks, on_payload, aid))
        return chores

    async def _mind_clock(
        self, doer: BleSteps, clocks: Sequence[Step], on_payload: OnPayload, aid: StepAid
    ) -> None:
        """Set the clock again whenever the session finds it wrong."""
        while True:
            await aid.clock_wrong()
            for step in clocks:
                await doer.do(step, on_payload, aid)

    async def _until_lost(
        self, lost: asyncio.Future[None], chores: list[Coroutine[Any, Any, None]], *, lasting: bool = False
    ) -> None:
        """Run ``chores`` beside each other until one fails, all are done (unless ``lasting``), or it is lost.

        Raises LinkError, or what failed in handing on a payload.
        """
        tasks = {asyncio.ensure_future(chore) for chore in chores}
        try:
            while not lost.done():
                await asyncio.wait({lost, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in tasks if task.done()]:
                    tasks.discard(task)
                    task.result()
                if not tasks and not lasting:
                    return
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
        if self._failed is not None:
            raise self._failed
        msg = f"{self._address}: link lost"
        raise LinkError(msg, address=self._address, cause=Cause.LINK_LOST.value)

    def _guarded(self, on_payload: OnPayload) -> OnPayload:
        """What goes wrong in handing on a payload ends ``run``, not the radio's own loop."""

        def arrived(source: str, payload: bytes, _ago: int = 0) -> None:
            try:
                on_payload(source, payload)
            except Exception as error:  # noqa: BLE001 - raised again by run()
                self._failed = error
                self._on_disconnect()

        return arrived

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
            self._radio.lost(self._address)
            self._on_disconnect()  # it is gone already, or will be when the radio notices

    def _on_disconnect(self) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
