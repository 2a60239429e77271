"""What a gateway knows of one device's clock, over all its connections, and when it is worth telling."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Final

from devices.device_clock import DeviceClock
from devices.time import Correction
from firmware_profiles import Profile
from hearthward.core.clock import SECOND, Clock

__all__ = ["LIVE_AFTER_NS", "ClockWatch", "clock_zone"]

LIVE_AFTER_NS: Final = 10 * SECOND
"""What comes so long after subscribing is measured now; before, a device hands over what it stored."""
JUMP_NS: Final = 2 * SECOND
"""Our own clock was set when it differs by more from what has passed."""
SET_NS: Final = SECOND
"""A clock that we set is right to within that."""
AGAIN_NS: Final = 6 * 3600 * SECOND
"""That a clock is wrong is told again after so long."""
CHANGED_NS: Final = 600 * SECOND
"""And that it is wrong by something else so often at most."""
RIGHT_AFTER_NS: Final = 600 * SECOND
"""That a clock is right is told once, so that what was said of it before is over."""
RIGHT_AGAIN: Final = 0.8
"""Of the limit: below, a wrong clock is right again."""
_ZONES: Final = {"utc": UTC, "device-offset": UTC}


def clock_zone(profile: Profile, local: tzinfo | None) -> tzinfo | None:
    """Whose time a device of this profile shows; ``local`` where it is that of the place."""
    time = profile.document.time
    return local if time is None else _ZONES.get(time.zone, local)


class ClockWatch:
    """Follows one device's clock, unless ours is a recording's.

    While ours is not right, or it is open whether it is, nothing is learned nor told; what is known goes on
    being used, for it is in our clock's terms: else readings of a device that is an hour behind would be old.
    """

    def __init__(self, clock: Clock) -> None:
        self._ours = clock
        self._ahead: int | None = None
        self._theirs: DeviceClock | None = None
        self._profile = ""
        self._limit = 0
        self._streaming: int | None = None
        self._known: int | None = None
        self._told: tuple[int, int, bool] | None = None
        self.wrong = False
        """Whether it is off by more than the profile allows."""

    def connected(self) -> None:
        """A new connection."""
        self._streaming = None
        if self._theirs is not None:
            self._theirs.connected()

    def subscribed(self) -> None:
        """From now on the device sends what it measures, but for what it has stored."""
        self._streaming = self._ours.monotonic_ns()

    def follow(self, profile: Profile, local: tzinfo | None) -> None:
        """The device is of this profile, in that zone."""
        zone = clock_zone(profile, local)
        if profile.hash == self._profile and self._theirs is not None and self._theirs.zone == zone:
            return
        self._profile = profile.hash
        spec = profile.document.time
        resolution = round(profile.clock_resolution_s * SECOND)
        self._limit = round((300.0 if spec is None else spec.skew_limit_s) * SECOND)
        if self._theirs is None or (self._theirs.zone, self._theirs.resolution) != (zone, resolution):
            self._theirs = DeviceClock(zone, resolution)

    def judge(self, device_time: int, received: int, *, stored: bool = False) -> Correction | None:
        """When it was measured (``stored``: not now); None: nothing can be known of the device's clock."""
        theirs, right = self._following(), self._ours.synchronised()
        if theirs is None or not (right or theirs.skew(received)):
            return None
        now = self._ours.monotonic_ns()
        live = self._streaming is not None and now - self._streaming >= LIVE_AFTER_NS
        return theirs.judge(device_time, received, live=live and not stored, learn=right)

    def was_read(self, device_time: int) -> None:
        """The device's clock showed that just now (naive ns)."""
        if (theirs := self._running()) is not None:
            theirs.read(device_time, self._ours.now_ns())

    def was_set(self) -> None:
        """The device's clock was set right just now."""
        if (theirs := self._running()) is not None:
            theirs.clock_set(self._ours.now_ns(), max(SET_NS, theirs.resolution))

    def word(self) -> tuple[float, bool] | None:
        """By how many seconds the clock is ahead and whether that is too much, when it is to be told."""
        theirs = self._running()
        now = self._ours.now_ns()
        skew = None if theirs is None else theirs.skew(now)
        if skew is None:
            self._known = None
            return None
        self._known = now if self._known is None else self._known
        off = abs(skew.ahead)
        self.wrong = off > (self._limit * RIGHT_AGAIN if self.wrong else self._limit) and off > skew.error
        if not self._due(skew.ahead, now):
            return None
        self._told = (skew.ahead, now, self.wrong)
        return round(skew.ahead / SECOND), self.wrong

    def _due(self, ahead: int, now: int) -> bool:
        if self._told is None:
            return self.wrong or now - (self._known or now) >= RIGHT_AFTER_NS
        before, at, wrong = self._told
        if self.wrong != wrong:
            return True
        changed = abs(ahead - before) > max(60 * SECOND, abs(before) // 10)
        return self.wrong and (now - at >= AGAIN_NS or (changed and now - at >= CHANGED_NS))

    def _running(self) -> DeviceClock | None:
        """The device's clock, if ours is one to measure it by."""
        theirs = self._following()
        return theirs if self._ours.synchronised() else None

    def _following(self) -> DeviceClock | None:
        """What is known of the device's clock, in terms of ours as it is now."""
        if self._ours.event_driven:
            return None
        ahead = self._ours.now_ns() - self._ours.monotonic_ns()
        by = 0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if self._theirs is not None and abs(by) > JUMP_NS:
            self._theirs.gateway_set(by)
        return self._theirs
