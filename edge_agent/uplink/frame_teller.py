"""The bytes of a device's frames on their way to the cloud, while somebody there looks at them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final, Protocol

from hearthward.core.clock import Clock
from hearthward.core.raw_frames import RawFrame, RawFrames
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import topic

__all__ = ["FrameTeller", "Frames"]

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
"""Told no more often than this."""
ALIVE_S: Final = 5.0
"""Told at least so often, also when nothing comes of the device."""
MOST_WATCHED: Final = 4
"""Devices at the same time; of a gateway at somebody's home one is usual."""


class Frames(Protocol):
    """What the teller needs of ``devices.last_frames.LastFrames``."""

    def __contains__(self, device: str) -> bool: ...

    def told(self, device: str, after: int = 0) -> tuple[tuple[RawFrame, ...], int]:
        """The frames after a number, and how many of those are gone."""
        ...


class _Client(Protocol):
    async def publish(self, topic: str, payload: bytes, qos: int = 0) -> Any: ...


@dataclass(slots=True)
class _Watch:
    """Until when (the loop's time) a device is told of, and from which frame on."""

    until: float
    after: int = 0
    told: float = float("-inf")


class FrameTeller:
    """Publishes the frames of watched devices, at QoS 0: what is lost is lost, and readings come first.

    A watch ends by itself. Counts ``frame_watches_total`` and ``frame_watches_refused_total``.
    """

    def __init__(
        self,
        frames: Frames,
        *,
        tenant: str,
        gateway: str,
        session: str,
        clock: Clock,
        telemetry: Telemetry,
        every_s: float = EVERY_S,
    ) -> None:
        self._topic = topic(tenant, gateway, "raw")
        self._frames, self._gateway, self._session = frames, gateway, session
        self._clock, self._telemetry, self._every_s = clock, telemetry, every_s
        self._watches: dict[str, _Watch] = {}
        self._asked = asyncio.Event()

    def watch(self, device: str, seconds: int) -> None:
        """Tell of a device for so long from now on, beginning with what is kept; of a few at once at most."""
        self._end()
        if device not in self._watches and len(self._watches) >= MOST_WATCHED:
            self._telemetry.count("frame_watches_refused_total")
            log.warning("the frames of device %s are not told: %d are watched already", device, MOST_WATCHED)
            return
        self._telemetry.count("frame_watches_total")
        log.info("asked to tell the frames of device %s for %d s", device, seconds)
        self._watches[device] = _Watch(asyncio.get_running_loop().time() + seconds)
        self._asked.set()

    async def run(self, client: _Client) -> None:
        """Tell over one connection, until cancelled. Raises aiomqtt.MqttError."""
        while True:
            while not self._watches:
                self._asked.clear()
                await self._asked.wait()
            for device, watch in list(self._watches.items()):
                await self._tell(client, device, watch)
            await asyncio.sleep(self._every_s)
            self._end()

    def _end(self) -> None:
        """Forget what is over."""
        now = asyncio.get_running_loop().time()
        self._watches = {device: watch for device, watch in self._watches.items() if watch.until > now}

    async def _tell(self, client: _Client, device: str, watch: _Watch) -> None:
        now = asyncio.get_running_loop().time()
        frames, missed = self._frames.told(device, watch.after)
        if not frames and now - watch.told < ALIVE_S:
            return
        known = device in self._frames
        if not known:
            self._watches.pop(device, None)
        message = RawFrames(
            gateway=self._gateway,
            session=self._session,
            device=device,
            wall=self._clock.now_ns(),
            left_s=max(0, round(watch.until - now)) if known else 0,
            frames=frames,
            known=known,
            missed=missed,
        )
        watch.told, watch.after = now, frames[-1].number if frames else watch.after
        await client.publish(self._topic, message.encode(), qos=0)
