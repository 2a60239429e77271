"""What a device hands over on subscribing, where its clock cannot say when that was measured (ADR 31)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from devices.clock_watch import LIVE_AFTER_NS
from devices.consuming import Sleep
from devices.stamping import Stamped
from firmware_profiles import Profile
from hearthward.core.clock import SECOND, Clock

__all__ = ["EVEN_NS", "FOLLOWS_S", "MOST_NS", "Backlog"]

FOLLOWS_S: Final = 2.0
"""So long an undated measurement waits for one that follows it; no stored one comes slower."""
EVEN_NS: Final = SECOND
"""A backlog goes on past its time as long as one follows the other sooner than this,"""
MOST_NS: Final = 60 * SECOND
"""but no longer than so long after subscribing: what comes then is measured then."""


@dataclass(frozen=True, slots=True)
class _Held:
    source: str
    payload: bytes
    stamped: Stamped


class Backlog:
    """Holds back the newest undated measurement of each source for a moment after subscribing.

    Only sources that indicate have a memory that they tell without being asked. What another one of its
    source follows was in the device's memory, nobody knows since when; the last may have been measured just
    now, and is live. ``release`` takes each on, in the order of its source, and says whether there was room.
    Where time is a recording's, what is played is measured then: nothing is held.
    """

    def __init__(self, release: Callable[[str, bytes, Stamped], bool], clock: Clock, *, sleep: Sleep) -> None:
        self._release = release
        self._clock = clock
        self._sleep = sleep
        self._sources: frozenset[str] = frozenset()
        self._since: int | None = None
        self._until: int | None = None
        self._held: dict[str, _Held] = {}
        self._holding = asyncio.Event()

    def connected(self, profile: Profile) -> None:
        """A new connection to a device of this profile, not subscribed to yet."""
        told = (s.characteristic for s in profile.session if s.mode == "indicate")
        self._sources = frozenset() if self._clock.event_driven else frozenset(told)
        self._since = self._until = None

    def subscribed(self) -> None:
        """The device was told to tell what it has."""
        if self._since is None:
            self._since = self._clock.monotonic_ns()
            self._until = self._since + LIVE_AFTER_NS

    def disconnected(self) -> None:
        """Nothing follows any more."""
        for source in tuple(self._held):
            self._let_go(source)

    def take(self, source: str, payload: bytes, stamped: Stamped) -> bool:
        """One payload's readings go on at once, or within twice ``FOLLOWS_S``; whether there was room.

        What is known to be from the device's memory already says nothing of what came before.
        """
        if source not in self._sources or stamped.stored:
            return self._release(source, payload, stamped)
        before = self._held.get(source)
        if before is not None:
            before.stamped.remembered()
            self._let_go(source)
        if not stamped.undated or not self._handing_over(follows=before is not None):
            return self._release(source, payload, stamped)
        self._held[source] = _Held(source, payload, stamped)
        self._holding.set()
        return True

    async def run(self) -> None:
        """Let go of what nothing followed, until cancelled."""
        while True:
            await self._holding.wait()
            self._holding.clear()
            waiting = tuple(self._held.values())
            await self._sleep(FOLLOWS_S)
            for held in waiting:
                if self._held.get(held.source) is held:
                    self._let_go(held.source)
            if self._held:
                self._holding.set()

    def _let_go(self, source: str) -> None:
        held = self._held.pop(source)
        self._release(held.source, held.payload, held.stamped)

    def _handing_over(self, *, follows: bool) -> bool:
        """Whether what comes now may have been stored."""
        if self._since is None or self._until is None:
            return True
        now = self._clock.monotonic_ns()
        if now >= self._until:
            return False
        if follows:
            self._until = max(self._until, min(now + EVEN_NS, self._since + MOST_NS))
        return True
