"""Whether the Bluetooth adapter is wedged, and what to do about it next. Pure: no radio, no waiting.

Working -> suspect -> the adapter is reset -> the stack is reset -> stuck, and people are told; anything that
is heard or connected makes it working again. Each step waits for new evidence, so that one bad device, an
empty room or a sleeping cuff resets nothing. Silence alone never makes it stuck: everybody may have left.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from hearthward.core.clock import SECOND

__all__ = ["AdapterState", "Remedy", "Watchdog"]

SCAN_FAILURES: Final = 3
"""Scans in a row that could not be begun."""
CONNECT_FAILURES: Final = 6
"""Connections in a row that came to nothing with devices that were heard just before..."""
FAILED_DEVICES: Final = 2
"""...by at least so many different ones: one alone may be broken itself..."""
FAILED_NS: Final = 1800 * SECOND
"""...each within so long: two cuffs at the edge of the range fail now and then."""
MOST: Final = 64
"""Failures that are remembered."""
DEAF_NS: Final = 600 * SECOND
"""Nothing at all is heard while scanning for so long in all, where there was something before."""
SETTLE_NS: Final = 60 * SECOND
"""After a remedy evidence counts anew only when so long has gone by."""
AGAIN_NS: Final = 600 * SECOND
"""A stuck adapter is tried again after so long, then after twice that, and so on..."""
AGAIN_MAX_NS: Final = 3600 * SECOND
"""...but at least so often."""


class AdapterState(StrEnum):
    """What is made of the adapter."""

    WORKING = "working"
    RESET = "reset"
    """It was reset and has yet to show that this helped."""
    RESTARTED = "restarted"
    """Its stack was restarted and has yet to show that this helped."""
    STUCK = "stuck"
    """Nothing helped; a person has to look."""


class Remedy(StrEnum):
    """What to do next."""

    NONE = "none"
    RESET_ADAPTER = "reset_adapter"
    RESET_STACK = "reset_stack"
    TELL = "tell"


@dataclass(slots=True)
class Watchdog:
    """Takes what happens at the radio, with monotonic nanoseconds, and says what to do.

    ``why`` is what speaks against the adapter, for people.
    """

    state: AdapterState = AdapterState.WORKING
    why: str = ""
    resets: int = 0
    _scan_failures: int = 0
    _failed: list[tuple[int, Hashable]] = field(default_factory=list)
    _hears: bool = False
    """Something was heard once: silence means something."""
    _scanning_since: int | None = None
    _silent_ns: int = 0
    """Of scans in vain that have ended."""
    _acted_at: int | None = None
    _must_connect: bool = False
    """Hearing something does not show that it works: it heard all the time and connected to nothing."""
    _wait_ns: int = AGAIN_NS

    def heard(self, now: int) -> None:
        """Some device advertised: the adapter can hear."""
        self._sound(now)
        self._scan_failures = 0
        if not self._must_connect:
            self._well()

    def connected(self, now: int) -> None:
        """A device was connected to: the adapter works."""
        self._sound(now)
        self._failed.clear()
        self._well()

    def _sound(self, now: int) -> None:
        self._hears, self._silent_ns = True, 0
        self._scanning_since = None if self._scanning_since is None else now

    def scan_began(self, now: int) -> None:
        """A scan was begun that somebody waits for."""
        self._scan_failures = 0
        self._scanning_since = now if self._scanning_since is None else self._scanning_since

    def scan_ended(self, now: int) -> None:
        """Nobody waits any more: silence means nothing now; what was listened in vain counts."""
        self._silent_ns = self._silence(now)
        self._scanning_since = None

    def _silence(self, now: int) -> int:
        """How long it was listened in vain."""
        return self._silent_ns + (0 if self._scanning_since is None else now - self._scanning_since)

    def scan_failed(self, why: str) -> None:
        """A scan could not be begun."""
        self._scan_failures += 1
        self.why = why

    def connect_failed(self, device: Hashable, now: int) -> None:
        """A device that was heard just before took no connection, or the adapter made none."""
        self._failed = [*self._failed, (now, device)][-MOST:]

    def next(self, now: int, *, connections: int) -> Remedy:
        """What to do now; call it every few seconds. ``connections``: those that a reset would end."""
        found = self._evidence(now, connections)
        if found is None:
            return Remedy.NONE
        if self._acted_at is not None and now - self._acted_at < self._patience():
            return Remedy.NONE
        self.why = found
        self._acted_at = now
        self._begin_anew(now)
        return self._climb()

    def _patience(self) -> int:
        return self._wait_ns if self.state is AdapterState.STUCK else SETTLE_NS

    def _evidence(self, now: int, connections: int) -> str | None:
        """What speaks against the adapter; while connections stand it does work, if badly."""
        if connections:
            return None
        if self._scan_failures >= SCAN_FAILURES:
            return f"{self._scan_failures} scans in a row could not be begun: {self.why}"
        failed = [device for at, device in self._failed if now - at < FAILED_NS]
        tries, devices = len(failed), len(set(failed))
        if tries >= CONNECT_FAILURES and devices >= FAILED_DEVICES:
            self._must_connect = True
            return f"{tries} connections to {devices} devices that were heard came to nothing"
        silent = self._silence(now)
        if self._hears and silent >= DEAF_NS and self.state is not AdapterState.RESTARTED:
            return f"nothing at all was heard for {silent // SECOND} s, where there was something before"
        return None

    def _begin_anew(self, now: int) -> None:
        self._scan_failures = 0
        self._failed.clear()
        self._silent_ns = 0
        if self._scanning_since is not None:
            self._scanning_since = now

    def _climb(self) -> Remedy:
        match self.state:
            case AdapterState.WORKING:
                self.state, remedy = AdapterState.RESET, Remedy.RESET_ADAPTER
            case AdapterState.RESET:
                self.state, remedy = AdapterState.RESTARTED, Remedy.RESET_STACK
            case AdapterState.RESTARTED:
                self.state, remedy = AdapterState.STUCK, Remedy.TELL
            case AdapterState.STUCK:
                self._wait_ns = min(2 * self._wait_ns, AGAIN_MAX_NS)
                remedy = Remedy.RESET_ADAPTER
        self.resets += remedy is not Remedy.TELL
        return remedy

    def _well(self) -> None:
        self.state, self.why, self._acted_at, self._wait_ns = AdapterState.WORKING, "", None, AGAIN_NS
        self._must_connect = False
