"""The quality gate for many patients at once: the verdicts and states of ``quality.refine``, from numpy.

A stream has a number; what was measured at one time of one patient is judged together, as there. Each method
is the twin of a function of ``quality``: a difference between them is a defect of this module. Only basic
arithmetic is done on arrays, which is exact everywhere; ``exp`` is that of ``math``. numpy is large: the edge
does not import this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, exp, inf
from typing import Final, NamedTuple

import numpy as np

from hearthward.core.model import BY_HAND
from rules.detectors.exactly import Array, mapped, numbered
from rules.detectors.quality import (
    APART,
    BACK,
    DISAGREES,
    DROPOUT,
    FLAT,
    FLAT_LEAST,
    FRESH,
    IMPOSSIBLE,
    JUMP,
    MANY,
    REMEMBERED,
    RESTLESS,
    SECOND,
    SPIKES,
    STAYED,
    STAYING,
    TAU,
    UNJUDGED,
    ZERO,
    Gate,
    Stream,
    SubjectGate,
)
from rules.detectors.quality_limits import LIMITS, PRESSURES, RATES
from rules.detectors.quality_neighbours import ARREST, Neighbours, Signal

__all__ = ["BatchedGate", "Signal"]

_AT_ONCE: Final = 8192
"""Readings whose columns lie within a core's cache."""
_NEVER: Final = np.iinfo(np.int64).min
_WHOLE: Final = ("time", "bits", "told", "away", "strayed", "changed", "same", "apart")
_TIME, _BITS, _TOLD, _AWAY, _STRAYED, _CHANGED, _SAME, _APART, _COUNT, _SPIKES = range(10)
_PARTS: Final = ("value", "before", "level", "slow")
_VALUE, _BEFORE, _LEVEL, _SLOW = range(4)
_METRICS: Final = tuple(LIMITS)
_LOST: Final = 2
_RATE, _SATURATION, _PRESSURE = 1, 2, 3


class _Table(NamedTuple):
    """``quality_limits.LIMITS`` by column, one row a metric."""

    low: Array
    high: Array
    step: Array
    rate: Array
    falling: Array
    least: Array
    most: Array
    flat: Array
    zero: Array
    role: Array

    def of(self, kinds: Array) -> _Table:
        """The rows of readings."""
        return _Table(*(column[kinds] for column in self))


def _table() -> _Table:
    kinds = LIMITS.values()
    numbers = [(k.low, k.high, k.step, k.rate, k.falling, *k.critical) for k in kinds]
    flat = [ceil(k.flat * SECOND) for k in kinds]
    zero = [("", "doubt", "lost").index(k.zero) for k in kinds]
    roles = [
        _RATE if m in RATES else _PRESSURE if m in PRESSURES else _SATURATION * (m == "spo2") for m in LIMITS
    ]
    columns = (np.array(column, np.float64) for column in zip(*numbers, strict=True))
    return _Table._make([*columns, np.array(flat, np.int64), np.array(zero), np.array(roles)])


_LIMITS: Final = _table()


class BatchedGate:
    """The gates of all subjects of ``streams``, which are numbered from 0 in this order.

    Raises ValueError when a stream is named twice. When new ones appear, make another with them and ``load``
    the old one's ``gate()``.

    >>> gate = BatchedGate([Signal("p", "oximeter", "spo2"), Signal("p", "oximeter", "pulse_rate")])
    >>> gate.judge([0, 1], [0, 0], [97.0, 400.0]).tolist() == [0, IMPOSSIBLE]
    True
    """

    def __init__(self, streams: Sequence[Signal | tuple[str, str, str]]) -> None:
        self.streams = tuple(Signal(*names) for names in streams)
        self._number = {names: n for n, names in enumerate(self.streams)}
        count = len(self.streams)
        if len(self._number) != count:
            msg = f"{count - len(self._number)} of {count} streams of a gate are named more than once"
            raise ValueError(msg)
        self.subjects = tuple(dict.fromkeys(names.subject for names in self.streams))
        place = {subject: n for n, subject in enumerate(self.subjects)}
        self._subject = np.array([place[names.subject] for names in self.streams], np.intp)
        self._judged = np.array(
            [n.metric in LIMITS and not n.device.startswith(BY_HAND) for n in self.streams], bool
        )
        kind = {metric: n for n, metric in enumerate(_METRICS)}
        self._kind = np.array([*(kind.get(n.metric, 0) for n in self.streams), 0], np.intp)
        self._seen = np.zeros(len(self.subjects), bool)
        self._present = np.zeros(count + 1, bool)  # the last one stands for "there is none"
        self._ints = np.zeros((count + 1, _SPIKES + SPIKES), np.int64)
        self._floats = np.zeros((count + 1, len(_PARTS)))
        self._near = Neighbours(self.streams, self._number)

    # -- states

    def gate(self) -> Gate:
        """The same state as the scalar gate has it."""
        found = {subject: SubjectGate() for n, subject in enumerate(self.subjects) if self._seen[n]}
        for n in np.flatnonzero(self._present).tolist():
            subject, device, metric = self.streams[n]
            whole, parts = self._ints[n].tolist(), self._floats[n].tolist()
            stream = Stream()
            for name, number in zip((*_WHOLE, *_PARTS), (*whole[: len(_WHOLE)], *parts), strict=True):
                setattr(stream, name, number)
            stream.spikes = whole[_SPIKES : _SPIKES + whole[_COUNT]]
            found[subject].streams.setdefault(metric, {})[device] = stream
        return found

    def load(self, gate: Gate) -> None:
        """Go on from a scalar gate's state; what was known of its subjects before is forgotten.

        Raises ValueError when it has a stream that has no number here; nothing is changed then.
        """
        found = [
            (Signal(subject, device, metric), stream)
            for subject, known in gate.items()
            for metric, devices in known.streams.items()
            for device, stream in devices.items()
        ]
        if unknown := [names for names, _ in found if names not in self._number]:
            msg = f"{len(unknown)} of {len(found)} streams have no number here, as one of {unknown[0].metric}"
            raise ValueError(msg)
        named = np.array([subject in gate for subject in self.subjects], bool)
        self._seen |= named
        self._present[:-1] &= ~named[self._subject]
        for names, stream in found:
            n = self._number[names]
            spikes = [*stream.spikes, *[0] * (SPIKES - len(stream.spikes))]
            self._ints[n] = [*(getattr(stream, name) for name in _WHOLE), len(stream.spikes), *spikes]
            self._floats[n] = [getattr(stream, name) for name in _PARTS]
            self._present[n] = True

    # -- verdicts

    def judge(
        self,
        streams: Array,
        times: Array,
        values: Array,
        *,
        quality: Array | None = None,
        keep: int = 0,
        until: int | None = None,
    ) -> Array:
        """What is said of each reading (numbers of streams, UTC ns, canonical units), as bits of ``Quality``.

        They come in any order; NaN is no value. ``quality`` is what is known against them already; ``keep``
        and ``until`` are as for ``quality.refine``. Raises ValueError for a stream that there is not.
        """
        streams, times = numbered(streams, len(self.streams)), np.asarray(times, np.int64)
        values = np.asarray(values, np.float64)
        said = np.zeros(len(streams), np.int64)
        asked = self._judged[streams] & ~np.isnan(values)
        if quality is not None:
            asked &= (np.asarray(quality, np.int64) & UNJUDGED) == 0
        if until is not None:
            asked &= times <= until
        chosen = np.flatnonzero(asked)
        self._seen[self._subject[streams[chosen]]] = True
        inside = self._inside(streams[chosen], values[chosen])
        said[chosen[~inside]] = IMPOSSIBLE
        chosen = chosen[inside]
        for rows in self._rounds(streams[chosen], times[chosen]):
            parts = list(_parted(chosen[rows]))
            fresh = [self._take(streams[i], times[i], values[i], max(keep, REMEMBERED)) for i in parts]
            for i, taken in zip(parts, fresh, strict=True):
                self._look_beside(streams[i][taken], times[i][taken], values[i][taken])
            for i in parts:
                newest, number = self._ints[streams[i]], self._floats[streams[i], _VALUE]
                same = (newest[:, _TIME] == times[i]) & (number == values[i])
                said[i] = np.where(same, newest[:, _BITS], 0)
        return said

    def _inside(self, streams: Array, values: Array) -> Array:
        kinds = self._kind[streams]
        return (_LIMITS.low[kinds] <= values) & (values <= _LIMITS.high[kinds])

    def _rounds(self, streams: Array, times: Array) -> list[Array]:
        """Places in the batch: in a round each subject has readings of one time, the oldest in the first."""
        if not len(streams):
            return []
        subjects = self._subject[streams]
        any_of = np.empty(len(self.subjects), np.int64)
        any_of[subjects] = times
        if (any_of[subjects] == times).all():
            return [np.arange(len(streams))]
        order = np.lexsort((times, subjects))
        other = np.r_[True, subjects[order][1:] != subjects[order][:-1]]
        later = other | np.r_[True, times[order][1:] != times[order][:-1]]
        nth = np.cumsum(later)
        begins = np.flatnonzero(other)
        nth -= np.repeat(nth[begins], np.diff(np.r_[begins, len(order)]))
        by_round = np.argsort(nth, kind="stable")
        return np.split(order[by_round], np.cumsum(np.bincount(nth))[:-1])

    def _take(self, streams: Array, times: Array, values: Array, keep: int) -> Array:
        """Take the values that are news; their places. Of two of one stream and time the first counts."""
        self._make_room(streams, times - keep)
        fresh = np.flatnonzero(times > self._ints[streams, _TIME])
        if (np.diff(streams[fresh]) <= 0).any():
            fresh = fresh[np.sort(np.unique(streams[fresh], return_index=True)[1])]
        if len(fresh):
            self._advance(streams[fresh], times[fresh], values[fresh])
        return fresh

    def _make_room(self, streams: Array, since: Array) -> None:
        """Begin the streams that are new or were silent; of their metric, those that still are go."""
        known = self._ints[streams, _TIME]
        new = np.flatnonzero(~self._present[streams] | ((known >= 0) & (known < since)))
        if not len(new):
            return
        siblings = self._near.cohorts[self._near.own[streams[new]]]
        known = self._ints[siblings, _TIME]
        self._present[siblings[(known >= 0) & (known < since[new, None])]] = False
        begun = streams[new]
        self._floats[begun] = 0.0
        self._ints[begun] = 0
        self._ints[begun[:, None], [_TIME, _TOLD, _AWAY, _CHANGED, _APART]] = -1
        self._present[begun] = True

    def _advance(self, streams: Array, times: Array, values: Array) -> None:
        """``Stream.take``."""
        limits = _LIMITS.of(self._kind[streams])
        ints = np.ascontiguousarray(self._ints[streams].T)
        floats = np.ascontiguousarray(self._floats[streams].T)
        judged = (values != 0.0) | (limits.zero != _LOST)
        found = self._move(ints, floats, times, values, limits, judged)
        other = judged & ((values != floats[_VALUE]) | (ints[_TIME] < 0))
        ints[_CHANGED] = np.where(other, times, ints[_CHANGED])
        ints[_SAME] = np.where(other, 0, ints[_SAME] + judged)
        long = (limits.flat > 0) & (ints[_SAME] >= FLAT_LEAST) & (times - ints[_CHANGED] >= limits.flat)
        found |= np.where(judged & ~other & long, FLAT, 0)
        ints[_TIME], ints[_BITS], floats[_VALUE] = times, found, values
        floats[_BEFORE] = np.where(values != 0.0, values, floats[_BEFORE])
        self._ints[streams], self._floats[streams] = ints.T, floats.T

    def _move(
        self, ints: Array, floats: Array, times: Array, values: Array, limits: _Table, judged: Array
    ) -> Array:
        """``Stream._moved`` and ``_believe``."""
        told, away, level, slow = ints[_TOLD], ints[_AWAY], floats[_LEVEL], floats[_SLOW]
        passed, distance = times - told, np.abs(values - level)
        near, young = distance <= limits.step, told < 0
        far = passed > REMEMBERED
        plain = young | near | far | (distance <= limits.step + limits.rate * passed / SECOND)
        back = np.flatnonzero(judged & plain & near & (away >= 0) & (times - away <= BACK))
        if len(back):
            _remember(ints, back, times[back])
        stray = judged & ~plain
        away = np.where(stray & (away < 0), times, away)
        strayed = np.where(stray & (ints[_AWAY] < 0), 0, ints[_STRAYED]) + stray
        settled = stray & (strayed > STAYING) & (times - away >= STAYED)
        believed = (judged & plain) | settled
        often = (ints[_COUNT] == SPIKES) & (times - ints[_SPIKES] <= RESTLESS)
        follows = np.flatnonzero(believed & ~young & ~settled & (limits.falling < inf))
        gain = _gains(told[follows] - times[follows])
        moved = np.where(believed & (young | settled), values, slow)
        moved[follows] = slow[follows] + gain * (values[follows] - slow[follows])
        floats[_SLOW], floats[_LEVEL] = moved, np.where(believed, values, level)
        ints[_TOLD] = np.where(believed, times, told)
        ints[_AWAY], ints[_STRAYED] = np.where(believed, -1, away), strayed
        return np.where(stray & ~settled, np.where(often, MANY, JUMP), 0)

    # -- what other signals say

    def _look_beside(self, streams: Array, times: Array, values: Array) -> None:
        """``SubjectGate._beside``: of values that were taken."""
        kinds = self._kind[streams]
        bits = np.zeros(len(streams), np.int64)
        zero = np.where(values == 0.0, _LIMITS.zero[kinds], 0)
        if zero.any():
            lost = np.flatnonzero(zero == _LOST)
            bits[zero > 0] = ZERO
            bits[lost] = self._zeros(streams[lost], times[lost])
        roles = _LIMITS.role[kinds]
        for role, look in ((_RATE, self._rates), (_SATURATION, self._saturations), (_PRESSURE, self._orders)):
            which = np.flatnonzero(roles == role)
            if len(which):
                doubted = look(streams[which], times[which], values[which])
                bits[which[doubted]] |= DISAGREES
        self._ints[streams, _BITS] |= bits

    def _newest(self, cohorts: Array, times: Array) -> Array:
        """Of each cohort the stream that told last, if that is not too long ago."""
        members = self._near.cohorts[cohorts]
        known = self._ints[members, _TIME]
        usable = self._present[members] & (known >= times[:, None] - FRESH) & (known <= times[:, None])
        known = np.where(usable, known, _NEVER)
        places = np.arange(len(members)), known.argmax(axis=1)
        return np.where(usable[places], members[places], len(self.streams))

    def _rates(self, streams: Array, times: Array, values: Array) -> Array:
        other = self._newest(self._near.partner[streams], times)
        beside = self._floats[other, _VALUE]
        distance = np.maximum(20.0, 0.25 * np.maximum(values, beside))
        apart = (values > 0.0) & (beside > 0.0) & (np.abs(values - beside) > distance)
        apart &= self._present[other]
        since = self._ints[streams, _APART]
        since = np.where(apart, np.where((since < 0) | (since > times), times, since), -1)
        self._ints[streams, _APART] = since
        return apart & (times - since >= APART)

    def _saturations(self, streams: Array, times: Array, values: Array) -> Array:
        pulse = self._near.beside[streams]
        lost = (
            self._present[pulse] & (self._ints[pulse, _TIME] == times) & (self._floats[pulse, _VALUE] == 0.0)
        )
        return (values > 0.0) & lost

    def _orders(self, streams: Array, times: Array, _: Array) -> Array:
        """Whether pressures of one device and time are upside down."""
        three = self._near.pressures[streams]
        known = self._present[three] & (self._ints[three, _TIME] == times[:, None])
        value = self._floats[three, _VALUE]
        high, middle, low = (np.where(known[:, n], value[:, n], np.nan) for n in range(3))
        return (high < middle) | (middle < low) | (high < low)

    def _zeros(self, streams: Array, times: Array) -> Array:
        """``SubjectGate._zero``: an oximeter's zeros."""
        beside = self._near.beside[streams]
        there = self._present[beside]
        fresh = there & (self._floats[beside, _VALUE] == 0.0) & (self._ints[beside, _TIME] >= times - FRESH)
        doubted = (self._kind[streams] == _METRICS.index("pulse_rate")) & ~fresh
        doubted |= self._failing(streams) | (there & self._failing(beside))
        for n, metric in enumerate(ARREST):
            found = self._newest(self._near.hearts[streams, n], times)
            before, (least, most) = self._floats[found, _BEFORE], LIMITS[metric].critical
            doubted |= self._present[found] & (before != 0.0) & ~((least < before) & (before < most))
        return np.where(doubted, ZERO, DROPOUT)

    def _failing(self, streams: Array) -> Array:
        """``Stream.failing``."""
        limits = _LIMITS.of(self._kind[streams])
        level, slow = self._floats[streams, _LEVEL], self._floats[streams, _SLOW]
        critical = ~((limits.least < level) & (level < limits.most)) | (slow - level > limits.falling)
        return (self._ints[streams, _TOLD] >= 0) & critical


def _parted(rows: Array) -> Iterator[Array]:
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]


def _remember(ints: Array, rows: Array, times: Array) -> None:
    """Add the times at which streams came back to their spikes; the oldest of too many goes."""
    full = ints[_COUNT, rows] == SPIKES
    for n in range(SPIKES - 1):
        ints[_SPIKES + n, rows[full]] = ints[_SPIKES + n + 1, rows[full]]
    at = np.where(full, SPIKES - 1, ints[_COUNT, rows])
    ints[_SPIKES + at, rows] = times
    ints[_COUNT, rows] = at + 1


def _gains(elapsed: Array) -> Array:
    """``1 - exp(elapsed / TAU)``."""
    if len(elapsed) and (elapsed == elapsed[0]).all():
        return np.full(len(elapsed), 1 - exp(int(elapsed[0]) / TAU))
    return mapped(lambda gone: 1 - exp(gone / TAU), elapsed)
