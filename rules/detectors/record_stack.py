"""The record stack: several cheap statistics of one signal, each measured against its own decaying record.

A statistic counts by how far it exceeds the highest that it has been, ``max(0, z / M - 1)`` with ``M <- max(M
* decay, z)``; what all add up to, less what has just been told, is the score. So one threshold fits all
streams, a repeat is silent, and the score is a sum of terms that can be said. Memory is in time.
"""

from __future__ import annotations

import math
from itertools import islice
from statistics import median
from typing import Final, NamedTuple, TypeAlias

from rules.detectors.levels import Levels, advance, first, supposed
from rules.detectors.parameters import DEFAULTS, Parameters, Prior
from rules.detectors.stored import pack, unpack

__all__ = [
    "DAY",
    "HOUR",
    "HOURS",
    "LARGEST",
    "LATE_IN_A_ROW",
    "PACE_FROM",
    "PRIOR_RECORDS",
    "Clock",
    "Moment",
    "RecordStack",
]

HOURS: Final = 24
LARGEST: Final = 1e100
"""What lies beyond is no reading: its square could not be computed."""
PACE_FROM: Final = 9
"""Without a given pace, the median of so many first intervals is it."""
LATE_IN_A_ROW: Final = 20
"""After so many readings in a row dated before the newest, the clock has been set back: its time counts."""
PRIOR_RECORDS: Final = (3.0, 2.0, 2.0, 3.0, 4.0, 3.0, 2.0)
"""Records by a prior, in spreads (that of ``spread`` in doublings of the variance)."""
DAY: Final = 86_400.0
HOUR: Final = 3_600.0


class Clock(NamedTuple):
    """The newest reading's time (s), the pace (s; 0: not known), the age (paces), late readings in a row."""

    newest: float
    pace: float
    age: float
    late: float


class Moment(NamedTuple):
    """What the last score was made of, so that it can be explained."""

    value: float
    before: Levels
    after: Levels
    hour_level: float
    beyond: float
    statistics: tuple[float, ...]
    records: tuple[float, ...]
    total: float
    share: float
    heard: bool


class RecordStack:
    """Scores the readings of one stream, each before the next is known.

    ``pace`` is the usual time between readings in seconds (None: learned from the first ones); ``prior`` what
    is known before the first reading; ``day_starts`` when the stream's local day begins, in seconds after
    00:00 UTC. While ``frozen`` (an alarm is open) nothing abnormal becomes usual: short memories follow, long
    ones rest. ``readings`` and ``rejected`` count what was used and what was none (not a number, or beyond
    ``LARGEST``).

    >>> stack = RecordStack(pace=60.0)
    >>> for n in range(300):
    ...     stack.learn_one({"time": 60.0 * n, "value": 80.0 + n % 7})
    >>> stack.score_one({"time": 18_000.0, "value": 84.0})
    0.0
    >>> stack.score_one({"time": 18_000.0, "value": 120.0}) > 0.9
    True
    """

    __slots__ = (
        "_ahead",
        "_clock",
        "_gap",
        "_hours",
        "_intervals",
        "_known",
        "_levels",
        "_moment",
        "_records",
        "day_starts",
        "frozen",
        "parameters",
        "readings",
        "rejected",
    )

    def __init__(
        self,
        *,
        pace: float | None = None,
        prior: Prior | None = None,
        parameters: Parameters = DEFAULTS,
        day_starts: float = 0.0,
    ) -> None:
        if pace is not None and not 0.0 < pace <= LARGEST:
            msg = f"the pace is {pace} s; it must be a positive number"
            raise ValueError(msg)
        self.parameters = parameters
        self.day_starts = day_starts
        self.frozen = False
        self.readings = 0
        self.rejected = 0
        self._clock = Clock(math.nan, pace or 0.0, 0.0, 0.0)
        self._intervals: tuple[float, ...] = () if pace is None else (pace,) * PACE_FROM
        self._levels: Levels | None = None
        self._records: tuple[float, ...] = (0.0,) * len(PRIOR_RECORDS)
        self._hours = [math.nan] * HOURS
        self._moment: Moment | None = None
        self._ahead: _Ahead | None = None
        self._gap, self._known = 0.0, parameters.after(0.0)
        if prior is not None:
            scales = [prior.spread] * len(PRIOR_RECORDS)
            scales[4] = 1.0
            self._levels = supposed(prior)
            self._records = tuple(n * scale for n, scale in zip(PRIOR_RECORDS, scales, strict=True))
            self._clock = self._clock._replace(age=prior.paces)

    @property
    def pace(self) -> float:
        """The usual time between readings in seconds; 0 while it is not known."""
        return self._clock.pace

    @property
    def usual(self) -> float | None:
        """The slow mean; None before the first reading."""
        return None if self._levels is None else self._levels.slow

    @property
    def watched(self) -> float:
        """For how long the stream has been known in seconds; a silence counts no more than its cap."""
        return self._clock.age * self._clock.pace

    @property
    def moment(self) -> Moment | None:
        """What the newest reading's score was made of; None before there was one."""
        return self._moment

    def score_one(self, x: dict[str, float]) -> float:
        """The score, 0..1, of a reading (``time`` in seconds, ``value``); it is not learned."""
        found = self._tried(x["time"], x["value"])
        return 0.0 if found is None else found.score

    def peek(self, time: float, value: float) -> Moment | None:
        """What the score of a reading would be made of; it is not learned. None: it would be the first.

        If this very reading is the next one to be learned, it is not worked out again.
        """
        if self._levels is None:
            return None
        found = self._tried(time, value)
        return self._moment if found is None else found.moment

    def learn_one(self, x: dict[str, float]) -> None:
        """Learn a reading (``time`` in seconds, ``value``)."""
        self.update(x["time"], x["value"])

    def update(self, time: float, value: float) -> float:
        """Score a reading and learn it, in one pass: what ``score_one`` gives, then ``learn_one``.

        One dated before the newest is taken as of the newest's time. What is no number scores 0 and is
        counted.
        """
        ahead = self._tried(time, value)
        if ahead is None:
            self.rejected += 1
            return 0.0
        self.readings += 1
        self._clock, self._intervals = ahead.clock, ahead.intervals
        self._levels, self._records, self._moment = ahead.levels, ahead.records, ahead.moment
        self._hours[ahead.hour] = ahead.usual
        self._ahead = None
        return ahead.score

    def _tried(self, time: float, value: float) -> _Ahead | None:
        """What a reading would make of the stack, kept until it changes; None for what is no number."""
        ahead = self._ahead
        if (
            ahead is not None
            and ahead.clock_before is self._clock
            and ahead.levels_before is self._levels
            and ahead.asked == (time, value, self.frozen, self.day_starts)
        ):
            return ahead
        if not (-LARGEST <= value <= LARGEST and -LARGEST <= time <= LARGEST):
            return None
        clock, intervals = self._tick(time)
        hour = min(int((time - self.day_starts) % DAY / HOUR), HOURS - 1)
        if self._levels is None:
            begun = clock._replace(age=1.0), intervals, first(value), self._records, self._moment, hour, value
            made = _Ahead(0.0, *begun, *self._asked(time, value))
        else:
            made = self._judge(time, value, clock, intervals, hour)
        self._ahead = made
        return made

    def _asked(self, time: float, value: float) -> tuple[Clock, Levels | None, _Asked]:
        """What a forecast rests on."""
        return self._clock, self._levels, (time, value, self.frozen, self.day_starts)

    def shift(self, by: float) -> None:
        """All readings were taken so much (s) later than told."""
        self._clock = self._clock._replace(newest=self._clock.newest + by)

    def to_bytes(self) -> bytes:
        """The state, from which ``from_bytes`` goes on with the same scores; see ``stored``."""
        levels = self._levels or first(0.0)
        numbers = (
            *self._clock,
            len(self._intervals),
            *self._intervals,
            *(0.0,) * (PACE_FROM - len(self._intervals)),
            self.frozen,
            self._levels is not None,
            self.readings,
            self.rejected,
            *levels,
            *self._records,
            *self._hours,
        )
        return pack(numbers, self.parameters.digest)

    @classmethod
    def from_bytes(
        cls, data: bytes, *, parameters: Parameters = DEFAULTS, day_starts: float = 0.0
    ) -> RecordStack:
        """The stack whose state this is. Raises RuleError for what is none, or of other parameters."""
        numbers = iter(unpack(data, parameters.digest))
        stack = cls(parameters=parameters, day_starts=day_starts)
        stack._clock = Clock(*islice(numbers, 4))
        count = int(next(numbers))
        stack._intervals = tuple(islice(numbers, PACE_FROM))[:count]
        stack.frozen, begun = bool(next(numbers)), bool(next(numbers))
        stack.readings, stack.rejected = int(next(numbers)), int(next(numbers))
        levels = Levels(*islice(numbers, len(Levels._fields)))
        stack._levels = levels if begun else None
        stack._records = tuple(islice(numbers, len(PRIOR_RECORDS)))
        stack._hours = list(numbers)
        return stack

    def _tick(self, time: float) -> tuple[Clock, tuple[float, ...]]:
        """The clock and the known intervals after the time that lies before this reading."""
        newest, pace, age, late = self._clock
        intervals = self._intervals
        elapsed = time - newest
        if elapsed > 0.0:
            newest, late = time, 0.0
            if len(intervals) < PACE_FROM:
                intervals = (*intervals, elapsed)
                pace = median(intervals)
        elif elapsed < 0.0:
            late += 1.0
            elapsed = 0.0
            if late >= LATE_IN_A_ROW:
                newest, late = time, 0.0
        elif elapsed != elapsed:  # noqa: PLR0124 - the first reading: there is no newest
            newest, elapsed = time, 0.0
        gap = elapsed / pace if pace > 0.0 else 0.0
        if gap != self._gap:
            self._gap = gap
            self._known = self.parameters.after(self.parameters.quantised(gap))
        if not self.frozen:
            age += self._known.elapsed
        return Clock(newest, pace, age, late), intervals

    def _judge(
        self, time: float, value: float, clock: Clock, intervals: tuple[float, ...], hour: int
    ) -> _Ahead:
        known, set_to, learning, old = self._known, self.parameters, not self.frozen, self._levels
        assert old is not None  # noqa: S101 - the first reading is not judged
        pace, age = clock.pace, clock.age
        usual = self._hours[hour]
        off = value - usual if usual == usual else 0.0  # noqa: PLR0124 - NaN: an hour never seen
        beyond, statistics, new = advance(old, value, known, age, off, learning=learning)
        learned = usual
        if learning:
            if usual != usual:  # noqa: PLR0124 - NaN, as above
                learned = value
            else:
                spent = min(known.elapsed * pace, HOUR) / (set_to.hour_days * HOUR)
                learned = usual + spent / (1.0 + spent) * off
        total, records = self._exceed(beyond, statistics)
        heard = age >= set_to.warm_up
        total = total if heard else 0.0
        fresh = max(0.0, total - set_to.calm * old.calm)
        share = 1.0 / (1.0 + set_to.chatter * old.chatter) * (age / (age + set_to.mature))
        calm = max(old.calm * known.keep_calm, total)
        new = Levels._make((*new[:-2], calm, old.chatter * known.keep_chatter + fresh))
        moment = Moment(value, old, new, usual, beyond, statistics, self._records, total, share, heard)
        evidence = fresh * share
        score = evidence / (evidence + set_to.threshold)
        asked = self._asked(time, value)
        return _Ahead(score, clock, intervals, new, records, moment, hour, learned, *asked)

    def _exceed(self, beyond: float, statistics: tuple[float, ...]) -> tuple[float, tuple[float, ...]]:
        """The weighted sum of what exceeds its record; the records afterwards."""
        cap, keep = self.parameters.cap, self._known.keep_record
        weights = self.parameters.weights
        total = weights[0] * min(cap, beyond)
        records = []
        for weight, z, record in zip(weights[1:], statistics, self._records, strict=True):
            if z > record:
                total += weight * (min(cap, z / record - 1.0) if record > 0.0 else cap)
                records.append(z)
            else:
                left = record * keep
                records.append(left if left > z else z)  # noqa: FURB136 - a call costs more
        return total, self._records if self.frozen else tuple(records)


_Asked: TypeAlias = tuple[float, float, bool, float]


class _Ahead(NamedTuple):
    """The stack after a reading that is not learned yet, its score, and what that rests on.

    ``usual`` is the level of the ``hour``; ``asked`` are time, value, whether frozen, the day's start.
    """

    score: float
    clock: Clock
    intervals: tuple[float, ...]
    levels: Levels
    records: tuple[float, ...]
    moment: Moment | None
    hour: int
    usual: float
    clock_before: Clock
    levels_before: Levels | None
    asked: _Asked
