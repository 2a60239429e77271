"""Whether what comes on a serial line is only noise: a wrong speed, or another instrument."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

__all__ = ["GAP_S", "NOISE_OF_IDLE", "NOISE_S", "NoiseWatch"]

NOISE_S: Final = 15.0
"""Bytes that come for so long without a frame are noise."""
NOISE_OF_IDLE: Final = 0.8
"""Sooner than that where the profile's idle limit is short: so much of it."""
GAP_S: Final = 5.0
"""After so long a silence bytes are looked at anew: single glitches hours apart are nothing."""


class NoiseWatch:
    """Told of what comes; ``only`` has the error when nothing but noise came for ``noise_s``."""

    def __init__(self, path: str, noise_s: float = NOISE_S, now: Callable[[], float] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._path = path
        self._noise_s = noise_s
        self._now = now or loop.time
        self._since: float | None = None
        self._last = 0.0
        self.only: asyncio.Future[LinkError] = loop.create_future()

    def heard(self, *, frames: bool) -> None:
        """Bytes came, and whether they completed a frame."""
        now = self._now()
        if frames:
            self._since = None
        elif self._since is None or now - self._last > GAP_S:
            self._since = now
        elif now - self._since >= self._noise_s and not self.only.done():
            msg = (
                f"serial port {self._path}: bytes come, but no frame in {self._noise_s:g} s: is the speed "
                f"(baud rate) right, and is it the instrument of this profile?"
            )
            self.only.set_result(LinkError(msg, path=self._path, cause=Cause.ONLY_NOISE.value))
        self._last = now
