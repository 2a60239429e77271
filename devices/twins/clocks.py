"""A device's own clock: local, drifting, wrong, or not set at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from devices.time import zone
from hearthward.core.clock import Clock, SystemClock

__all__ = ["TwinClock"]


class TwinClock:
    """A clock on the wall of a twin: no zone, whole seconds, set once and then on its own.

    It begins at the true local time of ``timezone`` (None: UTC) plus ``wrong_by_s``, and gains
    ``drift_ppm`` microseconds a second; ``unset``: it shows no date until somebody sets it. Like a real one
    it knows nothing of daylight saving. ``sets`` is every time it was set to.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        timezone: str | None = None,
        wrong_by_s: float = 0.0,
        drift_ppm: float = 0.0,
        unset: bool = False,
    ) -> None:
        self._clock = clock or SystemClock()
        self._drift = 1 + drift_ppm / 1e6
        self._anchor_ns = self._clock.now_ns()
        true = datetime.fromtimestamp(self._anchor_ns / 1e9, zone(timezone) or UTC).replace(tzinfo=None)
        self._shown = true + timedelta(seconds=wrong_by_s)
        self.unset = unset
        self.sets: list[datetime] = []

    def now(self) -> datetime | None:
        """What it shows; None while it is not set."""
        return None if self.unset else self.running().replace(microsecond=0)

    def running(self) -> datetime:
        """What its counter stands at, set or not: its differences are true (but for the drift)."""
        passed = (self._clock.now_ns() - self._anchor_ns) * self._drift
        return self._shown + timedelta(microseconds=passed / 1000)

    def set(self, at: datetime) -> None:
        """Somebody sets it."""
        self._anchor_ns, self._shown, self.unset = self._clock.now_ns(), at, False
        self.sets.append(at)
