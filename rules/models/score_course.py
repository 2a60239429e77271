"""How a patient's NEWS2 went in the last hours: the points of each parameter now, and as they were before.

A score with a parameter missing is a lower bound: two of them compare only by the parameters that both know.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Final, Literal, TypeAlias

from rules.news2 import MAX_AGE_S, METRICS_OF, PARAMETERS, points

__all__ = ["TREND_S", "ScoreChange", "ScoreCourse"]

HOUR_S: Final = 3600.0
TREND_S: Final = 6 * HOUR_S
"""Against how long ago a score is compared (s); half of it is the least, an hour more the most."""
_PARAMETER: Final = {m: p for p, metrics in METRICS_OF.items() for m in metrics}
_METRICS: Final = tuple(_PARAMETER)
_SPO2: Final = PARAMETERS.index("spo2")

_Scored: TypeAlias = tuple[int | None, ...]
"""Points by parameter in the chart's order, then those of the saturation by scale 2; None: not known."""


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """The points of the known parameters ``now``, and ``then`` at ``since`` (s)."""

    since: float
    then: dict[str, int]
    now: dict[str, int]

    @property
    def change(self) -> int | None:
        """By how many points the parameters went up that are known at both times; None: there is none."""
        both = self.then.keys() & self.now.keys()
        return sum(self.now[p] - self.then[p] for p in both) if both else None

    @property
    def moved(self) -> tuple[tuple[str, int, int], ...]:
        """The parameters whose points are others, with those of then and now: what rose most first."""
        both = [(p, self.then[p], self.now[p]) for p in PARAMETERS if p in self.then and p in self.now]
        return tuple(sorted((x for x in both if x[1] != x[2]), key=lambda x: x[1] - x[2]))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parameters that are not known at one of the times, or at neither."""
        return tuple(p for p in PARAMETERS if p not in self.then or p not in self.now)


class ScoreCourse:
    """The newest values of one patient, and what they were worth at the end of each of the last hours.

    >>> course = ScoreCourse()
    >>> for hour, rate in enumerate((16, 16, 18, 22, 22, 26, 26)):
    ...     course.push(hour * 3600.0, "respiratory_rate", "m", rate)
    >>> found = course.change(6 * 3600.0)
    >>> found.change, found.moved, len(found.left_out)
    (3, (('respiratory_rate', 0, 3),), 6)
    """

    __slots__ = ("_hours", "_newest", "_time", "_until")

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], tuple[float, float]] = {}
        self._hours: list[tuple[float, _Scored]] = []
        self._time = self._until = -inf

    def push(self, time: float, metric: str, device: str, value: float) -> None:
        """Take a value (s, canonical unit; a code by its place).

        Left out: other metrics, what is no number, and what is older than the newest of its kind.
        """
        if metric not in MAX_AGE_S or not value == value:  # noqa: PLR0124, SIM201 - NaN
            return
        if time >= self._time:  # newer than all: none of its kind is
            if time >= self._until:
                self._keep()
                self._until = _hour_after(time)
            self._time = time
            self._newest[metric, device] = time, value
            return
        old = self._newest.get((metric, device))
        if old is None or time >= old[0]:
            self._newest[metric, device] = time, value

    def _keep(self) -> None:
        """Note what the hour that is over came to; forget what counts no more."""
        if self._time == -inf:
            return
        oldest = self._time - TREND_S - 2 * HOUR_S
        self._hours = [kept for kept in self._hours if kept[0] > oldest]
        self._hours.append((self._time, self._scored(self._time)))
        self._newest = {k: v for k, v in self._newest.items() if self._time - v[0] <= MAX_AGE_S[k[0]]}

    def _scored(self, now: float) -> _Scored:
        """Of several values of a parameter that are not too old at ``now`` (s) the one with most points."""
        known = [(m, v) for (m, _), (at, v) in self._newest.items() if 0 <= now - at <= MAX_AGE_S[m]]
        oxygen = [value > 0 for metric, value in known if metric == "supplemental_oxygen"]
        on_oxygen = any(oxygen) if oxygen else None
        found: dict[str, int] = {}
        scaled: int | None = None
        for metric, value in known:
            parameter = _PARAMETER[metric]
            found[parameter] = max(found.get(parameter, 0), points(parameter, value))
            if parameter == "spo2":
                scaled = max(scaled or 0, points(parameter, value, 2, on_oxygen))
        return *(found.get(p) for p in PARAMETERS), scaled

    def change(self, now: float, scale: Literal[1, 2] = 1) -> ScoreChange | None:
        """The score at ``now`` (s) beside that of some hours before; None: none of then is known."""
        kept = [*self._hours, (self._time, self._scored(self._time))]
        old = [k for k in kept if TREND_S / 2 <= now - k[0] <= TREND_S + HOUR_S]
        before = min(old, key=lambda k: abs(now - TREND_S - k[0]), default=None)
        if before is None:
            return None
        return ScoreChange(before[0], _by_name(before[1], scale), _by_name(self._scored(now), scale))

    def shift(self, by: float) -> None:
        """All was measured so much (s) later than told."""
        self._time += by
        self._until = _hour_after(self._time)
        self._newest = {key: (at + by, value) for key, (at, value) in self._newest.items()}
        self._hours = [(at + by, scored) for at, scored in self._hours]

    def pack(self) -> list[Any]:
        """All of it as plain data; equal histories give equal data."""
        newest = [[_METRICS.index(m), d, at, v] for (m, d), (at, v) in sorted(self._newest.items())]
        return [self._time, newest, [[at, *scored] for at, scored in self._hours]]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> ScoreCourse:
        """The course that ``pack`` gave."""
        out = cls()
        out._time, newest, hours = packed
        out._until = _hour_after(out._time)
        out._newest = {(_METRICS[m], device): (at, value) for m, device, at, value in newest}
        out._hours = [(at, tuple(scored)) for at, *scored in hours]
        return out


def _hour_after(time: float) -> float:
    """When the hour of ``time`` (s) is over; -inf stays so."""
    return time if time == -inf else (time // HOUR_S + 1) * HOUR_S


def _by_name(scored: _Scored, scale: int) -> dict[str, int]:
    values = list(scored[:-1])
    if scale != 1:
        values[_SPO2] = scored[-1]
    return {p: worth for p, worth in zip(PARAMETERS, values, strict=True) if worth is not None}
