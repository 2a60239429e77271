"""Clocks as a port: wall time in UTC nanoseconds, and a monotonic one for transport timers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

__all__ = ["Clock", "EventClock", "SystemClock", "iso", "naive_iso", "parse_iso", "told_by_device"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000


ZONES_NS: Final = 15 * 60 * SECOND
FARTHEST_ZONE_NS: Final = 15 * 3600 * SECOND


def _elapsed_ns() -> int:
    """What has passed, the time of a machine's sleep included where the system tells it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()


class Clock(Protocol):
    """What time it is; nobody else may ask the operating system."""

    @property
    def event_driven(self) -> bool:
        """Whether wall time is stepped by a player instead of running by itself."""
        ...

    def now_ns(self) -> int:
        """Wall time, UTC nanoseconds since 1970."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that only grow, also in a machine's sleep; real even when playing a recording."""
        ...

    def synchronised(self) -> bool:
        """Whether wall time is believed to be right (NTP or a cloud hint)."""
        ...


class SystemClock:
    """The machine's own clock; both go on while it sleeps, where the system tells how long that was."""

    event_driven = False

    def now_ns(self) -> int:
        """Wall time, UTC nanoseconds."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Monotonic nanoseconds."""
        return _elapsed_ns()

    def synchronised(self) -> bool:
        """Whether the wall clock is later than this software's first release."""
        return time.time_ns() > 1_767_225_600 * SECOND


class EventClock:
    """A wall clock that is stepped from outside and never goes back; the fake of the port.

    Used by the player (a recording's own time) and by tests. The monotonic clock stays real unless
    a test steps it with ``advance``.
    """

    event_driven = True

    def __init__(self, start_ns: int = 0, *, frozen_monotonic: bool = False) -> None:
        self._now = start_ns
        self._frozen = frozen_monotonic
        self._mono = 0

    def now_ns(self) -> int:
        """The last time it was stepped to."""
        return self._now

    def monotonic_ns(self) -> int:
        """Real monotonic nanoseconds, or the stepped ones when made with ``frozen_monotonic``."""
        return self._mono if self._frozen else _elapsed_ns()

    def synchronised(self) -> bool:
        """Always: event time is true by definition."""
        return True

    def follow(self, at_ns: int) -> bool:
        """Step to ``at_ns`` if that is later; returns whether it moved."""
        if at_ns <= self._now:
            return False
        self._mono += at_ns - self._now
        self._now = at_ns
        return True

    def advance(self, seconds: float) -> None:
        """Step forward by ``seconds`` (>= 0)."""
        self.follow(self._now + int(seconds * SECOND))


def iso(at_ns: int) -> str:
    """UTC nanoseconds -> ISO 8601 with microseconds and ``Z``."""
    return f"{naive_iso(at_ns)}Z"


def naive_iso(at_ns: int) -> str:
    """Nanoseconds -> ISO 8601 without a zone (a device's own local time); no fraction when zero."""
    return (_EPOCH + timedelta(microseconds=at_ns // 1000)).replace(tzinfo=None).isoformat()


def parse_iso(text: str) -> int:
    """ISO 8601 -> UTC nanoseconds; a time without a zone is taken as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 1000


def told_by_device(dated: int | None, corrected: int) -> bool:
    """Whether a reading's time is the device's own, ``dated`` in whatever zone: quarters of an hour off.

    That it is not the receive time says nothing: that only grows, also when the gateway's clock is put back.
    What was corrected by an estimate of the device's clock is not: the estimate goes by the gateway's.
    """
    if dated is None:
        return False
    return abs(dated - corrected) <= FARTHEST_ZONE_NS and (dated - corrected) % ZONES_NS == 0
