"""A record stack as a derived quantity of one signal (``rules.signals.Feature``): how unusual is it now?

The stack is given the mean of what came in each pace, so that a reading a second and one in five minutes cost
and count alike. A value is learned when the next one comes: what opened an alarm has not become usual by
then, and while the alarm is open it does not. Pure; the same at the edge.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar, Final, Literal, NamedTuple

from hearthward.core.adding import added
from hearthward.core.errors import RuleError
from rules.detectors import record_stack
from rules.detectors.parameters import DEFAULTS, SUPPOSED
from rules.detectors.priors import Population
from rules.detectors.record_stack import Moment, RecordStack
from rules.detectors.terms import explained

__all__ = [
    "COURSE",
    "LARGEST",
    "LASTING",
    "READABLE",
    "VERSION",
    "Direction",
    "Evidence",
    "Novelty",
    "Part",
    "followed",
    "judged",
    "known_s",
]

Direction = Literal["above", "below", "either"]
VERSION: Final = 1
"""Of the packed form; another one is not read, and the usual course is learned anew."""
SECOND: Final = 1_000_000_000
LASTING: Final = 86_400 * SECOND
"""An alarm that has been open for so long tells of a new usual."""
_PRESENT: Final = frozenset({"range", "short", "hour"})
"""What returns with the signal: it says whether an open alarm goes on."""
_ASIDE: Final = frozenset({"spread"})
"""What has no direction: it counts where either is asked for."""
_MOST: Final = 3
"""As many terms are kept, the weightiest."""
LARGEST: Final = 10.0
"""A ratio is told up to this."""
READABLE: Final = record_stack.LARGEST / 2.0
"""Values up to here, and their means, can be learned."""
_DIGITS: Final = 6
COURSE: Final = 120
"""So many residuals are kept while frozen: by them it is seen that a level has held."""
_HALF: Final = struct.Struct("<e")
_FAR: Final = 65_504.0
"""The largest number that a half has."""


class Part(NamedTuple):
    """One term: which statistic, how many times its record, its share of the sum, the value and the usual.

    ``share`` is of all terms in the asked direction: those told and those left out add up to 1.
    """

    name: str
    direction: str
    ratio: float
    share: float
    value: float
    usual: float


class Evidence(NamedTuple):
    """What a judgement rests on: the value judged, for how long (s) the patient is known, the terms."""

    value: float
    known_s: float
    parts: tuple[Part, ...]

    def content(self) -> dict[str, Any]:
        """As it is kept with a decision."""
        return {"value": self.value, "known_s": self.known_s, "parts": [list(p) for p in self.parts]}

    @classmethod
    def of(cls, content: dict[str, Any]) -> Evidence:
        """The way back from ``content``."""
        parts = tuple(Part(*p) for p in content["parts"])
        return cls(float(content["value"]), float(content["known_s"]), parts)


class Novelty:
    """``output`` is 0..1: 0 nothing new, 0.5 what the stack was searched to tell; None: too little is known.

    Of the terms those in ``direction`` count. While nothing is open, it is news that counts: what has just
    been told is taken off. While ``frozen`` it is the present: is the value still beyond what was usual?
    """

    __slots__ = (
        "_count",
        "_course",
        "_direction",
        "_frozen",
        "_last",
        "_pace",
        "_population",
        "_stack",
        "_sum",
        "_taken",
        "_waiting",
        "output",
        "terms",
    )
    sound_only: ClassVar[bool] = True

    def __init__(self, direction: Direction, pace: int, population: Population | None = None) -> None:
        self._direction, self._pace, self._population = direction, pace, population
        self._begin()

    def _begin(self) -> None:
        self._stack = RecordStack(pace=self._pace / SECOND)
        self._taken = self._last = self._frozen = -1
        self._sum, self._count = 0.0, 0
        self._course = b""
        self._waiting: tuple[float, float] | None = None
        self.output: float | None = None
        self.terms: Evidence | None = None

    @property
    def residual(self) -> tuple[float, float] | None:
        """When (s) the newest mean was taken, and how far it lies from the slow one; None at first."""
        usual = self._stack.usual
        if self._waiting is None or usual is None:
            return None
        return self._waiting[0], self._waiting[1] - usual

    @property
    def course(self) -> tuple[float, ...]:
        """The residuals since which all was unusual while frozen, the newest ``COURSE``, to three digits."""
        return struct.unpack(f"<{len(self._course) // 2}e", self._course)

    def relearn(self) -> None:
        """What was usual is so no more: begin with the next value."""
        self._begin()

    def push(self, time: int, value: float, *, frozen: bool) -> None:
        """Add a value to its pace; when the pace is over, judge their mean by all that was before.

        What is no reading, not a number or so large that a mean could not be one, is passed over.
        """
        if not -READABLE <= value <= READABLE:
            return
        if time - self._last >= self._pace:
            self._sum, self._count = 0.0, 0
        self._sum, self._count, self._last = self._sum + value, self._count + 1, time
        if self._taken >= 0 and time - self._taken < self._pace:
            return
        self._lasts(time, frozen=frozen)
        mean = round(self._sum / self._count, _DIGITS)
        self._sum, self._count, self._taken = 0.0, 0, time
        if self._waiting is not None:
            self._stack.frozen = frozen
            self._stack.update(*self._waiting)
        elif self._population is not None:
            prior = self._population.prior(mean)
            self._stack = RecordStack(pace=self._pace / SECOND, prior=prior)
        self._waiting = time / SECOND, mean
        moment = self._stack.peek(*self._waiting)
        self.output, self.terms = judged(moment, self._direction, self._known_s, frozen=frozen)
        if frozen or self._course:
            self._course = followed(self._course, self.output if frozen else None, self.residual)

    def _known_s(self) -> float:
        return known_s(self._stack.watched, self._pace, self._population)

    def _lasts(self, time: int, *, frozen: bool) -> None:
        """What has lasted for a day is the patient's own: the usual course is learned anew from it."""
        if not frozen:
            self._frozen = -1
        elif self._frozen < 0:
            self._frozen = time
        elif time - self._frozen >= LASTING:
            kept = self._sum, self._count, self._last
            self._begin()
            self._sum, self._count, self._last = kept

    def shift(self, by: int) -> None:
        """All values were measured so much (ns) later than told."""
        if self._taken >= 0:
            self._taken, self._last = self._taken + by, self._last + by
        if self._waiting is not None:
            self._waiting = self._waiting[0] + by / SECOND, self._waiting[1]
        if self._frozen >= 0:
            self._frozen += by
        self._stack.shift(by / SECOND)

    def pack(self) -> list[Any]:
        """All that ``unpack`` needs, as plain data: times, version, the stack's 512 bytes, the rest."""
        found = None if self.terms is None else [*self.terms[:2], [list(p) for p in self.terms.parts]]
        waiting = None if self._waiting is None else list(self._waiting)
        pace = [self._sum, self._count, self._frozen]
        course = [self._course] if self._course else []
        state = self._stack.to_bytes()
        return [self._taken, self._last, VERSION, state, waiting, pace, self.output, found, *course]

    def unpack(self, packed: list[Any]) -> bool:
        """Go on from what ``pack`` gave; of another version or damaged: begin anew, say False."""
        self._begin()
        if packed[2] != VERSION:
            return False
        taken, last, _, state, waiting, pace, output, found, *course = packed
        try:
            self._stack = RecordStack.from_bytes(state)
        except RuleError:
            return False
        self._taken, self._last, self.output = taken, last, output
        self._sum, self._count, self._frozen = pace
        self._course = course[0] if course else b""
        self._waiting = None if waiting is None else (waiting[0], waiting[1])
        self.terms = (
            None if found is None else Evidence(found[0], found[1], tuple(Part(*p) for p in found[2]))
        )
        return True


def known_s(watched: float, pace: int, population: Population | None) -> float:
    """For how long (s) the patient is known; what the population stood in for does not count."""
    supposed = 0.0 if population is None else SUPPOSED * pace / SECOND
    return round(max(0.0, watched - supposed))


def followed(course: bytes, output: float | None, residual: tuple[float, float] | None) -> bytes:
    """The course with the newest residual, two bytes each; what is as usual (no ``output``) ends it."""
    if not output or residual is None:
        return b""
    return (course + _HALF.pack(max(-_FAR, min(_FAR, residual[1]))))[-COURSE * _HALF.size :]


def judged(
    moment: Moment | None, direction: Direction, known: Callable[[], float], *, frozen: bool
) -> tuple[float | None, Evidence | None]:
    """Output and terms of a moment in the asked direction; ``known`` tells for how long the patient is."""
    if moment is None or not moment.heard:
        return None, None
    if not moment.total:
        return 0.0, None
    found = explained(moment, DEFAULTS)
    asked = [t for t in found.terms if direction in {"either", t.direction}]
    if direction != "either":
        asked = [t for t in asked if t.name not in _ASIDE]
    points = added(t.points for t in asked)
    if not points:
        return 0.0, None
    if frozen:
        present = added(t.points for t in asked if t.name in _PRESENT)
    else:
        present = points * max(0.0, 1.0 - found.calmed / moment.total)
    evidence = present * found.share
    parts = tuple(
        Part(
            t.name,
            t.direction,
            round(min(t.ratio, LARGEST), 3),
            round(t.points / points, 3),
            round(t.value, 3),
            round(t.usual, 3),
        )
        for t in asked[:_MOST]
    )
    output = round(evidence / (evidence + DEFAULTS.threshold), _DIGITS)
    return output, Evidence(round(moment.value, 3), known(), parts)
