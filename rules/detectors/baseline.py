"""A patient's own baseline, learned from measurements that come when they come.

Level, change over days and time of day are one regression whose past is forgotten with a time constant: every
measurement weighs exp(-age / tau), and values that come together are one. A population prior is in it as
pseudo-counts, so that the first value is judged already; one far off pulls no more than one of two spreads
would (Huber, Annals of Mathematical Statistics 1964). Times are UTC nanoseconds. Pure: no clock, no chance,
standard library only. Squares are products, which are the same on every machine; a power need not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, exp, isfinite, pi, sin, sqrt
from typing import Any, ClassVar, Final, Literal, NamedTuple

__all__ = ["VERSION", "Asked", "Baseline", "Prior", "Terms", "judged"]

Asked = Literal["spreads", "trend"]
"""What is judged: how many spreads the value lies from what is expected, or its change in units a week."""
VERSION: Final = 2
"""Of the packed form; another one is not read, and the baseline is learned anew."""

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND
WEEK: Final = 7 * DAY
FAR: Final = 2.0
"""Spreads from which on a value pulls no stronger."""
SEEN: Final = 0.92
"""The mean square of a standard normal that is cut off at ``FAR``."""
LEAST: Final = 0.2
"""The least spread, as a part of the prior's: equal values are no proof that a patient never varies."""
REST: Final = 0.05
"""The part of the prior's weight that is never forgotten: after a long silence little else is known."""
HOURS: Final = 4.0
"""The prior's precision of the daily rhythm: half a spread."""
TOGETHER: Final = 4096
"""Values within this part of tau (5 minutes of 14 days) are one measurement: a monitor's 300, a cuff's 3."""
MOMENTS: Final = 10
SUMS: Final = 4
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


class Terms(NamedTuple):
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
        return {name: round(number, _DIGITS) for name, number in self._asdict().items()}


def judged(asked: Asked, terms: Terms) -> float:
    """What is compared with a limit: how many spreads, or what is certain of the trend."""
    if asked == "spreads":
        return round(terms.spreads, _DIGITS)
    sure = max(0.0, abs(terms.trend) - terms.error)
    return round(sure if terms.trend > 0 else -sure, _DIGITS)


class Baseline:
    """A derived quantity of one signal (``rules.signals.Feature``); its state has a fixed size.

    ``output`` is None until the values span ``learn`` ns. Of a trend it is what is certain: nearer to 0 by
    one standard error. The level is that of the newest value learned from, not carried on along its trend:
    while an alarm is open a fall does not make the next lower value usual.
    """

    __slots__ = (
        "_apart",
        "_asked",
        "_at",
        "_began",
        "_count",
        "_done",
        "_first",
        "_last",
        "_learn",
        "_many",
        "_missed",
        "_moments",
        "_prior",
        "_session",
        "_square",
        "_sums",
        "_tau",
        "_together",
        "_total",
        "output",
        "terms",
    )
    sound_only: ClassVar[bool] = False

    def __init__(self, asked: Asked, tau: int, learn: int, prior: Prior) -> None:
        self._asked, self._tau, self._learn, self._prior = asked, tau, learn, prior
        self._together, self._apart = tau // TOGETHER, prior.every_s * SECOND / 2
        self.terms: Terms | None = None
        self.output: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._first = self._last = self._at = self._session = self._began = -1
        self._count = self._square = self._missed = self._done = 0.0
        self._total, self._many = 0.0, 0
        self._moments: tuple[float, ...] = (0.0,) * MOMENTS
        self._sums: tuple[float, ...] = (0.0,) * SUMS
        self.terms, self.output = None, None

    def push(self, time: int, value: float, *, frozen: bool) -> None:
        """Judge the next value by the measurements before it, then learn from it unless ``frozen``.

        A trend is learned on while its alarm is open: else nothing could end it.
        """
        if not isfinite(value):
            return
        if self._first < 0:
            self._first = time
        if self._session < 0 or time - self._session >= self._apart:
            self._schedule(time)
        terms = self.terms
        if terms is None or self._began < 0 or time - self._began >= self._together:
            self._fold()
            self._began = time
            self.terms = terms = self._judge(time, value)
        else:
            _, level, hour, spread, _, trend, error, _, _ = terms
            spreads, missed = (value - level - hour) / spread, self._missed
            due = missed + self._done
            self.terms = terms = Terms(value, level, hour, spread, spreads, trend, error, missed, due)
        known = time - self._first >= self._learn
        self.output = judged(self._asked, terms) if known else None
        self._last = time
        if not frozen or self._asked == "trend":
            self._total += value
            self._many += 1

    def _fold(self) -> None:
        """Learn from the measurement that is over: the mean of its values, as of the first of them."""
        if self._many:
            value = self._total / self._many
            self._take(self._began, value, self._judge(self._began, value))
            self._total, self._many = 0.0, 0

    @property
    def spread(self) -> float:
        """The usual distance from what is expected, in the signal's units."""
        known, usual = self._worth(), self._prior.spread
        found = sqrt((known * (usual * usual) + self._square) / (known + self._count))
        return max(found, LEAST * usual)

    def _worth(self) -> float:
        """How many measurements the prior is worth by now: it is forgotten as they are, but for a rest."""
        age = 0.0 if self._at < 0 else (self._at - self._first) / self._tau
        return self._prior.weight * max(exp(-age), REST)

    def _judge(self, time: int, value: float) -> Terms:
        """What the regression says: its normal equations solved by way of L D L'."""
        a00, a10, a11, a20, a21, a22, a30, a31, a32, a33 = self._with_prior()
        b0, b1, b2, b3 = self._sums
        x, y = _hand(time)
        l10, l20, l30 = a10 / a00, a20 / a00, a30 / a00
        d1 = a11 - l10 * a10
        e2, e3 = a21 - l20 * a10, a31 - l30 * a10
        l21, l31 = e2 / d1, e3 / d1
        d2 = a22 - l20 * a20 - l21 * e2
        f3 = a32 - l30 * a20 - l31 * e2
        l32 = f3 / d2
        d3 = a33 - l30 * a30 - l31 * e3 - l32 * f3
        b1 -= l10 * b0
        b2 -= l20 * b0 + l21 * b1
        b3 -= l30 * b0 + l31 * b1 + l32 * b2
        sine = b3 / d3
        cosine = b2 / d2 - l32 * sine
        slope = b1 / d1 - l21 * cosine - l31 * sine
        level = self._prior.level + (b0 / a00 - l10 * slope - l20 * cosine - l30 * sine)
        hour = cosine * x + sine * y
        z2 = x - l20 + l21 * l10
        z3 = y - l30 + l31 * l10 - l32 * z2
        unsure = 1.0 / a00 + l10 * l10 / d1 + z2 * z2 / d2 + z3 * z3 / d3
        v3 = l32 * l21 - l31
        own = 1.0 / d1 + l21 * l21 / d2 + v3 * v3 / d3
        spread, week = self.spread, WEEK / self._tau
        scale = spread * sqrt(1.0 + unsure)
        return Terms(
            value=value,
            level=level,
            hour=hour,
            spread=scale,
            spreads=(value - level - hour) / scale,
            trend=slope * week,
            error=spread * sqrt(own) * week,
            missed=self._missed,
            due=self._missed + self._done,
        )

    def _with_prior(self) -> tuple[float, ...]:
        """The moments with the prior's, which lies amid the values: it moves the level and makes no trend.

        A trend is about two spreads a week, a rhythm half a spread.
        """
        a00, a10, a11, a20, a21, a22, a30, a31, a32, a33 = self._moments
        m1, m2, m3 = (a10 / a00, a20 / a00, a30 / a00) if a00 > 0.0 else (0.0, 0.0, 0.0)
        known, slope = self._worth(), WEEK / self._tau / 2
        return (
            a00 + known,
            a10 + known * m1,
            a11 + known * m1 * m1 + slope * slope,
            a20 + known * m2,
            a21 + known * m1 * m2,
            a22 + known * m2 * m2 + HOURS,
            a30 + known * m3,
            a31 + known * m1 * m3,
            a32 + known * m2 * m3,
            a33 + known * m3 * m3 + HOURS,
        )

    def _take(self, time: int, value: float, terms: Terms) -> None:
        self._age(time)
        spread, far = self.spread, abs(terms.spreads)
        w = 1.0 if far <= FAR else FAR / far
        x, y = _hand(time)
        a00, a10, a11, a20, a21, a22, a30, a31, a32, a33 = self._moments
        b0, b1, b2, b3 = self._sums
        off = w * (value - self._prior.level)
        self._sums = b0 + off, b1, b2 + off * x, b3 + off * y
        self._moments = (
            *(a00 + w, a10, a11),
            *(a20 + w * x, a21, a22 + w * x * x),
            *(a30 + w * y, a31, a32 + w * x * y, a33 + w * y * y),
        )
        self._count += 1.0
        off = min(far, FAR) * spread
        self._square += off * off / SEEN

    def _age(self, time: int) -> None:
        """All that was learned is older by now: weighs less, and lies further back in the trend's time."""
        passed = 0.0 if self._at < 0 else (time - self._at) / self._tau
        self._at = time
        keep = exp(-passed)
        a00, a10, a11, a20, a21, a22, a30, a31, a32, a33 = self._moments
        a11 += passed * (passed * a00 - 2.0 * a10)
        a10, a21, a31 = a10 - passed * a00, a21 - passed * a20, a31 - passed * a30
        b0, b1, b2, b3 = self._sums
        self._moments = tuple(keep * a for a in (a00, a10, a11, a20, a21, a22, a30, a31, a32, a33))
        self._sums = keep * b0, keep * (b1 - passed * b0), keep * b2, keep * b3
        self._count, self._square = self._count * keep, self._square * keep

    def _schedule(self, time: int) -> None:
        """Count the measurements that were due; values closer than half of the agreed time are one."""
        every = self._prior.every_s * SECOND
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
        if self._began >= 0:
            self._began += by
        if self._session >= 0:
            self._session += by

    def pack(self) -> list[Any]:
        """All that ``unpack`` needs, as plain data: first and last time, version, the rest."""
        sums = [self._count, self._square, self._missed, self._done, *self._sums, *self._moments]
        terms = None if self.terms is None else list(self.terms)
        open_ = [self._began, self._total, self._many]
        return [self._first, self._last, VERSION, self._at, self._session, open_, sums, terms, self.output]

    def unpack(self, packed: list[Any]) -> bool:
        """Go on from what ``pack`` gave; from another version's, begin anew and say False."""
        self._begin()
        if packed[2] != VERSION:
            return False
        self._first, self._last, _, self._at, self._session, open_, sums, terms, self.output = packed
        self._began, self._total, self._many = open_
        self._count, self._square, self._missed, self._done, *sums = sums
        self._sums = tuple(sums[:-MOMENTS])
        self._moments = tuple(sums[-MOMENTS:])
        self.terms = None if terms is None else Terms(*terms)
        return True


def _hand(time: int) -> tuple[float, float]:
    """Where the hand of a 24-hour clock points (UTC; where midnight lies does not matter)."""
    angle = 2 * pi * (time % DAY) / DAY
    return cos(angle), sin(angle)
