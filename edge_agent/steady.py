"""What time it is for the rules at the edge: readings' own time, which goes on while none come."""

from __future__ import annotations

from hearthward.core.clock import Clock

__all__ = ["SteadyTime"]


class SteadyTime:
    """Goes on with the monotonic clock from the newest receive time that it was told.

    So silence is measured rightly when the wall clock jumps: readings are stamped by a wall clock that never
    goes back, and nobody's silence begins or ends because it was set. Before the first reading, while the
    wall clock is not believed, and where a recording is played, it is the wall clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base: tuple[int, int] | None = None

    def now(self) -> int:
        """UTC nanoseconds."""
        if self._base is None or self._clock.event_driven:
            return self._clock.now_ns()
        wall, mono = self._base
        return wall + self._clock.monotonic_ns() - mono

    def heard(self, received: int) -> None:
        """A reading was received just now, at ``received`` by the wall clock."""
        if self._clock.synchronised() and (self._base is None or received > self.now()):
            self._base = received, self._clock.monotonic_ns()
