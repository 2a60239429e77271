"""Many instruments on their way at once: features of ``wear`` and cycles left, bit by bit, from numpy.

Each method is the twin of one of ``Wear`` or ``Learned``, with the same operations in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cloud_ingest.device_health.life_model import Forest
from cloud_ingest.device_health.remaining_life import Learned, Left
from cloud_ingest.device_health.wear import (
    BEGINNING,
    FEWEST,
    INDEX_TAUS,
    LEVELS,
    SLOPES,
    SMALL,
    TAUS,
    Conditions,
)
from rules.detectors.exactly import Array, numbered, rounds
from rules.models.trees_batch import BatchedTrees

__all__ = ["BatchedLives", "BatchedWear"]


class _Means:
    """Means that forget, of ``width`` quantities of each unit, one for each of ``taus``."""

    def __init__(self, units: int, taus: Sequence[float], width: int) -> None:
        self._keep = np.array([math.exp(-1 / tau) for tau in taus])
        self._weight = np.zeros((units, len(taus)))
        self._sums = np.zeros((units, len(taus), width))

    def push(self, units: Array, rows: Array) -> Array:
        """By unit, time constant, quantity."""
        keep = self._keep
        weight = self._weight[units] * keep + 1 - keep
        sums = self._sums[units] * keep[:, None] + (1 - keep)[:, None] * rows[:, None, :]
        self._weight[units], self._sums[units] = weight, sums
        return sums / weight[:, :, None]


class BatchedWear:
    """As many units as asked for, numbered from 0, each at its own cycle."""

    def __init__(self, conditions: Conditions, weights: Sequence[float], units: int) -> None:
        width = len(conditions.sensors)
        self._sensors, self._weights = np.array(conditions.sensors, np.intp), tuple(weights)
        usual = np.array(conditions.usual)[:, self._sensors]
        self._mean, self._spread = usual[:, :, 0], usual[:, :, 1]
        self._centres, self._scales = np.array(conditions.centres), conditions.scales
        self.cycles = np.zeros(units)
        self._means, self._index = _Means(units, TAUS, width), _Means(units, INDEX_TAUS, 1)
        self._began = np.zeros((units, width + 1))  # the index last
        self._last = np.zeros((units, max(SLOPES)))
        self._lows = np.zeros((units, len(LEVELS)))
        self._deficit = np.zeros(units)

    def push(self, units: Array, settings: Array, sensors: Array) -> Array:
        """The features of each unit after its next cycle; one that comes several times goes on as often.

        ``settings`` and ``sensors`` have a row for each. Raises ValueError for a unit that there is not.
        """
        units = numbered(units, len(self.cycles))
        if not len(units):
            return np.zeros((0, 0))
        settings, sensors = np.asarray(settings, np.float64), np.asarray(sensors, np.float64)
        parts = rounds(units)
        found = [self._push(units[part], settings[part], sensors[part]) for part in parts]
        return np.concatenate(found)[np.argsort(np.concatenate(parts))]

    def _push(self, units: Array, settings: Array, sensors: Array) -> Array:
        rows = self._relative(settings, sensors)
        self.cycles[units] += 1.0
        cycles = self.cycles[units]
        index = self._weights[0] * rows[:, 0]
        for n in range(1, rows.shape[1]):
            index = index + self._weights[n] * rows[:, n]
        known = self._began[units]
        moving = known + (np.column_stack([rows, index]) - known) / cycles[:, None]
        began = self._began[units] = np.where(cycles[:, None] <= BEGINNING, moving, known)
        means = self._means.push(units, rows)
        short, middle, long = (means[:, n] for n in range(len(TAUS)))
        ahead = self._ahead(units, index, began[:, -1], cycles)
        return np.column_stack([short, middle, long, short - long, middle - began[:, :-1], ahead, cycles])

    def _relative(self, settings: Array, sensors: Array) -> Array:
        """``Conditions.relative``."""
        place = np.zeros(len(settings), np.intp)
        if len(self._centres) > 1:
            far = np.zeros((len(settings), len(self._centres)))
            for n, scale in enumerate(self._scales):
                if scale:
                    far = far + ((settings[:, n, None] - self._centres[:, n]) / scale) ** 2
            place = far.argmin(axis=1)
        mean, spread = self._mean[place], self._spread[place]
        varies = spread > SMALL
        return np.where(varies, (sensors[:, self._sensors] - mean) / np.where(varies, spread, 1.0), 0.0)

    def _ahead(self, units: Array, index: Array, began: Array, cycles: Array) -> Array:
        """``_Index.push``."""
        full = np.flatnonzero(cycles > self._last.shape[1])
        self._last[units[full], :-1] = self._last[units[full], 1:]
        at = np.minimum(cycles, self._last.shape[1]).astype(np.intp)
        self._last[units, at - 1] = index
        means = self._index.push(units, index[:, None])[:, :, 0]
        moved = means[:, 1] - began
        lows = self._lows[units]
        lows = np.where((lows > 0.0) | (moved[:, None] < np.array(LEVELS)), lows + 1.0, 0.0)
        self._lows[units] = lows
        self._deficit[units] += np.minimum(0.0, moved)
        slopes = [self._slopes(units, at, n) for n in SLOPES]
        return np.column_stack([means, means[:, :3] - began[:, None], *slopes, lows, self._deficit[units]])

    def _slopes(self, units: Array, at: Array, longest: int) -> Array:
        found = np.zeros(len(units))
        counts = np.minimum(at, longest)
        for count, end in {*zip(counts.tolist(), at.tolist(), strict=True)}:
            if count < FEWEST:
                continue
            which = np.flatnonzero((counts == count) & (at == end))
            steps = np.arange(count) - (count - 1) / 2
            terms = steps * self._last[units[which], end - count : end]
            found[which] = np.add.accumulate(terms, axis=1)[:, -1] * 12 / (count * (count * count - 1))
        return found


class BatchedLives:
    """What was learned, for many units: ``Learned.left`` after each cycle, without their histories."""

    def __init__(self, learned: Learned, units: int) -> None:
        self.learned = learned
        self.wear = BatchedWear(learned.conditions, learned.weights, units)
        self._trees = [BatchedTrees(m.trees) if isinstance(m, Forest) else None for m in learned.models]

    def push(self, units: Array, settings: Array, sensors: Array) -> list[Left]:
        """The cycles that each unit has left after its next one; as ``BatchedWear.push`` takes them."""
        rows = self.wear.push(units, settings, sensors)
        if not len(rows):
            return []
        answers = [
            model.predict(rows.tolist()) if trees is None else trees.score(rows).tolist()
            for model, trees in zip(self.learned.models, self._trees, strict=True)
        ]
        return self.learned.among(answers)
