"""What is remembered of one signal of one device: its newest value, and what rules derive from the past.

A derived quantity (``Feature``) takes every usable value in order of time and keeps only what it needs.
Snapshots hold all of it, so that a restart goes on with equal numbers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import exp, fsum, inf
from typing import Any, ClassVar, Final, Protocol, Self, TypeAlias

from hearthward.core.model import Quality
from rules.conditions import Calibration, Change, Count, Deviation, Leaf, Operator, Threshold, Unusual
from rules.detectors.baseline import Baseline, Prior
from rules.detectors.novelty import Novelty
from rules.detectors.priors import POPULATION
from rules.models.recalibration import recalibrated
from rules.rule import SECOND

__all__ = ["DOUBTED", "Feature", "Series", "breaches", "feature_key", "make_feature"]

DOUBTED: Final = int(Quality.SUSPECT)
REMEMBERED: Final = 16
"""Values per signal that a repeat is recognised by."""
Mark: TypeAlias = tuple[float, ...]
"""(time, value) of a reading; with True where it was put aside: a sound one is no repeat of that."""
RESUM_EVERY: Final = 1024
"""A running sum is made anew after so many values, so that rounding cannot pile up."""


def breaches(op: Operator, limit: float, value: float) -> bool:
    """Whether the value is beyond the limit."""
    if op == "below":
        return value < limit
    if op == "above":
        return value > limit
    return value <= limit if op == "at_or_below" else value >= limit


class Feature(Protocol):
    """A quantity derived from one signal's past."""

    output: float | None
    """The present value; None while there is too little to say."""
    sound_only: ClassVar[bool]
    """Whether it is given no value that the quality gate doubts."""

    def push(self, time: int, value: float, *, frozen: bool) -> None:
        """Take the next value; ``frozen``: an alarm is open, nothing is to be learned from it."""
        ...

    def shift(self, by: int) -> None:
        """All values were measured so much (ns) later than told."""
        ...

    def pack(self) -> list[Any]:
        """All that ``unpack`` needs."""
        ...

    def unpack(self, packed: list[Any]) -> bool:
        """Go on from what ``pack`` gave. False: another version gave it, and this one begins anew."""
        ...


class _Mean:
    """The mean of a time window ``(t - window, t]``."""

    __slots__ = ("_above", "_least", "_pushes", "_times", "_total", "_values", "_window", "output")
    sound_only: ClassVar[bool] = False

    def __init__(self, window: int, least: int, above: float = -inf) -> None:
        self._window, self._least, self._above = window, least, above
        self._times: deque[int] = deque()
        self._values: deque[float] = deque()
        self._total, self._pushes = 0.0, 0
        self.output: float | None = None

    def push(self, time: int, value: float, *, frozen: bool) -> None:  # noqa: ARG002 - learns nothing
        times, values = self._times, self._values
        if value > self._above:
            times.append(time)
            values.append(value)
            self._total += value
        oldest = time - self._window
        while times and times[0] <= oldest:
            times.popleft()
            self._total -= values.popleft()
        self._pushes += 1
        if self._pushes >= RESUM_EVERY:
            self._pushes, self._total = 0, fsum(values)
        count = len(times)
        self.output = round(self._total / count, 9) if count and count >= self._least else None

    def shift(self, by: int) -> None:
        self._times = deque(time + by for time in self._times)

    def pack(self) -> list[Any]:
        return [list(self._times), list(self._values), self._total, self._pushes, self.output]

    def unpack(self, packed: list[Any]) -> bool:
        times, values, self._total, self._pushes, self.output = packed
        self._times, self._values = deque(times), deque(values)
        return True


class _Median:
    """The median of a time window ``(t - window, t]``."""

    __slots__ = ("_above", "_least", "_ordered", "_times", "_values", "_window", "output")
    sound_only: ClassVar[bool] = False

    def __init__(self, window: int, least: int, above: float = -inf) -> None:
        self._window, self._least, self._above = window, least, above
        self._times: deque[int] = deque()
        self._values: deque[float] = deque()
        self._ordered: list[float] = []
        self.output: float | None = None

    def push(self, time: int, value: float, *, frozen: bool) -> None:  # noqa: ARG002 - learns nothing
        times, ordered = self._times, self._ordered
        if value > self._above:
            times.append(time)
            self._values.append(value)
            insort(ordered, value)
        oldest = time - self._window
        while times and times[0] <= oldest:
            times.popleft()
            del ordered[bisect_left(ordered, self._values.popleft())]
        count = len(ordered)
        if count < self._least or not count:
            self.output = None
        else:
            self.output = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2

    def shift(self, by: int) -> None:
        self._times = deque(time + by for time in self._times)

    def pack(self) -> list[Any]:
        return [list(self._times), list(self._values), self.output]

    def unpack(self, packed: list[Any]) -> bool:
        times, values, self.output = packed
        self._times, self._values = deque(times), deque(values)
        self._ordered = sorted(values)
        return True


class _Swing:
    """How far the newest value lies above the lowest (sign 1) or below the highest (-1) of a window."""

    __slots__ = ("_best", "_sign", "_times", "_window", "output")
    sound_only: ClassVar[bool] = False

    def __init__(self, window: int, sign: int) -> None:
        self._window, self._sign = window, sign
        self._times: deque[int] = deque()
        self._best: deque[float] = deque()
        self.output: float | None = None

    def push(self, time: int, value: float, *, frozen: bool) -> None:  # noqa: ARG002 - learns nothing
        level = value * self._sign
        times, best = self._times, self._best
        while best and best[-1] >= level:
            best.pop()
            times.pop()
        times.append(time)
        best.append(level)
        oldest = time - self._window
        while times[0] < oldest:
            times.popleft()
            best.popleft()
        self.output = round(level - best[0], 6)

    def shift(self, by: int) -> None:
        self._times = deque(time + by for time in self._times)

    def pack(self) -> list[Any]:
        return [list(self._times), list(self._best), self.output]

    def unpack(self, packed: list[Any]) -> bool:
        times, best, self.output = packed
        self._times, self._best = deque(times), deque(best)
        return True


class _Level:
    """A mean that forgets with a time constant; ``output`` is how far the newest value lies from it."""

    __slots__ = ("_first", "_last", "_learn", "_tau", "level", "output")
    sound_only: ClassVar[bool] = False

    def __init__(self, tau: int, learn: int) -> None:
        self._tau, self._learn = tau, learn
        self._first, self._last = -1, -1
        self.level = 0.0
        self.output: float | None = None

    def push(self, time: int, value: float, *, frozen: bool) -> None:
        if self._first < 0:
            self._first, self.level = time, value
        else:
            known = self._last - self._first >= self._learn
            self.output = round(value - self.level, 6) if known else None
            if not frozen:
                self.level += (1 - exp((self._last - time) / self._tau)) * (value - self.level)
        self._last = time

    def shift(self, by: int) -> None:
        if self._first >= 0:
            self._first, self._last = self._first + by, self._last + by

    def pack(self) -> list[Any]:
        return [self._first, self._last, self.level, self.output]

    def unpack(self, packed: list[Any]) -> bool:
        self._first, self._last, self.level, self.output = packed
        return True


class _Calibrated:
    """A learned risk as a site has found it to be; None where it was calibrated for another training."""

    __slots__ = ("_calibration", "output")
    sound_only: ClassVar[bool] = False

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self.output: float | None = None

    def push(self, time: int, value: float, *, frozen: bool) -> None:  # noqa: ARG002 - learns nothing
        self.output = recalibrated(self._calibration, value)

    def shift(self, by: int) -> None:
        pass

    def pack(self) -> list[Any]:
        return [self.output]

    def unpack(self, packed: list[Any]) -> bool:
        (output,) = packed
        self.output = output if recalibrated(self._calibration, 0.5) is not None else None
        return True


class _Breaches:
    """How many values of a window ``(t - window, t]`` were beyond a limit."""

    __slots__ = ("_limit", "_op", "_times", "_window", "output")
    sound_only: ClassVar[bool] = False

    def __init__(self, window: int, op: Operator, limit: float) -> None:
        self._window, self._op, self._limit = window, op, limit
        self._times: deque[int] = deque()
        self.output: float | None = None

    def push(self, time: int, value: float, *, frozen: bool) -> None:  # noqa: ARG002 - learns nothing
        times = self._times
        if breaches(self._op, self._limit, value):
            times.append(time)
        oldest = time - self._window
        while times and times[0] <= oldest:
            times.popleft()
        self.output = float(len(times))

    def shift(self, by: int) -> None:
        self._times = deque(time + by for time in self._times)

    def pack(self) -> list[Any]:
        return [list(self._times), self.output]

    def unpack(self, packed: list[Any]) -> bool:
        times, self.output = packed
        self._times = deque(times)
        return True


def feature_key(leaf: Leaf) -> str | None:  # noqa: PLR0911 - one a kind of leaf
    """The name of the derived quantity that a resolved leaf looks at; None: the value itself."""
    match leaf:
        case Threshold(smoothing=smoothing) if smoothing is not None:
            above = "" if smoothing.above is None else f" {float(smoothing.above)}"
            return f"{smoothing.kind} {float(smoothing.window_s)} {smoothing.min_count}{above}"
        case Threshold(calibration=found) if found is not None:
            return f"calibrated {found.training} {float(found.slope)} {float(found.intercept)}"
        case Change(direction=direction, within_s=within):
            return f"{direction} {float(within)}"
        case Deviation(tau_s=tau, learn_s=learn, asked=of, prior=prior) if (
            of is not None and prior is not None
        ):
            known = (tau, learn, prior.level, prior.spread, prior.weight, prior.every_s)
            return f"own {of} {' '.join(str(float(x)) for x in known)}"
        case Deviation(tau_s=tau, learn_s=learn):
            return f"level {float(tau)} {float(learn)}"
        case Unusual(metric=metric, direction=direction, pace_s=pace):
            return f"unusual {metric} {direction} {float(pace)}"
        case Count(of=of, within_s=within):
            return f"count {of.op} {float(of.value)} {float(within)}"
    return None


def make_feature(key: str) -> Feature:  # noqa: PLR0911 - one a kind of quantity
    """The derived quantity of that name, with nothing seen yet."""
    kind, *parts = key.split(" ")
    match kind:
        case "mean":
            return _Mean(_ns(parts[0]), int(parts[1]), *map(float, parts[2:]))
        case "median":
            return _Median(_ns(parts[0]), int(parts[1]), *map(float, parts[2:]))
        case "rise" | "fall":
            return _Swing(_ns(parts[0]), 1 if kind == "rise" else -1)
        case "own":
            asked: Any = parts[0]
            prior = Prior(*map(float, parts[3:]))
            return Baseline(asked, _ns(parts[1]), _ns(parts[2]), prior)
        case "unusual":
            direction: Any = parts[1]
            return Novelty(direction, _ns(parts[2]), POPULATION.get(parts[0]))
        case "calibrated":
            return _Calibrated(Calibration(int(parts[0]), float(parts[1]), float(parts[2])))
        case "level":
            return _Level(_ns(parts[0]), _ns(parts[1]))
        case _:
            op: Any = parts[0]
            return _Breaches(_ns(parts[2]), op, float(parts[1]))


def _ns(seconds: str) -> int:
    return round(float(seconds) * SECOND)


Derived: TypeAlias = tuple[tuple[str, tuple[float, ...], Any], ...]
"""Derived quantities by name, the numbers that rules compare each with, and whose these are."""


class Series:
    """One signal of one device.

    ``time`` is -1 before the first usable value. ``quality`` is the device's newest word on itself, said at
    ``spoken``. Not part of the state: ``cell`` says between which limits the value lies (-1: not known),
    open episodes have been judged on values from ``low`` to ``high``, ``anew`` derived quantities of another
    version were met when the state was read.
    """

    __slots__ = (
        "_bound",
        "_found",
        "anew",
        "cell",
        "features",
        "high",
        "low",
        "quality",
        "received",
        "recent",
        "spoken",
        "time",
        "value",
    )

    def __init__(self) -> None:
        self.time, self.value, self.received = -1, 0.0, 0
        self.quality, self.spoken = 0, -1
        self.recent: deque[Mark] = deque(maxlen=REMEMBERED)
        self.features: dict[str, Feature] = {}
        self._bound: Derived = ()
        self._found: list[tuple[Feature, tuple[float, ...], Any]] = []
        self.cell, self.anew = -1, 0
        self.low, self.high = inf, -inf

    def copy(self) -> Series:
        """The same, to be changed on its own."""
        return Series.unpacked(self.pack())

    def shift(self, by: int) -> None:
        """All of it was measured so much (ns) later than told."""
        self.received += by
        if self.time >= 0:
            self.time += by
        if self.spoken >= 0:
            self.spoken += by
        self.recent = deque(((time + by, *rest) for time, *rest in self.recent), maxlen=REMEMBERED)
        for feature in self.features.values():
            feature.shift(by)

    def derive(self, quality: int, *, frozen: bool) -> None:
        """Give the newest value, of this ``quality``, to all derived quantities that take it."""
        for feature in self.features.values():
            if not (feature.sound_only and quality & DOUBTED):
                feature.push(self.time, self.value, frozen=frozen)

    def bound_to(self, derived: Derived) -> list[tuple[Feature, tuple[float, ...], Any]]:
        """The derived quantities that are named there, each with the rest; kept for the next time."""
        if derived is not self._bound:
            self._found = [(self.features[key], cuts, owners) for key, cuts, owners in derived]
            self._bound = derived
        return self._found

    def relearn(self) -> None:
        """What was usual of it is so no more."""
        for feature in self.features.values():
            if isinstance(feature, Novelty):
                feature.relearn()

    def need(self, keys: tuple[str, ...]) -> None:
        """Keep exactly these derived quantities; new ones begin with the newest value."""
        if self.features.keys() == set(keys):
            return
        kept = self.features
        self.features, self._bound = {}, ()
        for key in keys:
            feature = kept.get(key)
            if feature is None:
                feature = make_feature(key)
                if self.time >= 0 and not (feature.sound_only and self.quality & DOUBTED):
                    feature.push(self.time, self.value, frozen=False)
            self.features[key] = feature

    def pack(self) -> list[Any]:
        """All of it as plain data; equal histories give equal data."""
        features = [[key, feature.pack()] for key, feature in sorted(self.features.items())]
        recent = [list(mark) for mark in self.recent]
        return [self.time, self.value, self.received, self.quality, self.spoken, recent, features]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> Self:
        """The series that ``pack`` described."""
        out = cls()
        out.time, out.value, out.received, out.quality, out.spoken, recent, features = packed
        out.recent.extend(tuple(mark) for mark in recent)
        for key, content in features:
            feature = make_feature(key)
            out.anew += not feature.unpack(content)
            out.features[key] = feature
        return out
