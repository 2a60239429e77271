"""Devices whose raw frames somebody looks at now: asked of their gateways, kept in memory, soon forgotten.

Frames hold what was measured of a patient: they are taken only of a device that is watched, shown only to
who opened the view, and never written down.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from cloud_ingest.asks import Asks
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError, DecodeError
from hearthward.core.raw_frames import MOST_FRAMES, RawFrame, RawFrames
from hearthward.core.sightings import MOST_WATCH_S
from hearthward.core.telemetry import Telemetry

__all__ = ["KEPT_S", "MOST_WATCHES", "FrameWatch", "FrameWatches", "WatchBook"]

log = logging.getLogger(__name__)

MOST_WATCHES: Final = 32
"""Devices at the same time."""
KEPT_S: Final = 60
"""Frames can be read for so long after their watch has ended."""


@dataclass(slots=True)
class FrameWatch:
    """A device that is watched. Times are UTC ns, real time.

    ``viewers`` says until when each user looks; ``told`` is when its gateway told last (None: it has not).
    ``missed`` frames found no room on the way.
    """

    gateway: str
    device: str
    asked: int
    viewers: dict[str, int] = field(default_factory=dict)
    told: int | None = None
    known: bool = True
    missed: int = 0
    session: str = ""
    frames: deque[RawFrame] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))

    @property
    def until(self) -> int:
        """When the last viewer's time is over."""
        return max(self.viewers.values(), default=0)


class WatchBook:
    """What is watched, and what came of it: without I/O, shared by the service and the web's fake."""

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._watches: dict[tuple[str, str], FrameWatch] = {}

    def open(self, gateway: str, device: str, user: str, seconds: int) -> FrameWatch:
        """Somebody looks for so long from now on. Raises ConfigError (code ``full``): too many are."""
        self.forget()
        now, key = self._wall.now_ns(), (gateway, device)
        watch = self._watches.get(key)
        if watch is None or watch.until <= now:
            if watch is None and len(self._watches) >= MOST_WATCHES:
                msg = f"{MOST_WATCHES} devices are watched already"
                raise ConfigError(msg, field="device", code="full")
            watch = self._watches[key] = FrameWatch(gateway, device, now)
        watch.viewers[user] = now + seconds * SECOND
        return watch

    def seen_by(self, device: str, user: str) -> FrameWatch | None:
        """What ``user`` has opened of a device; None: nothing, or it is forgotten."""
        self.forget()
        found = [w for (_, d), w in self._watches.items() if d == device and user in w.viewers]
        return max(found, key=lambda watch: watch.asked, default=None)

    def take(self, told: RawFrames) -> bool:
        """A gateway tells of a device; False: nobody looks at it."""
        watch, now = self._watches.get((told.gateway, told.device)), self._wall.now_ns()
        if watch is None or watch.until <= now:
            return False
        if told.session != watch.session:  # it has started anew, and counts from the beginning
            watch.session, watch.missed = told.session, 0
            watch.frames.clear()
        newest = watch.frames[-1].number if watch.frames else 0
        watch.frames.extend(frame for frame in told.frames if frame.number > newest)
        watch.told, watch.known = now, told.known
        watch.missed += told.missed
        return True

    def forget(self) -> None:
        """Drop what is over; to be called now and then, also when nobody looks."""
        limit = self._wall.now_ns() - KEPT_S * SECOND
        for watch in self._watches.values():
            watch.viewers = {user: until for user, until in watch.viewers.items() if until > limit}
        self._watches = {key: watch for key, watch in self._watches.items() if watch.viewers}


class FrameWatches:
    """A ``WatchBook`` whose gateways are asked.

    Counts ``messages_rejected_total`` and ``messages_ignored_total``.
    """

    def __init__(self, asks: Asks, wall: Clock, telemetry: Telemetry) -> None:
        self.book = WatchBook(wall)
        self._asks, self._telemetry = asks, telemetry

    async def watch(self, gateway: str, device: str, user: str, seconds: int) -> FrameWatch:
        """Ask a gateway to tell a device's frames for 1..300 s.

        Raises UplinkError: there is no connection; ConfigError as ``WatchBook.open``.
        """
        seconds = min(max(1, seconds), MOST_WATCH_S)
        watch = self.book.open(gateway, device, user, seconds)
        try:
            await self._asks.send(gateway, "watch", seconds, device=device)
        except BaseException:
            watch.viewers.pop(user, None)
            raise
        return watch

    def take(self, gateway: str, payload: bytes) -> None:
        """A message came on the gateway's topic."""
        try:
            told = RawFrames.decode(payload)
        except DecodeError as error:
            self._refuse(gateway, str(error))
            return
        if told.gateway != gateway:
            self._refuse(gateway, "they name another gateway")
        elif not self.book.take(told):
            self._telemetry.count("messages_ignored_total", kind="raw")

    def _refuse(self, gateway: str, why: str) -> None:
        self._telemetry.count("messages_rejected_total", kind="raw")
        log.warning("raw frames of gateway %s refused: %s", gateway, why)
