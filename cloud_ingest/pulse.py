"""Signs of life of our own parts: who is expected, when each was last heard, and how long it may be silent.

A part within its budget is told to the rules as alive (``Watch``); one beyond it is not, and the rule
``component-silent`` does the rest, by ways that do not use the part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hearthward.core.clock import SECOND, Clock

__all__ = ["BROKER", "BUDGET_S", "INGEST", "NOTIFIER", "RULES", "WEB", "Pulse"]

INGEST: Final = "ingest"
RULES: Final = "rules"
NOTIFIER: Final = "notifier"
BROKER: Final = "broker"
WEB: Final = "web"
BUDGET_S: Final = 15.0
"""A part that gave no sign for so long is not told of as alive; each tries every five seconds or oftener."""


class Pulse:
    """The parts of this process that have to give signs of life."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[str, Callable[[], float]] = {}
        self._heard: dict[str, int] = {}

    def expect(self, part: str, silent_s: Callable[[], float] | None = None) -> None:
        """``part`` has to give signs from now on: asked by ``silent_s``, or saying so itself (``beat``)."""
        self._heard[part] = self._clock.monotonic_ns()
        if silent_s is not None:
            self._asked[part] = silent_s

    def beat(self, part: str) -> None:
        """``part`` works, as of now. Raises KeyError for one that nobody expects."""
        if part not in self._heard:
            raise KeyError(part)
        self._heard[part] = self._clock.monotonic_ns()

    def silent_s(self, part: str) -> float:
        """Seconds since the part's last sign; of one that has given none yet, since it is expected."""
        if (asked := self._asked.get(part)) is not None:
            return asked()
        return (self._clock.monotonic_ns() - self._heard[part]) / SECOND

    @property
    def parts(self) -> tuple[str, ...]:
        """All that are expected, by name."""
        return tuple(sorted(self._heard))

    def alive(self) -> tuple[str, ...]:
        """Those within their budget."""
        return tuple(part for part in self.parts if self.silent_s(part) < BUDGET_S)
