"""How long a signal's present level has held, by river's ADWIN: its window is as long as the mean is one.

river takes 125 MB and 2 s to import: who needs this module loads it when it is needed.
"""

from __future__ import annotations

from typing import Final

from river.drift import ADWIN

__all__ = ["AdwinLevel"]

DELTA: Final = 0.002
EVERY: Final = 8
"""Values after which it looks whether the mean has changed; ``level_watch`` gives it a multiple of them."""


class AdwinLevel:
    """``level_watch.Level``: a window that is cut where the mean has changed (Bifet and Gavaldà, SDM 2007).

    >>> level = AdwinLevel()
    >>> [level.update(20.0 + n % 3) for n in range(100)][-1]
    100
    """

    def __init__(self) -> None:
        self._adwin = ADWIN(delta=DELTA, clock=EVERY)  # type: ignore[no-untyped-call, unused-ignore]

    def update(self, value: float) -> int:
        """Take the next value; how many of the newest have one mean."""
        self._adwin.update(value)  # type: ignore[no-untyped-call, unused-ignore]
        return int(self._adwin.width)
