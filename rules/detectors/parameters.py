"""What the record stack is set to, where that comes from, and what a population knows of a signal beforehand.

Times are in paces: one pace is the usual time between two readings of the stream, so that 1 Hz and three a
day share one setting. A memory of ``tau`` keeps 1/e of what it knew ``tau`` paces ago.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Final, NamedTuple

__all__ = [
    "DEFAULTS",
    "SHORTEST",
    "STATISTICS",
    "SUPPOSED",
    "Coefficients",
    "Parameters",
    "Prior",
    "Weights",
]

STATISTICS: Final = ("range", "short", "medium", "long", "step", "spread", "hour", "hours")
"""The statistics in the order of their weights; all but ``range`` keep a record of their own."""
SUPPOSED: Final = 60.0
"""Paces for which a population's knowledge stands in."""


class Weights(NamedTuple):
    """What each statistic adds to the sum, per unit by which it exceeds its record."""

    range: float
    short: float
    medium: float
    long: float
    step: float
    spread: float
    hour: float
    hours: float


class Coefficients(NamedTuple):
    """What an elapsed time means for each memory: the share learned anew, the factor kept."""

    elapsed: float
    range: float
    short: float
    medium: float
    long: float
    slow: float
    spread: float
    usual: float
    hours: float
    keep_record: float
    keep_calm: float
    keep_chatter: float


@dataclass(frozen=True, slots=True)
class Prior:
    """What the population knows of a signal: as much as if it had been watched for ``paces``.

    Raises ValueError for a spread or paces that are not positive, and for what is no number.
    """

    level: float
    spread: float
    paces: float = SUPPOSED

    def __post_init__(self) -> None:
        for name, value in (("spread", self.spread), ("paces", self.paces)):
            if not 0.0 < value < math.inf:
                msg = f"a prior's {name} is {value}; it must be a positive number"
                raise ValueError(msg)
        if not math.isfinite(self.level):
            msg = f"a prior's level is {self.level}; it must be a number"
            raise ValueError(msg)


@dataclass(frozen=True)
class Parameters:
    """Memories (paces unless said otherwise), weights and the threshold of the record stack.

    ``tau_range``: how long the lowest and the highest are known; ``tau_short``, ``tau_medium``, ``tau_long``:
    the means that are compared with the slow one (``tau_slow``); ``tau_spread``, ``tau_usual``: the variance
    and the usual one; ``hour_days``: days that the profile of the day goes back; ``tau_hours``: the mean of
    what departs from it; ``tau_record``: how long a record stands. ``tau_calm`` and ``calm``: for how long
    and how far what has just been told silences its repeats; ``tau_chatter`` and ``chatter``: the same for a
    stream that tells much. ``mature``: age at which a stream's word counts half. ``warm_up``: age at which it
    is heard first. ``gap``: the most that one silence counts. ``cap``: the most that one statistic counts.
    ``threshold``: the sum that has the score 0.5.
    """

    tau_range: float
    tau_short: float
    tau_medium: float
    tau_long: float
    tau_slow: float
    tau_spread: float
    tau_usual: float
    hour_days: float
    tau_hours: float
    tau_record: float
    tau_calm: float
    calm: float
    tau_chatter: float
    chatter: float
    mature: float
    weights: Weights
    threshold: float
    warm_up: float = 30.0
    gap: float = 12.0
    cap: float = 1.0
    _known: dict[float, Coefficients] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError naming what cannot be."""
        for name, value in zip(self._names(), self._numbers(), strict=True):
            allowed = (
                value >= 0.0 if name.startswith("weights") or name in {"calm", "chatter"} else value > 0.0
            )
            if not (allowed and math.isfinite(value)):
                msg = f"{name} is {value}; it must be a positive number"
                raise ValueError(msg)

    def _names(self) -> list[str]:
        names = [f.name for f in fields(self) if not f.name.startswith("_") and f.name != "weights"]
        return names + [f"weights.{name}" for name in STATISTICS]

    def _numbers(self) -> list[float]:
        return [float(getattr(self, n)) for n in self._names()[: -len(STATISTICS)]] + [*self.weights]

    @cached_property
    def digest(self) -> int:
        """Tells one setting from another: a state belongs to that by which it was made."""
        numbers = self._numbers()
        return zlib.crc32(struct.pack(f"<{len(numbers)}d", *numbers))

    def after(self, elapsed: float) -> Coefficients:
        """What ``elapsed`` paces mean, as ``quantised`` gives them: so few that all are kept."""
        known = self._known.get(elapsed)
        if known is None:
            known = self._known[elapsed] = Coefficients(
                elapsed,
                *(
                    1.0 - math.exp(-elapsed / tau)
                    for tau in (
                        self.tau_range,
                        self.tau_short,
                        self.tau_medium,
                        self.tau_long,
                        self.tau_slow,
                        self.tau_spread,
                        self.tau_usual,
                        self.tau_hours,
                    )
                ),
                *(math.exp(-elapsed / tau) for tau in (self.tau_record, self.tau_calm, self.tau_chatter)),
            )
        return known

    def quantised(self, paces: float) -> float:
        """An elapsed time to within 0.4 %, a gap at most; 0 for what is too short to matter."""
        if paces >= self.gap:
            return self.gap
        if paces < SHORTEST:
            return 0.0
        mantissa, exponent = math.frexp(paces)
        return math.ldexp(round(mantissa * 256.0) / 256.0, exponent)


SHORTEST: Final = 2.0**-20
"""Paces below which no time has passed."""

DEFAULTS: Final = Parameters(
    tau_range=18_000.0,
    tau_short=5.0,
    tau_medium=50.0,
    tau_long=225.0,
    tau_slow=410.0,
    tau_spread=68.0,
    tau_usual=820.0,
    hour_days=5.0,
    tau_hours=40.0,
    tau_record=18_000.0,
    tau_calm=42.0,
    calm=1.0,
    tau_chatter=940.0,
    chatter=0.37,
    mature=200.0,
    weights=Weights(0.62, 0.27, 0.55, 0.62, 0.5, 0.47, 0.27, 0.83),
    threshold=0.027,
)
"""From ``bench/nab_search.py`` on 44 files of the Numenta Anomaly Benchmark (2026-11), rounded.

What it gave is a mean of many good settings. To change all of it by a fifth moves the benchmark's score by
about one point to either side.
"""
