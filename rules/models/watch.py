"""One patient under watch: the courses of vital signs and score, and when and why a risk was last told."""

from __future__ import annotations

from math import inf
from typing import Any, Final, Literal, TypeAlias

from rules.models.deterioration import CHANNEL_OF, Course, Deterioration, Reason
from rules.models.score_course import ScoreCourse
from rules.news2 import MAX_AGE_S

__all__ = ["JUDGED_EVERY_S", "WATCHED", "Trend", "Watch"]

JUDGED_EVERY_S: Final = 300.0
"""A patient's risk is told anew at most as often (s): the model looks at hours."""
FOREMOST: Final = 3
HOUR_S: Final = 3600.0
TREND_S: Final = 6 * HOUR_S
"""Against how long ago a risk is compared (s); half of it is the least."""
TREND_LEAST: Final = 0.05
"""By how much it must differ to be called up or down."""
WATCHED: Final = CHANNEL_OF.keys() | MAX_AGE_S.keys()
"""The metrics of which a watch remembers something."""
_VERSION: Final = 3

Trend: TypeAlias = Literal["up", "down", "steady"]


class Watch:
    """``reasons`` are all that the risk was made of when it was last told, what raised it most first.

    ``hours`` are the risks told before, at most one an hour, as (s, risk), the oldest first; the newest risk
    is ``value`` (None: never told, or before this software kept it).
    """

    __slots__ = ("course", "hours", "judged", "reasons", "score", "value")

    def __init__(self) -> None:
        self.course = Course()
        self.score = ScoreCourse()
        self.judged = -inf
        self.reasons: tuple[Reason, ...] = ()
        self.value: float | None = None
        self.hours: list[tuple[float, float]] = []

    def push(self, time: float, metric: str, device: str, value: float) -> bool:
        """Take a value (s, canonical unit; a code by its place); False: it counts for no risk."""
        self.score.push(time, metric, device, value)
        return self.course.push(time, metric, value)

    @property
    def foremost(self) -> tuple[Reason, ...]:
        """The reasons that an alarm names."""
        return self.reasons[:FOREMOST]

    def judge(self, model: Deterioration, now: float) -> float | None:
        """The risk at ``now`` (s), in hundredths; None: it is not its time, or too little is known."""
        if now - self.judged < JUDGED_EVERY_S:
            return None
        risk = model.risk(self.course, now)
        if risk is None:
            return None
        self.judged = now
        self.reasons = risk.reasons
        self.value = round(risk.value, 2)  # finer it would be news at each reading
        if not self.hours or now - self.hours[-1][0] >= HOUR_S:
            self.hours = [kept for kept in self.hours if now - kept[0] <= TREND_S + HOUR_S]
            self.hours.append((now, self.value))
        return self.value

    def before(self) -> tuple[float, float] | None:
        """The risk of some hours ago, as (s, risk), of which the newest is compared; None: none is known."""
        old = [kept for kept in self.hours if TREND_S / 2 <= self.judged - kept[0] <= TREND_S + HOUR_S]
        return min(old, key=lambda kept: abs(self.judged - TREND_S - kept[0]), default=None)

    def trend(self) -> Trend | None:
        """Whither the risk went in the last hours; None: it was not told then."""
        before = self.before()
        if before is None or self.value is None:
            return None
        change = round(self.value - before[1], 2)
        return "up" if change >= TREND_LEAST else "down" if change <= -TREND_LEAST else "steady"

    def shift(self, by: float) -> None:
        """All was measured so much (s) later than told."""
        self.course.shift(by)
        self.score.shift(by)
        self.judged += by
        self.hours = [(at + by, value) for at, value in self.hours]

    def copy(self) -> Watch:
        """The same, to be changed on its own."""
        return Watch.unpacked(self.pack())

    def pack(self) -> list[Any]:
        """All of it as plain data; equal histories give equal data."""
        told = [self.value, [list(kept) for kept in self.hours]]
        reasons = [list(reason) for reason in self.reasons]
        return [_VERSION, self.course.pack(), self.judged, reasons, *told, self.score.pack()]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> Watch:
        """The watch that ``pack`` gave, of versions before, too. Raises ValueError when it is another."""
        version, course, judged, reasons, *told = packed
        if version not in {1, 2, _VERSION}:
            msg = f"a watched patient of version {version}; this software reads {_VERSION}"
            raise ValueError(msg)
        out = cls()
        out.course, out.judged = Course.unpacked(course), judged
        out.reasons = tuple(Reason(*reason) for reason in reasons)
        if told:
            out.value, hours, *score = told
            out.hours = [(at, value) for at, value in hours]
            out.score = ScoreCourse.unpacked(score[0]) if score else out.score
        return out
