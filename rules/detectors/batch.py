"""The record stack for many streams at once: the same numbers as ``RecordStack``, bit by bit, from numpy.

Each function here is the twin of one there, with the same operations in the same order; a difference between
them is a defect of this module. Only basic arithmetic is done on arrays: it is exact everywhere, whereas
numpy's ``exp`` is not that of ``math``. numpy is large: the edge does not import this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

from rules.detectors.exactly import Array, numbered, parts
from rules.detectors.levels import FLOOR, SETTLED, Levels
from rules.detectors.parameters import DEFAULTS, SHORTEST, Coefficients, Parameters
from rules.detectors.record_stack import (
    DAY,
    HOUR,
    HOURS,
    LARGEST,
    LATE_IN_A_ROW,
    PACE_FROM,
    PRIOR_RECORDS,
    Moment,
)
from rules.detectors.stored import pack, unpack

__all__ = ["ROW", "BatchedStacks", "Forecast", "Made"]

_AT_ONCE: Final = 4096
"""Readings whose columns lie within a core's cache."""
_NEWEST, _PACE, _AGE, _LATE, _COUNT, _FROZEN, _BEGUN, _READINGS, _REJECTED, _LEVELS = range(10)
_RECORDS = _LEVELS + len(Levels._fields)
ROW: Final = _RECORDS + len(PRIOR_RECORDS)
"""Numbers of a stream, but for intervals and levels of hours."""
_STORED_INTERVALS = slice(_COUNT + 1, _COUNT + 1 + PACE_FROM)
_SETTINGS: Final = ("hour_days", "calm", "chatter", "mature", "threshold", "warm_up", "gap", "cap")


class Made(NamedTuple):
    """What readings make of their streams: rows of numbers, levels of hours, intervals with their places."""

    rows: Array
    hours: Array
    levels: Array
    intervals: Sequence[tuple[int, int, float]] = ()


class Forecast(NamedTuple):
    """The scores of one reading of each of several streams, and what ``BatchedStacks.learn`` learns of them.

    ``moment`` is as ``RecordStack`` has one, with arrays for numbers; of a ``first`` reading there is none.
    """

    scores: Array
    moment: Any
    first: Array
    made: Made


class BatchedStacks:
    """As many record stacks as there are streams, numbered from 0.

    ``pace`` is one for all or one a stream, in seconds; 0 or None: learned. ``parameters`` may be several, of
    which ``group`` names one for each stream. ``frozen[stream]`` is as for ``RecordStack``.
    """

    def __init__(
        self,
        streams: int,
        *,
        pace: float | Sequence[float] | None = None,
        parameters: Parameters | Sequence[Parameters] = DEFAULTS,
        group: Sequence[int] | None = None,
        day_starts: float = 0.0,
    ) -> None:
        self.parameters = (parameters,) if isinstance(parameters, Parameters) else tuple(parameters)
        self.day_starts = day_starts
        self.group = np.zeros(streams, np.intp) if group is None else np.asarray(group, np.intp)
        self._rows = np.zeros((streams, ROW))
        self._intervals = np.zeros((streams, PACE_FROM))
        self._hours = np.full((streams, HOURS), np.nan)
        self._rows[:, _NEWEST] = np.nan
        self._rows[:, _PACE] = 0.0 if pace is None else pace
        known = self._rows[:, _PACE] > 0.0
        self._rows[known, _COUNT] = PACE_FROM
        self._intervals[known] = self._rows[known, _PACE, None]
        self._settings = np.array([[getattr(p, s) for p in self.parameters] for s in _SETTINGS])
        self._weights = np.array([p.weights for p in self.parameters]).T.copy()
        self._after: dict[float, Array] = {}

    @property
    def frozen(self) -> Array:
        """Which streams learn nothing abnormal: 0 or 1 for each, to be set."""
        return self._rows[:, _FROZEN]

    def to_bytes(self, stream: int) -> bytes:
        """One stream's state, as ``RecordStack.to_bytes`` gives it."""
        row, intervals = self._rows[stream].tolist(), self._intervals[stream].tolist()
        numbers = [*row[: _COUNT + 1], *intervals, *row[_COUNT + 1 :], *self._hours[stream].tolist()]
        return pack(numbers, self.parameters[self.group[stream]].digest)

    def load(self, stream: int, data: bytes) -> None:
        """Go on from a state, of here or of a ``RecordStack``. Raises RuleError as ``stored.unpack``."""
        numbers = unpack(data, self.parameters[self.group[stream]].digest)
        self._intervals[stream] = numbers[_STORED_INTERVALS]
        self._hours[stream] = numbers[-HOURS:]
        self._rows[stream] = numbers[: _COUNT + 1] + numbers[_STORED_INTERVALS.stop : -HOURS]

    def shift(self, stream: int, by: float) -> None:
        """All readings of a stream were taken so much (s) later than told."""
        self._rows[stream, _NEWEST] += by

    def watched(self, streams: Array) -> Array:
        """For how long these streams have been known in seconds, as ``RecordStack.watched``."""
        return self._rows[streams, _AGE] * self._rows[streams, _PACE]

    def usual(self, stream: int) -> float | None:
        """As ``RecordStack.usual``."""
        row = self._rows[stream]
        return float(row[_LEVELS + Levels._fields.index("slow")]) if row[_BEGUN] else None

    def update(self, streams: Array, times: Array, values: Array) -> Array:
        """The scores of a batch of readings (numbers of streams, seconds, values), in order; all are learned.

        A stream may occur several times: its readings are taken one after the other. Raises ValueError for a
        stream that there is not.
        """
        streams = numbered(streams, len(self._rows))
        times, values = np.asarray(times, np.float64), np.asarray(values, np.float64)
        scores = np.zeros(len(streams))
        if not len(streams):
            return scores
        with np.errstate(all="ignore"):
            for part in parts(streams, _AT_ONCE):
                scores[part] = self._part(streams[part], times[part], values[part])
        return scores

    def _part(self, streams: Array, times: Array, values: Array) -> Array:
        good = (np.abs(values) <= LARGEST) & (np.abs(times) <= LARGEST)
        if good.all():
            found = self.forecast(streams, times, values)
            self.learn(streams, found.made)
            return found.scores
        self._rows[streams[~good], _REJECTED] += 1.0
        scores = np.zeros(len(streams))
        if good.any():
            scores[good] = self._part(streams[good], times[good], values[good])
        return scores

    def forecast(self, streams: Array, times: Array, values: Array) -> Forecast:
        """What readings up to ``LARGEST``, each of another stream, would make of their streams."""
        columns = np.ascontiguousarray(self._rows[streams].T)
        hours = np.minimum(((times - self.day_starts) % DAY / HOUR).astype(np.intp), HOURS - 1)
        columns[_READINGS] += 1.0
        group = self.group[streams]
        settings = self._of(self._settings, group)
        known, intervals = self._tick(columns, times, streams, settings[_SETTINGS.index("gap")])
        new = columns[_BEGUN] == 0.0
        began = columns[:, new] if new.any() else None
        scores, level, moment = self._judge(
            columns, values, known, self._hours[streams, hours], group, settings
        )
        if began is not None:
            began[_AGE], began[_BEGUN] = 1.0, 1.0
            began[_LEVELS : _LEVELS + 7] = values[new]
            columns[:, new], scores[new], level[new] = began, 0.0, values[new]
        return Forecast(scores, moment, new, Made(columns.T, hours, level, intervals))

    def learn(self, streams: Array, made: Made) -> None:
        """Make of these streams what was forecast of them."""
        self._rows[streams] = made.rows
        self._hours[streams, made.hours] = made.levels
        for stream, count, elapsed in made.intervals:
            self._intervals[stream, count] = elapsed

    def _tick(
        self, columns: Array, times: Array, streams: Array, gap: Array
    ) -> tuple[Coefficients, list[tuple[int, int, float]]]:
        elapsed = times - columns[_NEWEST]
        later, earlier = elapsed > 0.0, elapsed < 0.0
        intervals = []
        for n in np.flatnonzero(later & (columns[_COUNT] < PACE_FROM)).tolist():
            stream, count, newest = int(streams[n]), int(columns[_COUNT, n]), float(elapsed[n])
            intervals.append((stream, count, newest))
            columns[_COUNT, n] = count + 1
            columns[_PACE, n] = median([*self._intervals[stream, :count].tolist(), newest])
        late = np.where(later, 0.0, columns[_LATE] + earlier)
        reset = earlier & (late >= LATE_IN_A_ROW)
        columns[_LATE] = np.where(reset, 0.0, late)
        columns[_NEWEST] = np.where(later | reset | np.isnan(elapsed), times, columns[_NEWEST])
        paces = np.where(later & (columns[_PACE] > 0.0), elapsed / columns[_PACE], 0.0)
        known = self._known(_quantised(paces, gap), self.group[streams])
        columns[_AGE] = np.where(columns[_FROZEN] == 0.0, columns[_AGE] + known.elapsed, columns[_AGE])
        return known, intervals

    def _of(self, table: Array, group: Array) -> Array:
        """One row a setting: numbers where there is one group, else what each reading's group has."""
        return table[:, 0] if len(self.parameters) == 1 else table[:, group]

    def _known(self, paces: Array, group: Array) -> Coefficients:
        """The coefficients of each reading; numbers where one fits all."""
        if paces.min() == paces.max():
            return Coefficients(*self._of(self._table(float(paces[0])), group))
        kinds, which = np.unique(paces, return_inverse=True)
        tables = np.stack([self._table(kind) for kind in kinds.tolist()], axis=1)
        return Coefficients(*tables[:, which, group])

    def _table(self, elapsed: float) -> Array:
        """The coefficients of one elapsed time, one column a group."""
        if elapsed not in self._after:
            self._after[elapsed] = np.array([p.after(elapsed) for p in self.parameters]).T.copy()
        return self._after[elapsed]

    def _judge(
        self, columns: Array, values: Array, known: Coefficients, usual: Array, group: Array, settings: Array
    ) -> tuple[Array, Array, Any]:
        hour_days, calm, chatter, mature, threshold, warm_up, _, cap = settings
        old, records = Levels(*columns[_LEVELS:_RECORDS].copy()), columns[_RECORDS:].copy()
        age, unseen = columns[_AGE], np.isnan(usual)
        learning = columns[_FROZEN] == 0.0
        off = np.where(unseen, 0.0, values - usual)
        beyond, statistics, new = _advance(old, values, known, age, off, learning)
        spent = np.minimum(known.elapsed * columns[_PACE], HOUR) / (hour_days * HOUR)
        level = np.where(unseen, values, usual + spent / (1.0 + spent) * off)
        weights = self._of(self._weights, group)
        total: Array = weights[0] * np.minimum(cap, beyond)
        for n, (z, record) in enumerate(zip(statistics, records, strict=True)):
            excess = np.where(record > 0.0, np.minimum(cap, z / record - 1.0), cap)
            total += weights[n + 1] * np.where(z > record, excess, 0.0)
            columns[_RECORDS + n] = np.where(learning, np.maximum(record * known.keep_record, z), record)
        heard = age >= warm_up
        total = np.where(heard, total, 0.0)
        fresh = np.maximum(0.0, total - calm * old.calm)
        share = 1.0 / (1.0 + chatter * old.chatter) * (age / (age + mature))
        columns[_LEVELS:_RECORDS] = new = new._replace(
            calm=np.maximum(old.calm * known.keep_calm, total),
            chatter=old.chatter * known.keep_chatter + fresh,
        )
        evidence = fresh * share
        moment: Any = Moment(values, old, new, usual, beyond, statistics, tuple(records), total, share, heard)
        return evidence / (evidence + threshold), np.where(learning, level, usual), moment


def _quantised(paces: Array, gap: Array) -> Array:
    mantissa, exponent = np.frexp(paces)
    rounded = np.ldexp(np.rint(mantissa * 256.0) / 256.0, exponent)
    return np.where(paces >= gap, gap, np.where(paces < SHORTEST, 0.0, rounded))


def _log2(value: Array) -> Array:
    mantissa, exponent = np.frexp(value)
    return exponent + (mantissa + mantissa) - 2.0


def _advance(
    old: Array, value: Array, k: Coefficients, age: Array, off: Array, learning: Array
) -> tuple[Array, tuple[Array, ...], Array]:
    low, high, short, medium, long, slow, mean, variance, usual_variance, usual_log, hours, calm, chatter = (
        old
    )
    young = np.minimum(1.0, k.elapsed / age)
    width = high - low
    beyond = np.maximum(0.0, np.maximum(value - high, low - value))
    beyond = np.where(beyond > 0.0, np.where(width > 0.0, beyond / width, np.inf), 0.0)
    short = short + np.maximum(k.short, young) * (value - short)
    medium = medium + np.maximum(k.medium, young) * (value - medium)
    long = long + np.maximum(k.long, young) * (value - long)
    share = np.maximum(k.spread, young)
    step = value - mean
    mean = mean + share * step
    variance = (1.0 - share) * (variance + share * (step * step))
    hours = hours + k.hours * (off - hours)
    share = np.maximum(k.usual, young)
    usual = usual_variance + share * (variance - usual_variance)
    varies, settled = usual > 0.0, (usual_variance > 0.0) & (age > SETTLED)
    doublings = _log2(np.where(varies, variance + usual * FLOOR, 1.0))
    away = doublings - usual_log
    spread = np.where(varies & settled, np.abs(away), 0.0)
    statistics = (
        np.abs(short - slow),
        np.abs(medium - slow),
        np.abs(long - slow),
        np.abs(short - medium),
        spread,
        np.abs(off),
        np.abs(hours),
    )
    inward = width * k.range
    logarithm = np.where(varies, np.where(settled, usual_log + share * away, doublings), usual_log)
    learned: tuple[Array, ...] = (
        np.minimum(value, low + inward),
        np.maximum(value, high - inward),
        slow + np.maximum(k.slow, young) * (value - slow),
        usual,
        logarithm,
    )
    if not learning.all():
        kept = (low, high, slow, usual_variance, usual_log)
        learned = tuple(np.where(learning, a, b) for a, b in zip(learned, kept, strict=True))
    low, high, slow, usual_variance, usual_log = learned
    new = Levels(
        low, high, short, medium, long, slow, mean, variance, usual_variance, usual_log, hours, calm, chatter
    )
    return beyond, statistics, new
