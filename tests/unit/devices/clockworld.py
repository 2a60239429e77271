"""A device's clock as it really runs, for tests: off, drifting, of a zone, put forward or not, set, late."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import tzinfo

from devices.time import utc_offset
from hearthward.core.clock import SECOND

__all__ = ["RealClock"]


@dataclass
class RealClock:
    """``ahead`` ns at ``start`` and ``ppm`` faster; ``fixed``: shows that offset of UTC for ever."""

    start: int
    ahead: int = 0
    ppm: float = 0.0
    zone: tzinfo | None = None
    fixed: int | None = None
    resolution: int = SECOND

    def shows(self, at: int) -> int:
        """What it shows at ``at`` (UTC ns), as naive nanoseconds."""
        local = self.fixed or 0
        if self.fixed is None and self.zone is not None:
            local = utc_offset(at, self.zone)
        shown = at + local + self.ahead + math.floor((at - self.start) * self.ppm * 1e-6)
        return shown // self.resolution * self.resolution
