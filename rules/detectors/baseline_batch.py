"""Personal baselines of many streams at once: the same numbers as ``Baseline``, bit by bit, from numpy.

Each method here is the twin of one there, with the same operations in the same order; a difference between
them is a defect of this module. The exponentials and the hand of the clock, which irregular times make
different for each reading, are computed by ``math``. numpy is large: the edge does not import this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, cos, exp, pi, sin
from typing import Any, Final, NamedTuple

import numpy as np

from rules.detectors.baseline import (
    DAY,
    FAR,
    HOURS,
    LEAST,
    MOMENTS,
    REST,
    SECOND,
    SEEN,
    SUMS,
    TOGETHER,
    VERSION,
    WEEK,
    Asked,
    Prior,
    Terms,
)
from rules.detectors.exactly import Array, mapped, numbered, parts, quotient, rounded

__all__ = ["BatchedBaselines", "Kind"]

_AT_ONCE: Final = 2048
"""Readings whose columns lie within a core's cache."""
_FIRST, _LAST, _AT, _SESSION, _BEGAN, _MARKS = range(6)
_COUNT, _SQUARE, _MISSED, _DONE, _OUTPUT, _TOTAL, _MANY, _X, _Y, _WORTH, _REST_OF_ROW = range(11)
_SUM = slice(_REST_OF_ROW, _REST_OF_ROW + SUMS)
_MOMENT = slice(_SUM.stop, _SUM.stop + MOMENTS)
_TERM = slice(_MOMENT.stop, _MOMENT.stop + len(Terms._fields))
_VALUE, _LEVEL, _HOUR, _SPREAD, _SPREADS, _TREND, _ERROR, _WERE_MISSED, _DUE = range(
    *_TERM.indices(_TERM.stop)
)


class Kind(NamedTuple):
    """What a ``Baseline`` is made from: what is asked, tau and learning time (ns), the prior."""

    asked: Asked
    tau: int
    learn: int
    prior: Prior


class _Set(NamedTuple):
    """Of each reading's kind; or numbers, where there is one for all."""

    level: Array
    spread: Array
    variance: Array
    weight: Array
    every: Array
    slope: Array
    week: Array
    trend: Array
    tau: Array
    learn: Array
    together: Array
    near: Array


class _Fit(NamedTuple):
    """What the regression says of a value."""

    level: Array
    hour: Array
    spread: Array
    spreads: Array
    trend: Array
    error: Array


class BatchedBaselines:
    """As many personal baselines as there are streams, numbered from 0.

    ``kinds`` may be several, of which ``group`` names one for each stream. Times are UTC nanoseconds, from 0.
    """

    def __init__(
        self, streams: int, kinds: Kind | Sequence[Kind], *, group: Sequence[int] | None = None
    ) -> None:
        self.kinds: tuple[Kind, ...] = (kinds,) if isinstance(kinds, Kind) else tuple(kinds)
        self.group = np.zeros(streams, np.intp) if group is None else np.asarray(group, np.intp)
        self._numbers = np.array([_numbers(kind) for kind in self.kinds]).T.copy()
        self._spans = np.array([_spans(kind) for kind in self.kinds], np.int64).T.copy()
        self._marks = np.full((streams, _MARKS), -1, np.int64)
        self._rows = np.zeros((streams, _TERM.stop))
        self._rows[:, _OUTPUT] = np.nan
        self._rows[:, _WORTH] = self._numbers[_Set._fields.index("weight")][self.group]

    @property
    def outputs(self) -> Array:
        """The newest output of each stream; not a number where there is none."""
        return self._rows[:, _OUTPUT]

    def output(self, stream: int) -> float | None:
        """As ``Baseline.output``."""
        found = float(self._rows[stream, _OUTPUT])
        return found if found == found else None  # noqa: PLR0124 - NaN

    def terms(self, stream: int) -> Terms | None:
        """As ``Baseline.terms``."""
        return None if self._marks[stream, _FIRST] < 0 else Terms(*self._rows[stream, _TERM].tolist())

    def push(self, streams: Array, times: Array, values: Array, *, frozen: Array = False) -> Array:
        """Judge and learn a batch (numbers of streams, ns, values), in order; the outputs.

        ``frozen`` is one for all or one a reading. A stream may occur several times: its readings are taken
        one after the other. Raises ValueError for a stream that there is not.
        """
        streams = numbered(streams, len(self._rows))
        times, values = np.asarray(times, np.int64), np.asarray(values, np.float64)
        frozen = np.broadcast_to(np.asarray(frozen, np.bool_), streams.shape)
        outputs = np.empty(len(streams))
        if not len(streams):
            return outputs
        with np.errstate(all="ignore"):
            for part in parts(streams, _AT_ONCE):
                good = part[np.isfinite(values[part])]
                if len(good):
                    self._part(streams[good], times[good], values[good], frozen[good])
                outputs[part] = self._rows[streams[part], _OUTPUT]
        return outputs

    def shift(self, stream: int, by: int) -> None:
        """As ``Baseline.shift``."""
        marks = self._marks[stream]
        marks[marks >= 0] += by
        self._hand_of(stream)

    def pack(self, stream: int) -> list[Any]:
        """One stream's state, as ``Baseline.pack`` gives it."""
        first, last, at, session, began = self._marks[stream].tolist()
        row = self._rows[stream].tolist()
        terms = None if first < 0 else row[_TERM]
        open_ = [began, row[_TOTAL], int(row[_MANY])]
        sums = [*row[_COUNT : _DONE + 1], *row[_SUM], *row[_MOMENT]]
        return [first, last, VERSION, at, session, open_, sums, terms, self.output(stream)]

    def unpack(self, stream: int, packed: list[Any]) -> bool:
        """Go on from a state, of here or of a ``Baseline``; of another version: begin anew, say False."""
        kind = self.kinds[self.group[stream]]
        row = self._rows[stream]
        self._marks[stream], row[:], row[_OUTPUT] = -1, 0.0, np.nan
        row[_WORTH] = kind.prior.weight
        if packed[2] != VERSION:
            return False
        first, last, _, at, session, (began, total, many), sums, terms, output = packed
        self._marks[stream] = first, last, at, session, began
        row[_COUNT : _DONE + 1], row[_SUM], row[_MOMENT] = sums[:4], sums[4 : 4 + SUMS], sums[4 + SUMS :]
        row[_TOTAL], row[_MANY] = total, many
        row[_OUTPUT] = np.nan if output is None else output
        if terms is not None:
            row[_TERM] = terms
        age = 0.0 if at < 0 else (at - first) / kind.tau
        row[_WORTH] = kind.prior.weight * max(exp(-age), REST)
        self._hand_of(stream)
        return True

    def _hand_of(self, stream: int) -> None:
        x, y = _hand(self._marks[stream, _BEGAN : _BEGAN + 1])
        self._rows[stream, _X], self._rows[stream, _Y] = x[0], y[0]

    def _set(self, streams: Array) -> _Set:
        if len(self.kinds) == 1:
            return _Set(*self._numbers[:, 0], *self._spans[:, 0])
        group = self.group[streams]
        return _Set(*self._numbers[:, group], *self._spans[:, group])

    def _part(self, streams: Array, times: Array, values: Array, frozen: Array) -> None:
        set_to = self._set(streams)
        marks = np.ascontiguousarray(self._marks[streams].T)
        columns = np.ascontiguousarray(self._rows[streams].T)
        marks[_FIRST] = np.where(marks[_FIRST] < 0, times, marks[_FIRST])
        _schedule(columns, marks, times, set_to)
        began = marks[_BEGAN]
        due = (began < 0) | (times - began >= set_to.together)
        if due.all():
            _measure(columns, marks, times, values, set_to)
        else:
            same = ~due
            columns[_VALUE, same] = values[same]
            off = values - columns[_LEVEL] - columns[_HOUR]
            columns[_SPREADS, same] = (off / columns[_SPREAD])[same]
            columns[_WERE_MISSED, same] = columns[_MISSED, same]
            columns[_DUE, same] = (columns[_MISSED] + columns[_DONE])[same]
            if due.any():
                columns_due, marks_due = columns[:, due], marks[:, due]
                _measure(columns_due, marks_due, times[due], values[due], _chosen(set_to, due))
                columns[:, due], marks[:, due] = columns_due, marks_due
        asked = columns[_SPREADS]
        if np.any(set_to.trend):
            asked = np.where(set_to.trend > 0.0, _certain(columns[_TREND], columns[_ERROR]), asked)
        known = times - marks[_FIRST] >= set_to.learn
        columns[_OUTPUT] = np.where(known, rounded(asked), np.nan)
        marks[_LAST] = times
        learned = ~frozen | (set_to.trend > 0.0)
        columns[_TOTAL] = np.where(learned, columns[_TOTAL] + values, columns[_TOTAL])
        columns[_MANY] += learned
        self._marks[streams], self._rows[streams] = marks.T, columns.T


def _numbers(kind: Kind) -> tuple[float, ...]:
    """The first fields of ``_Set``."""
    prior, slope = kind.prior, WEEK / kind.tau / 2
    return (
        prior.level,
        prior.spread,
        prior.spread * prior.spread,
        prior.weight,
        prior.every_s * SECOND,
        slope * slope,
        WEEK / kind.tau,
        float(kind.asked == "trend"),
    )


def _spans(kind: Kind) -> tuple[int, ...]:
    """The last fields of ``_Set``: ns, whole numbers."""
    return kind.tau, kind.learn, kind.tau // TOGETHER, ceil(kind.prior.every_s * SECOND / 2)


def _chosen(set_to: _Set, which: Array) -> _Set:
    return set_to if np.ndim(set_to.level) == 0 else _Set(*(each[which] for each in set_to))


def _hand(times: Array) -> tuple[Array, Array]:
    angle = 2 * pi * (times % DAY) / DAY
    return mapped(cos, angle), mapped(sin, angle)


def _certain(trend: Array, error: Array) -> Array:
    sure = np.abs(trend) - error
    sure = np.where(sure > 0.0, sure, 0.0)
    return np.where(trend > 0.0, sure, -sure)


def _schedule(columns: Array, marks: Array, times: Array, set_to: _Set) -> None:
    agreed = set_to.every > 0.0
    if not np.any(agreed):
        return
    again = marks[_SESSION] >= 0
    gap = times - marks[_SESSION]
    counted = agreed & ~(again & (gap < set_to.near))
    later = np.flatnonzero(counted & again)
    if len(later):
        few, gap = _chosen(set_to, later), gap[later]
        keep = mapped(exp, quotient(-gap, few.tau))
        passed = np.maximum(0.0, np.rint(gap / few.every) - 1.0)
        columns[_MISSED, later] = columns[_MISSED, later] * keep + passed
        columns[_DONE, later] *= keep
    columns[_DONE] += counted
    marks[_SESSION] = np.where(counted, times, marks[_SESSION])


def _measure(columns: Array, marks: Array, times: Array, values: Array, set_to: _Set) -> None:
    """Learn from the measurements that are over, and begin one each with these values."""
    learned = columns[_MANY] > 0.0
    if learned.all():
        _fold(columns, marks, set_to)
    elif learned.any():
        columns_over, marks_over = columns[:, learned], marks[:, learned]
        _fold(columns_over, marks_over, _chosen(set_to, learned))
        columns[:, learned], marks[:, learned] = columns_over, marks_over
    marks[_BEGAN] = times
    columns[_X], columns[_Y] = _hand(times)
    fit = _judge(columns, values, set_to)
    missed = columns[_MISSED]
    columns[_TERM] = values, *fit, missed, missed + columns[_DONE]


def _fold(columns: Array, marks: Array, set_to: _Set) -> None:
    values = columns[_TOTAL] / columns[_MANY]
    _take(columns, marks, values, _judge(columns, values, set_to).spreads, set_to)
    columns[_TOTAL : _MANY + 1] = 0.0


def _usual(columns: Array, set_to: _Set) -> Array:
    known = columns[_WORTH]
    found = np.sqrt((known * set_to.variance + columns[_SQUARE]) / (known + columns[_COUNT]))
    return np.maximum(found, LEAST * set_to.spread)


def _judge(columns: Array, values: Array, set_to: _Set) -> _Fit:
    a00, a10, a11, a20, a21, a22, a30, a31, a32, a33 = _with_prior(columns, set_to)
    b0, b1, b2, b3 = columns[_SUM]
    x, y = columns[_X], columns[_Y]
    l10, l20, l30 = a10 / a00, a20 / a00, a30 / a00
    d1 = a11 - l10 * a10
    e2, e3 = a21 - l20 * a10, a31 - l30 * a10
    l21, l31 = e2 / d1, e3 / d1
    d2 = a22 - l20 * a20 - l21 * e2
    f3 = a32 - l30 * a20 - l31 * e2
    l32 = f3 / d2
    d3 = a33 - l30 * a30 - l31 * e3 - l32 * f3
    b1 = b1 - l10 * b0
    b2 = b2 - (l20 * b0 + l21 * b1)
    b3 = b3 - (l30 * b0 + l31 * b1 + l32 * b2)
    sine = b3 / d3
    cosine = b2 / d2 - l32 * sine
    slope = b1 / d1 - l21 * cosine - l31 * sine
    level = set_to.level + (b0 / a00 - l10 * slope - l20 * cosine - l30 * sine)
    hour = cosine * x + sine * y
    z2 = x - l20 + l21 * l10
    z3 = y - l30 + l31 * l10 - l32 * z2
    unsure = 1.0 / a00 + l10 * l10 / d1 + z2 * z2 / d2 + z3 * z3 / d3
    v3 = l32 * l21 - l31
    own = 1.0 / d1 + l21 * l21 / d2 + v3 * v3 / d3
    spread = _usual(columns, set_to)
    scale = spread * np.sqrt(1.0 + unsure)
    return _Fit(
        level,
        hour,
        scale,
        (values - level - hour) / scale,
        slope * set_to.week,
        spread * np.sqrt(own) * set_to.week,
    )


def _with_prior(columns: Array, set_to: _Set) -> tuple[Array, ...]:
    a00, a10, a11, a20, a21, a22, a30, a31, a32, a33 = columns[_MOMENT]
    some, known = a00 > 0.0, columns[_WORTH]
    m1, m2, m3 = (np.where(some, a / a00, 0.0) for a in (a10, a20, a30))
    return (
        a00 + known,
        a10 + known * m1,
        a11 + known * m1 * m1 + set_to.slope,
        a20 + known * m2,
        a21 + known * m1 * m2,
        a22 + known * m2 * m2 + HOURS,
        a30 + known * m3,
        a31 + known * m1 * m3,
        a32 + known * m2 * m3,
        a33 + known * m3 * m3 + HOURS,
    )


def _take(columns: Array, marks: Array, values: Array, spreads: Array, set_to: _Set) -> None:
    _age(columns, marks, set_to)
    spread, far = _usual(columns, set_to), np.abs(spreads)
    w = np.where(far <= FAR, 1.0, FAR / far)
    x, y = columns[_X], columns[_Y]
    a00, _, _, a20, _, a22, a30, _, a32, a33 = columns[_MOMENT]
    b0, _, b2, b3 = columns[_SUM]
    off = w * (values - set_to.level)
    b0 += off
    b2 += off * x
    b3 += off * y
    a00 += w
    a20 += w * x
    a22 += w * x * x
    a30 += w * y
    a32 += w * x * y
    a33 += w * y * y
    columns[_COUNT] += 1.0
    off = np.minimum(far, FAR) * spread
    columns[_SQUARE] += off * off / SEEN


def _age(columns: Array, marks: Array, set_to: _Set) -> None:
    at, time = marks[_AT], marks[_BEGAN]
    passed = np.where(at < 0, 0.0, quotient(time - at, set_to.tau))
    marks[_AT] = time
    age = quotient(time - marks[_FIRST], set_to.tau)
    columns[_WORTH] = set_to.weight * np.maximum(mapped(exp, -age), REST)
    a00, a10, a11, a20, a21, _, a30, a31, _, _ = columns[_MOMENT]
    b0, b1, _, _ = columns[_SUM]
    a11 += passed * (passed * a00 - 2.0 * a10)
    a10 -= passed * a00
    a21 -= passed * a20
    a31 -= passed * a30
    b1 -= passed * b0
    keep = mapped(exp, -passed)
    columns[_MOMENT] *= keep
    columns[_SUM] *= keep
    columns[_COUNT] *= keep
    columns[_SQUARE] *= keep
