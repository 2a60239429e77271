"""What is remembered of one vital sign that comes irregularly: a few numbers, whatever its rate.

Memory is in time, not in samples. Values are gathered by the hour first, and an hour counts once, by the
mean of its values: a monitor's 3,600 and a nurse's single one leave the same mark.
"""

from __future__ import annotations

from math import exp, nan, sqrt
from typing import Any, Final

__all__ = ["HOUR_S", "SHAPES", "TAUS_H", "VitalMemory"]

HOUR_S: Final = 3600.0
TAUS_H: Final = (2.0, 8.0, 24.0)
"""How fast the means forget (h); the slowest one, too, how fast extremes and spread do."""
SHAPES: Final = ("last", "age", "mean_2h", "mean_8h", "mean_24h", "trend", "spread", "low", "high", "often")
"""What ``VitalMemory.shape`` gives, in its order.

The newest value, its age (h); the forgetting means; the fastest less the slowest; the standard deviation of
the hours round the slowest; the lowest and the highest hour, which forget; how many hours of the last day or
so had a value.
"""
_NOTHING: Final = (nan,) * len(SHAPES)


class VitalMemory:
    """One vital sign's past; values come in order of time, in seconds of any clock that goes on.

    >>> memory = VitalMemory()
    >>> for hour in range(5):
    ...     _ = memory.push(hour * 3600.0, 16.0 + hour)
    >>> dict(zip(SHAPES, memory.shape(4 * 3600.0)))["last"]
    20.0
    """

    __slots__ = ("_bin", "_count", "_folded", "_sums", "_total", "high", "last", "low", "time")

    def __init__(self) -> None:
        self.time, self.last = nan, nan
        self.low, self.high = nan, nan
        self._bin, self._total, self._count = 0.0, 0.0, 0
        self._folded = nan
        self._sums = [0.0] * (3 * len(TAUS_H))

    @property
    def known(self) -> bool:
        """Whether any value came."""
        return self._count > 0

    def push(self, time: float, value: float) -> bool:
        """Take a value (s, canonical unit); False: it is older than the newest, and left out."""
        if time < self.time:
            return False
        which = time // HOUR_S
        if which != self._bin and self._count:
            self._sums, self.low, self.high = self._folding()
            self._folded = self._bin
            self._total, self._count = 0.0, 0
        self._bin = which
        self._total += value
        self._count += 1
        self.time, self.last = time, value
        return True

    def shift(self, by: float) -> None:
        """All values were measured so much (s) later than told."""
        self.time += by
        self._bin += by / HOUR_S
        self._folded += by / HOUR_S

    def _folding(self) -> tuple[list[float], float, float]:
        """The sums and extremes with the present hour in them."""
        mean = self._total / self._count
        first = self._folded != self._folded
        gap = 0.0 if first else max(0.0, self._bin - self._folded)
        sums = list(self._sums)
        for n, tau in enumerate(TAUS_H):
            keep, i = exp(-gap / tau), 3 * n
            sums[i] = sums[i] * keep + 1.0
            sums[i + 1] = sums[i + 1] * keep + mean
            sums[i + 2] = sums[i + 2] * keep + mean * mean
        if first:
            return sums, mean, mean
        centre, keep = sums[-2] / sums[-3], exp(-gap / TAUS_H[-1])
        low, high = (centre + (extreme - centre) * keep for extreme in (self.low, self.high))
        return sums, min(low, mean), max(high, mean)

    def shape(self, now: float) -> tuple[float, ...]:
        """The ``SHAPES`` at ``now`` (s); all NaN before the first value."""
        if not self._count:
            return _NOTHING
        sums, low, high = self._folding()
        means = [sums[i + 1] / sums[i] for i in range(0, len(sums), 3)]
        age = max(0.0, now - self.time) / HOUR_S
        spread = sqrt(max(0.0, sums[-1] / sums[-3] - means[-1] * means[-1]))
        often = sums[-3] * exp(-age / TAUS_H[-1])
        return self.last, age, *means, means[0] - means[-1], spread, low, high, often

    def pack(self) -> list[Any]:
        """All that ``unpacked`` needs, as plain numbers."""
        head = [self.time, self.last, self.low, self.high, self._bin, self._total, self._count, self._folded]
        return head + self._sums

    @classmethod
    def unpacked(cls, packed: list[Any]) -> VitalMemory:
        """The memory that ``pack`` gave. Raises ValueError when it is none."""
        head, sums = packed[:8], packed[8:]
        if len(head) != 8 or len(sums) != 3 * len(TAUS_H):  # noqa: PLR2004 - the numbers of ``pack``
            msg = f"a vital sign's memory of {len(packed)} numbers"
            raise ValueError(msg)
        out = cls()
        out.time, out.last, out.low, out.high, out._bin, out._total, out._count, out._folded = head
        out._sums = list(sums)
        return out
