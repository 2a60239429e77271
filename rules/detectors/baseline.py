"""A patient's own baseline, learned from measurements that come when they come.

Level, change over days and time of day are one regression whose past is forgotten with a time constant: every
value weighs exp(-age / tau), however many there are. A population prior is in it as pseudo-counts, so that
the first value is judged already; one far off pulls no more than one of two spreads would (Huber, Annals of
Mathematical Statistics 1964). Times are UTC nanoseconds. Pure: no clock, no chance, standard library only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import cos, exp, isfinite, pi, sin, sqrt
from typing import Any, ClassVar, Final, Literal

__all__ = ["VERSION", "Asked", "Baseline", "Prior", "Terms"]

Asked = Literal["spreads", "trend"]
"""What is judged: how many spreads the value lies from what is expected, or its change in units a week."""
VERSION: Final = 1
"""Of the packed form; another one is not read, and the baseline is learned anew."""

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_WEEK: Final = 7 * _DAY
_FAR: Final = 2.0
"""Spreads from which on a value pulls no stronger."""
_SEEN: Final = 0.92
"""The mean square of a standard normal that is cut off at ``_FAR``."""
_LEAST: Final = 0.2
"""The least spread, as a part of the prior's: equal values are no proof that a patient never varies."""
_REST: Final = 0.05
"""The part of the prior's weight that is never forgotten: after a long silence little else is known."""
_HOURS: Final = 4.0
"""The prior's precision of the daily rhythm: half a spread."""
_SIZE: Final = 4
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of the population: usual level and spread, and how many measurements that is worth.

    ``every_s`` is the time between measurements that was agreed on; 0: none was, nothing is missed.
    """

    level: float
    spread: float
    weight: float
    every_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a judgement rests on, in the signal's units: the terms add up.

    ``value`` = ``level`` + ``hour`` + what is left, which is ``spreads`` times ``spread``. ``trend`` is the
    change a week and ``error`` its standard error. ``missed`` of ``due`` measurements did not come.
    """

    value: float
    level: float
    hour: float
    spread: float
    spreads: float
    trend: float
    error: float
    missed: float
    due: float

    @property
    def expected(self) -> float:
        """The patient's own value at that time of day."""
        return self.level + self.hour

    def content(self) -> dict[str, float]:
        """As it is kept with a decision."""
        return {name: round(number, _DIGITS) for name, number in asdict(self).items()}


class Baseline:
    """A derived quantity of one signal (``rules.signals.Feature``); its state has a fixed size.

    ``output`` is None until the values span ``learn`` ns. Of a trend it is what is certain: nearer to 0 by
    one standard error. The level is that of the newest value learned from, not carried on along its trend:
    while an alarm is open a fall does not make the next lower value usual.
    """

    __slots__ = (
        "_asked",
        "_at",
        "_count",
        "_done",
        "_first",
        "_last",
        "_learn",
        "_missed",
        "_moments",
        "_prior",
        "_session",
        "_square",
        "_sums",
        "_tau",
        "output",
        "terms",
    )
    sound_only: ClassVar[bool] = False

    def __init__(self, asked: Asked, tau: int, learn: int, prior: Prior) -> None:
        self._asked, self._tau, self._learn, self._prior = asked, tau, learn, prior
        self.terms: Terms | None = None
        self.output: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._first = self._last = self._at = self._session = -1
        self._count = self._square = self._missed = self._done = 0.0
        self._moments = [[0.0] * _SIZE for _ in range(_SIZE)]
        self._sums = [0.0] * _SIZE
        self.terms, self.output = None, None

    def push(self, time: int, value: float, *, frozen: bool) -> None:
        """Judge the next value by those before it, then learn from it unless ``frozen``.

        A trend is learned on while its alarm is open: else nothing could end it.
        """
        if not isfinite(value):
            return
        if self._first < 0:
            self._first = time
        self._schedule(time)
        self.terms = terms = self._judge(time, value)
        known = time - self._first >= self._learn
        self.output = round(self._asked_of(terms), _DIGITS) if known else None
        self._last = time
        if not frozen or self._asked == "trend":
            self._take(time, value, terms)

    def _asked_of(self, terms: Terms) -> float:
        if self._asked == "spreads":
            return terms.spreads
        sure = max(0.0, abs(terms.trend) - terms.error)
        return sure if terms.trend > 0 else -sure

    @property
    def spread(self) -> float:
        """The usual distance from what is expected, in the signal's units."""
        known = self._worth()
        found = sqrt((known * self._prior.spread**2 + self._square) / (known + self._count))
        return max(found, _LEAST * self._prior.spread)

    def _worth(self) -> float:
        """How many measurements the prior is worth by now: it is forgotten as they are, but for a rest."""
        age = 0.0 if self._at < 0 else (self._at - self._first) / self._tau
        return self._prior.weight * max(exp(-age), _REST)

    def _judge(self, time: int, value: float) -> Terms:
        inverse = _inverse(self._with_prior())
        found = [sum(a * b for a, b in zip(row, self._sums, strict=True)) for row in inverse]
        now = (1.0, 0.0, *_hand(time))
        unsure = sum(a * b * inverse[i][j] for i, a in enumerate(now) for j, b in enumerate(now))
        spread = self.spread
        level = self._prior.level + found[0]
        hour = found[2] * now[2] + found[3] * now[3]
        week = _WEEK / self._tau
        scale = spread * sqrt(1.0 + max(0.0, unsure))
        return Terms(
            value=value,
            level=level,
            hour=hour,
            spread=scale,
            spreads=(value - level - hour) / scale,
            trend=found[1] * week,
            error=spread * sqrt(max(0.0, inverse[1][1])) * week,
            missed=self._missed,
            due=self._missed + self._done,
        )

    def _with_prior(self) -> list[list[float]]:
        """The moments with the prior's, which lies amid the values: it moves the level and makes no trend.

        A trend is about two spreads a week, a rhythm half a spread.
        """
        out = [list(row) for row in self._moments]
        weight = out[0][0]
        amid = [x / weight for x in out[0]] if weight > 0.0 else [1.0, 0.0, 0.0, 0.0]
        known = self._worth()
        for i, a in enumerate(amid):
            for j, b in enumerate(amid):
                out[i][j] += known * (a * b)
        for i, more in enumerate(((_WEEK / self._tau / 2) ** 2, _HOURS, _HOURS), 1):
            out[i][i] += more
        return out

    def _take(self, time: int, value: float, terms: Terms) -> None:
        self._age(time)
        spread, far = self.spread, abs(terms.spreads)
        weight = 1.0 if far <= _FAR else _FAR / far
        now = (1.0, 0.0, *_hand(time))
        for i, a in enumerate(now):
            self._sums[i] += weight * (a * (value - self._prior.level))
            for j, b in enumerate(now):
                self._moments[i][j] += weight * (a * b)
        self._count += 1.0
        self._square += (min(far, _FAR) * spread) ** 2 / _SEEN

    def _age(self, time: int) -> None:
        """All that was learned is older by now: weighs less, and lies further back in the trend's time."""
        passed = 0.0 if self._at < 0 else (time - self._at) / self._tau
        self._at = time
        keep = exp(-passed)
        m, s = self._moments, self._sums
        s[1] -= passed * s[0]
        for j in range(_SIZE):
            m[1][j] -= passed * m[0][j]
        for i in range(_SIZE):
            m[i][1] -= passed * m[i][0]
        self._moments = [[keep * x for x in row] for row in m]
        self._sums = [keep * x for x in s]
        self._count, self._square = self._count * keep, self._square * keep

    def _schedule(self, time: int) -> None:
        """Count the measurements that were due; values closer than half of the agreed time are one."""
        every = self._prior.every_s * _SECOND
        if not every:
            return
        gap = time - self._session
        if self._session >= 0 and gap < every / 2:
            return
        if self._session >= 0:
            keep = exp(-gap / self._tau)
            self._missed = self._missed * keep + max(0, round(gap / every) - 1)
            self._done *= keep
        self._done += 1.0
        self._session = time

    def shift(self, by: int) -> None:
        """All values were measured so much (ns) later than told."""
        if self._first >= 0:
            self._first, self._last = self._first + by, self._last + by
        if self._at >= 0:
            self._at += by
        if self._session >= 0:
            self._session += by

    def pack(self) -> list[Any]:
        """All that ``unpack`` needs, as plain data: first and last time, version, the rest."""
        moments = [self._moments[i][j] for i in range(_SIZE) for j in range(i + 1)]
        sums = [self._count, self._square, self._missed, self._done, *self._sums, *moments]
        terms = None if self.terms is None else list(asdict(self.terms).values())
        return [self._first, self._last, VERSION, self._at, self._session, sums, terms, self.output]

    def unpack(self, packed: list[Any]) -> bool:
        """Go on from what ``pack`` gave; from another version's, begin anew and say False."""
        self._begin()
        if packed[2] != VERSION:
            return False
        self._first, self._last, _, self._at, self._session, sums, terms, self.output = packed
        self._count, self._square, self._missed, self._done = sums[:4]
        self._sums = list(sums[4 : 4 + _SIZE])
        moments = iter(sums[4 + _SIZE :])
        for i in range(_SIZE):
            for j in range(i + 1):
                self._moments[i][j] = self._moments[j][i] = next(moments)
        self.terms = None if terms is None else Terms(*terms)
        return True


def _hand(time: int) -> tuple[float, float]:
    """Where the hand of a 24-hour clock points (UTC; where midnight lies does not matter)."""
    angle = 2 * pi * (time % _DAY) / _DAY
    return cos(angle), sin(angle)


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """Of a positive definite one, by Gauss and Jordan; it needs no pivoting."""
    size = len(matrix)
    rows = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = rows[i][i]
        rows[i] = [x / pivot for x in rows[i]]
        for k in range(size):
            if k != i and rows[k][i]:
                factor = rows[k][i]
                rows[k] = [x - factor * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]
