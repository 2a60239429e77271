"""Many vital signs' pasts at once: the numbers of ``VitalMemory``, bit by bit, from numpy.

Each method is the twin of one there, with the same operations in the same order. The edge goes without.
"""

from __future__ import annotations

from math import exp
from typing import Any, Final

import numpy as np

from rules.detectors.exactly import Array, mapped, rounds
from rules.models.vital_memory import HOUR_S, SHAPES, TAUS_H

__all__ = ["BatchedMemories"]

_TIME, _LAST, _LOW, _HIGH, _BIN, _TOTAL, _COUNT, _FOLDED, _SUMS = range(9)
"""The order of ``VitalMemory.pack``."""
_ROW: Final = _SUMS + 3 * len(TAUS_H)


class BatchedMemories:
    """As many memories as asked for, numbered from 0."""

    def __init__(self, count: int) -> None:
        self._rows = np.zeros((count, _ROW))
        self._rows[:, [_TIME, _LAST, _LOW, _HIGH, _FOLDED]] = np.nan

    @property
    def known(self) -> Array:
        """Of which any value came."""
        return self._rows[:, _COUNT] > 0.0

    def push(self, memories: Array, times: Array, values: Array) -> Array:
        """Take values (numbers of memories, s, canonical units) one by one; which are not too old."""
        taken = np.zeros(len(memories), bool)
        if not len(memories):
            return taken
        for which in rounds(memories):
            taken[which] = self._push(memories[which], times[which], values[which])
        return taken

    def _push(self, memories: Array, times: Array, values: Array) -> Array:
        taken = ~(times < self._rows[memories, _TIME])
        memories, times, values = memories[taken], times[taken], values[taken]
        columns = self._rows[memories].T
        bins = times // HOUR_S
        over = np.flatnonzero((bins != columns[_BIN]) & (columns[_COUNT] > 0.0))
        if len(over):
            ended = columns[:, over]
            ended[_SUMS:], ended[_LOW], ended[_HIGH] = _folding(ended)
            ended[_FOLDED], ended[_TOTAL], ended[_COUNT] = ended[_BIN], 0.0, 0.0
            columns[:, over] = ended
        columns[_BIN] = bins
        columns[_TOTAL] += values
        columns[_COUNT] += 1.0
        columns[_TIME], columns[_LAST] = times, values
        self._rows[memories] = columns.T
        return taken

    def shapes(self, now: Array) -> Array:
        """The ``SHAPES`` at ``now`` (s, one for each memory), a row each; all NaN before the first value."""
        known = np.flatnonzero(self.known)
        found = np.full((len(self._rows), len(SHAPES)), np.nan)
        columns = self._rows[known].T
        sums, low, high = _folding(columns)
        means = [sums[i + 1] / sums[i] for i in range(0, len(sums), 3)]
        age = np.maximum(0.0, np.asarray(now, np.float64)[known] - columns[_TIME]) / HOUR_S
        spread = np.sqrt(np.maximum(0.0, sums[-1] / sums[-3] - means[-1] * means[-1]))
        often = sums[-3] * _kept(age, TAUS_H[-1])
        shape = (columns[_LAST], age, *means, means[0] - means[-1], spread, low, high, often)
        found[known] = np.array(shape).T
        return found

    def pack(self, memory: int) -> list[Any]:
        """One memory as ``VitalMemory.pack`` gives it."""
        packed: list[Any] = self._rows[memory].tolist()
        packed[_COUNT] = int(packed[_COUNT])
        return packed

    def load(self, memory: int, packed: list[Any] | None) -> None:
        """Go on from a memory, of here or of a ``VitalMemory``; None: from nothing."""
        fresh = BatchedMemories(1)._rows[0]  # noqa: SLF001 - its own
        self._rows[memory] = fresh if packed is None else packed


def _folding(columns: Array) -> tuple[Array, Array, Array]:
    """The sums and extremes with the present hour in them."""
    mean = columns[_TOTAL] / columns[_COUNT]
    first = np.isnan(columns[_FOLDED])
    gap = np.where(first, 0.0, np.maximum(0.0, columns[_BIN] - columns[_FOLDED]))
    sums = columns[_SUMS:].copy()
    for n, tau in enumerate(TAUS_H):
        keep, i = _kept(gap, tau), 3 * n
        sums[i] = sums[i] * keep + 1.0
        sums[i + 1] = sums[i + 1] * keep + mean
        sums[i + 2] = sums[i + 2] * keep + mean * mean
    centre = sums[-2] / sums[-3]
    low, high = (centre + (columns[extreme] - centre) * keep for extreme in (_LOW, _HIGH))
    return sums, np.where(first, mean, np.minimum(low, mean)), np.where(first, mean, np.maximum(high, mean))


def _kept(gap: Array, tau: float) -> Array:
    """``exp(-gap / tau)``; hours lie mostly one apart."""
    if len(gap) and (gap == gap[0]).all():
        return np.full(len(gap), exp(-float(gap[0]) / tau))
    return mapped(exp, -gap / tau)
