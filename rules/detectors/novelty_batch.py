"""What is unusual of many streams at once: the same numbers as ``Novelty``, bit by bit, from numpy.

Each method here is the twin of one there. What a reading was judged to make of its stack is kept, and learned
as it is when the next one comes, unless an alarm has opened or ended between. Few readings exceed a record:
only what these are worth is worked out one by one, by ``novelty.judged``, and their terms when somebody asks.
numpy is large: the edge does not import this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np

from hearthward.core.errors import RuleError
from rules.detectors.batch import ROW, BatchedStacks, Forecast, Made
from rules.detectors.exactly import Array, numbered, parts, quotient, rounded
from rules.detectors.levels import Levels
from rules.detectors.novelty import (
    LASTING,
    READABLE,
    SECOND,
    VERSION,
    Direction,
    Evidence,
    Part,
    followed,
    judged,
    known_s,
)
from rules.detectors.parameters import DEFAULTS, STATISTICS
from rules.detectors.priors import Population
from rules.detectors.record_stack import Moment, RecordStack

__all__ = ["BatchedNovelties", "Kind"]

_AT_ONCE: Final = 4096
"""Readings whose columns lie within a core's cache."""
_TAKEN, _LAST, _FROZEN, _COUNT, _MARKS = range(5)
_SUM, _OUTPUT, _SINCE, _MEAN, _NUMBERS = range(5)
_NONE, _MADE_OF, _TOLD = range(3)
"""What is kept of a stream's terms: there are none; what they are made of; themselves."""
_NOTHING: Final = -1
"""Nothing has been forecast."""
_RECORDS: Final = len(STATISTICS) - 1
_SOURCES: Final = 7 + 2 * len(Levels._fields) + 2 * _RECORDS
"""A moment's numbers, for how long (s) the stream has been watched, whether it was frozen."""


class Kind(NamedTuple):
    """What a ``Novelty`` is made from: the asked direction, the pace (ns), the population."""

    direction: Direction
    pace: int
    population: Population | None = None


class BatchedNovelties:
    """As many of ``Novelty`` as there are streams, numbered from 0.

    ``kinds`` may be several, of which ``group`` names one for each stream. Times are UTC nanoseconds, from 0.
    """

    def __init__(
        self, streams: int, kinds: Kind | Sequence[Kind], *, group: Sequence[int] | None = None
    ) -> None:
        self.kinds: tuple[Kind, ...] = (kinds,) if isinstance(kinds, Kind) else tuple(kinds)
        self.group = np.zeros(streams, np.intp) if group is None else np.asarray(group, np.intp)
        self._paces = np.array([kind.pace for kind in self.kinds], np.int64)
        self._begun = [RecordStack(pace=kind.pace / SECOND).to_bytes() for kind in self.kinds]
        self._stacks = BatchedStacks(streams, pace=(self._paces[self.group] / SECOND).tolist())
        self._marks = np.full((streams, _MARKS), -1, np.int64)
        self._marks[:, _COUNT] = 0
        self._rows = np.full((streams, _NUMBERS), np.nan)
        self._rows[:, _SUM] = 0.0
        self._ahead = Made(np.zeros((streams, ROW)), np.zeros(streams, np.intp), np.zeros(streams))
        self._ahead_of = np.full(streams, _NOTHING, np.int8)
        self._terms = np.full(streams, _NONE, np.int8)
        self._sources = np.zeros((streams, _SOURCES))
        self._told: dict[int, Evidence] = {}
        self._following = np.zeros(streams, np.bool_)
        self._courses: dict[int, bytes] = {}

    @property
    def outputs(self) -> Array:
        """The newest output of each stream; not a number where there is none."""
        return self._rows[:, _OUTPUT]

    def output(self, stream: int) -> float | None:
        """As ``Novelty.output``."""
        found = float(self._rows[stream, _OUTPUT])
        return found if found == found else None  # noqa: PLR0124 - NaN

    def terms(self, stream: int) -> Evidence | None:
        """As ``Novelty.terms``."""
        if self._terms[stream] == _TOLD:
            return self._told[stream]
        return self._judged(stream)[1] if self._terms[stream] == _MADE_OF else None

    def residual(self, stream: int) -> tuple[float, float] | None:
        """As ``Novelty.residual``."""
        usual = self._stacks.usual(stream)
        since, mean = self._rows[stream, _SINCE:].tolist()
        return None if usual is None or since != since else (since, mean - usual)  # noqa: PLR0124 - NaN

    def relearn(self, stream: int) -> None:
        """As ``Novelty.relearn``."""
        self._begin(stream)
        self._marks[stream, _LAST], self._marks[stream, _COUNT], self._rows[stream, _SUM] = -1, 0, 0.0

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
                good = part[np.abs(values[part]) <= READABLE]
                if len(good):
                    self._part(streams[good], times[good], values[good], frozen[good])
                outputs[part] = self._rows[streams[part], _OUTPUT]
        return outputs

    def shift(self, stream: int, by: int) -> None:
        """As ``Novelty.shift``."""
        marks = self._marks[stream]
        if marks[_TAKEN] >= 0:
            marks[_TAKEN] += by
            marks[_LAST] += by
        if marks[_FROZEN] >= 0:
            marks[_FROZEN] += by
        self._rows[stream, _SINCE] += by / SECOND
        self._stacks.shift(stream, by / SECOND)
        self._ahead_of[stream] = _NOTHING

    def pack(self, stream: int) -> list[Any]:
        """One stream's state, as ``Novelty.pack`` gives it."""
        taken, last, frozen, count = self._marks[stream].tolist()
        sum_, _, since, mean = self._rows[stream].tolist()
        terms = self.terms(stream)
        found = None if terms is None else [*terms[:2], [list(p) for p in terms.parts]]
        waiting = [since, mean] if since == since else None  # noqa: PLR0124 - NaN
        state = self._stacks.to_bytes(stream)
        course = [self._courses[stream]] if self._following[stream] else []
        pace, output = [sum_, count, frozen], self.output(stream)
        return [taken, last, VERSION, state, waiting, pace, output, found, *course]

    def unpack(self, stream: int, packed: list[Any]) -> bool:
        """Go on from a state, of here or of a ``Novelty``; as ``Novelty.unpack``."""
        self.relearn(stream)
        if packed[2] != VERSION:
            return False
        taken, last, _, state, waiting, (sum_, count, frozen), output, found, *course = packed
        try:
            self._stacks.load(stream, state)
        except RuleError:
            return False
        self._marks[stream] = taken, last, frozen, count
        nan = float("nan")
        since, mean = (nan, nan) if waiting is None else waiting
        self._rows[stream] = sum_, nan if output is None else output, since, mean
        if found is not None:
            self._terms[stream] = _TOLD
            self._told[stream] = Evidence(found[0], found[1], tuple(Part(*p) for p in found[2]))
        self._keep_course(stream, course[0] if course else b"")
        return True

    def _begin(self, stream: int) -> None:
        """Forget all but the readings of the pace that is not over."""
        self._stacks.load(stream, self._begun[self.group[stream]])
        self._marks[stream, _TAKEN] = self._marks[stream, _FROZEN] = -1
        self._rows[stream, _OUTPUT:] = np.nan
        self._ahead_of[stream], self._terms[stream] = _NOTHING, _NONE
        self._told.pop(stream, None)
        self._keep_course(stream, b"")

    def _keep_course(self, stream: int, course: bytes) -> None:
        self._following[stream] = bool(course)
        if course:
            self._courses[stream] = course
        else:
            self._courses.pop(stream, None)

    def _part(self, streams: Array, times: Array, values: Array, frozen: Array) -> None:
        pace = self._paces[0] if len(self.kinds) == 1 else self._paces[self.group[streams]]
        taken, last, _, count = self._marks[streams].T
        before = times - last < pace
        self._rows[streams, _SUM] = np.where(before, self._rows[streams, _SUM], 0.0) + values
        self._marks[streams, _COUNT] = np.where(before, count, 0) + 1
        self._marks[streams, _LAST] = times
        over = (taken < 0) | (times - taken >= pace)
        if over.all():
            self._over(streams, times, frozen)
        elif over.any():
            self._over(streams[over], times[over], frozen[over])

    def _over(self, streams: Array, times: Array, frozen: Array) -> None:
        """The pace is over: learn what waits, judge the mean."""
        self._lasts(streams, times, frozen)
        means = rounded(self._rows[streams, _SUM] / self._marks[streams, _COUNT])
        self._rows[streams, _SUM] = 0.0
        self._marks[streams, _COUNT] = 0
        self._marks[streams, _TAKEN] = times
        first = np.isnan(self._rows[streams, _SINCE])
        if first.any():
            for stream, mean in zip(streams[first].tolist(), means[first].tolist(), strict=True):
                self._suppose(stream, mean)
            self._learn(streams[~first], frozen[~first])
        else:
            self._learn(streams, frozen)
        seconds = quotient(times, SECOND)
        self._rows[streams, _SINCE], self._rows[streams, _MEAN] = seconds, means
        found = self._stacks.forecast(streams, seconds, means)
        self._ahead.rows[streams] = found.made.rows
        self._ahead.hours[streams], self._ahead.levels[streams] = found.made.hours, found.made.levels
        self._ahead_of[streams] = self._stacks.frozen[streams]
        self._judge(streams, found, frozen)
        followed_now = frozen | self._following[streams]
        if followed_now.any():
            self._follow(streams[followed_now], frozen[followed_now])

    def _follow(self, streams: Array, frozen: Array) -> None:
        for stream, held in zip(streams.tolist(), frozen.tolist(), strict=True):
            output = self.output(stream) if held else None
            course = followed(self._courses.get(stream, b""), output, self.residual(stream))
            self._keep_course(stream, course)

    def _lasts(self, streams: Array, times: Array, frozen: Array) -> None:
        since = self._marks[streams, _FROZEN]
        again = frozen & (since >= 0)
        self._marks[streams, _FROZEN] = np.where(frozen, np.where(again, since, times), -1)
        for stream in streams[again & (times - since >= LASTING)].tolist():
            self._begin(stream)

    def _suppose(self, stream: int, mean: float) -> None:
        kind = self.kinds[self.group[stream]]
        if kind.population is not None:
            prior = kind.population.prior(mean)
            self._stacks.load(stream, RecordStack(pace=kind.pace / SECOND, prior=prior).to_bytes())

    def _learn(self, streams: Array, frozen: Array) -> None:
        same = self._ahead_of[streams] == frozen
        known = streams if same.all() else streams[same]
        rows, hours, levels, _ = self._ahead
        self._stacks.learn(known, Made(rows[known], hours[known], levels[known]))
        if len(known) < len(streams):
            other = streams[~same]
            self._stacks.frozen[other] = frozen[~same]
            self._stacks.update(other, *self._rows[other, _SINCE:].T)

    def _judge(self, streams: Array, found: Forecast, frozen: Array) -> None:
        moment = found.moment
        heard = moment.heard & ~found.first
        self._rows[streams, _OUTPUT] = np.where(heard, 0.0, np.nan)
        self._terms[streams] = _NONE
        some = np.flatnonzero(heard & (moment.total != 0.0))
        if not len(some):
            return
        sources = (
            moment.value,
            *moment.before,
            *moment.after,
            moment.hour_level,
            moment.beyond,
            *moment.statistics,
            *moment.records,
            moment.total,
            moment.share,
            self._stacks.watched(streams),
            frozen,
        )
        chosen, frozen, total = streams[some], frozen[some], moment.total[some]
        self._sources[chosen] = np.stack([each[some] for each in sources], axis=1)
        self._terms[chosen] = _MADE_OF
        told_before = DEFAULTS.calm * moment.before.calm[some] >= total
        for stream in chosen[frozen | ~told_before].tolist():
            self._rows[stream, _OUTPUT] = self._judged(stream)[0]

    def _judged(self, stream: int) -> tuple[float | None, Evidence | None]:
        kind = self.kinds[self.group[stream]]
        numbers = iter(self._sources[stream].tolist())
        value = next(numbers)
        before, after = (Levels(*islice(numbers, len(Levels._fields))) for _ in range(2))
        hour_level, beyond = islice(numbers, 2)
        statistics, records = (tuple(islice(numbers, _RECORDS)) for _ in range(2))
        total, share, watched, frozen = numbers
        moment = Moment(
            value, before, after, hour_level, beyond, statistics, records, total, share, heard=True
        )
        return judged(
            moment,
            kind.direction,
            lambda: known_s(watched, kind.pace, kind.population),
            frozen=bool(frozen),
        )
